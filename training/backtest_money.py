"""The figures of a backtest in events and money, as JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from models import metrics
from models.decision import Threshold
from models.policy import FALSE, PREVENTED, TOO_LATE, WEEK_H, Chances, Floats, Played, Policy, candidates, sweep
from models.spec import FailureSpec

YEAR_H = 8766.0
TITLES = {
    "model": "the model", "run_to_failure": "run to failure", "fixed_interval": "fixed interval",
    "age_based": "by age (Weibull)",
}


def summary(
    spec: FailureSpec, rows: pd.DataFrame, labels: pd.DataFrame, chances: Chances, played: Mapping[str, Played],
    threshold: Threshold, risk: Floats, chosen: Mapping[str, Any],
) -> dict[str, Any]:
    """What every policy led to and what the model saves. rows, labels, risk: in the order of `chances`.

    Hours per equipment are counted from the cut-offs, each standing for one interval between cut-offs.
    """
    years = len(rows) * spec.cutoffs.every.hours / YEAR_H
    weeks = max((float(chances.t_h.max() - chances.t_h.min()) + spec.cutoffs.every.hours) / WEEK_H, 1e-9)
    mine = played["model"]
    return {
        "tested": {
            "from": rows["t"].min().isoformat(), "to": rows["t"].max().isoformat(), "rows": len(rows),
            "equipment": chances.count, "equipment_years": years, "weeks": weeks, "folds": len(chosen["folds"]),
        },
        "terms": {
            "costs": spec.costs.as_dict(), "protects": str(spec.decision_horizon), "lead_h": spec.terms.lead_h,
            "effectiveness": spec.terms.effectiveness, "orders_per_week": spec.terms.orders_per_week,
        },
        "policies": {
            name: {"title": TITLES[name]} | policy_told(one, chances, years, weeks) for name, one in played.items()
        },
        "savings": {
            name: saving(one.cost - mine.cost, years, spec) for name, one in played.items() if name != "model"
        },
        "weeks": _weeks(mine, chances, rows),
        "leads_h": sorted(float(x) for x in mine.lead_h[mine.outcome == PREVENTED]),
        "strata": {
            by: _strata(rows[column], chances, played, risk, labels, spec, years)
            for by, column in (("class", "equipment_class"), ("line", "line"), ("site", "site"))
        },
        "modes": _modes(mine, chances, labels),
        "threshold": threshold.as_dict() | {"curve": _curve(chances, risk, spec)},
        "chosen": dict(chosen),
    }


def policy_told(played: Played, chances: Chances, years: float, weeks: float) -> dict[str, Any]:
    """Orders, failures and cost of one policy."""
    counts = np.bincount(played.outcome, minlength=3)
    failures, caught = len(played.caught), int(played.caught.sum())
    leads = played.lead_h[played.outcome == PREVENTED]
    quartiles = [float(q) for q in np.quantile(leads, [0.1, 0.25, 0.5, 0.75, 0.9])] if len(leads) else None
    return {
        "failures": failures, "caught": caught, "caught_share": caught / failures if failures else None,
        "too_late": int(counts[TOO_LATE]), "missed": failures - caught, "orders": len(played.row),
        "false_alarms": int(counts[FALSE]),
        "false_alarms_per_equipment_year": float(counts[FALSE] / years) if years else None,
        "orders_per_week": len(played.row) / weeks, "most_orders_in_a_week": _busiest(chances.t_h[played.row]),
        "no_room": played.refused,
        "lead_h": dict(zip(("p10", "p25", "median", "p75", "p90"), quartiles, strict=True)) if quartiles else None,
        "cost": played.total, "cost_per_equipment_year": played.total / years if years else None,
    }


def saving(by_equipment: Floats, years: float, spec: FailureSpec, times: int = 1000) -> dict[str, Any]:
    """A sum over equipment with its 90 % interval, whole equipment drawn with replacement."""
    interval = None
    if len(by_equipment) > 1:
        rng = np.random.default_rng(spec.seed)
        sums = by_equipment[rng.integers(0, len(by_equipment), (times, len(by_equipment)))].sum(axis=1)
        interval = [float(v) for v in np.quantile(sums, [0.05, 0.95])]
    total = float(by_equipment.sum())
    return {
        "saving": total, "interval_90": interval, "per_equipment_year": total / years if years else None,
        "currency": spec.costs.currency,
    }


def _busiest(opened_h: Floats) -> int:
    """Most orders opened within any seven days."""
    t = np.sort(opened_h)
    return int((np.searchsorted(t, t + WEEK_H, side="left") - np.arange(len(t))).max(initial=0))


def _weeks(played: Played, chances: Chances, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Orders of the model in each week of the tested time, by their outcome."""
    first = rows["t"].min()
    week = ((chances.t_h - chances.t_h.min()) // WEEK_H).astype(int)
    out = []
    for w in range(int(week.max()) + 1):
        own = played.outcome[week[played.row] == w]
        begins = first + pd.Timedelta(hours=WEEK_H * w)
        counts = np.bincount(own, minlength=3)
        out.append({"begins": begins.isoformat(), "orders": len(own), "true": int(counts[PREVENTED] + counts[TOO_LATE]),
                    "false": int(counts[FALSE])})
    return out


def _strata(
    names: pd.Series, chances: Chances, played: Mapping[str, Played], risk: Floats, labels: pd.DataFrame,
    spec: FailureSpec, years: float,
) -> list[dict[str, Any]]:
    """What the model did for each kind of equipment; an equipment belongs to one of them."""
    words = names.to_numpy(dtype=object)
    of = np.full(chances.count, "", dtype=object)
    of[chances.equipment] = words
    mine, nothing = played["model"], played["run_to_failure"]
    duration, observed = labels["duration_h"].to_numpy(np.float64), labels["observed"].to_numpy(dtype=bool)
    h = spec.decision_horizon.hours
    event = np.where(observed & (duration < h), 1.0, np.where(duration >= h, 0.0, np.nan))
    out = []
    for name in sorted(set(of)):
        own, own_rows = of == name, words == name
        part = years * float(own_rows.mean())
        outcome = mine.outcome[own[chances.equipment[mine.row]]]
        failed = own[mine.failed[0]]
        false = int((outcome == FALSE).sum())
        out.append({
            "name": str(name), "equipment": int(own.sum()), "equipment_years": part, "failures": int(failed.sum()),
            "caught": int(mine.caught[failed].sum()), "orders": len(outcome), "false_alarms": false,
            "false_alarms_per_equipment_year": false / part if part else None,
            "auc": metrics.auc(risk[own_rows], event[own_rows]),
            "calibration_error": metrics.ece(risk[own_rows], event[own_rows]),
            "saving_against_run_to_failure": saving((nothing.cost - mine.cost)[own], part, spec),
        })
    return out


def _modes(played: Played, chances: Chances, labels: pd.DataFrame) -> list[dict[str, Any]]:
    """Failures of each mode and how many an order prevented."""
    mode = {(int(e), float(f)): str(m) for e, f, m in
            zip(chances.equipment, chances.fails_h, labels["mode"], strict=True) if math.isfinite(f)}
    names = np.array([mode[int(e), float(f)] for e, f in zip(*played.failed, strict=True)], dtype=object)
    return [
        {"name": str(m), "failures": int((names == m).sum()), "caught": int(played.caught[names == m].sum())}
        for m in sorted(set(names))
    ]


def _curve(chances: Chances, risk: Floats, spec: FailureSpec) -> list[list[float]]:
    """Threshold and simulated cost, at about a hundred thresholds up to 1."""
    at = candidates(risk, 100)[:-1]
    cost = sweep(chances, [Policy("score", float(a), risk) for a in at], spec.terms)
    return [[float(a), float(c)] for a, c in zip(at, cost, strict=True)]
