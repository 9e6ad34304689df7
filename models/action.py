"""What to do, and by when: from the curve of a score to the work that a planner can put into the week.

Waiting until w costs P(failure within w) · (missed − planned). It is worth it while that risk stays below the
break-even of the costs (`Costs.break_even`); the moment at which the curve crosses it is the date by which work has to
be done. Work that is planned anyway before that date is the cheaper moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from models.decision import Action, Costs

When = Literal["nothing", "watch", "now", "before_the_next_stop", "at_the_next_stop"]


@dataclass(frozen=True)
class PlannedWork:
    """When somebody will work on the equipment anyway. at: UTC; source: what says so; estimated: worked out from the
    usual interval, no record names the day."""

    at: pd.Timestamp
    source: str
    estimated: bool


@dataclass(frozen=True)
class Part:
    """A spare part that mends the failure mode. on_hand: pieces; lead_time_days: to get one; None: not known."""

    part_id: str
    on_hand: float | None
    lead_time_days: float | None

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def crossing_h(risk: Sequence[float], horizons_h: Sequence[float], level: float) -> float | None:
    """Hours until the curve reaches `level`, linear between (0, 0) and the horizons; None: not within the last one."""
    x, y = np.concatenate([[0.0], horizons_h]), np.concatenate([[0.0], np.maximum.accumulate(risk)])
    over = np.flatnonzero(y >= level)
    if not len(over):
        return None
    k = int(over[0])
    if k == 0:
        return 0.0
    return float(x[k - 1] + (level - y[k - 1]) / (y[k] - y[k - 1]) * (x[k] - x[k - 1]))


def recommend(
    action: Action, risk: Sequence[float], horizons_h: Sequence[float], t: pd.Timestamp, costs: Costs, lead_h: float,
    planned: PlannedWork | None = None, parts: Sequence[Part] = (),
) -> dict[str, Any]:
    """The recommended action as JSON values: when, by (the latest date), planned (the stop it speaks of), part, text.

    risk: of any failure within each of horizons_h, at t. `now`: the latest date is nearer than the lead of work.
    `at_the_next_stop`: that stop comes before the latest date. parts: those that mend the likeliest mode; one in stock
    is chosen before one that has to be ordered; `part.in_time` tells whether it is there by the latest date.
    """
    cross = crossing_h(risk, horizons_h, costs.break_even)
    by = None if cross is None else t + pd.Timedelta(hours=max(cross, lead_h))
    when: When = "nothing"
    if action == "watch":
        when = "watch"
    elif action == "open_order":
        if planned is not None and planned.at >= t and (by is None or planned.at <= by):
            when = "at_the_next_stop"
        else:
            when = "now" if cross is None or cross <= lead_h else "before_the_next_stop"
    part = _part(parts, t, by if action == "open_order" else None)
    stop = None if planned is None else {
        "at": planned.at.isoformat(), "source": planned.source, "estimated": planned.estimated,
    }
    return {
        "when": when, "by": None if by is None or action == "none" else by.isoformat(), "planned": stop, "part": part,
        "text": _text(when, by, planned, part),
    }


def _part(parts: Sequence[Part], t: pd.Timestamp, by: pd.Timestamp | None) -> dict[str, Any] | None:
    if not parts:
        return None

    def wait(part: Part) -> float:
        if part.on_hand is not None and part.on_hand >= 1:
            return 0.0
        return np.inf if part.lead_time_days is None else part.lead_time_days

    best = min(parts, key=lambda p: (wait(p), p.part_id))
    days = wait(best)
    there = None if not np.isfinite(days) else t + pd.Timedelta(days=days)
    in_time = None if by is None else there is not None and there <= by
    return best.as_dict() | {"there_by": None if there is None else there.isoformat(), "in_time": in_time}


def _text(when: When, by: pd.Timestamp | None, planned: PlannedWork | None, part: Mapping[str, Any] | None) -> str:
    stop = "" if planned is None else (
        f"{planned.source}, {'about ' if planned.estimated else ''}{planned.at:%Y-%m-%d}"
    )
    date = "" if by is None else f"{by:%Y-%m-%d %H:%M} UTC"
    said = {
        "nothing": "Nothing to do.",
        "watch": "Watch: an order now cannot be told from waiting.",
        "now": "Work on it at once" + (f", by {date}." if date else "."),
        "before_the_next_stop": f"Work on it by {date}"
        + (f", before the next planned work ({stop})." if stop else "; no planned work is known before."),
        "at_the_next_stop": f"Work on it at the next planned work ({stop}).",
    }[when]
    if part is not None and when not in ("nothing", "watch"):
        pieces = part["on_hand"]
        if pieces is not None and pieces >= 1:
            said += f" Part {part['part_id']}: {pieces:g} in stock."
        elif part["lead_time_days"] is not None:
            late = " too late; order it now" if part["in_time"] is False else ""
            said += f" Part {part['part_id']}: none in stock, {part['lead_time_days']:g} days to get one{late}."
        else:
            said += f" Part {part['part_id']}: none in stock."
    return said
