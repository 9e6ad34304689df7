"""What a fold of a failure model leaves, and how good it was on the rows that test it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.assemble import Matrix
from models import metrics
from models.calibration import Calibration, reliability
from models.censoring import within
from models.decision import Threshold
from models.hazard import HazardModel
from models.spec import FailureSpec
from training.alarms import alarms_in_events
from training.failure_baselines import CLASS_RATE
from training.splits import Fold

CLASS = "equipment.class"  # modes that a class never showed are not predicted for it


@dataclass(frozen=True)
class FailureFit:
    """What one fold leaves: the model as it would serve, and its honest predictions on the fold."""

    fold: Fold
    model: HazardModel
    calibration: Calibration
    threshold: Threshold
    rows: np.ndarray  # row numbers of the test rows in the matrix
    risk: np.ndarray  # (n, k) calibrated risk of any failure
    before: np.ndarray  # mask of the rows that the model learnt from
    baselines: dict[str, np.ndarray]  # name -> (n, k)


def events_within(
    labels: pd.DataFrame, horizons_h: tuple[float, ...], watched_h: np.ndarray, strata: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(n, k): 1 failed within the horizon, 0 did not, NaN unknown; and (n, k) how many rows each one stands for.

    watched_h: (n,) hours from the cut-off to the end of observation. A row that was watched for less than the horizon
    is unknown whether it failed or not: keeping those that failed would overstate the risk. A row that work ended
    before the horizon is unknown too, and others like it stand in for it (`models.censoring.within`; strata: (n,)
    kinds of machine, each with a censoring of its own).
    """
    return within(labels["duration_h"], labels["observed"], horizons_h, watched_h, strata)


def hours_until(times: pd.DatetimeIndex, end: pd.Timestamp) -> np.ndarray:
    """(n,) hours from each time to `end`."""
    return np.asarray((end - times) / pd.Timedelta(hours=1), dtype=np.float64)


def kinds_of(matrix: Matrix, rows: np.ndarray) -> np.ndarray | None:
    """Code of the class of equipment of these rows; None where classes are no feature."""
    names = [f.name for f in matrix.features]
    return matrix.values[rows, names.index(CLASS)] if CLASS in names else None


def evidence_of(
    spec: FailureSpec,
    cutoffs: pd.DataFrame,
    labels: pd.DataFrame,
    fits: list[FailureFit],
    start: pd.Timestamp,
    end: pd.Timestamp,
    watched_until: pd.Timestamp,
    matrix: Matrix,
) -> dict[str, Any]:
    """Performance on all tested rows, by horizon, beside the baselines; as JSON values.

    labels: of all cut-offs, in hindsight; watched_until: when what happened to them was last seen.
    """
    rows = np.concatenate([f.rows for f in fits])
    risk = np.concatenate([f.risk for f in fits])
    baselines = {name: np.concatenate([f.baselines[name] for f in fits]) for name in fits[0].baselines}
    tested = labels.iloc[rows]
    watched = hours_until(pd.DatetimeIndex(cutoffs["t"])[rows], watched_until)
    event, weight = events_within(tested, spec.horizons_h, watched, kinds_of(matrix, rows))
    groups = cutoffs["equipment_id"].to_numpy()[rows]
    horizons: dict[str, Any] = {}
    for k, name in enumerate(spec.horizons):
        curve = reliability(risk[:, k], event[:, k], weight=weight[:, k], groups=groups)
        horizons[str(name)] = _judged(risk[:, k], event[:, k], weight[:, k]) | {
            "baselines": {b: _judged(values[:, k], event[:, k], weight[:, k]) for b, values in baselines.items()},
            "reliability": [one.as_dict() for one in curve],
        }
    decision = horizons[str(spec.decision_horizon)]
    beats = _beats(decision)
    k = spec.horizons_h.index(spec.decision_horizon.hours)
    interval = metrics.bootstrap(metrics.auc, risk[:, k], event[:, k], groups, seed=spec.seed, weight=weight[:, k])
    return {
        "decision_horizon": str(spec.decision_horizon),
        "train": {"start": start.isoformat(), "end": fits[-1].fold.origin.isoformat()},
        "test": {
            "start": fits[0].fold.origin.isoformat(), "end": end.isoformat(), "rows": len(rows), "folds": len(fits),
        },
        "horizons": horizons,
        "auc_90_interval": interval,
        "events": alarms_in_events(
            groups,
            pd.DatetimeIndex(cutoffs["t"])[rows],
            risk[:, k] >= np.concatenate([np.full(len(f.rows), f.threshold.order_at) for f in fits]),
            tested,
            spec.decision_horizon.hours,
            spec.cutoffs.every.hours,
        ),
        "threshold": fits[-1].threshold.as_dict(),
        "calibration": [c.note for c in fits[-1].calibration.horizons],
        "beats_baseline": beats,
        "verdict": "beats the baselines" if beats else "undecided",
        "seed": spec.seed,
    }


def _judged(probability: np.ndarray, event: np.ndarray, weight: np.ndarray) -> dict[str, float | int | None]:
    told = np.isfinite(event)
    return {
        "auc": metrics.auc(probability, event, weight),
        "average_precision": metrics.average_precision(probability, event, weight),
        "ece": metrics.ece(probability, event, weight),
        "brier": metrics.brier(probability, event, weight),
        "base_rate": metrics.base_rate(event, weight),
        "n": int(told.sum()),
        "failures": int(event[told].sum()),
    }


def _beats(decision: dict[str, Any]) -> bool:
    """Better than every baseline in Brier score and in ranking, at the horizon where orders are decided.

    The rates of classes count by Brier score alone: they are what the model itself says of equipment without history,
    and those of the units rank by them too.
    """
    mine = decision
    if mine["auc"] is None or mine["brier"] is None:
        return False
    others = decision["baselines"]
    ranked = [b["auc"] or 0.5 for name, b in others.items() if name != CLASS_RATE]
    return all(mine["brier"] < b["brier"] for b in others.values()) and all(mine["auc"] > auc for auc in ranked)
