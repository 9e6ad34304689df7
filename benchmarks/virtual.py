"""The failure model held against the truth of the virtual plant (simulated): the best score that there is.

    python -m benchmarks.virtual [--seeds 7,8,9] [--site virtual_dublin] [--size demo] [--json]

For each seed a plant is simulated, connected and trained on as any site is; then the tested rows are compared with what
only the simulation knows. Skill is (AUC - 0.5) / (AUC of the true risk - 0.5), on the same rows and the same failures;
calibration is the expected calibration error over ten bins of equal mass; reasons is the share of true alarms among
whose first three reasons is a signal that the mechanism which failed moves. Savings are of the simulated backtest
(`training.backtest`), with 90 % intervals by equipment. Exit code 1: a limit is missed.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.figures import ROOT, Figure, seeded
from models import metrics
from models.spec import FailureSpec, load_models
from plant.connect import connect
from plant.site import load_site
from plant.virtual import simulate
from plant.virtual_machines import MACHINES
from plant.virtual_utilities import UTILITIES
from training.backtest import Backtest, backtest_failure

SKILL, CALIBRATION, REASONS, LEAST_FAILURES = 0.85, 0.03, 0.90, 40
JUDGED = ("72h", "7d")
_ALL = "all classes"


def true_risk(truth: Path, rows: pd.DataFrame, horizons_h: tuple[float, ...]) -> np.ndarray:
    """(n, k): P(failure within horizon) by the true state at the cut-off; the mechanisms of a machine combined."""
    states = pd.read_parquet(truth / "states.parquet")
    states = states[states["ts"].isin(pd.DatetimeIndex(rows["t"]).unique())]
    out = np.ones((len(rows), len(horizons_h)))
    keys = pd.MultiIndex.from_arrays([rows["equipment_id"].astype(str), pd.DatetimeIndex(rows["t"]).as_unit("us")])
    for _, of in states.groupby(["equipment_class", "mechanism"], observed=True):
        index = pd.MultiIndex.from_arrays(
            [of["equipment_id"].astype(str), pd.DatetimeIndex(of["ts"]).as_unit("us")]
        )
        at = index.get_indexer(keys)
        for k, h in enumerate(horizons_h):
            safe = 1.0 - of[f"p_fail_{h:g}h"].to_numpy(np.float64)
            out[:, k] *= np.where(at >= 0, safe[np.maximum(at, 0)], 1.0)
    return 1.0 - out


def skill(ours: np.ndarray, true: np.ndarray, event: np.ndarray) -> dict[str, float | int | None]:
    """AUC of both on the rows whose outcome is told, their ratio above chance, calibration error, rows, positives."""
    mine, best = metrics.auc(ours, event), metrics.auc(true, event)
    ratio = None if mine is None or best is None or best <= 0.5 else (mine - 0.5) / (best - 0.5)
    told = np.isfinite(event)
    return {
        "auc": mine, "auc_true": best, "skill": ratio, "calibration_error": metrics.ece(ours, event),
        "n": int(told.sum()), "positive": int(event[told].sum()),
    }


def traces() -> dict[tuple[str, str], set[str]]:
    """(class, mechanism) -> signals that it moves."""
    out: dict[tuple[str, str], set[str]] = {}
    for kind in (*MACHINES, *UTILITIES):
        for signal in kind.signals:
            for state in signal.traces:
                out.setdefault((kind.name, state), set()).add(signal.name)
    return out


def right_reasons(truth: Path, tested: Backtest, most: int = 3) -> dict[str, Any]:
    """Of the alarms that a failure followed within the decision horizon: is its signal among the first reasons?"""
    moved = traces()
    failures = pd.read_parquet(truth / "failures.parquet").sort_values("failed_at")
    alarms = tested.true_alarms()
    alarms = pd.merge_asof(
        alarms.sort_values("t"), failures.astype({"equipment_id": str, "equipment_class": str, "mechanism": str}),
        left_on="t", right_on="failed_at", by="equipment_id", direction="forward",
    )
    alarms = alarms[alarms["mechanism"].notna()].sort_values("row")
    told = tested.reasons(alarms["row"].to_numpy(np.int64), most)
    found = [
        bool(moved.get((kind, mechanism), set()) & {r.group for r in why})
        for kind, mechanism, why in zip(alarms["equipment_class"], alarms["mechanism"], told, strict=True)
    ]
    share = pd.Series(found, index=alarms["equipment_class"].to_numpy(), dtype=float)
    state = alarms["state"].to_numpy(np.float64)
    wrong = alarms.assign(found=found, first=[[r.group for r in why] for why in told])
    return {
        "alarms": len(found), "share": float(share.mean()) if len(found) else None,
        "share_of_announced": float(share[state > 0.5].mean()) if (state > 0.5).any() else None,
        "by_class": {str(k): {"alarms": len(v), "share": float(v.mean())} for k, v in share.groupby(level=0)},
        "missed": wrong.loc[~wrong["found"], ["equipment_id", "t", "mechanism", "state", "first"]]
        .assign(t=lambda f: f["t"].astype(str)).head(40).to_dict("records"),
    }


def measure(seed: int, site_name: str, size: str) -> dict[str, Any]:
    """One seed: simulated, connected, backtested, compared with the truth."""
    site = load_site(ROOT / "sites" / site_name)
    specs = load_models(site.folder)
    spec = next(s for s in specs.values() if isinstance(s, FailureSpec))
    with tempfile.TemporaryDirectory() as scratch:
        folder, begun = Path(scratch), time.perf_counter()
        simulate(site.name, size, seed, folder / "simulated")
        connected = connect(site, folder / "simulated" / "exports", folder / "store")
        ready = time.perf_counter()
        tested = backtest_failure(connected.snapshot, spec)
        return compare(tested, folder / "simulated" / "truth") | {
            "seed": seed, "site": site.name, "size": size, "simulated": True,
            "seconds": {"connect": round(ready - begun, 1), "backtest": round(time.perf_counter() - ready, 1)},
        }


def compare(tested: Backtest, truth: Path) -> dict[str, Any]:
    """Skill, calibration, order of the horizons, reasons and savings of a backtest."""
    names = [str(h) for h in tested.spec.horizons]
    best = true_risk(truth, tested.rows, tested.spec.horizons_h)
    kinds = tested.rows["equipment_class"].to_numpy(dtype=object)
    lost = pd.read_parquet(truth / "failures.parquet")["equipment_class"].astype(str).value_counts()
    classes = {}
    for kind in [_ALL, *sorted(set(kinds))]:
        own = np.ones(len(kinds), dtype=bool) if kind == _ALL else kinds == kind
        classes[str(kind)] = {
            "failures": int(lost.sum() if kind == _ALL else lost.get(kind, 0)),
            "horizons": {
                h: skill(tested.risk[own, k], best[own, k], tested.event[own, k]) for k, h in enumerate(names)
            },
        }
    return {
        "classes": classes,
        "rows_out_of_order": int((np.diff(tested.risk, axis=1) < 0).any(axis=1).sum()),
        "reasons": right_reasons(truth, tested),
        "money": tested.money,
    }


def figures(result: dict[str, Any]) -> list[Figure]:
    """What has a limit, of one seed."""
    name, out = f"seed {result['seed']}", []
    for kind, about in result["classes"].items():
        for h, one in about["horizons"].items():
            if kind == _ALL:
                out.append(Figure(f"{name} calibration error {h}", one["calibration_error"], "", CALIBRATION))
            elif h in JUDGED and about["failures"] >= LEAST_FAILURES and one["skill"] is not None:
                out.append(Figure(f"{name} skill {kind} {h}", one["skill"], "", SKILL, True))
    out.append(Figure(f"{name} rows whose risk falls with the horizon", result["rows_out_of_order"], "rows", 1))
    if result["reasons"]["share"] is not None:
        share = result["reasons"]["share"]
        out.append(Figure(f"{name} failed mechanism among three reasons", share, "", REASONS, True))
    for rival, saving in result["money"]["savings"].items():
        out.append(Figure(f"{name} net saving against {rival.replace('_', ' ')}", saving["saving"], "", 0.0, True))
    return out


if __name__ == "__main__":
    seeded(measure, figures, __doc__)
