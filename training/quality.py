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
from models.conformal import Distribution
from models.pass_fail import PassFailModel
from models.quality import AttributeModel
from models.spec import QualitySpec
from models.targets import targets_of
from plant.errors import SteadylineError, listing
from plant.snapshot import SnapshotLike
from training.audit_batches import audit_quality
from training.audit_finding import Audit, require_passed
from training.quality_evidence import AttributeFit, evidence_of
from training.splits import Fold, on_both_sides

Progress = Callable[[str], None]


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
        hint = "connect laboratory results, or correct population.product"
        if spec.target == "numeric" and _only_verdicts(snapshot, spec, covered):
            hint = "the laboratory gives verdicts without values: set `target: pass_fail` in the model's YAML"
        raise SteadylineError("no_results", f"model '{spec.name}' finds no batch with approved results", hint=hint)
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
    apart: list[set[str]]  # per fold, batches not to learn from: they share a lot or campaign with a tested one


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
        known = [told[told["attribute"] == attribute] for told in ready.told]
        for gate in spec.gates:
            progress(f"{attribute} at {gate}")
            fits[attribute, gate] = [
                _fit(spec, matrices[gate], gates[gate], of, then, attribute, fold, apart)
                for fold, then, apart in zip(cuts, known, ready.apart, strict=True)
            ]
    units = {a: _one(targets.loc[targets["attribute"] == a, "unit"]) for a in attributes}
    evidence = evidence_of(snapshot, spec, attributes, units, gates, targets, cuts, fits)
    return QualityTraining(
        ready.plan, gates, matrices, attributes, units, cuts, fits, {**evidence, "audit": audit.as_dict()}
    )


def audit_features(snapshot: SnapshotLike, ready: Prepared) -> Audit:
    """The leakage audit of what would be trained, on the rows and results that the version would learn from."""

    def make(plant: SnapshotLike, rows: pd.DataFrame) -> Matrix:
        return batch_matrix(plant, ready.plan, rows)

    return audit_quality(snapshot, ready.spec, make, ready.matrices, ready.gates, ready.told[-1], ready.folds[-1],
                         ready.apart[-1])


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
    apart = [_apart(snapshot, entered, fold) for fold in cuts]
    return Prepared(spec, attributes, targets, gates, cuts, feature_plan, matrices, told, apart)


def _apart(snapshot: SnapshotLike, entered: pd.Series, fold: Fold) -> set[str]:
    """Batches that a fold is not to learn from. entered: when each batch passed the first gate."""
    batches = snapshot.table("batches").drop_duplicates("batch_id", keep="last")
    lots = snapshot.table("genealogy").drop_duplicates(["batch_id", "material_lot"], keep="last")
    learnt = entered.index[entered < fold.origin].astype(str)
    tested = entered.index[(entered >= fold.origin) & (entered < fold.end)].astype(str)
    return on_both_sides(batches, lots, set(learnt), set(tested))


def _attributes(snapshot: SnapshotLike, spec: QualitySpec) -> tuple[str, ...]:
    if not isinstance(spec.attributes, str):
        return tuple(spec.attributes)
    results = snapshot.table("lab_results")
    limited = results["lower_spec"].notna() | results["upper_spec"].notna()
    if spec.target == "pass_fail":
        limited = results["status"].notna()
    found = sorted(results.loc[limited & results["batch_id"].notna(), "attribute"].dropna().astype(str).unique())
    if not found:
        what, hint = "specification limit", "name the attributes in the model's YAML"
        if spec.target == "pass_fail":
            what, hint = "verdict", "map lab_results.status, or set `target: numeric` where results have values"
        elif (_judged(results) & results["batch_id"].notna()).any():
            hint = f"set `target: pass_fail` to learn from the laboratory's verdicts; where results have values, {hint}"
        raise SteadylineError(
            "no_attributes", f"no attribute of a batch has a {what}, so `attributes: all` finds none",
            listing(sorted(results["attribute"].dropna().astype(str).unique())), hint,
        )
    return tuple(found)


def _judged(results: pd.DataFrame) -> pd.Series:
    """Results of which the laboratory says whether they passed."""
    return results["status"].isin(["in_spec", "out_of_spec", "out_of_trend"]).fillna(False)


def _only_verdicts(snapshot: SnapshotLike, spec: QualitySpec, covered: set[str]) -> bool:
    """Whether the batches' results of the model's attributes have a verdict and none has a value."""
    results = snapshot.table("lab_results")
    results = results[results["batch_id"].isin(covered)]
    if not isinstance(spec.attributes, str):
        results = results[results["attribute"].isin(spec.attributes)]
    return bool(_judged(results).any()) and not results["value"].notna().any()


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
    fold: Fold, apart: set[str],
) -> AttributeFit:
    """Learn from results known before the fold begins; predict its batches, each with what was known by then.

    known: results as they stood at the fold's origin. of: results as they stand now, to judge by. apart: batches that
    only tell how large errors were.
    """
    t, entered = pd.DatetimeIndex(rows["t"]), pd.DatetimeIndex(rows["entered"])
    learnt = known.set_index("batch_id")
    old = rows["batch_id"].map(learnt["value"]).to_numpy(np.float64)
    old_known = pd.DatetimeIndex(rows["batch_id"].map(learnt["known_at"]))
    train = np.flatnonzero((t < fold.origin) & (old_known < fold.origin) & np.isfinite(old))
    value = rows["batch_id"].map(of["value"]).to_numpy(np.float64)
    known_at = pd.DatetimeIndex(rows["batch_id"].map(of["known_at"]))
    test = np.flatnonzero((entered >= fold.origin) & (entered < fold.end) & np.isfinite(value))
    learn = ~rows["batch_id"].iloc[train].isin(apart).to_numpy()
    model = _model(spec, matrix, attribute).fit(matrix.values[train], old[train], t[train], old_known[train], learn)
    point = model.predict(matrix.values[test])
    later = model.history(matrix.values[test], value[test], t[test], known_at[test])
    found = model.predict_distribution(matrix.values[test], t[test], later)
    return AttributeFit(model, train[learn], test, point if isinstance(found, Distribution) else found.point, found)


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
