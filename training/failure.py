"""Training and backtest of a failure-risk model: labels, matrix, folds, hazard, calibration, threshold, evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.asof import as_of
from features.assemble import FeaturePlan, Matrix, equipment_matrix, plan
from features.labels import cutoff_grid, failure_labels, label_report
from features.spec import LabelSpec
from features.text import TextModel
from features.text_rules import TextRules
from models import metrics
from models.baselines import AgeModel
from models.calibration import Calibration
from models.hazard import HazardModel, edges_from_horizons
from models.spec import FailureSpec
from models.what_if import require_changeable
from plant.errors import SteadylineError
from plant.snapshot import SnapshotLike
from training.audit import audit_failure
from training.audit_finding import Audit, require_passed
from training.audit_groups import require_embargo
from training.failure_baselines import rates_of_units
from training.failure_evidence import CLASS, FailureFit, events_within, evidence_of, hours_until, kinds_of
from training.population import period
from training.remaining_life import judged_lives
from training.splits import Fold, folds
from training.texts import label_texts, told
from training.thresholds import threshold_of
from training.tuning import ROUNDS, Tuning, tuned
from training.units import Division, divided, evidence_by_unit, learning_fold, tested_units

Progress = Callable[[str], None]
_MOST_ROWS = 5_000_000
OWN_ROWS = 200  # failing rows from which on a class of equipment also gets trees of its own


@dataclass(frozen=True)
class FailureTraining:
    """A trained and backtested failure model; `last` is the fit that becomes the version."""

    plan: FeaturePlan
    matrix: Matrix
    modes: tuple[str, ...]
    fits: list[FailureFit]
    evidence: dict[str, Any]

    @property
    def last(self) -> FailureFit:
        return self.fits[-1]


def failure_plan(snapshot: SnapshotLike, spec: FailureSpec, rules: TextRules | None = None) -> FeaturePlan:
    """The features that training on this snapshot (with these rules for texts) would take. Raises SteadylineError."""
    equipment, _, _, first = period(snapshot, spec)
    tested = tested_units(snapshot, spec, equipment)
    return plan(snapshot, spec.features, "equipment", first, [e for e in equipment if e not in tested], rules)


@dataclass(frozen=True)
class Prepared:
    """All that stands before the first fit: rows, the folds, the matrix, and what reads the texts of labels."""

    start: pd.Timestamp
    end: pd.Timestamp
    first: pd.Timestamp  # of the test period
    cutoffs: pd.DataFrame
    folds: list[Fold]
    plan: FeaturePlan
    matrix: Matrix
    texts: TextModel | None
    tested: frozenset[str] = frozenset()  # units of the test, where the split is by unit

    def divided(self, spec: FailureSpec, fold: Fold) -> Division:
        """Which rows a fold learns from, and which judge it."""
        return divided(spec, self.cutoffs, self.start, fold, self.tested)


def train_failure(
    snapshot: SnapshotLike, spec: FailureSpec, progress: Progress = lambda _: None, rules: TextRules | None = None
) -> FailureTraining:
    """Audit, fit and backtest.

    rules: those of the site, for texts (`training.texts.rules_for`); None: the shipped ones. Raises SteadylineError for
    too few failures, no equipment, a split outside the data, and (leakage) for features that would know the future.
    """
    ready = prepare_failure(snapshot, spec, progress, rules)
    progress("leakage audit")
    audit = audit_features(snapshot, spec, ready)
    require_passed(audit, spec.name)
    cutoffs, cuts, texts = ready.cutoffs, ready.folds, ready.texts
    labels = failure_labels(snapshot, _told_by(spec, ready), cutoffs, texts=texts)
    # Modes that are known when the last fold begins: one that is first seen later is no word of this model.
    last = ready.divided(spec, cuts[-1])
    known = failure_labels(snapshot, spec.labels, cutoffs[last.before], until=last.origin, texts=texts)
    modes = tuple(sorted(set(known["mode"]) - {""}))
    times = pd.DatetimeIndex(cutoffs["t"])
    tuning = None
    if spec.lightgbm.tune is not None:
        progress(f"tuning: {spec.lightgbm.tune.trials} trials")
        spec, tuning = _tuned(snapshot, spec, ready, modes)
    fits = []
    for number, fold in enumerate(cuts, 1):
        progress(
            f"fit on all but {len(ready.tested)} units, test on these" if ready.tested else
            f"fold {number} of {spec.split.folds}: fit before {fold.origin:%Y-%m-%d}, test until {fold.end:%Y-%m-%d}"
        )
        fits.append(_fit(snapshot, spec, cutoffs, times, ready.matrix, modes, ready.divided(spec, fold), fold, texts))
    evidence = evidence_of(spec, cutoffs, labels, fits, ready.start, ready.end, snapshot.data_end, ready.matrix)
    if ready.tested:
        evidence |= _by_unit(snapshot, spec, ready, fits[-1])
    evidence["labels"] = _label_reports(snapshot, spec, cutoffs, fits, texts)
    if texts is not None:
        evidence["labels"]["texts"] = told(texts, ready.first)
    evidence["audit"] = audit.as_dict()
    evidence["tuning"] = tuning
    return FailureTraining(ready.plan, ready.matrix, modes, fits, evidence)


def audit_features(snapshot: SnapshotLike, spec: FailureSpec, ready: Prepared) -> Audit:
    """The leakage audit of what would be trained, on the rows and labels that the version would learn from."""
    fold = ready.folds[-1]
    mine = ready.divided(spec, fold)
    before = ready.cutoffs[mine.before]
    known = failure_labels(as_of(snapshot, fold.origin), spec.labels, before, fold.origin, ready.texts)

    def make(plant: SnapshotLike, rows: pd.DataFrame) -> Matrix:
        return equipment_matrix(plant, ready.plan, rows)

    matrix = ready.matrix
    if ready.tested:  # tested units are out of sight: what is audited is what is learnt from
        matrix = Matrix(matrix.values[mine.before], matrix.features, matrix.rows[mine.before].reset_index(drop=True))
        before, known = before.reset_index(drop=True), known.reset_index(drop=True)
    return audit_failure(snapshot, spec, make, matrix, known, fold)


def _told_by(spec: FailureSpec, ready: Prepared) -> LabelSpec:
    """The labels that judge. A tested unit is judged by its known end, also where its records stop long before it."""
    return spec.labels.model_copy(update={"unobserved_after": None}) if ready.tested else spec.labels


def _by_unit(snapshot: SnapshotLike, spec: FailureSpec, ready: Prepared, fit: FailureFit) -> dict[str, Any]:
    """Evidence of a split by unit, with remaining life at the last records of the tested ones."""

    def make(plant: SnapshotLike, rows: pd.DataFrame) -> Matrix:
        return equipment_matrix(plant, ready.plan, rows)

    lives = judged_lives(snapshot, spec, fit.model, make, sorted(ready.tested))
    sides = evidence_by_unit(ready.cutoffs, fit.before, fit.rows, ready.start)
    return sides | ({"remaining_life": lives} if lives is not None else {})


def _tuned(snapshot: SnapshotLike, spec: FailureSpec, ready: Prepared, modes: tuple[str, ...]) -> Tuning:
    """Settings are searched in the training window of the first fold, so that none of the tests was looked at."""
    origin, times = ready.folds[0].origin, pd.DatetimeIndex(ready.cutoffs["t"])
    before = ready.divided(spec, ready.folds[0]).before
    known = failure_labels(as_of(snapshot, origin), spec.labels, ready.cutoffs[before], origin, ready.texts)
    values, at_h = ready.matrix.values[before], -hours_until(times[before], ready.start)
    return tuned(spec, unfitted(spec, ready.matrix), values, known["duration_h"], _codes(known, modes), at_h)


def prepare_failure(
    snapshot: SnapshotLike, spec: FailureSpec, progress: Progress = lambda _: None, rules: TextRules | None = None
) -> Prepared:
    """Cut-offs, folds and features. Raises SteadylineError for no equipment or a split outside the data."""
    equipment, start, end, first = period(snapshot, spec)
    rows = len(equipment) * ((end - start) / pd.Timedelta(hours=spec.cutoffs.every.hours))
    if rows > _MOST_ROWS:
        raise SteadylineError(
            "too_many_cutoffs",
            f"cut-offs every {spec.cutoffs.every} for {len(equipment)} equipment make {rows:,.0f} rows",
            f"up to {_MOST_ROWS:,} rows",
            "correct cutoffs.every, cutoffs.start or the population in the model's YAML",
        )
    progress("cut-offs and labels")
    every = pd.Timedelta(hours=spec.cutoffs.every.hours)
    cutoffs = cutoff_grid(snapshot, every, start, end, equipment, spec.cutoffs.shift)
    tested = tested_units(snapshot, spec, equipment)
    feature_plan = plan(snapshot, spec.features, "equipment", first, [e for e in equipment if e not in tested], rules)
    texts = label_texts(snapshot, spec, feature_plan, first, rules)
    if tested:  # at a cut-off at which nobody looks at a unit there is nothing to learn and nothing to judge
        seen = failure_labels(snapshot, spec.labels, cutoffs, texts=texts)
        cutoffs = cutoffs[(seen["observed"] | (seen["duration_h"] > 0)).to_numpy()].reset_index(drop=True)
    cuts = [learning_fold(snapshot)] if tested else folds(first, end, spec.split.folds)
    progress(f"features of {len(cutoffs):,} rows")
    require_changeable(spec.what_if, feature_plan.features)
    matrix = equipment_matrix(snapshot, feature_plan, cutoffs)
    return Prepared(start, end, first, cutoffs, cuts, feature_plan, matrix, texts, tested)


def _label_reports(
    snapshot: SnapshotLike, spec: FailureSpec, cutoffs: pd.DataFrame, fits: list[FailureFit], texts: TextModel | None
) -> dict[str, Any]:
    """Labels of the training rows, as the version knew them, and of all tested rows, in hindsight."""
    origin = fits[-1].fold.origin
    before = cutoffs[fits[-1].before]
    tested = cutoffs.iloc[np.concatenate([f.rows for f in fits])]
    return {
        "train": label_report(as_of(snapshot, origin), spec.labels, before, origin, texts).as_dict(),
        "test": label_report(snapshot, spec.labels, tested, texts=texts).as_dict(),
    }


def _codes(labels: pd.DataFrame, modes: tuple[str, ...]) -> np.ndarray:
    return np.where(labels["observed"], labels["mode"].map({m: i for i, m in enumerate(modes)}).fillna(-1), -1).astype(
        np.int64
    )


def unfitted(spec: FailureSpec, matrix: Matrix) -> HazardModel:
    """The model that the specification asks for, for rows of this matrix."""
    names = [f.name for f in matrix.features]
    return HazardModel(
        # No failure is counted before the lead: an edge there keeps that stretch out of the first hazard after it.
        sorted({*edges_from_horizons(spec.horizons_h), spec.lead_h}),
        spec.lightgbm.params(),
        spec.lightgbm.rounds or ROUNDS,
        spec.seed,
        explain_h=spec.decision_horizon.hours,
        strata_column=names.index(CLASS) if CLASS in names else None,
        own_rows=OWN_ROWS if spec.per_class else None,
    )


def _fit(
    snapshot: SnapshotLike,
    spec: FailureSpec,
    cutoffs: pd.DataFrame,
    times: pd.DatetimeIndex,
    matrix: Matrix,
    modes: tuple[str, ...],
    mine: Division,
    fold: Fold,
    texts: TextModel | None,
) -> FailureFit:
    horizons, early_end = spec.horizons_h, mine.early_end
    early, later, before, test = mine.early, mine.later, mine.before, mine.test
    # Labels to learn from are those of the day: orders entered or corrected later were not known.
    known_early = failure_labels(as_of(snapshot, early_end), spec.labels, cutoffs[early], early_end, texts)
    known = failure_labels(as_of(snapshot, fold.origin), spec.labels, cutoffs[before], fold.origin, texts)
    require_embargo(times[early], known_early, early_end)
    require_embargo(times[before], known, fold.origin)
    watched = hours_until(times[before], fold.origin)

    first = unfitted(spec, matrix).fit(
        matrix.values[early], known_early["duration_h"], _codes(known_early, modes), n_modes=len(modes)
    )
    risk = first.predict_risk(matrix.values[later], horizons).sum(axis=1)
    outcome, weight = events_within(known[later[before]], horizons, watched[later[before]], kinds_of(matrix, later))
    calibration = Calibration.fit(horizons, risk, outcome, weight)
    calibrated = calibration.apply_total(risk)
    k = horizons.index(spec.decision_horizon.hours)
    late = later[before]
    over = watched[late] >= spec.decision_horizon.hours
    threshold = threshold_of(spec, cutoffs[later][over], known[late][over], calibrated[over, k])

    codes = _codes(known, modes)
    model = unfitted(spec, matrix).fit(matrix.values[before], known["duration_h"], codes, n_modes=len(modes))
    predicted = calibration.apply_total(model.predict_risk(matrix.values[test], horizons).sum(axis=1))
    baselines = _baselines(snapshot, spec, cutoffs, before, test, known, watched)
    return FailureFit(fold, model, calibration, threshold, np.flatnonzero(test), predicted, before, baselines)


def _baselines(
    snapshot: SnapshotLike,
    spec: FailureSpec,
    cutoffs: pd.DataFrame,
    before: np.ndarray,
    test: np.ndarray,
    known: pd.DataFrame,
    watched: np.ndarray,
) -> dict[str, np.ndarray]:
    """Risk by the base rate alone (of all, of each equipment, of its class), and by the time since the last failure."""
    horizons = spec.horizons_h
    event, weight = events_within(known, horizons, watched)
    constant = np.array([metrics.base_rate(event[:, k], weight[:, k]) or 0.0 for k in range(len(horizons))])
    # Rows are at risk from the lead on, and by then so much older.
    age, lead = _hours_since_failure(snapshot, spec, cutoffs) + spec.lead_h, spec.lead_h
    model = AgeModel(look_ahead_h=horizons[-1] - lead).fit(
        age[before], np.maximum(known["duration_h"] - lead, 0.0), np.where(known["observed"], 0, -1)
    )
    risk = model.predict_risk(age[test], [h - lead for h in horizons]).sum(axis=1)
    rates = rates_of_units(snapshot, cutoffs, before, test, event, weight)
    return {"base_rate": np.tile(constant, (int(test.sum()), 1)), "age": risk} | rates


def _hours_since_failure(snapshot: SnapshotLike, spec: FailureSpec, cutoffs: pd.DataFrame) -> np.ndarray:
    """(n,) hours since the last record of a failure strictly before t; NaN where there was none.

    Of a unit that runs until it fails: hours in service.
    """
    failing, orders = spec.labels.failure, snapshot.table("work_orders")
    failures = orders.loc[orders["kind"].isin(failing.kinds), ["equipment_id", "opened_at"]]
    if failing.events is not None:
        events = snapshot.table("events")
        events = events[events["kind"] == failing.events.kind]
        if failing.events.codes != "all":
            events = events[events["code"].isin(failing.events.codes)]
        failures = pd.concat([failures, events[["equipment_id", "ts"]].rename(columns={"ts": "opened_at"})])
    if failing.retirement:
        begun = snapshot.table("equipment")[["equipment_id", "commissioned_at"]].dropna()
        failures = pd.concat([failures, begun.rename(columns={"commissioned_at": "opened_at"})])
    failures = failures.sort_values("opened_at")
    asked = cutoffs.assign(row=np.arange(len(cutoffs))).sort_values("t")
    joined = pd.merge_asof(
        asked, failures, left_on="t", right_on="opened_at", by="equipment_id", allow_exact_matches=False
    )
    hours = (joined["t"] - joined["opened_at"]).dt.total_seconds().to_numpy() / 3600
    out = np.empty(len(cutoffs))
    out[joined["row"].to_numpy()] = hours
    return out
