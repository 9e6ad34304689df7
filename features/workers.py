"""Work on many series at once, in threads: the compiled kernels let go of the interpreter's lock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(work: Callable[[T, R], None], items: Sequence[T], room: Callable[[], R], worth_it: bool = True) -> None:
    """`work(item, room)` for every item, each thread with a room of its own; one thread where it is not worth more.

    Items are independent: the result does not depend on the number of threads. The first error is raised.
    """
    threads = min(cores(), len(items)) if worth_it else 1
    if threads <= 1:
        own = room()
        for item in items:
            work(item, own)
        return
    kept = threading.local()

    def one(item: T) -> None:
        if not hasattr(kept, "room"):
            kept.room = room()
        work(item, kept.room)

    with ThreadPoolExecutor(threads, "features") as pool:
        for done in [pool.submit(one, item) for item in items]:
            done.result()
