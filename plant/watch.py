"""Connecting again and again: what is new in the exports is in the store a moment later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pandas as pd

from plant.connect import Connected
from plant.errors import SteadylineError
from plant.sources import duration


def seconds(text: str) -> float:
    """A pause such as 30s or 5min, in seconds. Raises SteadylineError."""
    try:
        pause = duration(text)
    except ValueError as e:
        raise SteadylineError("bad_duration", f"--every: {e}", "a duration such as 30s, 5min, 1h") from e
    if pause < pd.Timedelta(1, "s"):
        raise SteadylineError("bad_duration", f"--every: found {text}", "at least 1s")
    return pause.total_seconds()


def watch(
    connect_once: Callable[[], Connected],
    every_s: float,
    refused: Callable[[SteadylineError], None],
    polls: int | None = None,
) -> Iterator[Connected]:
    """Connects every `every_s` seconds and yields what changed the data version, the first one in any case.

    A refusal (a file that is half written, a database that does not answer) is told and tried again at the next poll;
    nothing was changed by it. polls: how often at most; None: until somebody stops it.
    """
    version = None
    done = 0
    while polls is None or done < polls:
        if done:
            time.sleep(every_s)
        done += 1
        try:
            connected = connect_once()
        except SteadylineError as e:
            refused(e)
            continue
        if connected.snapshot.data_version != version:
            version = connected.snapshot.data_version
            yield connected
