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
from models import metrics
from models.baselines import AgeModel
from models.calibration import Calibration
from models.decision import Threshold
from models.hazard import HazardModel, edges_from_horizons
from models.spec import FailureSpec
from models.what_if import require_changeable
from plant.errors import SteadylineError, listing
from plant.snapshot import SnapshotLike
from training.alarms import alarms_in_events
from training.audit import audit_failure
from training.audit_finding import Audit, require_passed
from training.audit_groups import require_embargo
from training.splits import Fold, calibration_start, folds, test_start
from training.thresholds import threshold_of

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


def population(snapshot: SnapshotLike, spec: FailureSpec) -> list[str]:
    """Ids of the equipment the model is for. Raises SteadylineError when there is none."""
    equipment = snapshot.table("equipment").drop_duplicates("equipment_id", keep="last")
    classes = equipment["equipment_class"].astype(str)
    chosen = equipment["equipment_id"][[spec.population.covers(c) for c in classes]]
    if not len(chosen):
        raise SteadylineError(
            "empty_population",
            f"model '{spec.name}' is for {spec.population.equipment_class}, and no equipment is of that class",
            f"classes: {listing(sorted(set(classes)))}",
            "correct population.equipment_class in the model's YAML",
        )
    return sorted(chosen.astype(str))


def period(snapshot: SnapshotLike, spec: FailureSpec) -> tuple[list[str], pd.Timestamp, pd.Timestamp, pd.Timestamp]:
    """Equipment of the model, start and end of its rows, and the start of the test period. Raises SteadylineError."""
    equipment = population(snapshot, spec)
    end = min(spec.cutoffs.end or snapshot.data_end, snapshot.data_end)
    start = spec.cutoffs.start or _first_time(snapshot, equipment)
    return equipment, start, end, test_start(start, end, spec.split)


def failure_plan(snapshot: SnapshotLike, spec: FailureSpec) -> FeaturePlan:
    """The features that training on this snapshot would take. Raises SteadylineError."""
    equipment, _, _, first = period(snapshot, spec)
    return plan(snapshot, spec.features, "equipment", first, equipment)


@dataclass(frozen=True)
class Prepared:
    """All that stands before the first fit: rows, what is known of them, the folds, the matrix."""

    start: pd.Timestamp
    end: pd.Timestamp
    cutoffs: pd.DataFrame
    folds: list[Fold]
    plan: FeaturePlan
    matrix: Matrix


def train_failure(snapshot: SnapshotLike, spec: FailureSpec, progress: Progress = lambda _: None) -> FailureTraining:
    """Audit, fit and backtest.

    Raises SteadylineError for too few failures, no equipment, a split outside the data, and (leakage) for features that
    would know the future.
    """
    ready = prepare_failure(snapshot, spec, progress)
    progress("leakage audit")
    audit = audit_features(snapshot, spec, ready)
    require_passed(audit, spec.name)
    cutoffs, cuts = ready.cutoffs, ready.folds
    labels = failure_labels(snapshot, spec.labels, cutoffs)
    # Modes that are known when the last fold begins: one that is first seen later is no word of this model.
    known = failure_labels(snapshot, spec.labels, cutoffs[cutoffs["t"] < cuts[-1].origin], until=cuts[-1].origin)
    modes = tuple(sorted(set(known["mode"]) - {""}))
    times = pd.DatetimeIndex(cutoffs["t"])
    fits = []
    for number, fold in enumerate(cuts, 1):
        progress(
            f"fold {number} of {spec.split.folds}: fit before {fold.origin:%Y-%m-%d}, test until {fold.end:%Y-%m-%d}"
        )
        fits.append(_fit(snapshot, spec, cutoffs, times, ready.matrix, modes, ready.start, fold))
    evidence = _evidence(spec, cutoffs, labels, fits, ready.start, ready.end, snapshot.data_end)
    evidence["labels"] = _label_reports(snapshot, spec, cutoffs, fits)
    evidence["audit"] = audit.as_dict()
    return FailureTraining(ready.plan, ready.matrix, modes, fits, evidence)


def audit_features(snapshot: SnapshotLike, spec: FailureSpec, ready: Prepared) -> Audit:
    """The leakage audit of what would be trained, on the rows and labels that the version would learn from."""
    fold = ready.folds[-1]
    before = ready.cutoffs[ready.cutoffs["t"] < fold.origin]
    known = failure_labels(as_of(snapshot, fold.origin), spec.labels, before, until=fold.origin)

    def make(plant: SnapshotLike, rows: pd.DataFrame) -> Matrix:
        return equipment_matrix(plant, ready.plan, rows)

    return audit_failure(snapshot, spec, make, ready.matrix, known, fold)


def prepare_failure(snapshot: SnapshotLike, spec: FailureSpec, progress: Progress = lambda _: None) -> Prepared:
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
    cutoffs = cutoff_grid(snapshot, pd.Timedelta(hours=spec.cutoffs.every.hours), start, end, equipment)
    cuts = folds(first, end, spec.split.folds)
    progress(f"features of {len(cutoffs):,} rows")
    feature_plan = plan(snapshot, spec.features, "equipment", first, equipment)
    require_changeable(spec.what_if, feature_plan.features)
    return Prepared(start, end, cutoffs, cuts, feature_plan, equipment_matrix(snapshot, feature_plan, cutoffs))


