"""Remaining life against the truth, for units whose end is known: when their last record had come, how long was left?

The prediction is the expectation of the curve. With a cap the curve's area up to it is the expectation of min(T, cap)
(restricted mean survival time; Royston & Parmar, BMC Med. Res. Methodol. 13, 2013), and the true life is cut there too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features.asof import Floats
from features.assemble import Matrix
from features.labels import failure_labels
from models.hazard import HazardModel
from models.spec import FailureSpec
from plant.snapshot import SnapshotLike
from training.audit_future import Make

DAY_H = 24.0


def restricted_mean(edges: Floats, survival: Floats, cap: float) -> Floats:
    """(n,) expectation of min(T, cap) of survival (n, edges), with a constant hazard between edges.

    Beyond the last edge the hazard of the last interval goes on, as in `HazardModel.predict_remaining_life`.
    """
    log_s = np.log(np.maximum(survival, 1e-300))
    width = np.diff(edges)
    rate = np.maximum(-np.diff(log_s, axis=1) / width, 0.0)
    rate = np.column_stack([rate, np.maximum(rate[:, -1], 1e-6)])
    held = np.clip(cap - edges, 0.0, np.append(width, np.inf))
    flat = rate < 1e-12
    area = np.where(flat, held, -np.expm1(-rate * held) / np.where(flat, 1.0, rate))
    return np.asarray((survival * area).sum(axis=1))


def nasa_score(error: Floats) -> float:
    """Sum of exp(-e / 13) - 1 for lives told too short and exp(e / 10) - 1 for those told too long (e: told - true, in
    days or cycles; Saxena, Goebel, Simon & Eklund, PHM 2008)."""
    return float(np.where(error < 0, np.expm1(-error / 13.0), np.expm1(error / 10.0)).sum())


def last_moments(reads: pd.DataFrame, units: list[str]) -> pd.DataFrame:
    """One row (equipment_id, t) for each unit with a reading, 1 µs after its last one.

    reads: the readings, or a store's series of them (`last_ts`).
    """
    column = "last_ts" if "last_ts" in reads else "ts"
    own = reads[reads["equipment_id"].isin(units)]
    last = own.groupby(own["equipment_id"].astype(str))[column].max().sort_index()
    moments = pd.DatetimeIndex(last + pd.Timedelta(1, "us")).tz_convert("UTC").as_unit("us")
    return pd.DataFrame({"equipment_id": last.index.to_numpy(dtype=object), "t": moments})


def judged_lives(
    snapshot: SnapshotLike, spec: FailureSpec, model: HazardModel, make: Make, units: list[str]
) -> dict[str, Any] | None:
    """Figures in days over the units of a test whose end is known, each at its last record; None where none is.

    The end is that of the labels, also where nothing was recorded for long before it (`unobserved_after`): it is the
    truth to judge by, and no row that is learnt from.
    """
    series: Any = getattr(snapshot, "series", None)
    rows = last_moments(series() if series is not None else snapshot.table("readings"), units)
    if not len(rows):
        return None
    truth = failure_labels(snapshot, spec.labels.model_copy(update={"unobserved_after": None}), rows)
    known = truth["observed"].to_numpy(dtype=bool)
    if not known.any():
        return None
    matrix: Matrix = make(snapshot, rows[known].reset_index(drop=True))
    life = truth["duration_h"].to_numpy()[known] / DAY_H
    told = model.predict_remaining_life(matrix.values)
    expected = told["expected_h"].to_numpy() / DAY_H
    cap = spec.remaining_life.cap
    capped, true = expected, life
    if cap is not None:
        days = cap.hours / DAY_H
        edges = np.asarray(model.edges_h, dtype=np.float64) / DAY_H
        capped = restricted_mean(edges, model.predict_survival(matrix.values), days)
        true = np.minimum(life, days)
    lower, upper = (told[name].to_numpy() / DAY_H for name in ("lower_h", "upper_h"))
    return {
        "unit": "d", "n": int(known.sum()), "cap": cap.hours / DAY_H if cap is not None else None,
        "rmse": _rmse(capped - true), "rmse_uncapped": _rmse(expected - life),
        "bias": float(np.mean(capped - true)), "mae": float(np.mean(np.abs(capped - true))),
        "nasa_score": nasa_score(capped - true), "nasa_score_uncapped": nasa_score(expected - life),
        "interval": 0.5, "coverage": float(np.mean((lower <= life) & (life <= upper))),
    }


def _rmse(error: Floats) -> float:
    return float(np.sqrt(np.mean(error**2)))
