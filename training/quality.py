"""Training and backtest of a quality-risk model: one conformal regression per attribute and stage gate."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.asof import as_of
from features.assemble import FeaturePlan, Matrix, batch_matrix, plan
from features.labels import gate_times
from features.spec import BatchSpec
from features.trend import trend_limits
from models import metrics
from models.conformal import Distribution
from models.pass_fail import PassFail, PassFailModel
from models.quality import AttributeModel
from models.spec import QualitySpec
from models.targets import targets_of
from plant.errors import SteadylineError, listing
from plant.snapshot import SnapshotLike
from training.audit_batches import audit_quality
from training.audit_finding import Audit, require_passed
from training.naive import naive_forecasts
from training.splits import Fold

Progress = Callable[[str], None]
_NOISE = 0.1  # an attribute has skill when at most this share of resamples says that the naive guess is as good


@dataclass(frozen=True)
class AttributeFit:
    """One attribute at one gate in one fold: the model, and its honest predictions on later batches."""

    model: AttributeModel | PassFailModel
    train: np.ndarray  # row numbers of the rows learnt from in the gate's matrix
    rows: np.ndarray  # of those tested
    point: np.ndarray
    distribution: Distribution | PassFail


@dataclass(frozen=True)
class QualityTraining:
    """A trained and backtested quality model; the fits of the last fold become the version."""

    plan: FeaturePlan
    gates: dict[str, pd.DataFrame]  # batch_id, t and more of each row, by gate
    matrices: dict[str, Matrix]  # by gate
    attributes: tuple[str, ...]
    units: dict[str, str]
    folds: list[Fold]
    fits: dict[tuple[str, str], list[AttributeFit]]  # (attribute, gate) -> one a fold
    evidence: dict[str, Any]


def with_targets(spec: QualitySpec, attributes: tuple[str, ...]) -> QualitySpec:
    """The spec with its attributes named as targets of the features: a batch's own results of them are no features."""
    batches = spec.features.batches or BatchSpec()
    if batches.targets:
        return spec
    features = spec.features.model_copy(update={"batches": batches.model_copy(update={"targets": attributes})})
    return spec.model_copy(update={"features": features})


def quality_plan(snapshot: SnapshotLike, spec: QualitySpec) -> FeaturePlan:
    """The features that training on this snapshot would take. Raises SteadylineError."""
    attributes = _attributes(snapshot, spec)
    spec = with_targets(spec, attributes)
    _, cuts = _gates_and_folds(snapshot, spec, targets_of(snapshot, attributes, spec))
    return plan(snapshot, spec.features, "batch", cuts[0].origin, None)


def _gates_and_folds(
    snapshot: SnapshotLike, spec: QualitySpec, targets: pd.DataFrame
) -> tuple[dict[str, pd.DataFrame], list[Fold]]:
    """Rows of each gate, and the folds by when tested batches passed the first one. Raises SteadylineError."""
    batches = snapshot.table("batches").drop_duplicates("batch_id", keep="last").set_index("batch_id")
    covered = set(batches.index[[spec.population.covers(str(p)) for p in batches["product"]]])
    gates = {gate: _gate_rows(snapshot, gate, covered, batches) for gate in spec.gates}
    tested = gates[spec.gates[0]]
    tested = tested[tested["batch_id"].isin(targets["batch_id"])]
    if len(tested) < 2:
        raise SteadylineError(
            "no_results",
            f"model '{spec.name}' finds no batch with approved results",
            hint="connect laboratory results, or correct population.product",
        )
    return gates, _folds(tested["t"], spec)


@dataclass(frozen=True)
class Prepared:
    """All that stands before the first fit: rows at the gates, targets, folds, matrices, the results of each day."""

    spec: QualitySpec
    attributes: tuple[str, ...]
    targets: pd.DataFrame
    gates: dict[str, pd.DataFrame]
    folds: list[Fold]
    plan: FeaturePlan
    matrices: dict[str, Matrix]
    told: list[pd.DataFrame]  # per fold, the results as they stood at its origin


