"""The one function that makes a matrix, for training and for serving.

A `FeaturePlan` fixes the columns: the spec of the model's YAML and the words that were known before the end of the
training period. It is JSON and travels in the bundle. `equipment_matrix` and `batch_matrix` compute its columns from
what was known strictly before each cut-off; a single row comes out bit for bit as it does among a million.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property, partial
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from features.asof import Floats, History, Snapshot, history, moment
from features.catalogue import Feature, Part, compute, look_back_of, parts_of, sets_of
from features.definitions import Ask, Kind, Whole
from features.readings import ReadingsLike, all_readings, portions, readings_of
from features.rows import Rows, asked, require_aware, require_equipment, require_ids
from features.spec import FeatureSpec, Vocabulary
from features.text_plan import text_words
from features.text_rules import TextRules
from plant.errors import SteadylineError

ROWS_AT_ONCE = 1 << 13


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
    def parts(self) -> tuple[Part, ...]:
        """The features by definition."""
        return parts_of(self.kind, self.spec, self.vocabulary)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        return tuple(chain.from_iterable(part.features for part in self.parts))

    @cached_property
    def reach(self) -> pd.Timedelta:
        """How far before a cut-off the features of an equipment look into its readings."""
        looks = [look_back_of(f.look_back) for f in self.features if f.source == "readings"]
        return max((length for length in looks if length is not None), default=pd.Timedelta(0))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `features` is there to be read, and to be held against the code that reads it back."""
        return {
            "kind": self.kind, "train_end": self.train_end, "spec": self.spec.model_dump(mode="json"),
            "vocabulary": self.vocabulary.model_dump(mode="json"),
            "features": [{**asdict(f), "categories": list(f.categories)} for f in self.features],
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> FeaturePlan:
        """Raises SteadylineError: feature_contract if this version of the catalogue makes other columns of it,
        bad_text_model if its text model cannot be read.
        """
        made = cls(data["kind"], FeatureSpec.model_validate(data["spec"]),
                   Vocabulary.model_validate(data["vocabulary"]), data["train_end"])
        _ = made.vocabulary.text_model  # read here, not when the first row is asked for
        now, then = [f.name for f in made.features], [f["name"] for f in data["features"]]
        if now != then:
            differ = sorted(set(now) ^ set(then)) or ["their order"]
            raise SteadylineError(
                "feature_contract", f"the plan has {len(then)} features, this catalogue makes {len(now)} of it",
                hint="score with the version that trained the model, or train again", details=differ[:10],
            )
        return made


def plan(
    snapshot: Snapshot, spec: FeatureSpec, kind: Kind, train_end: pd.Timestamp, equipment: Sequence[str] | None = None,
    rules: TextRules | None = None,
) -> FeaturePlan:
    """Fix the columns from what was known strictly before `train_end` (aware).

    equipment: those that the model is for (None: all); it bounds the signals, codes and modes of an equipment plan, and
    means nothing for batches. rules: those of the site (`features.text_rules.site_rules`), with which a text model is
    fitted where the spec asks for texts; None: the shipped ones. The plan holds the model, so that who serves it needs
    neither site nor rules. A source without any record before `train_end` gives no features. Raises UnknownId, and
    SteadylineError where the spec names a signal that is not there, or the time is naive.
    """
    h, t = history(snapshot), moment(require_aware(train_end, "train_end"))
    ours: frozenset[str] = frozenset()
    if kind == "equipment":
        ids = np.array(sorted(set(equipment)) if equipment is not None else h.log("equipment").words["equipment_id"],
                       dtype=object)
        require_equipment(h, ids)
        ours = frozenset(ids.tolist())
    made: dict[str, Any] = {}
    for of in sets_of(kind, spec):
        made |= of.words(h, spec, t, ours) if of.words is not None else {}
    if kind == "equipment":
        made |= text_words(h, spec, t, ours, rules)  # after the sets': modes that texts fill are modes too
    fixed = FeaturePlan(kind, spec, Vocabulary(**made), train_end.tz_convert("UTC").isoformat())
    _ = fixed.parts  # what the spec asks for is refused here, not when the first row is asked for
    return fixed


def equipment_matrix(snapshot: Snapshot, plan: FeaturePlan, cutoffs: pd.DataFrame) -> Matrix:
    """Features of equipment at cut-offs: one row for each of `cutoffs` (equipment_id, t aware), in its order.

    A row is made of what was known strictly before its t. Raises UnknownId (unknown_equipment) and SteadylineError
    (naive_time, missing_time, missing_column, wrong_kind).
    """
    return equipment_matrix_of(history(snapshot), plan, cutoffs)


def equipment_matrix_of(h: History, plan: FeaturePlan, cutoffs: pd.DataFrame) -> Matrix:
    """As `equipment_matrix`, of a history that the caller holds."""
    _require_kind(plan, "equipment")
    rows = asked(cutoffs, "equipment_id", ("equipment_id", "t"))
    require_equipment(h, rows.ids)
    return _matrix(h, plan, rows)


def batch_matrix(snapshot: Snapshot, plan: FeaturePlan, cutoffs: pd.DataFrame) -> Matrix:
    """Features of batches at stage gates: one row for each of `cutoffs` (batch_id, gate, t aware), in its order.

    Only t decides what is known; `gate` is handed through. Raises UnknownId (unknown_batch) and SteadylineError as
    `equipment_matrix`.
    """
    _require_kind(plan, "batch")
    h, rows = history(snapshot), asked(cutoffs, "batch_id", ("batch_id", "gate", "t"))
    require_ids(h, "batches", "batch_id", "unknown_batch", rows.ids)
    return _matrix(h, plan, rows)


def _require_kind(plan: FeaturePlan, kind: Kind) -> None:
    if plan.kind != kind:
        raise SteadylineError("wrong_kind", f"a plan for {plan.kind} rows was asked for {kind} rows", kind)


def _matrix(h: History, plan: FeaturePlan, rows: Rows) -> Matrix:
    """A portion of subjects, of them a slice of rows at a time, which bounds the memory; no row depends on another."""
    values, whole = np.empty((len(rows.t), len(plan.features))), Whole(t=rows.t)
    for low, high, load in _portions(h, plan, rows):
        for start in range(low, high, ROWS_AT_ONCE):
            part = slice(start, min(start + ROWS_AT_ONCE, high))
            ask = Ask(h, plan.spec, plan.vocabulary, rows.ids, rows.at[part], rows.t[part], load, whole)
            begin = 0
            for columns in compute(plan.parts, ask):
                end = begin + columns.shape[1]
                values[rows.order[part], begin:end] = columns
                begin = end
    return Matrix(values, plan.features, rows.frame)


def _portions(h: History, plan: FeaturePlan, rows: Rows) -> Iterator[tuple[int, int, Callable[[], ReadingsLike]]]:
    """Rows [low, high), and what gives the readings that they need: of a large store not more than fit into memory."""
    if plan.kind == "batch":
        yield 0, len(rows.t), partial(all_readings, h)
        return
    low = 0
    for some in portions(h, [str(i) for i in rows.ids]):
        last = int(np.searchsorted(rows.ids, some[-1]))
        high = int(np.searchsorted(rows.at, last, side="right"))
        yield low, high, cache(partial(readings_of, h, some))
        low = high
