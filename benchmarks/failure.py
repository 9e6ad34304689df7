"""Failure risk of the hazard model beside a plain LightGBM classifier per horizon and a random survival forest.

    python -m benchmarks.failure [--json] [--sets simulated,virtual_plant,azure_pdm]

All learn from the same matrix and labels and are judged on the same later rows (simulated lives: on other lives): Brier
score and AUC per horizon, both weighted for censoring (Graf et al. 1999, Uno et al. 2007); where the lives are
simulated also against the whole lives, which nobody cut short. Both LightGBM models have the same settings and rounds.

The plain classifier takes rows whose outcome within its horizon is known, as is usual. A forest of all rows takes
hours, so it gets `forest_rows` of them, and times in steps of 6 h. No model is calibrated. Seconds: of the processor,
training only, with one thread (waiting threads would be counted as work). `against_plain`: gains of ours, with the 90 %
interval over equipments drawn again.
All three sets are simulated; azure_pdm is read from ../shared/data or STEADYLINE_DATA. Exit code 1: a limit is missed.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from sklearn.base import clone
from sksurv.ensemble import RandomSurvivalForest
from sksurv.util import Surv

from benchmarks.figures import ROOT, Figure, arguments_of, finish, machine
from features.asof import as_of
from features.labels import failure_labels
from models import metrics
from models.boosting import FIXED
from models.censoring import within
from models.hazard import DEFAULTS, HazardModel, edges_from_horizons
from models.spec import FailureSpec, load_models
from plant.connect import connect
from plant.site import load_site
from training.failure import prepare_failure, unfitted

SETS = ("simulated", "virtual_plant", "azure_pdm")
FOREST_ROWS, FOREST_STEP_H, BIAS, TIME, SAME = 1_500, 6.0, 10.0, 2.0, 0.002
HORIZONS_H = (24.0, 72.0, 168.0, 336.0, 720.0)  # those that a model has where its YAML names none
Floats = np.ndarray


@dataclass(frozen=True)
class Lives:
    """Rows to learn from and rows to judge on; watched: hours to the end of observation; groups: equipment."""

    horizons: tuple[float, ...]
    x: Floats
    duration: Floats
    mode: np.ndarray
    watched: Floats
    later: Floats
    later_duration: Floats
    later_observed: np.ndarray
    later_watched: Floats
    groups: np.ndarray
    rounds: int = 150
    params: tuple[tuple[str, Any], ...] = ()
    whole: Floats | None = None  # hours to the failure of each later row that nobody cut short
    truth: Floats | None = None  # expected hours of each later row
    model: HazardModel | None = None  # as the site trains it, not fitted

    def hazard(self) -> HazardModel:
        """Our model, not fitted, with one thread."""
        if self.model is not None:
            return clone(self.model).set_params(num_threads=1)
        return HazardModel(edges_from_horizons(self.horizons), dict(self.params), self.rounds, num_threads=1)

    @property
    def settings(self) -> dict[str, Any]:
        return {**DEFAULTS, **dict(self.params)}


def weibull(n: int = 12_000, shape: float = 1.5, censored: float = 0.7, seed: int = 7) -> Lives:
    """Simulated lives whose scale two of eight features move, 70 % of them cut short at random."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2 * n, 8))
    scale = 400 * np.exp(0.5 * x[:, 0] - 0.4 * x[:, 1])
    life, cut = scale * rng.weibull(shape, 2 * n), rng.exponential(1.0, 2 * n)
    low, high = 1.0, 1e5
    for _ in range(60):
        mean = math.sqrt(low * high)
        low, high = (low, mean) if (cut * mean < life).mean() < censored else (mean, high)
    observed, duration, ever = life <= cut * mean, np.minimum(life, cut * mean), np.full(n, np.inf)
    return Lives(HORIZONS_H, x[:n], duration[:n], np.where(observed[:n], 0, -1), ever, x[n:], duration[n:],
                 observed[n:], ever, np.arange(n), whole=life[n:], truth=(scale * math.gamma(1 + 1 / shape))[n:])


def site(folder: Path, data: Path, model: str, root: Path) -> Lives:
    """Matrix of a site's model; learnt from what was known when its first test began, judged on all later rows."""
    snapshot = connect(load_site(folder), data, root).snapshot
    spec = load_models(folder)[model]
    assert isinstance(spec, FailureSpec)
    ready = prepare_failure(snapshot, spec)
    times, origin, hour = pd.DatetimeIndex(ready.cutoffs["t"]), ready.folds[0].origin, pd.Timedelta(hours=1)
    early = np.asarray(times < origin)
    known = failure_labels(as_of(snapshot, origin), spec.labels, ready.cutoffs[early], until=origin)
    after = failure_labels(snapshot, spec.labels, ready.cutoffs[~early])
    codes = pd.Categorical(known["mode"].where(known["observed"])).codes.astype(np.int64)
    values = ready.matrix.values
    return Lives(
        spec.horizons_h, values[early], known["duration_h"].to_numpy(), codes,
        np.asarray((origin - times[early]) / hour), values[~early], after["duration_h"].to_numpy(),
        after["observed"].to_numpy(bool), np.asarray((snapshot.data_end - times[~early]) / hour),
        ready.cutoffs["equipment_id"].to_numpy()[~early], spec.lightgbm.rounds or 200,
        tuple(spec.lightgbm.params().items()), model=unfitted(spec, ready.matrix),
    )


