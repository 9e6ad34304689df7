"""Division of rows into those that are learnt from, those that calibrate and those that test: by time or by unit.

By time is the rule (`training.splits`). Units that run until they fail, on clocks that have nothing to do with each
other, are divided by unit: of a tested unit no record is learnt from, and of the others everything is, since their
whole lives are past. No unit stands on two sides.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.asof import last_versions
from models.spec import FailureSpec
from plant.errors import SteadylineError
from plant.snapshot import SnapshotLike
from training.audit_groups import same_groups
from training.splits import Fold, calibration_start

Mask = np.ndarray


@dataclass(frozen=True)
class Division:
    """Rows of a fold, as masks over all cut-offs.

    early: the first model learns from them, by what was known before `early_end`; later: they calibrate it. before:
    both; the version learns from them, by what was known before `origin`. test: they judge it.
    """

    early: Mask
    later: Mask
    before: Mask
    test: Mask
    early_end: pd.Timestamp
    origin: pd.Timestamp


def divided(spec: FailureSpec, cutoffs: pd.DataFrame, start: pd.Timestamp, fold: Fold, tested: frozenset[str]
            ) -> Division:
    """The rows of a fold. tested: the units of the test, where the split is by unit."""
    if not tested:
        times = pd.DatetimeIndex(cutoffs["t"])
        early_end = calibration_start(start, fold.origin, spec.split)
        early, before = np.asarray(times < early_end), np.asarray(times < fold.origin)
        test = np.asarray((times >= fold.origin) & (times < fold.end))
        return Division(early, before & ~early, before, test, early_end, fold.origin)
    ids = cutoffs["equipment_id"].to_numpy(dtype=object).astype(str)
    test = np.isin(ids, sorted(tested))
    calibrates = calibrating(sorted(set(ids[~test])), spec.split.calibration_share, spec.seed)
    later = np.isin(ids, calibrates)
    return Division(~test & ~later, later, ~test, test, fold.origin, fold.origin)


def calibrating(units: list[str], share: float, seed: int) -> list[str]:
    """The units that calibrate: at least one, chosen by a hash, whatever order they come in."""
    mixed = sorted(units, key=lambda u: hashlib.sha256(f"{seed}/{u}".encode()).digest())
    return sorted(mixed[: max(1, round(share * len(units)))])


def tested_units(snapshot: SnapshotLike, spec: FailureSpec, equipment: list[str]) -> frozenset[str]:
    """Units of the model's equipment that are tested and never learnt from; none where the split is by time.

    Raises SteadylineError (bad_split) where that leaves none to test, or fewer than two to learn from.
    """
    rule = spec.split.test_equipment
    if rule is None:
        return frozenset()
    frame = last_versions(snapshot, "equipment")
    frame = frame[frame["equipment_id"].isin(equipment)]
    columns = (frame[c].astype(str) for c in ("equipment_id", "equipment_class", "area", "line"))
    tested = frozenset(row[0] for row in zip(*columns, strict=True) if rule.covers(*row))
    if not tested or len(equipment) - len(tested) < 2:
        raise SteadylineError(
            "bad_split", f"split.test_equipment takes {len(tested)} of the {len(equipment)} equipment of model "
            f"'{spec.name}'", "at least one to test, and two to learn from",
            "correct split.test_equipment or the population in the model's YAML",
        )
    return tested


def learning_fold(snapshot: SnapshotLike) -> Fold:
    """The one fold of a split by unit: everything recorded of the units that are learnt from is known before it."""
    end = snapshot.data_end + pd.Timedelta(1, "us")
    return Fold(end, end)


def evidence_by_unit(cutoffs: pd.DataFrame, before: Mask, rows: np.ndarray, start: pd.Timestamp) -> dict[str, Any]:
    """Who was learnt from (`before`, a mask) and who tests (`rows`, numbers). Raises SteadylineError (leakage) where a
    unit does both."""
    ids, t = cutoffs["equipment_id"], pd.DatetimeIndex(cutoffs["t"])
    learnt, tested = ids[before], ids.iloc[rows]
    wrong = same_groups(learnt, tested, "units")
    if wrong:
        raise SteadylineError("leakage", wrong[0].reason, "units on one side only", "correct split.test_equipment")
    return {
        "split": "unit",
        "train": {"start": start.isoformat(), "end": t[before].max().isoformat(), "units": int(learnt.nunique())},
        "test": {"start": t[rows].min().isoformat(), "end": t[rows].max().isoformat(), "rows": len(rows), "folds": 1,
                 "units": int(tested.nunique())},
    }
