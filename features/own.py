"""Features of your own: write a function, describe it in the decorator above it, switch it on with `own: true`.

Everything else follows: the feature is in the matrix of training and of serving, in the reasons, in drift reports and
on the reference page. `docs/how-to/add-a-feature.md` goes through it step by step. What a plant's orders and events
tell at a cut-off is at hand in `features.timeline` and in the modules of the other sets.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from features.asof import Floats, History, times
from features.definitions import Ask, FeatureSet, windows
from features.downtime import by_word
from features.maintenance import by_kind
from features.spec import FeatureSpec, Vocabulary, window_us
from features.timeline import Timeline, timeline

NIGHT = (22, 6)  # from, to: full hours, UTC
SOURCES = {"work_orders": "opened_at", "events": "ts", "downtime": "started_at"}


def words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: which of the sources of records have any of the equipment."""

    def recorded(table: str, column: str) -> bool:
        log = history.log(table)
        ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))
        return bool((ours & log.visible(column, t)).any())

    return {"own": {"sources": tuple(name for name, column in SOURCES.items() if recorded(name, column))}}


OWN = FeatureSet("own", "equipment", "Features of the plant's own data scientists.", words)


def _recorded(table: str, spec: FeatureSpec, words: Vocabulary) -> bool:
    """A source without records before the end of training gives no features."""
    return table in words.own.get("sources", ())


def _lengths(ask: Ask) -> list[int]:
    return [window_us(w) for w in ask.spec.own.windows] if ask.spec.own is not None else []


@OWN.feature("own.odd_hours.{window}",
             "share of corrective orders opened at night (22 to 6 h UTC) or on a weekend over the last {length}",
             "share", source="work_orders", group="maintenance", look_back="{window}", over=(windows("own"),),
             when=partial(_recorded, "work_orders"), where=(("kind", "corrective"),), at="opened_at")
def odd_hours(ask: Ask) -> Floats:
    log = ask.history.log("work_orders")

    def make() -> Timeline:
        opened = times(log.times["opened_at"]).dt
        odd = (opened.hour >= NIGHT[0]) | (opened.hour < NIGHT[1]) | (opened.dayofweek >= 5)
        corrective = log.coded("kind", ("corrective",)) == 0
        group = np.where(corrective & odd.to_numpy(dtype=bool), log.codes["equipment_id"], -1)
        groups = len(log.words["equipment_id"])
        return timeline(groups, group, log.times["opened_at"], log.known("opened_at"), log.until)

    odd, every = ask.history.keep("odd hours", make), by_kind(ask.history, ("corrective",))
    base = ask.base("work_orders")

    def share(window: int) -> Floats:
        n = every.count(base, ask.t, window=window)[:, 0]
        return odd.count(base, ask.t, window=window)[:, 0] / np.where(n > 0, n, np.nan)

    return np.stack([share(w) for w in _lengths(ask)], axis=1)


@OWN.feature("own.different_codes.{window}", "number of different codes that were raised over the last {length}",
             source="events", group="events", look_back="{window}", over=(windows("own"),),
             when=partial(_recorded, "events"), at="ts")
def different_codes(ask: Ask) -> Floats:
    codes = ask.history.log("events").words["code"]
    line, base = by_word(ask.history, "code", codes), ask.base("events")
    counts = [line.count(base, ask.t, len(codes), window=w) for w in _lengths(ask)]
    return np.stack([(n > 0).sum(axis=1).astype(np.float64) for n in counts], axis=1)
