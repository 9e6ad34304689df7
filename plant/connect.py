"""Connecting a site: read every source, map it, put aside what does not fit, commit the rest as one load.

Nothing counts before the manifest of the load is there, so a refusal half way changes nothing. An export that was
loaded before with the same mapping is recognised by its content and not read again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from plant.loading import Loading, Progress
from plant.readiness import Finding, Readiness
from plant.readiness_kept import kept_readiness
from plant.site import Site
from plant.snapshot import Snapshot
from plant.store import Count, Store


@dataclass(frozen=True)
class Connected:
    """What a connect did: counts per table, exports per source, the readiness report, the data version it left."""

    site: Site
    tables: dict[str, Count]
    sources: dict[str, dict[str, Any]]
    labels: dict[str, list[str]]
    readiness: Readiness
    snapshot: Snapshot

    @property
    def findings(self) -> list[Finding]:
        return self.readiness.findings

    def as_dict(self) -> dict[str, Any]:
        return {
            "site": self.site.name,
            "simulated": self.site.simulated,
            "data_version": self.snapshot.data_version,
            "tables": {name: count.as_dict() for name, count in self.tables.items()},
            "sources": self.sources,
            **self.readiness.as_dict(),
            "assumptions": list(self.site.assumptions),
        }


def connect(site: Site, data: Path, root: Path, progress: Progress = lambda _: None) -> Connected:
    """Load the exports of `site` below `data` into the store below `root`.

    Raises SiteError when the mapping does not fit the files, SourceError when a file cannot be used.
    """
    store = Store(root, site.name)
    with store.lock():
        last = store.manifest() or {}
        job = Loading(site, data, last, progress)
        now = pd.Timestamp.now(tz="UTC").as_unit("us")
        readings = store.begin(job.load, now)
        try:
            for name in site.sources:
                for export in job.exports[name]:
                    job.take(export)
            job.gather()
            progress("committing")
            counts = store.commit(job.load, now, {"site_digest": site.digest})
        except BaseException:
            readings.abandon()
            raise
        snapshot = store.snapshot()
    labels = {name: [e.label for e in several] for name, several in job.exports.items()}
    progress("looking at what came in")
    found = kept_readiness(site, snapshot, counts, labels)
    return Connected(site, counts, job.sources(), labels, found, snapshot)