# --- the three -------------------------------------------------------------------------------------------------------


def ours(lives: Lives) -> tuple[Floats, float]:
    """(n, k) risks and seconds of training."""
    model = lives.hazard()
    begin = time.process_time()
    model.fit(lives.x, lives.duration, lives.mode)
    seconds = time.process_time() - begin
    return model.predict_risk(lives.later, lives.horizons).sum(axis=1), seconds


def plain(lives: Lives) -> tuple[Floats, float]:
    """One classifier a horizon, on the rows whose outcome within it is known."""
    event, _ = within(lives.duration, lives.mode >= 0, lives.horizons, lives.watched)
    settings = {**lives.settings, **FIXED, "objective": "binary", "seed": 7, "num_threads": 1}
    risk, seconds = [], 0.0
    for k in range(len(lives.horizons)):
        known = np.isfinite(event[:, k])
        begin = time.process_time()
        data = lgb.Dataset(lives.x[known].astype(np.float32), event[known, k], params=settings)
        model = lgb.train(settings, data, lives.rounds)
        seconds += time.process_time() - begin
        risk.append(model.predict(lives.later))
    return np.column_stack(risk), seconds


def forest(lives: Lives) -> tuple[Floats, float]:
    """A random survival forest on some of the rows, values that are not known at the median."""
    rng = np.random.default_rng(7)
    rows = rng.choice(len(lives.x), min(FOREST_ROWS, len(lives.x)), replace=False)
    rows = rows[lives.duration[rows] > 0]
    middle = np.nan_to_num(np.nanmedian(np.where(np.isnan(lives.x).all(axis=0), 0.0, lives.x[rows]), axis=0))
    end = lives.horizons[-1] * 1.25  # later times cost and tell nothing here
    target = Surv.from_arrays((lives.mode[rows] >= 0) & (lives.duration[rows] < end),
                              np.ceil(np.minimum(lives.duration[rows], end) / FOREST_STEP_H) * FOREST_STEP_H)
    model = RandomSurvivalForest(60, min_samples_leaf=15, max_features="sqrt", n_jobs=1, random_state=7)
    begin = time.process_time()
    model.fit(np.where(np.isnan(lives.x[rows]), middle, lives.x[rows]), target)
    seconds = time.process_time() - begin
    at = np.clip(np.searchsorted(model.unique_times_, lives.horizons, side="right") - 1, 0, None)
    later = np.where(np.isnan(lives.later), middle, lives.later)
    parts = [model.predict_survival_function(later[i:i + 2000], return_array=True)[:, at]
             for i in range(0, len(later), 2000)]
    return 1.0 - np.concatenate(parts), seconds


MODELS: dict[str, Callable[[Lives], tuple[Floats, float]]] = {"ours": ours, "plain_lightgbm": plain, "forest": forest}


# --- judged ----------------------------------------------------------------------------------------------------------


def compare(lives: Lives) -> dict[str, Any]:
    """Brier score and AUC of each model by horizon, and its seconds."""
    event, weight = within(lives.later_duration, lives.later_observed, lives.horizons, lives.later_watched)
    out: dict[str, Any] = {
        "rows": len(lives.x), "later_rows": len(lives.later), "features": lives.x.shape[1],
        "censored": float((lives.mode < 0).mean()), "forest_rows": min(FOREST_ROWS, len(lives.x)), "models": {},
    }
    risks = {}
    for name, run in MODELS.items():
        _tell(name)
        risks[name], seconds = run(lives)
        out["models"][name] = {"train_seconds": seconds, "horizons": {
            f"{h:g}h": _judged(risks[name][:, k], event[:, k], weight[:, k], lives.whole, h)
            for k, h in enumerate(lives.horizons)}}
    both = out["models"]["ours"]["horizons"], out["models"]["plain_lightgbm"]["horizons"]
    out["time_ratio"] = out["models"]["ours"]["train_seconds"] / out["models"]["plain_lightgbm"]["train_seconds"]
    out["against_plain"] = {}
    for k, h in enumerate(lives.horizons):
        mine, other = (found[f"{h:g}h"] for found in both)
        pair = risks["ours"][:, k] + 1j * risks["plain_lightgbm"][:, k]
        out["against_plain"][f"{h:g}h"] = {
            "auc_gain": mine["auc"] - other["auc"], "brier_gain": other["brier"] - mine["brier"],
            "auc_gain_90": _interval(pair, event[:, k], weight[:, k], lives.groups, metrics.auc, 1.0),
            "brier_gain_90": _interval(pair, event[:, k], weight[:, k], lives.groups, metrics.brier, -1.0),
        }
    return out


