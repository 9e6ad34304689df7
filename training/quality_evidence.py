"""What the backtest of a quality model showed: errors beside naive guesses, coverage, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.trend import trend_limits
from models import metrics
from models.conformal import Distribution
from models.pass_fail import PassFail, PassFailModel
from models.quality import AttributeModel
from models.spec import QualitySpec
from plant.snapshot import SnapshotLike
from training.naive import naive_forecasts
from training.splits import Fold

_NOISE = 0.1  # an attribute has skill when at most this share of resamples says that the naive guess is as good


@dataclass(frozen=True)
class AttributeFit:
    """One attribute at one gate in one fold: the model, and its honest predictions on later batches."""

    model: AttributeModel | PassFailModel
    train: np.ndarray  # row numbers of the rows learnt from in the gate's matrix
    rows: np.ndarray  # of those tested
    point: np.ndarray
    distribution: Distribution | PassFail


def evidence_of(
    snapshot: SnapshotLike,
    spec: QualitySpec,
    attributes: tuple[str, ...],
    units: dict[str, str],
    gates: dict[str, pd.DataFrame],
    targets: pd.DataFrame,
    cuts: list[Fold],
    fits: dict[tuple[str, str], list[AttributeFit]],
) -> dict[str, Any]:
    lots = snapshot.table("genealogy").drop_duplicates(["batch_id", "material_lot"], keep="last")[
        ["batch_id", "material", "material_lot"]
    ]
    products = (
        snapshot.table("batches").drop_duplicates("batch_id", keep="last").set_index("batch_id")["product"].astype(str)
    )
    judged: dict[str, Any] = {}
    for attribute in attributes:
        of = targets[targets["attribute"] == attribute]
        results = of.assign(product=of["batch_id"].map(products), approved_at=of["known_at"])  # a corrected one: later
        by_gate = {}
        for gate in spec.gates:
            by_gate[gate] = _judged(spec, gates[gate], results, lots, fits[attribute, gate])
        last = by_gate[spec.gates[-1]]
        judged[attribute] = {**last, "gate": spec.gates[-1], "unit": units[attribute], "gates": by_gate}
    skilled = [a for a, j in judged.items() if j["verdict"] == "skilled"]
    rows = sorted({int(r) for f in fits[attributes[0], spec.gates[-1]] for r in f.rows})
    t = gates[spec.gates[-1]]["t"]
    return {
        "train": {"start": t.min().isoformat(), "end": cuts[-1].origin.isoformat()},
        "test": {
            "start": cuts[0].origin.isoformat(),
            "end": t.max().isoformat(),
            "rows": len(rows),
            "folds": len(cuts),
        },
        "coverage": spec.coverage,
        "attributes": judged,
        "beats_baseline": bool(skilled),
        "verdict": f"beats the naive guesses for {', '.join(skilled)}" if skilled else "undecided",
        "seed": spec.seed,
    }


def _judged(
    spec: QualitySpec, rows: pd.DataFrame, results: pd.DataFrame, lots: pd.DataFrame, several: list[AttributeFit]
) -> dict[str, Any]:
    test = np.concatenate([f.rows for f in several])
    point = np.concatenate([f.point for f in several])
    interval = np.concatenate([f.distribution.interval(spec.coverage) for f in several])
    asked = rows.iloc[test]
    of = results.set_index("batch_id")
    y = asked["batch_id"].map(of["value"]).to_numpy(np.float64)
    # judged as the laboratory would write them: model and naive guesses alike
    told = [f.model.reporting_.bounds(f.point) for f in several]
    reported = np.concatenate(told)
    sizes = np.cumsum([len(f.rows) for f in several])[:-1]
    naive = {}
    for name, guess in naive_forecasts(asked, results, lots).items():
        parts = zip(several, np.split(guess, sizes), strict=True)
        naive[name] = np.concatenate([f.model.reporting_.bounds(g) for f, g in parts])
    error = metrics.brier if spec.target == "pass_fail" else metrics.mae
    errors = {name: error(guess, y) for name, guess in naive.items()}
    best = min((n for n, e in errors.items() if e is not None), key=lambda n: errors[n] or 0.0, default="last")
    mae = error(reported, y)
    verdict, why = _verdict(y, reported, naive[best], best, spec)
    outside = np.concatenate(
        [
            f.distribution.prob_outside(asked_of(rows, f, of["lower_spec"]), asked_of(rows, f, of["upper_spec"]))
            for f in several
        ]
    )
    lower, upper = (asked["batch_id"].map(of[c]).to_numpy(np.float64) for c in ("lower_spec", "upper_spec"))
    trend = trend_limits(asked.assign(product=asked["batch_id"].map(of["product"])), results)
    untrended, trend_parts = _outside(y, trend), np.split(trend, sizes)
    trending = np.concatenate([
        f.distribution.prob_outside(t[:, 0], t[:, 1]) for f, t in zip(several, trend_parts, strict=True)
    ])
    out_of_spec = _outside(y, np.column_stack([lower, upper]))
    return {
        "n": len(test),
        "r2": metrics.r2(y, point),
        "mae": mae,
        "mae_naive": errors[best],
        "naive": best,
        "coverage_90": metrics.coverage(y, interval)
        if abs(spec.coverage - 0.9) < 1e-9
        else metrics.coverage(y, np.concatenate([f.distribution.interval(0.9) for f in several])),
        "mean_width_90": float(np.mean(interval[:, 1] - interval[:, 0]))
        if len(interval) and np.isfinite(interval).all()
        else None,
        "out_of_spec": None if np.isnan(out_of_spec).all() else int(np.nansum(out_of_spec)),
        "out_of_spec_auc": metrics.auc(outside, out_of_spec),
        "out_of_spec_brier": metrics.brier(outside, out_of_spec),
        "out_of_spec_calibration": metrics.ece(outside, out_of_spec),
        "out_of_trend": None if np.isnan(untrended).all() else int(np.nansum(untrended)),
        "out_of_trend_auc": metrics.auc(trending, untrended),
        "out_of_trend_calibration": metrics.ece(trending, untrended),
        "target": several[-1].model.target_,
        "verdict": verdict,
        "why": why,
    }


def _outside(y: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """1 where a result is outside its limits (n, 2), 0 where not; NaN where there are none."""
    outside = ((y < limits[:, 0]) | (y > limits[:, 1])).astype(float)
    return np.where(np.isnan(limits).all(axis=1) | np.isnan(y), np.nan, outside)


def asked_of(rows: pd.DataFrame, fit: AttributeFit, by_batch: pd.Series) -> np.ndarray:
    """A batch's value of `by_batch` for each test row of a fit."""
    return rows.iloc[fit.rows]["batch_id"].map(by_batch).to_numpy(np.float64)


