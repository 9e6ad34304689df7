"""Where state lies: the store and the database below `STEADYLINE_HOME`, MLflow's files in `mlruns/`."""

from __future__ import annotations

import os
from pathlib import Path

HOME_VARIABLE = "STEADYLINE_HOME"


def state_home() -> Path:
    """`STEADYLINE_HOME`, or `var/` below the working folder. It is made when something is written."""
    return Path(os.environ.get(HOME_VARIABLE) or "var").absolute()


def store_root(home: Path) -> Path:
    """Folder of the canonical tables, one folder a site."""
    return home / "store"


def reports_folder(home: Path) -> Path:
    """Folder of HTML and JSON reports."""
    return home / "reports"


def mlruns_folder(home: Path) -> Path:
    """MLflow's folder: `mlruns/` of the working folder with the default home, else inside the home.

    A home of its own is a plant of its own: its models must not mix with those of another.
    """
    return home / "mlruns" if os.environ.get(HOME_VARIABLE) else Path("mlruns").absolute()
