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
from features.text import TextModel
from features.text_rules import TextRules
from models import metrics
from models.baselines import AgeModel
from models.calibration import Calibration, reliability
from models.censoring import within
from models.decision import Threshold
from models.hazard import HazardModel, edges_from_horizons
from models.spec import FailureSpec
from models.what_if import require_changeable
from plant.errors import SteadylineError
from plant.snapshot import SnapshotLike
from training.alarms import alarms_in_events
from training.audit import audit_failure
from training.audit_finding import Audit, require_passed
from training.audit_groups import require_embargo
from training.population import period
from training.splits import Fold, calibration_start, folds
from training.texts import label_texts, told
from training.thresholds import threshold_of
from training.tuning import ROUNDS, Tuning, tuned

Progress = Callable[[str], None]
_MOST_ROWS = 5_000_000
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
    baselines: dict[str, np.ndarray]  # name -> (n, k)


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
    return plan(snapshot, spec.features, "equipment", first, equipment, rules)


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
    labels = failure_labels(snapshot, spec.labels, cutoffs, texts=texts)
    # Modes that are known when the last fold begins: one that is first seen later is no word of this model.
    begun = cutoffs[cutoffs["t"] < cuts[-1].origin]
    known = failure_labels(snapshot, spec.labels, begun, until=cuts[-1].origin, texts=texts)
    modes = tuple(sorted(set(known["mode"]) - {""}))
    times = pd.DatetimeIndex(cutoffs["t"])
    tuning = None
    if spec.lightgbm.tune is not None:
        progress(f"tuning: {spec.lightgbm.tune.trials} trials")
        spec, tuning = _tuned(snapshot, spec, ready, modes)
    fits = []
    for number, fold in enumerate(cuts, 1):
        progress(
            f"fold {number} of {spec.split.folds}: fit before {fold.origin:%Y-%m-%d}, test until {fold.end:%Y-%m-%d}"
        )
        fits.append(_fit(snapshot, spec, cutoffs, times, ready.matrix, modes, ready.start, fold, texts))
    evidence = _evidence(spec, cutoffs, labels, fits, ready.start, ready.end, snapshot.data_end, ready.matrix)
    evidence["labels"] = _label_reports(snapshot, spec, cutoffs, fits, texts)
    if texts is not None:
        evidence["labels"]["texts"] = told(texts, ready.first)
    evidence["audit"] = audit.as_dict()
    evidence["tuning"] = tuning
    return FailureTraining(ready.plan, ready.matrix, modes, fits, evidence)


def audit_features(snapshot: SnapshotLike, spec: FailureSpec, ready: Prepared) -> Audit:
    """The leakage audit of what would be trained, on the rows and labels that the version would learn from."""
    fold = ready.folds[-1]
    before = ready.cutoffs[ready.cutoffs["t"] < fold.origin]
    known = failure_labels(as_of(snapshot, fold.origin), spec.labels, before, fold.origin, ready.texts)

    def make(plant: SnapshotLike, rows: pd.DataFrame) -> Matrix:
        return equipment_matrix(plant, ready.plan, rows)

    return audit_failure(snapshot, spec, make, ready.matrix, known, fold)


def _tuned(snapshot: SnapshotLike, spec: FailureSpec, ready: Prepared, modes: tuple[str, ...]) -> Tuning:
    """Settings are searched in the training window of the first fold, so that none of the tests was looked at."""
    origin, times = ready.folds[0].origin, pd.DatetimeIndex(ready.cutoffs["t"])
    before = np.asarray(times < origin)
    known = failure_labels(as_of(snapshot, origin), spec.labels, ready.cutoffs[before], origin, ready.texts)
    values, at_h = ready.matrix.values[before], -_hours_until(times[before], ready.start)
    return tuned(spec, _hazard(spec, ready.matrix), values, known["duration_h"], _codes(known, modes), at_h)


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
    feature_plan = plan(snapshot, spec.features, "equipment", first, equipment, rules)
    texts = label_texts(snapshot, spec, feature_plan, first, rules)
    cutoffs = cutoff_grid(snapshot, pd.Timedelta(hours=spec.cutoffs.every.hours), start, end, equipment)
    cuts = folds(first, end, spec.split.folds)
    progress(f"features of {len(cutoffs):,} rows")
    require_changeable(spec.what_if, feature_plan.features)
    matrix = equipment_matrix(snapshot, feature_plan, cutoffs)
    return Prepared(start, end, first, cutoffs, cuts, feature_plan, matrix, texts)


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