def train_quality(snapshot: SnapshotLike, spec: QualitySpec, progress: Progress = lambda _: None) -> QualityTraining:
    """Audit, fit and backtest.

    Raises SteadylineError for unknown attributes or gates, for too few results, and (leakage) for features that would
    know the future.
    """
    ready = prepare_quality(snapshot, spec, progress)
    progress("leakage audit")
    audit = audit_features(snapshot, ready)
    require_passed(audit, spec.name)
    spec, attributes, targets, gates = ready.spec, ready.attributes, ready.targets, ready.gates
    cuts, matrices = ready.folds, ready.matrices
    fits: dict[tuple[str, str], list[AttributeFit]] = {}
    for attribute in attributes:
        of = targets[targets["attribute"] == attribute].set_index("batch_id")
        for gate in spec.gates:
            progress(f"{attribute} at {gate}")
            fits[attribute, gate] = [
                _fit(spec, matrices[gate], gates[gate], of, known[known["attribute"] == attribute], attribute, fold)
                for fold, known in zip(cuts, ready.told, strict=True)
            ]
    units = {a: _one(targets.loc[targets["attribute"] == a, "unit"]) for a in attributes}
    evidence = _evidence(snapshot, spec, attributes, units, gates, targets, cuts, fits)
    return QualityTraining(
        ready.plan, gates, matrices, attributes, units, cuts, fits, {**evidence, "audit": audit.as_dict()}
    )


def audit_features(snapshot: SnapshotLike, ready: Prepared) -> Audit:
    """The leakage audit of what would be trained, on the rows and results that the version would learn from."""

    def make(plant: SnapshotLike, rows: pd.DataFrame) -> Matrix:
        return batch_matrix(plant, ready.plan, rows)

    return audit_quality(snapshot, ready.spec, make, ready.matrices, ready.gates, ready.told[-1], ready.folds[-1])


def prepare_quality(snapshot: SnapshotLike, spec: QualitySpec, progress: Progress = lambda _: None) -> Prepared:
    """Rows, targets, folds and features. Raises SteadylineError for unknown attributes or gates, or no results."""
    progress("results and gates")
    attributes = _attributes(snapshot, spec)
    spec = with_targets(spec, attributes)
    targets = targets_of(snapshot, attributes, spec)
    gates, cuts = _gates_and_folds(snapshot, spec, targets)
    entered = gates[spec.gates[0]].set_index("batch_id")["t"]
    # A batch belongs to one fold at every gate: that in which it passed the first one.
    gates = {gate: rows.assign(entered=rows["batch_id"].map(entered)) for gate, rows in gates.items()}
    feature_plan = plan(snapshot, spec.features, "batch", cuts[0].origin, None)
    matrices = {}
    for gate, rows in gates.items():
        progress(f"features of {len(rows):,} batches at {gate}")
        matrices[gate] = batch_matrix(snapshot, feature_plan, rows[["batch_id", "gate", "t"]])
    # Results to learn from are those of the day: what was corrected or invalidated later was not known.
    told = [targets_of(as_of(snapshot, fold.origin), attributes, spec) for fold in cuts]
    return Prepared(spec, attributes, targets, gates, cuts, feature_plan, matrices, told)


def _attributes(snapshot: SnapshotLike, spec: QualitySpec) -> tuple[str, ...]:
    if not isinstance(spec.attributes, str):
        return tuple(spec.attributes)
    results = snapshot.table("lab_results")
    limited = results["lower_spec"].notna() | results["upper_spec"].notna()
    if spec.target == "pass_fail":
        limited = results["status"].notna()
    found = sorted(results.loc[limited & results["batch_id"].notna(), "attribute"].dropna().astype(str).unique())
    if not found:
        raise SteadylineError(
            "no_attributes",
            "no attribute of a batch has a specification limit, so `attributes: all` finds none",
            listing(sorted(results["attribute"].dropna().astype(str).unique())),
            "name the attributes in the model's YAML",
        )
    return tuple(found)


def _gate_rows(snapshot: SnapshotLike, gate: str, covered: set[str], batches: pd.DataFrame) -> pd.DataFrame:
    """batch_id, gate, t, product of the batches that passed the gate, in time order."""
    rows = gate_times(snapshot, [gate])
    rows = rows[rows["batch_id"].isin(covered)].sort_values(["t", "batch_id"], kind="stable").reset_index(drop=True)
    return rows.assign(product=rows["batch_id"].map(batches["product"]).astype(str))


