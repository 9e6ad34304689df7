"""MLflow: runs, registered versions and aliases, in a SQLite file with the artifacts beside it.

MLflow takes seconds to import, so it is imported where a version is written, never at start. It would send
usage statistics; they are switched off before the import.
"""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHALLENGER, CHAMPION = "challenger", "champion"


@dataclass(frozen=True)
class Registered:
    """A version as MLflow knows it."""

    name: str
    version: str
    run_id: str
    bundle: Path


def _mlflow(folder: Path) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's imports warn about its own optional parts
        import mlflow  # seconds: only where a version is written

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)  # its database migrations are told line by line
    folder.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow


def registered_name(site: str, model: str) -> str:
    """Name of a model in MLflow's registry."""
    return f"{site}.{model}"


def log_version(
    folder: Path,
    site: str,
    model: str,
    bundle: Path,
    params: dict[str, Any],
    metrics: dict[str, float],
    tags: dict[str, str],
    example: Any,
) -> Registered:
    """Log a run with its bundle as a pyfunc model and register it; the new version becomes `challenger`.

    bundle: a finished bundle folder; MLflow keeps its own copy, and that copy is what is served.
    example: a frame of a few feature rows, from which MLflow learns the input's columns.
    """
    mlflow = _mlflow(folder)
    from mlflow.models import infer_signature

    name = registered_name(site, model)
    if mlflow.get_experiment_by_name(name) is None:
        mlflow.create_experiment(name, artifact_location=(folder / "artifacts" / name).as_uri())
    mlflow.set_experiment(name)
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hints on type annotations of pyfunc models, which are not ours to follow
        code = _code(root, Path(scratch))
        with mlflow.start_run() as run:
            mlflow.log_params({k: str(v)[:500] for k, v in params.items()})
            mlflow.log_metrics(metrics)
            mlflow.set_tags(tags)
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("pyfunc_model.py")),
                artifacts={"bundle": str(bundle)},
                code_paths=code,
                signature=infer_signature(example),
                pip_requirements=_requirements(),  # given, because inferring them takes ten seconds
            )
        client = mlflow.MlflowClient()
        # By the client, because `registered_model_name` prints what it did to standard error.
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        version = str(client.create_model_version(name, logged.model_uri, run.info.run_id).version)
        client.set_registered_model_alias(name, CHALLENGER, version)
        local = Path(mlflow.artifacts.download_artifacts(artifact_uri=logged.model_uri))
    found = sorted(local.glob("artifacts/*/bundle.json"))
    return Registered(name, version, run.info.run_id, found[0].parent)


def _code(root: Path, scratch: Path) -> list[str]:
    """Copies of the packages that scoring needs, sources only."""
    import shutil

    out = []
    for package in ("plant", "features", "models"):
        shutil.copytree(
            root / package, scratch / package, ignore=shutil.ignore_patterns("__pycache__", "*.nbi", "*.nbc")
        )
        out.append(str(scratch / package))
    return out


def _requirements() -> list[str]:
    from importlib.metadata import version

    names = ("numpy", "pandas", "lightgbm", "scikit-learn", "crepes", "pydantic", "pyyaml", "numba", "pyarrow", "scipy")
    return [f"{n}=={version(n)}" for n in names]


def set_champion(folder: Path, site: str, model: str, version: str) -> None:
    """Move the alias `champion`; who may do so is decided by `governance`, before this is called."""
    mlflow = _mlflow(folder)
    mlflow.MlflowClient().set_registered_model_alias(registered_name(site, model), CHAMPION, version)