def _judged(risk: Floats, event: Floats, weight: Floats, whole: Floats | None, horizon: float) -> dict[str, Any]:
    measures = (metrics.brier, metrics.auc, metrics.ece, metrics.average_precision)
    found = {m.__name__: m(risk, event, weight) for m in measures}
    if whole is not None:
        found |= {"brier_whole_lives": metrics.brier(risk, (whole < horizon).astype(float)),
                  "ece_whole_lives": metrics.ece(risk, (whole < horizon).astype(float))}
    return found


def _interval(pair: Floats, event: Floats, weight: Floats, groups: np.ndarray, measure: Any, sign: float) -> Any:
    """90 % interval of sign (measure of ours - measure of the plain one), whole equipments drawn again."""
    ids = np.unique(groups, return_inverse=True)[1]
    order = np.argsort(ids, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(ids))[:-1])
    rng, gains = np.random.default_rng(7), []
    for _ in range(100):
        rows = np.concatenate([members[g] for g in rng.integers(0, len(members), len(members))])
        mine, other = (measure(part[rows], event[rows], weight[rows]) for part in (pair.real, pair.imag))
        if mine is not None and other is not None:
            gains.append(sign * (mine - other))
    return [float(v) for v in np.quantile(gains, [0.05, 0.95])] if gains else None


def bias(lives: Lives) -> dict[str, float]:
    """Mean expected life over the true one, less 1, in percent: with censored lives, and with those dropped."""
    assert lives.truth is not None
    out = {}
    for name, rows in (("kept", np.ones(len(lives.x), bool)), ("dropped", lives.mode >= 0)):
        model = lives.hazard().fit(lives.x[rows], lives.duration[rows], lives.mode[rows])
        out[name] = 100.0 * float(model.predict(lives.later).mean() / lives.truth.mean() - 1.0)
    return out


def measure(arguments: Namespace) -> dict[str, Any]:
    """Everything that --json prints."""
    wanted = [s for s in str(arguments.sets or ",".join(SETS)).split(",") if s in SETS]
    out: dict[str, Any] = {"simulated": True, "sets": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for name in wanted:
            _tell(f"{name}: rows")
            lives = _lives(name, Path(scratch))
            if lives is not None:
                out["sets"][name] = compare(lives)
                if lives.truth is not None:
                    out["sets"][name]["expected_life_bias_pct"] = bias(lives)
    libraries = ("lightgbm", "numpy", "scikit-learn", "scikit-survival")
    out |= {"machine": machine(), "versions": {n: version(n) for n in libraries}}
    out["limits"] = [{"name": f.name, "value": f.value, "limit": f.limit, "verdict": f.verdict}
                     for f in figures(out) if f.limit is not None]
    return out


def _lives(name: str, scratch: Path) -> Lives | None:
    if name == "simulated":
        return weibull()
    if name == "virtual_plant":
        from plant.virtual import simulate
        simulate("virtual_dublin", "demo", 7, scratch / "plant")
        return site(ROOT / "sites/virtual_dublin", scratch / "plant/exports", "equipment_failures", scratch / "store")
    data = Path(os.environ.get("STEADYLINE_DATA", ROOT.parent / "shared/data")) / "azure_pdm"
    if not data.is_dir():
        _tell(f"{data} is missing: azure_pdm is left out")
        return None
    return site(ROOT / "sites/azure_pdm", data, "machine_failures", scratch / "store")


def _tell(what: str) -> None:
    print(f"measuring: {what} ...", file=sys.stderr)


def figures(found: dict[str, Any]) -> list[Figure]:
    """What `measure` found as figures with their limits."""
    made = []
    for name, one in found["sets"].items():
        for model, told in one["models"].items():
            for h, judged in told["horizons"].items():
                made += [Figure(f"{name} {h} Brier x 1000: {model}", 1000 * judged["brier"], ""),
                         Figure(f"{name} {h} AUC: {model}", judged["auc"], "")]
            made.append(Figure(f"{name}: training, {model}", told["train_seconds"], "s"))
        made.append(Figure(f"{name}: training, ours / plain for all horizons", one["time_ratio"], "x", TIME))
        for h, gain in one["against_plain"].items():
            better = 1000 * gain["brier_gain"]
            made += [Figure(f"{name} {h}: plain Brier x 1000 - ours", better, "", 0.0, at_least=True),
                     Figure(f"{name} {h}: our AUC - plain", gain["auc_gain"], "", -SAME, at_least=True)]
        if "expected_life_bias_pct" in one:
            kept, dropped = (abs(one["expected_life_bias_pct"][k]) for k in ("kept", "dropped"))
            made += [Figure(f"{name}: bias of expected life", kept, "%", BIAS),
                     Figure(f"{name}: the same, censored lives dropped", dropped, "%", BIAS, at_least=True)]
    return made


if __name__ == "__main__":
    asked_for = arguments_of(__doc__, ("--sets", f"which of {', '.join(SETS)}, with commas between"))
    document = measure(asked_for)
    if asked_for.json:
        print(json.dumps(document, indent=1))
    finish(figures(document), quiet=asked_for.json)
