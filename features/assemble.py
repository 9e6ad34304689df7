"""The one function that makes a matrix, for training and for serving.

A `FeaturePlan` fixes the columns: the spec of the model's YAML and the words that were known before the end of the
training period. It is JSON and travels in the bundle. `equipment_matrix` and `batch_matrix` compute its columns from
what was known strictly before each cut-off; a single row comes out bit for bit as it does among a million.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from features import batches, downtime, maintenance, sensors
from features.asof import NEVER, Columns, Floats, History, Ints, Snapshot, Words, history, moment, times
from features.catalogue import CRITICALITY, Feature, batch_features, equipment_features
from features.kernels import DAY_US
from features.rows import Rows, asked, require_aware, require_equipment, require_ids
from features.spec import FeatureSpec, Vocabulary
from features.timeline import code, picked, picks, time
from plant.errors import SteadylineError

Kind = Literal["equipment", "batch"]

ROWS_AT_ONCE = 1 << 15


@dataclass(frozen=True)
class Matrix:
    """Feature values of rows. values (n, p) float64 in C order, NaN where not known; rows in the caller's order."""

    values: Floats
    features: tuple[Feature, ...]
    rows: pd.DataFrame


@dataclass(frozen=True)
class FeaturePlan:
    """Which features exist. Made by `plan`; equal plans give equal columns, whatever data came since."""

    kind: Kind
    spec: FeatureSpec
    vocabulary: Vocabulary
    train_end: str

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        make = equipment_features if self.kind == "equipment" else batch_features
        return tuple(make(self.spec, self.vocabulary))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `features` is there to be read, and to be held against the code that reads it back."""
        return {
            "kind": self.kind, "train_end": self.train_end, "spec": self.spec.model_dump(mode="json"),
            "vocabulary": self.vocabulary.model_dump(mode="json"),
            "features": [{**asdict(f), "categories": list(f.categories)} for f in self.features],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FeaturePlan:
        """Raises SteadylineError (feature_contract) if this version of the catalogue makes other columns of it."""
        made = cls(data["kind"], FeatureSpec.model_validate(data["spec"]),
                   Vocabulary.model_validate(data["vocabulary"]), data["train_end"])
        now, then = [f.name for f in made.features], [f["name"] for f in data["features"]]
        if now != then:
            differ = sorted(set(now) ^ set(then)) or ["their order"]
            raise SteadylineError(
                "feature_contract", f"the plan has {len(then)} features, this catalogue makes {len(now)} of it",
                hint="score with the version that trained the model, or train again", details=differ[:10],
            )
        return made


def plan(
    snapshot: Snapshot, spec: FeatureSpec, kind: Kind, train_end: pd.Timestamp, equipment: Sequence[str] | None = None
) -> FeaturePlan:
    """Fix the columns from what was known strictly before `train_end` (aware).

    equipment: those that the model is for (None: all); it bounds the signals, codes and modes of an equipment plan, and
    means nothing for batches. A source without any record before `train_end` gives no features. Raises UnknownId,
    and SteadylineError where the spec names a signal that is not there, or the time is naive.
    """
    h, t = history(snapshot), moment(require_aware(train_end, "train_end"))
    made: dict[str, Any] = {}
    if kind == "batch":
        if spec.batches is not None:
            made = batches.words(h, spec.batches, t)
    else:
        ids = np.array(sorted(set(equipment)) if equipment is not None else h.log("equipment").words["equipment_id"],
                       dtype=object)
        require_equipment(h, ids)
        ours = frozenset(ids.tolist())
        if spec.sensors is not None:
            made |= sensors.words(h, spec.sensors, t, ours)
        if spec.maintenance is not None:
            made |= maintenance.words(h, spec.maintenance, t, ours)
        if spec.events is not None:
            made |= downtime.event_words(h, spec.events, t, ours)
        if spec.downtime is not None:
            made |= downtime.stop_words(h, t, ours)
        log = h.log("equipment")
        mine = np.isin(log.codes["equipment_id"], log.seek("equipment_id", ids)) & log.visible("equipment_class", t)
        made["classes"] = tuple(log.words["equipment_class"][i] for i in np.unique(log.codes["equipment_class"][mine])
                                if i >= 0)
    return FeaturePlan(kind, spec, Vocabulary(**made), train_end.tz_convert("UTC").isoformat())


def equipment_matrix(snapshot: Snapshot, plan: FeaturePlan, cutoffs: pd.DataFrame) -> Matrix:
    """Features of equipment at cut-offs: one row for each of `cutoffs` (equipment_id, t aware), in its order.

    A row is made of what was known strictly before its t. Raises UnknownId (unknown_equipment) and SteadylineError
    (naive_time, missing_time, missing_column, wrong_kind).
    """
    _require_kind(plan, "equipment")
    h, rows = history(snapshot), asked(cutoffs, "equipment_id", ("equipment_id", "t"))
    require_equipment(h, rows.ids)
    spec, words = plan.spec, plan.vocabulary

    def columns(e: Ints, t: Ints) -> Columns:
        made: Columns = {}
        if spec.sensors is not None:
            made |= sensors.columns(h, spec.sensors, words, rows.ids, e, t)
        if spec.maintenance is not None:
            made |= maintenance.columns(h, spec.maintenance, words, rows.ids, e, t)
        if spec.events is not None:
            made |= downtime.event_columns(h, spec.events, words, rows.ids, e, t)
        if spec.downtime is not None:
            made |= downtime.stop_columns(h, spec.downtime, words, rows.ids, e, t)
        if spec.static:
            made |= _static(h, words, rows.ids, e, t)
        if spec.calendar:
            made |= _calendar(t)
        return made

    return _matrix(plan, rows, columns)


def batch_matrix(snapshot: Snapshot, plan: FeaturePlan, cutoffs: pd.DataFrame) -> Matrix:
    """Features of batches at stage gates: one row for each of `cutoffs` (batch_id, gate, t aware), in its order.

    Only t decides what is known; `gate` is handed through. Raises UnknownId (unknown_batch) and SteadylineError as
    `equipment_matrix`.
    """
    _require_kind(plan, "batch")
    h, rows = history(snapshot), asked(cutoffs, "batch_id", ("batch_id", "gate", "t"))
    require_ids(h, "batches", "batch_id", "unknown_batch", rows.ids)
    spec = plan.spec.batches

    def columns(b: Ints, t: Ints) -> Columns:
        if spec is None:
            return {}
        made = batches.columns(h, spec, plan.vocabulary, rows.ids, b, t)
        return made | _calendar(t) if spec.calendar or plan.spec.calendar else made

    return _matrix(plan, rows, columns)


def _require_kind(plan: FeaturePlan, kind: Kind) -> None:
    if plan.kind != kind:
        raise SteadylineError("wrong_kind", f"a plan for {plan.kind} rows was asked for {kind} rows", kind)


def _matrix(plan: FeaturePlan, rows: Rows, columns: Callable[[Ints, Ints], Columns]) -> Matrix:
    """Ask `columns` (subject, t) for a slice of rows at a time, which bounds the memory; no row depends on another."""
    features = plan.features
    names = [f.name for f in features]
    values = np.empty((len(rows.t), len(features)))
    for start in range(0, len(rows.t), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        made = columns(rows.at[part], rows.t[part])
        if len(set(names)) != len(names) or set(names) != set(made):
            differ = sorted(set(names) ^ set(made)) or "a name stands twice"
            raise AssertionError(f"catalogue and computation disagree: {differ}")
        for j, name in enumerate(names):
            values[rows.order[part], j] = made[name]
    return Matrix(values, features, rows.frame)


def _static(h: History, words: Vocabulary, ids: Words, e: Ints, t: Ints) -> Columns:
    log = h.log("equipment")
    row = picked(picks(h, "equipment", ("equipment_id",)), log.seek("equipment_id", ids)[e], t)[:, 0]
    kind = code(log, "equipment_class", row, t, words.classes)
    rank = code(log, "criticality", row, t, CRITICALITY)
    begun = time(log, "commissioned_at", row, t)
    days = (t - np.where(begun == NEVER, t, begun)) / DAY_US
    return {
        "equipment.class": np.where(kind >= 0, kind, np.nan),
        "equipment.criticality": np.where(rank >= 0, rank, np.nan),
        "equipment.in_service": np.where(begun == NEVER, np.nan, days),
    }


def _calendar(t: Ints) -> Columns:
    when = times(t).dt
    return {"calendar.hour": when.hour.to_numpy(dtype=np.float64),
            "calendar.weekday": when.dayofweek.to_numpy(dtype=np.float64)}