def _label_reports(
    snapshot: SnapshotLike, spec: FailureSpec, cutoffs: pd.DataFrame, fits: list[FailureFit], texts: TextModel | None
) -> dict[str, Any]:
    """Labels of the training rows, as the version knew them, and of all tested rows, in hindsight."""
    origin = fits[-1].fold.origin
    before = cutoffs[cutoffs["t"] < origin]
    tested = cutoffs.iloc[np.concatenate([f.rows for f in fits])]
    return {
        "train": label_report(as_of(snapshot, origin), spec.labels, before, origin, texts).as_dict(),
        "test": label_report(snapshot, spec.labels, tested, texts=texts).as_dict(),
    }


def _hours_until(times: pd.DatetimeIndex, end: pd.Timestamp) -> np.ndarray:
    return np.asarray((end - times) / pd.Timedelta(hours=1), dtype=np.float64)


def _codes(labels: pd.DataFrame, modes: tuple[str, ...]) -> np.ndarray:
    return np.where(labels["observed"], labels["mode"].map({m: i for i, m in enumerate(modes)}).fillna(-1), -1).astype(
        np.int64
    )


def _kinds(matrix: Matrix, rows: np.ndarray) -> np.ndarray | None:
    """Code of the class of equipment of these rows; None where classes are no feature."""
    names = [f.name for f in matrix.features]
    return matrix.values[rows, names.index(CLASS)] if CLASS in names else None


def _hazard(spec: FailureSpec, matrix: Matrix) -> HazardModel:
    names = [f.name for f in matrix.features]
    return HazardModel(
        # No failure is counted before the lead: an edge there keeps that stretch out of the first hazard after it.
        sorted({*edges_from_horizons(spec.horizons_h), spec.lead_h}),
        spec.lightgbm.params(),
        spec.lightgbm.rounds or ROUNDS,
        spec.seed,
        explain_h=spec.decision_horizon.hours,
        strata_column=names.index(CLASS) if CLASS in names else None,
    )


def _fit(
    snapshot: SnapshotLike,
    spec: FailureSpec,
    cutoffs: pd.DataFrame,
    times: pd.DatetimeIndex,
    matrix: Matrix,
    modes: tuple[str, ...],
    start: pd.Timestamp,
    fold: Fold,
    texts: TextModel | None,
) -> FailureFit:
    horizons = spec.horizons_h
    early_end = calibration_start(start, fold.origin, spec.split)
    early, before = np.asarray(times < early_end), np.asarray(times < fold.origin)
    later = before & ~early
    test = np.asarray((times >= fold.origin) & (times < fold.end))
    # Labels to learn from are those of the day: orders entered or corrected later were not known.
    known_early = failure_labels(as_of(snapshot, early_end), spec.labels, cutoffs[early], early_end, texts)
    known = failure_labels(as_of(snapshot, fold.origin), spec.labels, cutoffs[before], fold.origin, texts)
    require_embargo(times[early], known_early, early_end)
    require_embargo(times[before], known, fold.origin)
    watched = _hours_until(times[before], fold.origin)

    first = _hazard(spec, matrix).fit(
        matrix.values[early], known_early["duration_h"], _codes(known_early, modes), n_modes=len(modes)
    )
    risk = first.predict_risk(matrix.values[later], horizons).sum(axis=1)
    outcome, weight = events_within(known[later[before]], horizons, watched[later[before]], _kinds(matrix, later))
    calibration = Calibration.fit(horizons, risk, outcome, weight)
    calibrated = calibration.apply_total(risk)
    k = horizons.index(spec.decision_horizon.hours)
    late = later[before]
    over = watched[late] >= spec.decision_horizon.hours
    threshold = threshold_of(spec, cutoffs[later][over], known[late][over], calibrated[over, k])

    codes = _codes(known, modes)
    model = _hazard(spec, matrix).fit(matrix.values[before], known["duration_h"], codes, n_modes=len(modes))
    predicted = calibration.apply_total(model.predict_risk(matrix.values[test], horizons).sum(axis=1))
    baselines = _baselines(snapshot, spec, cutoffs, before, test, known, watched)
    return FailureFit(fold, model, calibration, threshold, np.flatnonzero(test), predicted, baselines)