def _folds(times: pd.Series, spec: QualitySpec) -> list[Fold]:
    """Folds with equal numbers of batches, in the order of the first gate."""
    ordered = pd.DatetimeIndex(times.sort_values())
    first = round(len(ordered) * (1 - spec.split.test_share))
    if spec.split.test_from is not None:
        first = int(ordered.searchsorted(spec.split.test_from))
    if not 0 < first < len(ordered):
        raise SteadylineError(
            "bad_split",
            f"the split leaves {first} of {len(ordered)} batches before the test period",
            "a share or time that leaves batches on both sides",
        )
    cuts = np.linspace(first, len(ordered), spec.split.folds + 1).round().astype(int)
    edges = [*(ordered[c] for c in cuts[:-1]), ordered[-1] + pd.Timedelta(days=3650)]
    return [Fold(a, b) for a, b in itertools.pairwise(edges)]


def base_columns(matrix: Matrix, attribute: str) -> tuple[int, ...]:
    """Columns that hold a naive forecast of the attribute, the narrowest group first: lots, product, all batches."""
    names = [f.name for f in matrix.features]
    lots = sorted(n for n in names if n.startswith(f"lag.{attribute}.lot.") and n.endswith(".mean"))
    wanted = [*lots, f"lag.{attribute}.product.mean", f"lag.{attribute}.overall.mean"]
    return tuple(names.index(n) for n in wanted if n in names)


def other_lags(matrix: Matrix, attribute: str) -> tuple[int, ...]:
    """Columns of earlier results of other attributes: in a few hundred batches they are noise to this one."""
    own = f"lag.{attribute}."
    return tuple(i for i, f in enumerate(matrix.features) if f.name.startswith("lag.") and not f.name.startswith(own))


def _fit(
    spec: QualitySpec, matrix: Matrix, rows: pd.DataFrame, of: pd.DataFrame, known: pd.DataFrame, attribute: str,
    fold: Fold,
) -> AttributeFit:
    """Learn from results approved before the fold begins; predict its batches, each with what was known by then.

    known: results as they stood at the fold's origin. of: results as they stand now, to judge by.
    """
    t, entered = pd.DatetimeIndex(rows["t"]), pd.DatetimeIndex(rows["entered"])
    learnt = known.set_index("batch_id")
    old = rows["batch_id"].map(learnt["value"]).to_numpy(np.float64)
    old_approved = pd.DatetimeIndex(rows["batch_id"].map(learnt["approved_at"]))
    train = np.flatnonzero((t < fold.origin) & (old_approved < fold.origin) & np.isfinite(old))
    value = rows["batch_id"].map(of["value"]).to_numpy(np.float64)
    approved = pd.DatetimeIndex(rows["batch_id"].map(of["approved_at"]))
    test = np.flatnonzero((entered >= fold.origin) & (entered < fold.end) & np.isfinite(value))
    model = _model(spec, matrix, attribute).fit(matrix.values[train], old[train], t[train], old_approved[train])
    point = model.predict(matrix.values[test])
    later = model.history(matrix.values[test], value[test], t[test], approved[test])
    found = model.predict_distribution(matrix.values[test], t[test], later)
    return AttributeFit(model, train, test, point if isinstance(found, Distribution) else found.point, found)


def _model(spec: QualitySpec, matrix: Matrix, attribute: str) -> AttributeModel | PassFailModel:
    """The model to fit; one thread, because for a thousand rows a second one costs more than it brings."""
    params, rounds, unused = spec.lightgbm.params(), spec.lightgbm.rounds, other_lags(matrix, attribute)
    if spec.target == "pass_fail":
        return PassFailModel(params, rounds or 100, spec.seed, unused=unused, num_threads=1)
    base = base_columns(matrix, attribute)
    return AttributeModel(params, rounds or 300, spec.seed, base_columns=base, unused=unused, num_threads=1)


def _one(values: pd.Series) -> str:
    found = values.dropna().astype(str).unique()
    return str(found[0]) if len(found) == 1 else ""


def _evidence(
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
        results = of.assign(product=of["batch_id"].map(products))
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
