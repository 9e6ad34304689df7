"""The backtest of a failure model told in events and money, beside what a plant would do without it.

Every policy is played over the same tested time under the same terms (`models.policy`): the model with the threshold
that was chosen before each fold, run to failure, work at a fixed interval, work by age (Weibull).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from features.asof import as_of
from features.labels import failure_labels
from features.text_rules import TextRules
from models.decision import NEVER, Terms, Threshold
from models.explain import Reason, Reference, reasons
from models.policy import FALSE, Chances, Floats, Played, Policy, order_threshold, play
from models.spec import FailureSpec
from plant.errors import SteadylineError
from plant.snapshot import SnapshotLike
from training import backtest_policies as rivals
from training.backtest_money import summary
from training.failure import FailureTraining, Progress, train_failure
from training.failure_evidence import events_within
from training.thresholds import HOUR, chances_of

MODEL, RUN_TO_FAILURE, FIXED_INTERVAL, BY_AGE = "model", "run_to_failure", "fixed_interval", "age_based"


@dataclass(frozen=True, eq=False)
class Backtest:
    """All tested rows in hindsight. rows: equipment_id, t, equipment_class, site, line, fold, row (of the matrix).

    risk, event: (n, horizons). played: by policy. money: what `steadyline backtest` prints, JSON values. threshold: the
    one that costs least on the tested rows, which a version is served with.
    """

    spec: FailureSpec
    training: FailureTraining
    rows: pd.DataFrame
    risk: Floats
    event: Floats
    labels: pd.DataFrame
    chances: Chances
    at: np.ndarray
    played: dict[str, Played]
    threshold: Threshold
    money: dict[str, Any]

    def true_alarms(self) -> pd.DataFrame:
        """(row, equipment_id, t) of the model's orders that a failure followed while they stood; row: of `rows`."""
        played = self.played[MODEL]
        true = self.at[played.row[played.outcome != FALSE]]
        return self.rows.iloc[true][["equipment_id", "t"]].assign(row=true)

    def reasons(self, which: np.ndarray, most: int = 3) -> list[list[Reason]]:
        """Why the model that served at that time scored these rows as it did."""
        out: dict[int, list[Reason]] = {}
        fold, row = self.rows["fold"].to_numpy(), self.rows["row"].to_numpy()
        for number, fit in enumerate(self.training.fits):
            own = which[fold[which] == number]
            if not len(own):
                continue
            values = self.training.matrix.values[row[own]]
            parts = fit.model.contributions(values, self.spec.decision_horizon.hours)
            told = reasons(self.training.plan.features, values, parts, self._reference, most)
            out |= dict(zip(own.tolist(), told, strict=True))
        return [out[int(i)] for i in which]

    @cached_property
    def _reference(self) -> Reference:
        before = pd.DatetimeIndex(self.training.matrix.rows["t"]) < self.training.fits[0].fold.origin
        return Reference.of(self.training.matrix.values[np.asarray(before)])


def not_played(spec: FailureSpec) -> str | None:
    """Why the policies of a model cannot be played, in plain words; None where they can."""
    if spec.split.test_equipment is None:
        return None
    return ("tested by unit: the clocks of its units have nothing to do with each other, and records of tested units "
            "may stop before their failure, so that there is no one time over which orders and failures can be counted")


def backtest_failure(
    snapshot: SnapshotLike, spec: FailureSpec, progress: Progress = lambda _: None, rules: TextRules | None = None
) -> Backtest:
    """Fit each fold on what was known, play the tested time.

    Raises as `training.failure.train_failure`, and SteadylineError (not_played) for a split by unit.
    """
    why = not_played(spec)
    if why is not None:
        raise SteadylineError(
            "not_played", f"model '{spec.name}' is {why}", "a model whose split is by time",
            "`steadyline train` tells how well it predicts on its tested units",
        )
    trained = train_failure(snapshot, spec, progress, rules)
    progress("playing the policies over the tested time")
    return judge(snapshot, spec, trained)


