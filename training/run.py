"""From connected data to a registered version: train, backtest, bundle, log to MLflow, register as challenger."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from governance import database, versions
from governance.versions import ModelVersion
from models import bundle as bundles
from models.bundle import Bundle, golden_rows
from models.decision import Threshold
from models.explain import Reference, references_by_product
from models.predict import HAZARD, SCORING
from models.spec import FailureSpec, ModelSpec, QualitySpec, load_models
from plant.errors import NotReady, UnknownId, did_you_mean, listing
from plant.home import mlruns_folder, reports_folder, store_root
from plant.site import Site
from plant.snapshot import Snapshot
from plant.store import Store
from training import card
from training.backtest import backtest_failure, not_played
from training.failure import FailureTraining, train_failure
from training.quality import QualityTraining, train_quality, with_targets
from training.registry import log_version
from training.texts import rules_for

Progress = Callable[[str], None]
_ACTOR = "steadyline train"


def train(
    site: Site, model: str, home: Path, progress: Progress = lambda _: None, why: str = "trained"
) -> dict[str, Any]:
    """Train one model of a site on the newest data version; the new version is a challenger.

    Returns the task as JSON values: what was trained, on what, how the backtest ended. Raises UnknownId for a model
    that the site does not have, NotReady when the site was never connected, SteadylineError when the data is too thin.
    """
    specs = load_models(site.folder)
    if model not in specs:
        raise UnknownId(
            "unknown_model",
            f"site '{site.name}' has no model '{model}'{did_you_mean(model, specs)}",
            listing(sorted(specs)) or f"none: put a YAML into {site.folder}/models",
        )
    snapshot = Store(store_root(home), site.name).snapshot()
    spec = specs[model]
    with tempfile.TemporaryDirectory() as scratch:
        bundle, evidence, example = _make(site, snapshot, spec, Path(scratch) / "bundle", progress)
        progress("registering with MLflow")
        registered = log_version(
            mlruns_folder(home),
            site.name,
            model,
            bundle.folder,
            {"seed": spec.seed, "task": spec.task, "data_version": snapshot.data_version, **spec.lightgbm.params()},
            _figures(evidence),
            {"site": site.name, "data_version": snapshot.data_version, "bundle_sha256": bundle.sha256, "why": why},
            example,
        )
        # MLflow's copy is what will be served: it must be the bundle that was made.
        bundles.read(registered.bundle, bundle.sha256)
        sha256 = bundle.sha256
    task = {
        "model": model,
        "task": spec.task,
        "title": spec.title,
        "site": site.name,
        "simulated": site.simulated,
        "version": registered.version,
        "bundle_sha256": sha256,
        "data_version": snapshot.data_version,
        **evidence,
    }
    _register(home, task, registered.bundle, why)
    report = reports_folder(home) / f"{site.name}.{model}.v{registered.version}.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(task, indent=1, ensure_ascii=False, default=str), encoding="utf-8")
    return task


def retrain(site: Site, model: str, home: Path, progress: Progress = lambda _: None) -> dict[str, Any]:
    """Train again on all that is connected now. The champion keeps serving; the new version is its challenger.

    Raises NotReady when the model was never trained, or when nothing was connected since its newest version.
    """
    with database.reading(database.connect(home)) as connection:
        there = versions.list_versions(connection, site.name, model)
    if not there:
        load = sorted(load_models(site.folder))
        raise NotReady(
            "never_trained",
            f"model '{model}' of site '{site.name}' was never trained{did_you_mean(model, load)}",
            f"models of the site: {listing(load)}",
            f"steadyline train {site.folder} {model}",
        )
    now = Store(store_root(home), site.name).snapshot().data_version
    newest = there[-1]
    task = train(site, model, home, progress, f"retrained after version {newest.version}")
    task["previous"] = {
        "version": newest.version,
        "data_version": newest.data_version,
        "same_data": newest.data_version == now,
    }
    return task


def _make(
    site: Site, snapshot: Snapshot, spec: ModelSpec, folder: Path, progress: Progress
) -> tuple[Bundle, dict[str, Any], pd.DataFrame]:
    if isinstance(spec, FailureSpec):
        rules, why = rules_for(site.folder, spec), not_played(spec)
        if why is None:
            tested = backtest_failure(snapshot, spec, progress, rules)
            trained, threshold = tested.training, tested.threshold
            evidence = trained.evidence | {"threshold": threshold.as_dict(), "money": tested.money}
        else:  # served with the threshold that its calibrating units chose
            trained = train_failure(snapshot, spec, progress, rules)
            threshold, evidence = trained.last.threshold, trained.evidence | {"money": None, "no_money": why}
        evidence["card"] = _card(spec, site, snapshot, evidence, len(trained.plan.features))
        made = _failure_bundle(site, snapshot, spec, trained, threshold, evidence, folder)
        return made, evidence, _example(trained.matrix.values, [f.name for f in trained.plan.features])
    if not isinstance(spec, QualitySpec):
        raise TypeError(f"no training for {type(spec).__name__}")
    fitted = train_quality(snapshot, spec, progress)
    if spec.target == "pass_fail":
        _only_what_means_something(fitted.evidence)
    features = len(fitted.plan.features)
    fitted.evidence["card"] = _card(spec, site, snapshot, fitted.evidence, features)
    made = _quality_bundle(site, snapshot, with_targets(spec, fitted.attributes), fitted, folder)
    matrix = fitted.matrices[spec.gates[-1]]
    return made, fitted.evidence, _example(matrix.values, [f.name for f in matrix.features])


#: Figures of a value with limits; a result that is only 0 or 1 has none of them.
_OF_VALUES = (
    "r2", "coverage_90", "mean_width_90", "out_of_trend", "out_of_trend_auc", "out_of_trend_calibration",
)


def _only_what_means_something(evidence: dict[str, Any]) -> None:
    """Evidence of tests that only pass or fail: `mae` and `mae_naive` are squared errors (Brier), others are None."""
    for judged in evidence["attributes"].values():
        for one in (judged, *judged["gates"].values()):
            one.update(dict.fromkeys(_OF_VALUES))


def _card(
    spec: ModelSpec, site: Site, snapshot: Snapshot, evidence: dict[str, Any], features: int
) -> dict[str, Any]:
    made = card.make(spec, site.name, site.simulated, snapshot.data_version, evidence, features)
    return made | {"markdown": card.markdown(made)}


def _failure_bundle(
    site: Site, snapshot: Snapshot, spec: FailureSpec, trained: FailureTraining, threshold: Threshold,
    evidence: dict[str, Any], folder: Path,
) -> Bundle:
    last = trained.last
    values = trained.matrix.values[last.before]
    scoring = {
        "modes": list(trained.modes),
        "calibration": last.calibration.as_dict(),
        "threshold": threshold.as_dict(),
    }
    return bundles.write(
        folder,
        name=spec.name,
        task=spec.task,
        spec=spec.as_dict(),
        plan=trained.plan.to_json(),
        parts={HAZARD: last.model},
        evidence={**evidence, SCORING: scoring},
        data=_data(site, snapshot, evidence),
        golden={HAZARD: golden_rows(last.model, values)},
        reference={"": Reference.of(values)},
        environment=_environment(),
    )


def _quality_bundle(
    site: Site, snapshot: Snapshot, spec: QualitySpec, trained: QualityTraining, folder: Path
) -> Bundle:
    parts, golden, listed = {}, {}, []
    reference: dict[str, Reference] = {}
    for gate, matrix in trained.matrices.items():
        before = np.asarray(pd.DatetimeIndex(matrix.rows["t"]) < trained.folds[-1].origin)
        reference |= references_by_product(matrix.features, gate, matrix.values[before])
        for attribute in trained.attributes:
            part = f"{gate.replace(':', '_')}/{attribute}"
            fit = trained.fits[attribute, gate][-1]
            parts[part] = fit.model
            golden[part] = golden_rows(fit.model, matrix.values[before])
            verdict = trained.evidence["attributes"][attribute]["gates"][gate]["verdict"]
            unit = trained.units[attribute]
            listed.append({"attribute": attribute, "gate": gate, "part": part, "unit": unit, "verdict": verdict})
    return bundles.write(
        folder,
        name=spec.name,
        task=spec.task,
        spec=spec.as_dict(),
        plan=trained.plan.to_json(),
        parts=parts,
        evidence={**trained.evidence, SCORING: {"attributes": listed}},
        data=_data(site, snapshot, trained.evidence),
        golden=golden,
        reference=reference,
        environment=_environment(),
    )


def _data(site: Site, snapshot: Snapshot, evidence: dict[str, Any]) -> dict[str, Any]:
    return {
        "site": site.name,
        "simulated": site.simulated,
        "version": snapshot.data_version,
        "train_start": evidence["train"]["start"],
        "train_end": evidence["train"]["end"],
        "end": snapshot.data_end.isoformat(),
    }


def _environment() -> dict[str, str]:
    return {name: installed(name) for name in ("lightgbm", "scikit-learn", "numpy", "pandas", "crepes")}


def _example(values: np.ndarray, names: list[str]) -> pd.DataFrame:
    return pd.DataFrame(values[-3:], columns=names)


def _figures(evidence: dict[str, Any]) -> dict[str, float]:
    """The figures of the backtest under flat names, as MLflow wants them."""
    out: dict[str, float] = {}
    for horizon, h in evidence.get("horizons", {}).items():
        out |= {f"{k}_{horizon}": h[k] for k in ("auc", "average_precision", "ece", "brier", "base_rate")}
    life = evidence.get("remaining_life", {})
    out |= {f"remaining_life_{k}": life[k] for k in ("rmse", "rmse_uncapped", "nasa_score", "coverage") if k in life}
    for attribute, a in evidence.get("attributes", {}).items():
        names = {"r2": "r2", "mae": "mae", "mae_naive": "mae_naive", "coverage_90": "coverage_90"}
        if a.get("target") == "pass_fail":
            names = {"brier": "mae", "brier_naive": "mae_naive", "auc": "out_of_spec_auc"}
        out |= {f"{name}.{attribute}": a[k] for name, k in names.items()}
    return {k: float(v) for k, v in out.items() if v is not None and math.isfinite(v)}


def _register(home: Path, task: dict[str, Any], bundle: Path, why: str) -> None:
    version = ModelVersion(
        site=task["site"],
        model=task["model"],
        version=task["version"],
        sha256=task["bundle_sha256"],
        task=task["task"],
        bundle_uri=str(bundle),
        data_version=task["data_version"],
        trained_at=datetime.now(UTC),
        beats_baseline=bool(task["beats_baseline"]),
        evidence=json.loads(json.dumps({k: v for k, v in task.items() if k != "scores"}, default=str)),
    )
    with database.connect(home).begin() as connection:
        versions.register_version(connection, version, _ACTOR, why)