def _verdict(y: np.ndarray, point: np.ndarray, guess: np.ndarray, name: str, spec: QualitySpec) -> tuple[str, str]:
    """`skilled` when the error is below that of the best naive guess, also in resamples of blocks of batches.

    The error is the absolute one; of probabilities the squared one (Brier), which honest probabilities make smallest.
    """
    power, words = (2, "squared") if spec.target == "pass_fail" else (1, "absolute")
    told = np.isfinite(y) & np.isfinite(point) & np.isfinite(guess)
    theirs = (np.abs(y - guess) ** power)[told]
    gain = theirs - (np.abs(y - point) ** power)[told]
    if not len(gain):
        return "undecided", "no later result to judge by"
    blocks = np.array_split(gain, max(2, len(gain) // 10))  # neighbours share lots and campaigns
    rng = np.random.default_rng(spec.seed)
    picked = rng.integers(len(blocks), size=(500, len(blocks)))
    sums, counts = np.array([b.sum() for b in blocks]), np.array([len(b) for b in blocks])
    worse = float(np.mean(sums[picked].sum(axis=1) / counts[picked].sum(axis=1) <= 0))
    share = 100 * gain.mean() / theirs.mean() if theirs.mean() > 0 else 0.0
    change = f"mean {words} error {abs(share):.1f} % {'smaller' if share > 0 else 'larger'} than that of '{name}'"
    if gain.mean() <= 0 or worse > _NOISE:
        return "undecided", f"{change}; in {100 * worse:.0f} % of resamples it is not better"
    return "skilled", f"{change}, in {100 * (1 - worse):.0f} % of resamples"
