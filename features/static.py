"""What is always known: the equipment's own record, and the hour and the day of a cut-off."""

from __future__ import annotations

from typing import Any

import numpy as np

from features.asof import NEVER, Floats, History, Ints, times
from features.definitions import Ask, FeatureSet
from features.kernels import DAY_US
from features.spec import FeatureSpec
from features.timeline import code, picked, picks, time

CRITICALITY = ("low", "medium", "high")


def words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: classes of the equipment."""
    log = history.log("equipment")
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))
    seen = np.unique(log.codes["equipment_class"][ours & log.visible("equipment_class", t)])
    return {"classes": tuple(log.words["equipment_class"][i] for i in seen if i >= 0)}


STATIC = FeatureSet("static", "equipment", "What the equipment is.", words)
CALENDAR = FeatureSet("calendar", "equipment", "Hour and day of the cut-off.")
BATCH_CALENDAR = FeatureSet(
    "calendar", "batch", "Hour and day of the cut-off; switched by `batches: {calendar: true}` too.",
    on=lambda spec: spec.batches is not None and (spec.calendar or spec.batches.calendar),
)


def _row(ask: Ask) -> Ints:
    line = picks(ask.history, "equipment", ("equipment_id",))
    return ask.keep("equipment", lambda: picked(line, ask.base("equipment"), ask.t)[:, 0])


def _coded(ask: Ask, column: str, vocabulary: tuple[str, ...]) -> Floats:
    found = code(ask.history.log("equipment"), column, _row(ask), ask.t, vocabulary)
    return np.where(found >= 0, found, np.nan)


@STATIC.feature("equipment.class", "class of the equipment", source="equipment", group="equipment", look_back="always",
                categories=lambda words, _: words.classes)
def _class(ask: Ask) -> Floats:
    return _coded(ask, "equipment_class", ask.words.classes)


@STATIC.feature("equipment.criticality", "criticality of the equipment", source="equipment", group="equipment",
                look_back="always", categories=CRITICALITY)
def _criticality(ask: Ask) -> Floats:
    return _coded(ask, "criticality", CRITICALITY)


@STATIC.feature("equipment.in_service", "days in service", "d", source="equipment", group="equipment",
                look_back="always")
def _in_service(ask: Ask) -> Floats:
    begun = time(ask.history.log("equipment"), "commissioned_at", _row(ask), ask.t)
    days = (ask.t - np.where(begun == NEVER, ask.t, begun)) / DAY_US
    return np.where(begun == NEVER, np.nan, days)


for _set in (CALENDAR, BATCH_CALENDAR):
    @_set.feature("calendar.hour", "hour of the day (UTC)", "h", source="calendar", group="calendar",
                  look_back="always")
    def _hour(ask: Ask) -> Floats:
        return times(ask.t).dt.hour.to_numpy(dtype=np.float64)

    @_set.feature("calendar.weekday", "day of the week (0 is Monday, UTC)", source="calendar", group="calendar",
                  look_back="always")
    def _weekday(ask: Ask) -> Floats:
        return times(ask.t).dt.dayofweek.to_numpy(dtype=np.float64)
