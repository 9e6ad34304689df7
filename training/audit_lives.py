"""Stretches between one event and the next of its kind, which are what a countdown would know too much about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.asof import last_versions
from plant.snapshot import SnapshotLike

_MOST_CODES = 20
_FEWEST = 6  # events of a kind, below which nothing can be said


@dataclass(frozen=True)
class Event:
    """Moments of one kind: what a user calls it, and per equipment the sorted moments (int64 microseconds)."""

    name: str
    at: dict[str, np.ndarray]


@dataclass(frozen=True)
class Lives:
    """Rows laid on the stretches between events of one kind.

    left, age: hours from each row to the next event and since the one before (or since service began); NaN where there
    is none before `until`. life: number of the stretch of each row, -1 where it has no end. whole: its beginning was
    seen.
    """

    name: str
    left: np.ndarray
    age: np.ndarray
    life: np.ndarray
    whole: np.ndarray

    @property
    def length(self) -> np.ndarray:
        return self.left + self.age


def events_of(
    snapshot: SnapshotLike, equipment: set[str], until: pd.Timestamp, failures: pd.DataFrame | None = None
) -> Iterator[Event]:
    """Kinds of events of the equipment before `until`: failures (equipment_id, at, mode), orders by kind, when opened
    and when begun, events by code, stops. Kinds with fewer than six moments are left out."""
    if failures is not None:
        yield from _event("failure", failures["equipment_id"], failures["at"], until)
        for mode in failures["mode"].value_counts().index[:6]:
            of = failures[failures["mode"] == mode]
            yield from _event(f"failure by {mode}", of["equipment_id"], of["at"], until)
    orders = _own(snapshot, "work_orders", equipment)
    for kind in sorted(set(orders["kind"].dropna().astype(str))):
        of = orders[orders["kind"] == kind]
        yield from _event(f"{kind} order", of["equipment_id"], of["opened_at"], until)
        if (of["started_at"] > of["opened_at"]).any():
            yield from _event(f"start of {kind} work", of["equipment_id"], of["started_at"], until)
    events = _own(snapshot, "events", equipment)
    for code in events["code"].value_counts().index[:_MOST_CODES]:
        of = events[events["code"] == code]
        yield from _event(f"event {code}", of["equipment_id"], of["ts"], until)
    stops = _own(snapshot, "downtime", equipment)
    yield from _event("stop", stops["equipment_id"], stops["started_at"], until)


def _own(snapshot: SnapshotLike, name: str, equipment: set[str]) -> pd.DataFrame:
    frame = last_versions(snapshot, name)
    return frame[frame["equipment_id"].isin(equipment)]


def _event(name: str, ids: pd.Series, at: pd.Series, until: pd.Timestamp) -> Iterator[Event]:
    keep = at.notna() & (at < until)
    if keep.sum() < _FEWEST:
        return
    moments = at[keep].to_numpy(dtype="datetime64[us]").astype(np.int64)
    frame = pd.DataFrame({"id": ids[keep].astype(str).to_numpy(), "at": moments})
    yield Event(name, {str(i): np.unique(of.to_numpy()) for i, of in frame.groupby("id")["at"]})


def lives(event: Event, ids: np.ndarray, t: np.ndarray, began: dict[str, int], slack_h: float) -> Lives:
    """Each row (equipment ids, moment t in microseconds) in its stretch.

    began: when each equipment entered service. A first stretch counts as seen from its beginning where service began
    no more than `slack_h` before the first row of the equipment.
    """
    n = len(t)
    left, age, life, whole = np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1), np.zeros(n, dtype=bool)
    number = 0
    order = np.argsort(ids, kind="stable")
    names, starts = np.unique(ids[order], return_index=True)
    for name, rows in zip(names, np.split(order, starts[1:]), strict=True):
        at = event.at.get(str(name))
        if at is None:
            continue
        when = t[rows]
        first = when.min()
        birth = began.get(str(name))
        seen = birth is not None and birth >= first - slack_h * 3.6e9
        edges = np.concatenate([[birth if seen and birth is not None else first], at])
        k = np.searchsorted(at, when, "left")  # the next event is at or after t
        there = k < len(at)
        left[rows[there]] = (at[k[there]] - when[there]) / 3.6e9
        age[rows] = np.maximum(when - edges[k], 0) / 3.6e9
        life[rows[there]] = number + k[there]
        whole[rows] = (k > 0) | seen
        number += len(at) + 1
    return Lives(event.name, left, age, life, whole)
