"""Intervals of the quality model beside plain split conformal, MAPIE and quantile LightGBM, on zagar_tablets (real).

    python -m benchmarks.quality [--json] [--virtual 7,8,9]

The site's own model is trained and backtested as `steadyline run` does, in batch order with the laboratory's delay. At
its last gate each peer learns from the same rows of the same folds (LightGBM with the same settings) and predicts the
same later batches, once, from what was known when the fold begins. `coverage_90`, `mean_width_90` of the 90 % intervals
on later batches; a peer is valid where it covers at least 88 %. `width_ratio_best`: our mean width over that of the
narrowest valid peer; null where none is valid. `width_ratio_widened`: over the narrowest peer once each that covers too
little is widened, in hindsight, by the factor that lets it cover 88 %. `mae`, `r2`, `verdict`: of the backtest;
`mae_naive`: of the best of the naive guesses, picked in hindsight.

Split conformal and the quantile models of the conformalised kind calibrate on 30 % of the rows, drawn at random as is
usual (`split`, `cqr`) or the latest ones (`split_latest`); `mapie` is its CV+ with five folds; `quantile` is plain.
--virtual: also the virtual plant with these seeds (`benchmarks.virtual_quality`). Data: ../shared/data or
STEADYLINE_DATA. Exit code 1: a limit is missed.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
from mapie.regression import CrossConformalRegressor

from benchmarks import virtual_quality
from benchmarks.figures import ROOT, Figure, arguments_of, finish, machine
from features.labels import quality_targets
from models import metrics
from models.boosting import FIXED
from models.quality import DEFAULTS
from models.spec import QualitySpec, load_models
from plant.connect import connect
from plant.site import load_site
from plant.yaml_text import read_yaml
from training.quality import QualityTraining, other_lags, train_quality

COVERAGE, LEAST, LOW, HIGH, WIDTH = 0.9, 0.88, 0.88, 0.92, 1.1
LIMITS = Path(__file__).with_name("quality.yaml")
CALIBRATE, ROUNDS, SEED = 0.3, 300, 7
Floats = np.ndarray
Peer = Callable[[Floats, Floats, Floats], Floats]


def _booster(x: Floats, y: Floats, **more: Any) -> lgb.Booster:
    settings = {**DEFAULTS, **FIXED, "seed": SEED, "num_threads": 1, **more}
    return lgb.train(settings, lgb.Dataset(x, label=y, params=settings), ROUNDS)


def _quantile(scores: Floats) -> float:
    """The (1 - alpha)(n + 1)/n quantile of conformity scores."""
    k = int(np.ceil(COVERAGE * (len(scores) + 1)))
    return float(np.sort(scores)[k - 1]) if k <= len(scores) else np.inf


def _parts(n: int, latest: bool) -> tuple[Floats, Floats]:
    order = np.arange(n) if latest else np.random.default_rng(SEED).permutation(n)
    return np.split(order, [n - round(CALIBRATE * n)])


def split(x: Floats, y: Floats, later: Floats, latest: bool = False) -> Floats:
    """Absolute residuals of 30 % of the rows around a model of the others (Lei et al. 2018)."""
    learn, calibrate = _parts(len(x), latest)
    model = _booster(x[learn], y[learn])
    half = _quantile(np.abs(y[calibrate] - model.predict(x[calibrate])))
    point = model.predict(later)
    return np.column_stack([point - half, point + half])


def split_latest(x: Floats, y: Floats, later: Floats) -> Floats:
    """The same, calibrated on the latest rows."""
    return split(x, y, later, latest=True)


def quantile(x: Floats, y: Floats, later: Floats) -> Floats:
    """The 5 % and 95 % quantile regressions themselves."""
    both = [_booster(x, y, objective="quantile", alpha=a).predict(later) for a in (0.05, 0.95)]
    return np.sort(np.column_stack(both))


def cqr(x: Floats, y: Floats, later: Floats) -> Floats:
    """Quantile regressions, conformalised (Romano et al. 2019)."""
    learn, calibrate = _parts(len(x), latest=False)
    both = [_booster(x[learn], y[learn], objective="quantile", alpha=a) for a in (0.05, 0.95)]
    low, high = (m.predict(x[calibrate]) for m in both)
    wider = _quantile(np.maximum(low - y[calibrate], y[calibrate] - high))
    return np.column_stack([both[0].predict(later) - wider, both[1].predict(later) + wider])


def mapie(x: Floats, y: Floats, later: Floats) -> Floats:
    """MAPIE's CV+ (Barber et al. 2021)."""
    model = lgb.LGBMRegressor(**{**DEFAULTS, **FIXED, "n_estimators": ROUNDS, "random_state": SEED, "n_jobs": 1})
    peer = CrossConformalRegressor(model, confidence_level=COVERAGE, method="plus", cv=5, random_state=SEED)
    return np.asarray(peer.fit_conformalize(x, y).predict_interval(later)[1])[:, :, 0]


PEERS: dict[str, Peer] = {
    "split": split, "split_latest": split_latest, "mapie": mapie, "quantile": quantile, "cqr": cqr,
}


def _widened(later: Floats, interval: Floats) -> float:
    """Mean width once the intervals (n, 2), those that cover too little, are stretched until `LEAST` of them hold."""
    half = np.maximum(np.diff(interval, axis=1)[:, 0] / 2, 1e-12)
    away = np.sort(np.abs(later - interval.mean(axis=1)) / half)
    return float(2 * half.mean() * max(1.0, away[int(np.ceil(LEAST * len(later))) - 1]))