def _first_time(snapshot: SnapshotLike, equipment: list[str]) -> pd.Timestamp:
    """When the records begin: the earliest order, event, stop or reading of the population."""
    first = []
    for name, column in (
        ("work_orders", "opened_at"),
        ("events", "ts"),
        ("downtime", "started_at"),
        ("readings", "ts"),
    ):
        frame = snapshot.table(name)
        times = frame[column][frame["equipment_id"].isin(equipment)]
        if len(times):
            first.append(times.min())
    if not first:
        raise SteadylineError(
            "no_history",
            "the equipment of this model has no orders, events, stops or readings",
            hint="connect a source that has",
        )
    return min(first)


def events_within(labels: pd.DataFrame, horizons_h: tuple[float, ...], watched_h: np.ndarray) -> np.ndarray:
    """(n, k): 1 failed within the horizon, 0 did not, NaN unknown.

    watched_h: (n,) hours from the cut-off to the end of observation. A row that was watched for less than the horizon
    is unknown whether it failed or not: keeping those that failed would overstate the risk. A row that work ended
    before the horizon is unknown too.
    """
    duration, observed = labels["duration_h"].to_numpy()[:, None], labels["observed"].to_numpy(dtype=bool)[:, None]
    horizon = np.array(horizons_h)[None, :]
    event = observed & (duration < horizon)
    told = np.where(event, 1.0, np.where(duration >= horizon, 0.0, np.nan))
    return np.where(horizon <= watched_h[:, None], told, np.nan)


def _label_reports(
    snapshot: SnapshotLike, spec: FailureSpec, cutoffs: pd.DataFrame, fits: list[FailureFit]
) -> dict[str, Any]:
    """Labels of the training rows, as the version knew them, and of all tested rows, in hindsight."""
    origin = fits[-1].fold.origin
    before = cutoffs[cutoffs["t"] < origin]
    tested = cutoffs.iloc[np.concatenate([f.rows for f in fits])]
    return {
        "train": label_report(as_of(snapshot, origin), spec.labels, before, until=origin).as_dict(),
        "test": label_report(snapshot, spec.labels, tested).as_dict(),
    }


def _hours_until(times: pd.DatetimeIndex, end: pd.Timestamp) -> np.ndarray:
    return np.asarray((end - times) / pd.Timedelta(hours=1), dtype=np.float64)


def _codes(labels: pd.DataFrame, modes: tuple[str, ...]) -> np.ndarray:
    return np.where(labels["observed"], labels["mode"].map({m: i for i, m in enumerate(modes)}).fillna(-1), -1).astype(
        np.int64
    )


def _hazard(spec: FailureSpec, matrix: Matrix) -> HazardModel:
    names = [f.name for f in matrix.features]
    return HazardModel(
        # No failure is counted before the lead: an edge there keeps that stretch out of the first hazard after it.
        sorted({*edges_from_horizons(spec.horizons_h), spec.lead_h}),
        spec.lightgbm.params(),
        spec.lightgbm.rounds or 200,
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
) -> FailureFit:
    horizons = spec.horizons_h
    early_end = calibration_start(start, fold.origin, spec.split)
    early, before = np.asarray(times < early_end), np.asarray(times < fold.origin)
    later = before & ~early
    test = np.asarray((times >= fold.origin) & (times < fold.end))
    # Labels to learn from are those of the day: orders entered or corrected later were not known.
    known_early = failure_labels(as_of(snapshot, early_end), spec.labels, cutoffs[early], until=early_end)
    known = failure_labels(as_of(snapshot, fold.origin), spec.labels, cutoffs[before], until=fold.origin)
    require_embargo(times[early], known_early, early_end)
    require_embargo(times[before], known, fold.origin)
    watched = _hours_until(times[before], fold.origin)

    first = _hazard(spec, matrix).fit(
        matrix.values[early], known_early["duration_h"], _codes(known_early, modes), n_modes=len(modes)
    )
    risk = first.predict_risk(matrix.values[later], horizons).sum(axis=1)
    outcome = events_within(known, horizons, watched)[later[before]]
    calibration = Calibration.fit(horizons, risk, outcome)
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
    event = events_within(known, horizons, watched)
    constant = np.nanmean(event, axis=0)
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
) -> dict[str, Any]:
    rows = np.concatenate([f.rows for f in fits])
    risk = np.concatenate([f.risk for f in fits])
    baselines = {name: np.concatenate([f.baselines[name] for f in fits]) for name in fits[0].baselines}
    tested = labels.iloc[rows]
    event = events_within(tested, spec.horizons_h, _hours_until(pd.DatetimeIndex(cutoffs["t"])[rows], watched_until))
    horizons: dict[str, Any] = {}
    for k, name in enumerate(spec.horizons):
        horizons[str(name)] = _judged(risk[:, k], event[:, k]) | {
            "baselines": {b: _judged(values[:, k], event[:, k]) for b, values in baselines.items()},
        }
    decision = horizons[str(spec.decision_horizon)]
    beats = _beats(decision)
    groups = cutoffs["equipment_id"].to_numpy()[rows]
    k = spec.horizons_h.index(spec.decision_horizon.hours)
    interval = metrics.bootstrap(metrics.auc, risk[:, k], event[:, k], groups, seed=spec.seed)
    return {
        "decision_horizon": str(spec.decision_horizon),
        "train": {"start": start.isoformat(), "end": fits[-1].fold.origin.isoformat()},
        "test": {
            "start": fits[0].fold.origin.isoformat(),
            "end": end.isoformat(),
            "rows": len(rows),
            "folds": len(fits),
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


def _judged(probability: np.ndarray, event: np.ndarray) -> dict[str, float | int | None]:
    told = np.isfinite(event)
    return {
        "auc": metrics.auc(probability, event),
        "average_precision": metrics.average_precision(probability, event),
        "ece": metrics.ece(probability, event),
        "brier": metrics.brier(probability, event),
        "base_rate": metrics.base_rate(event),
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
