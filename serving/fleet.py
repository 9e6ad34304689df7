"""Everything one service serves: its sites, their data in memory, a scorer for each model."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from governance import versions
from governance.database import connect, reading
from governance.errors import Refused
from models.spec import ModelSpec, load_models
from plant.errors import NotReady, SteadylineError, UnknownId, listing, nearest
from plant.home import state_home
from plant.site import Site, load_site
from serving.data import SiteData
from serving.scoring import Scorer
from serving.settings import SITES


class Fleet:
    """The sites of one service. home: the folder of STEADYLINE_HOME; sites: folders with a site.yaml."""

    def __init__(self, home: Path, sites: Sequence[Path]):
        self.home = home
        self.engine: Engine = connect(home)
        self.data: dict[str, SiteData] = {}
        self.models: dict[str, dict[str, ModelSpec]] = {}
        for folder in sites:
            site = load_site(folder)
            self.data[site.name] = SiteData(home, site)
            self.models[site.name] = load_models(folder)
        self._scorers: dict[tuple[str, str], Scorer] = {}
        self._lock = threading.Lock()

    @property
    def sites(self) -> dict[str, Site]:
        """Sites by name, in the order they were given."""
        return {name: data.site for name, data in self.data.items()}

    def scorer(self, site: str, task: str, model: str | None = None) -> Scorer:
        """The scorer of a site's model; `model` may be left out where the site has one for the task.

        task: `failure` or `quality`. Raises UnknownId for a site or model that is not there, SteadylineError
        (`model_not_named`) where several could be meant.
        """
        if site not in self.data:
            raise UnknownId(
                "unknown_site", f"this service has no site '{site}'", listing(self.data), nearest(site, self.data)
            )
        fitting = [name for name, spec in self.models[site].items() if spec.task == task]
        if not fitting:
            raise UnknownId("unknown_model", f"site {site} has no {task} model", "", f"add one to sites/{site}/models")
        if model is None and len(fitting) > 1:
            raise SteadylineError(
                "model_not_named", f"site {site} has {len(fitting)} {task} models", listing(fitting),
                "name one as `model`",
            )
        name = model or fitting[0]
        if name not in fitting:
            raise UnknownId(
                "unknown_model", f"site {site} has no {task} model '{name}'", listing(fitting), nearest(name, fitting)
            )
        with self._lock:
            if (site, name) not in self._scorers:
                self._scorers[site, name] = Scorer(self.engine, self.data[site], name)
            return self._scorers[site, name]

    def warm(self) -> None:
        """Load what the champions need; a model that cannot be served says so when it is asked."""
        with reading(self.engine) as connection:
            served = [v for v in versions.champions(connection) if v.site in self.data]
        for version in served:
            with contextlib.suppress(SteadylineError, Refused):
                self.scorer(version.site, version.task, version.model).warm()

    def ready(self) -> bool:
        """Whether there is a champion and data to score with, for one site at least."""
        try:
            with reading(self.engine) as connection:
                served = {v.site for v in versions.champions(connection)} & set(self.data)
            return any(self.data[site].current() is not None for site in served)
        except (NotReady, SteadylineError, SQLAlchemyError):
            return False


@functools.cache
def current_fleet() -> Fleet:
    """The fleet that STEADYLINE_HOME and STEADYLINE_SITES (folders, separated like PATH) describe."""
    folders = [Path(folder) for folder in os.environ.get(SITES, "").split(os.pathsep) if folder]
    if not folders:
        folders = sorted(path.parent for path in Path("sites").glob("*/site.yaml"))
    return Fleet(state_home(), folders)