def _baselines(
    snapshot: SnapshotLike,
    spec: FailureSpec,
    cutoffs: pd.DataFrame,
    before: np.ndarray,
    test: np.ndarray,
    known: pd.DataFrame,
    watched: np.ndarray,
) -> dict[str, np.ndarray]:
    """Risk by the base rate alone, and by the time since the last failure alone."""
    horizons = spec.horizons_h
    event, weight = events_within(known, horizons, watched)
    constant = np.array([metrics.base_rate(event[:, k], weight[:, k]) or 0.0 for k in range(len(horizons))])
    # Rows are at risk from the lead on, and by then so much older.
    age, lead = _hours_since_failure(snapshot, spec, cutoffs) + spec.lead_h, spec.lead_h
    model = AgeModel(look_ahead_h=horizons[-1] - lead).fit(
        age[before], np.maximum(known["duration_h"] - lead, 0.0), np.where(known["observed"], 0, -1)
    )
    risk = model.predict_risk(age[test], [h - lead for h in horizons]).sum(axis=1)
    return {"base_rate": np.tile(constant, (int(test.sum()), 1)), "age": risk}


def _hours_since_failure(snapshot: SnapshotLike, spec: FailureSpec, cutoffs: pd.DataFrame) -> np.ndarray:
    """(n,) hours since the last record of a failure strictly before t; NaN where there was none."""
    failing, orders = spec.labels.failure, snapshot.table("work_orders")
    failures = orders.loc[orders["kind"].isin(failing.kinds), ["equipment_id", "opened_at"]]
    if failing.events is not None:
        events = snapshot.table("events")
        events = events[events["kind"] == failing.events.kind]
        if failing.events.codes != "all":
            events = events[events["code"].isin(failing.events.codes)]
        failures = pd.concat([failures, events[["equipment_id", "ts"]].rename(columns={"ts": "opened_at"})])
    failures = failures.sort_values("opened_at")
    asked = cutoffs.assign(row=np.arange(len(cutoffs))).sort_values("t")
    joined = pd.merge_asof(
        asked, failures, left_on="t", right_on="opened_at", by="equipment_id", allow_exact_matches=False
    )
    hours = (joined["t"] - joined["opened_at"]).dt.total_seconds().to_numpy() / 3600
    out = np.empty(len(cutoffs))
    out[joined["row"].to_numpy()] = hours
    return out


def _evidence(
    spec: FailureSpec,
    cutoffs: pd.DataFrame,
    labels: pd.DataFrame,
    fits: list[FailureFit],
    start: pd.Timestamp,
    end: pd.Timestamp,
    watched_until: pd.Timestamp,
    matrix: Matrix,
) -> dict[str, Any]:
    rows = np.concatenate([f.rows for f in fits])
    risk = np.concatenate([f.risk for f in fits])
    baselines = {name: np.concatenate([f.baselines[name] for f in fits]) for name in fits[0].baselines}
    tested = labels.iloc[rows]
    watched = _hours_until(pd.DatetimeIndex(cutoffs["t"])[rows], watched_until)
    event, weight = events_within(tested, spec.horizons_h, watched, _kinds(matrix, rows))
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
    """Better than every baseline in Brier score and in ranking, at the horizon where orders are decided."""
    mine = decision
    if mine["auc"] is None or mine["brier"] is None:
        return False
    others = decision["baselines"].values()
    return all(mine["brier"] < b["brier"] and mine["auc"] > (b["auc"] or 0.5) for b in others)
