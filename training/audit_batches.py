"""The leakage audit of a quality model: the same questions as for equipment, asked of batches at stage gates."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np
import pandas as pd

from features.asof import last_versions
from features.assemble import Matrix
from models.spec import QualitySpec
from plant.snapshot import SnapshotLike
from training import audit_countdown, audit_power, audit_target
from training.audit import (
    MOST_ROWS,
    SAMPLES,
    countdown_finding,
    future_checks,
    micros_of,
    service_begun,
    spread,
    strictest,
    too_good,
)
from training.audit_finding import Audit, Finding, concluded
from training.audit_future import Make
from training.audit_groups import KNOWN, gone_features, same_groups, shared_lots, twins
from training.audit_lives import events_of
from training.audit_target import repeats, verdict_copies
from training.splits import Fold

_VERY_GOOD = 0.97  # share of the variance of ranks that a feature explains alone, from which it is warned of
_RELATED = 0.03  # the same, below which a feature is not held against the result


def audit_quality(
    snapshot: SnapshotLike,
    spec: QualitySpec,
    make: Make,
    matrices: dict[str, Matrix],
    gates: dict[str, pd.DataFrame],
    known: pd.DataFrame,
    fold: Fold,
    apart: Set[str] = frozenset(),
) -> Audit:
    """Audit the features of a quality model, gate by gate.

    make(snapshot, rows) computes a matrix exactly as the training does. gates: per gate batch_id, t, entered. known:
    results that the version learns from (batch_id, attribute, value, lower_spec, upper_spec, known_at). apart:
    batches before the fold that it does not learn from.
    """
    findings: list[Finding] = []
    checks: list[dict[str, Any]] = []
    strongest: list[dict[str, Any]] = []
    attributes = sorted(set(known["attribute"]))
    learnt = 0
    for gate, matrix in matrices.items():
        rows, names = gates[gate], [f.name for f in matrix.features]
        times = pd.DatetimeIndex(rows["t"])
        before = np.asarray(times < fold.origin)
        learnt = max(learnt, int(before.sum()))
        more, looked = future_checks(snapshot, make, matrix, before, "batch_id", spec.seed, SAMPLES[::2])
        findings += more
        checks += [c | {"gate": gate} for c in looked]
        for attribute in attributes:
            of = known[(known["attribute"] == attribute) & (known["known_at"] < fold.origin)]
            of = of.drop_duplicates("batch_id", keep="last").set_index("batch_id")
            told, best = _repeats(matrix, rows, before, of, attribute, spec.seed)
            findings += told
            strongest += audit_power.strongest(names, best, f"{attribute} at {gate}", "squared rank correlation")
            findings += [too_good(names[j], float(best[j]), f"{attribute} at {gate}")
                         for j in np.flatnonzero(np.nan_to_num(best) >= _VERY_GOOD)]
            kept = of.drop(index=list(apart), errors="ignore")
            findings += _overlap(snapshot, matrix, rows, before, kept, attribute, fold)
        subjects = rows["batch_id"].to_numpy(dtype=object)
        findings += gone_features(matrix.values, matrix.features, subjects, times, before)
        counted, kinds = _step_countdowns(snapshot, matrix, rows, before, fold)
        findings += counted
        checks.append({"check": "countdown", "gate": gate, "events": kinds,
                       "limits": {"hours left explained": audit_countdown.EXPLAINED,
                                  "length of life known": audit_countdown.LENGTH_KNOWN}})
    checks += [
        {"check": "target echo", "attributes": attributes, "gates": list(matrices),
         "limits": {"share of batches on one line": audit_target.REPEATS}},
        {"check": "overlap", "origin": fold.origin.isoformat()},
        {"check": "serving", "gates": list(matrices), "limits": {"known in training": KNOWN}},
        {"check": "power", "limits": {"squared rank correlation": _VERY_GOOD}},
    ]
    count = len({f.name for m in matrices.values() for f in m.features})
    return concluded(strictest(findings), spec.audit.accept, checks, strongest, count, learnt)


def _repeats(
    matrix: Matrix, rows: pd.DataFrame, before: np.ndarray, of: pd.DataFrame, attribute: str, seed: int
) -> tuple[list[Finding], np.ndarray]:
    """Copies of the attribute among the features, and how much each feature tells of it."""
    names = [f.name for f in matrix.features]
    at = np.flatnonzero(before)
    at = spread(at[rows["batch_id"].iloc[at].isin(of.index).to_numpy()], MOST_ROWS)
    ids = rows["batch_id"].iloc[at]
    y, values = ids.map(of["value"]).to_numpy(np.float64), matrix.values[at]
    power = audit_power.correlations(values, y)
    related = np.flatnonzero(np.nan_to_num(power) >= _RELATED)
    out = [Finding("target echo", names[related[r.column]], r.share, audit_target.REPEATS, r.reason(attribute))
           for r in repeats(values[:, related], y, seed)]
    low, high = (ids.map(of[c]).to_numpy(np.float64) for c in ("lower_spec", "upper_spec"))
    limited = np.isfinite(low) | np.isfinite(high)
    outside = np.where(limited, ((y < low) | (y > high)).astype(np.float64), np.nan)
    out += [Finding("target echo", names[j], 1.0, 1.0, f"says without one error whether {attribute} is out of its "
                    "specification") for j in verdict_copies(values, outside)]
    return out, power


def _overlap(
    snapshot: SnapshotLike, matrix: Matrix, rows: pd.DataFrame, before: np.ndarray, of: pd.DataFrame, attribute: str,
    fold: Fold,
) -> list[Finding]:
    """Batches, lots and equal rows on both sides of the split."""
    train = before & rows["batch_id"].isin(of.index).to_numpy()
    test = np.asarray(pd.DatetimeIndex(rows["entered"]) >= fold.origin)
    learnt, tested = rows.loc[train, "batch_id"], rows.loc[test, "batch_id"]
    out = same_groups(learnt, tested, "batches")
    out += shared_lots(snapshot.table("genealogy"), learnt, tested)
    value = rows["batch_id"].map(_results(snapshot, attribute)).to_numpy(np.float64)
    told = np.isfinite(value)
    return out + twins(matrix.values, value, np.flatnonzero(train & told), np.flatnonzero(test & told))


def _results(snapshot: SnapshotLike, attribute: str) -> pd.Series:
    frame = last_versions(snapshot, "lab_results")
    frame = frame[(frame["attribute"] == attribute) & frame["batch_id"].notna()]
    return frame.drop_duplicates("batch_id", keep="last").set_index("batch_id")["value"]


def _step_countdowns(
    snapshot: SnapshotLike, matrix: Matrix, rows: pd.DataFrame, before: np.ndarray, fold: Fold
) -> tuple[list[Finding], list[str]]:
    """Features of a step that count down to what happens next to the equipment that the step ran on."""
    steps = last_versions(snapshot, "batch_steps")
    steps = steps[steps["equipment_id"].notna() & steps["ended_at"].notna() & (steps["ended_at"] < fold.origin)]
    kinds = list(events_of(snapshot, set(steps["equipment_id"].astype(str)), fold.origin))
    if not kinds:
        return [], []
    began = service_begun(snapshot)
    names = [f.name for f in matrix.features]
    out = []
    for step, ran in steps.groupby("step"):
        columns = np.array([j for j, name in enumerate(names) if name.startswith(f"step.{step}.")], dtype=np.int64)
        ran = ran.drop_duplicates("batch_id", keep="last").set_index("batch_id")
        at = spread(np.flatnonzero(before & rows["batch_id"].isin(ran.index).to_numpy()), MOST_ROWS)
        if not len(columns) or not len(at):
            continue
        batch = rows["batch_id"].iloc[at]
        ids = batch.map(ran["equipment_id"]).to_numpy(dtype=object).astype(str)
        t = micros_of(pd.DatetimeIndex(batch.map(ran["ended_at"])))
        found, _ = audit_countdown.countdowns(
            matrix.values[np.ix_(at, columns)], ids, t, np.zeros(len(columns)), kinds, began, 24.0
        )
        out += [countdown_finding(names[columns[c.column]], c) for c in found]
    return out, [k.name for k in kinds]

