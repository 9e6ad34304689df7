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
    """What a connect did: counts per table, exports per source, the readiness report, the data version it left.

    retired: rows by table that the mapping, mended since, no longer gives; the data versions before this one hold them.
    """

    site: Site
    tables: dict[str, Count]
    sources: dict[str, dict[str, Any]]
    labels: dict[str, list[str]]
    retired: dict[str, int]
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
            "retired": self.retired,
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
        job, counts = _load(store, site, data, progress)
        retired = dict(job.load.retired)
        if again := job.skipped(set(retired)):
            # What was taken out may stand in exports of other sources too, as rows that were known: they are asked.
            second, told = _load(store, site, data, progress, again)
            counts = {name: _together(counts[name], told[name]) for name in counts}
            job.load.sources.update(second.load.sources)
        snapshot = store.snapshot()
    labels = {name: [e.label for e in several] for name, several in job.exports.items()}
    progress("looking at what came in")
    found = kept_readiness(site, snapshot, counts, labels)
    return Connected(site, counts, job.sources(), labels, retired, found, snapshot)


def _load(
    store: Store, site: Site, data: Path, progress: Progress, forced: frozenset[str] = frozenset()
) -> tuple[Loading, dict[str, Count]]:
    """One load, committed; forced: exports to be read although nothing has changed."""
    job = Loading(site, data, store.manifest() or {}, progress, forced)
    now = pd.Timestamp.now(tz="UTC").as_unit("us")
    readings = store.begin(job.load, now, job.anew)
    try:
        for name in site.sources:
            for export in job.exports[name]:
                job.take(export)
        job.gather()
        progress("committing")
        return job, store.commit(job.load, now, {"site_digest": site.digest})
    except BaseException:
        readings.abandon()
        raise


def _together(first: Count, second: Count) -> Count:
    """Two loads of the same exports told as one."""
    loaded = first.loaded + second.loaded
    return Count(second.read, loaded, second.read - second.quarantined - loaded, second.quarantined)