def compare(trained: QualityTraining, values: dict[str, dict[str, float]], attribute: str, gate: str) -> dict[str, Any]:
    """Coverage and mean width of ours and of each peer on the same later batches, with the backtest's verdict."""
    matrix, fits = trained.matrices[gate], trained.fits[attribute, gate]
    x = matrix.values.copy()
    x[:, list(other_lags(matrix, attribute))] = np.nan
    y = np.array([values[attribute].get(b, np.nan) for b in trained.gates[gate]["batch_id"]])
    told: dict[str, list[Floats]] = {"ours": [f.distribution.interval(COVERAGE) for f in fits]}
    for name, peer in PEERS.items():
        told[name] = [peer(x[f.train], y[f.train], x[f.rows]) for f in fits]
    later = np.concatenate([y[f.rows] for f in fits])
    judged = {
        name: {
            "coverage_90": metrics.coverage(later, np.concatenate(parts)),
            "mean_width_90": float(np.mean(np.diff(np.concatenate(parts), axis=1))),
        }
        for name, parts in told.items()
    }
    widened = min(_widened(later, np.concatenate(parts)) for name, parts in told.items() if name != "ours")
    valid = {n: j["mean_width_90"] for n, j in judged.items() if n != "ours" and (j["coverage_90"] or 0.0) >= LEAST}
    best = min(valid, key=lambda n: valid[n], default=None)
    about = trained.evidence["attributes"][attribute]
    return {
        "n": len(later), "coverage_90": judged["ours"]["coverage_90"], "mean_width_90": judged["ours"]["mean_width_90"],
        "width_ratio_best": judged["ours"]["mean_width_90"] / valid[best] if best else None, "best_peer": best,
        "width_ratio_widened": judged["ours"]["mean_width_90"] / widened,
        **{k: about[k] for k in ("r2", "mae", "mae_naive", "naive", "verdict", "why")},
        "peers": {n: j for n, j in judged.items() if n != "ours"},
    }


def measure(arguments: Namespace) -> dict[str, Any]:
    """Everything that --json prints."""
    data = Path(os.environ.get("STEADYLINE_DATA", ROOT.parent / "shared/data")) / "zagar_tablets"
    if not data.is_dir():
        raise SystemExit(f"{data} is missing: set STEADYLINE_DATA to the folder of the public data")
    site = load_site(ROOT / "sites/zagar_tablets")
    spec = load_models(site.folder)["tablet_quality"]
    assert isinstance(spec, QualitySpec)
    out: dict[str, Any] = {"site": site.name, "simulated": False, "attributes": {}}
    with tempfile.TemporaryDirectory() as scratch:
        _tell("connecting and training")
        snapshot = connect(site, data, Path(scratch)).snapshot
        trained = train_quality(snapshot, spec)
        targets = quality_targets(snapshot, trained.attributes)
        values = {a: dict(zip(of["batch_id"], of["value"], strict=True)) for a, of in targets.groupby("attribute")}
        for attribute in trained.attributes:
            _tell(f"{attribute}: peers")
            out["attributes"][attribute] = compare(trained, values, attribute, spec.gates[-1])
    out |= {"gate": spec.gates[-1], "test": trained.evidence["test"], "machine": machine(),
            "versions": {n: version(n) for n in ("lightgbm", "crepes", "mapie", "numpy", "scikit-learn")}}
    if arguments.virtual:
        seeds = "7,8,9" if arguments.virtual == "1" else arguments.virtual
        out["virtual"] = [virtual_quality.measure(int(seed), "virtual_dublin", "demo") for seed in seeds.split(",")]
    out["limits"] = [{"name": f.name, "value": f.value, "limit": f.limit, "verdict": f.verdict}
                     for f in figures(out) if f.limit is not None]
    return out


def _tell(what: str) -> None:
    print(f"measuring: {what} ...", file=sys.stderr)


def figures(found: dict[str, Any]) -> list[Figure]:
    """What `measure` found as figures with their limits."""
    made, least = [], read_yaml(LIMITS)["r2"]
    for name, one in found["attributes"].items():
        made.append(Figure(f"{name}: R2 on later batches", one["r2"], "", least.get(name), at_least=True))
        covered = 100 * one["coverage_90"]
        made += [Figure(f"{name}: 90 % interval covers at least", covered, "%", 100 * LOW, at_least=True),
                 Figure(f"{name}: and at most", covered, "%", 100 * HIGH + 1e-9)]
        if one["width_ratio_best"] is not None:
            made.append(Figure(f"{name}: width / narrowest valid peer", one["width_ratio_best"], "x", WIDTH + 1e-9))
        bound = None if one["verdict"] == "undecided" else 1.0
        made.append(Figure(f"{name}: error / best naive guess", one["mae"] / one["mae_naive"], "x", bound))
    for result in found.get("virtual", ()):
        made += virtual_quality.figures(result)
    return made


if __name__ == "__main__":
    asked_for = arguments_of(__doc__, ("--virtual", "seeds of virtual plants to measure as well, with commas"))
    document = measure(asked_for)
    if asked_for.json:
        print(json.dumps(document, indent=1))
    finish(figures(document), quiet=asked_for.json)