def judge(snapshot: SnapshotLike, spec: FailureSpec, trained: FailureTraining) -> Backtest:
    """The backtest of what was trained; every row counts whose outcome within the decision horizon was watched."""
    kinds = _kinds(snapshot)
    parts = []
    for number, fit in enumerate(trained.fits):
        part = trained.matrix.rows.iloc[fit.rows][["equipment_id", "t"]].copy()
        parts.append(part.assign(fold=number, row=fit.rows))
    rows = pd.concat(parts, ignore_index=True)
    rows["equipment_id"] = rows["equipment_id"].astype(str)
    for column in ("equipment_class", "site", "line"):
        rows[column] = rows["equipment_id"].map(kinds[column]).fillna("")
    labels = failure_labels(snapshot, spec.labels, rows[["equipment_id", "t"]])
    risk = np.concatenate([f.risk for f in trained.fits])
    watched = np.asarray((snapshot.data_end - pd.DatetimeIndex(rows["t"])) / HOUR, dtype=np.float64)
    event, _ = events_within(labels, spec.horizons_h, watched)

    kept = np.flatnonzero(watched >= spec.decision_horizon.hours)
    base = trained.fits[0].fold.origin
    names = sorted(set(rows["equipment_id"]))
    asked = rows.iloc[kept]
    renewed = rivals.last_before(rivals.renewals(snapshot, spec), asked, base)
    made, order = chances_of(asked, labels.iloc[kept], base, renewed, names)
    at, terms = kept[order], spec.terms
    k = spec.horizons_h.index(spec.decision_horizon.hours)
    mine = np.array([f.threshold.order_at for f in trained.fits])[rows["fold"].to_numpy()[at]]
    # What is chosen per fold becomes 1 on one scale, so that the play runs through the folds.
    policies: dict[str, Policy | None] = {
        MODEL: Policy("score", 1.0, risk[at, k] / np.maximum(mine, 1e-12) + (mine <= 0) * 1e12),
        RUN_TO_FAILURE: None,
    }
    chosen, others = _rivals(snapshot, spec, trained, rows.iloc[at], made, base, kinds)
    policies |= others
    played = {name: play(made, policy, terms) for name, policy in policies.items()}
    threshold = order_threshold(made, risk[at, k], terms, seed=spec.seed)
    money = summary(spec, rows.iloc[at].reset_index(drop=True), labels.iloc[at].reset_index(drop=True), made, played,
                    threshold, risk[at, k], {"folds": [f.threshold.order_at for f in trained.fits], **chosen})
    money["longer_protection"] = _longer(spec, made, policies)
    return Backtest(spec, trained, rows, risk, event, labels, made, at, played, threshold, money)


def _rivals(
    snapshot: SnapshotLike, spec: FailureSpec, trained: FailureTraining, rows: pd.DataFrame, made: Chances,
    base: pd.Timestamp, kinds: pd.DataFrame,
) -> tuple[dict[str, Any], dict[str, Policy | None]]:
    """The other policies over the tested rows, with settings chosen on what was known before each fold."""
    n, fold = len(rows), rows["fold"].to_numpy()
    interval, due, at, shape, scale = (np.empty(n) for _ in range(5))
    told: dict[str, Any] = {"interval_days": [], "age_order_at": [], "weibull": []}
    of_class = kinds["equipment_class"].to_dict()
    for number, fit in enumerate(trained.fits):
        origin, here = fit.fold.origin, fold == number
        before, known = _before(snapshot, spec, trained, origin)
        events = rivals.renewals(as_of(snapshot, origin), spec)
        past, order = chances_of(before, known, base, rivals.last_before(events, before, base))
        hours = rivals.best_interval(past, spec.terms, float(past.t_h.min()))
        interval[here] = hours
        due[here] = rivals.staggered(
            made.equipment[here], made.count, hours, float((origin - base) / HOUR)
        )
        found = rivals.by_class(snapshot, spec, origin, of_class)
        a, b = rivals.parameters(found, before["equipment_id"].map(of_class).iloc[order].tolist())
        limit = rivals.best_age(past, a, b, spec.terms)
        at[here] = limit
        shape[here], scale[here] = rivals.parameters(found, rows["equipment_class"][here].tolist())
        told["interval_days"].append(hours / 24)
        told["age_order_at"].append(limit if limit < NEVER else None)
        told["weibull"].append(rivals.weibull_told(found))
    return told, {
        FIXED_INTERVAL: Policy("age", interval, renewed_h=due),
        BY_AGE: Policy("weibull", at, shape=shape, scale=scale),
    }


def _before(
    snapshot: SnapshotLike, spec: FailureSpec, trained: FailureTraining, origin: pd.Timestamp
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows before `origin` whose decision horizon was over by then, and their outcome as known by then."""
    rows = trained.matrix.rows[["equipment_id", "t"]]
    rows = rows[rows["t"] <= origin - pd.Timedelta(hours=spec.decision_horizon.hours)].reset_index(drop=True)
    rows["equipment_id"] = rows["equipment_id"].astype(str)
    return rows, failure_labels(as_of(snapshot, origin), spec.labels, rows, until=origin)


def _longer(spec: FailureSpec, made: Chances, policies: dict[str, Policy | None]) -> list[dict[str, Any]]:
    """Saving of the model against each rival if work protected for longer than the decision horizon, for all alike."""
    out = []
    for factor in (1, 2, 4):
        hours = spec.decision_horizon.hours * factor
        terms = Terms(spec.costs, hours, spec.terms.lead_h, spec.terms.effectiveness, spec.terms.orders_per_week)
        cost = {name: play(made, policy, terms).total for name, policy in policies.items()}
        saved = {n: c - cost[MODEL] for n, c in cost.items() if n != MODEL}
        out.append({"protects_days": hours / 24, "savings": saved})
    return out


def _kinds(snapshot: SnapshotLike) -> pd.DataFrame:
    """By equipment: class, site and line of the last version of its record; empty text where not known."""
    equipment = snapshot.table("equipment").drop_duplicates("equipment_id", keep="last")
    equipment = equipment.assign(equipment_id=equipment["equipment_id"].astype(str)).set_index("equipment_id")
    wanted = equipment.reindex(columns=["equipment_class", "site", "line"]).astype(object)
    return wanted.where(wanted.notna(), "").astype(str)
