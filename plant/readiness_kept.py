"""The readiness of a data version, kept beside its manifest: nothing new, nothing to look at again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from plant.readiness import Finding, Readiness, readiness
from plant.site import Site
from plant.snapshot import Snapshot
from plant.store import Count


def kept_readiness(
    site: Site, snapshot: Snapshot, counts: Mapping[str, Count], labels: Mapping[str, list[str]]
) -> Readiness:
    """As `readiness`, or what an earlier run found with the same data version, configuration, exports and code."""
    code = sorted((p.name, p.read_bytes()) for p in Path(__file__).parent.glob("readiness*.py"))
    key = hashlib.sha256(repr((snapshot.data_version, site.digest, sorted(labels.items()), code)).encode()).hexdigest()
    path = snapshot.folder / "loads" / f"readiness-{int(snapshot.manifest['load']):06d}.json"
    if path.is_file():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["key"] == key:
            findings = [Finding(**f) for f in kept["findings"]]
            return Readiness(findings, kept["coverage"], kept["clocks"], kept["tasks"])
    found = readiness(site, snapshot, counts, labels)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"key": key, **found.as_dict()}, default=str), encoding="utf-8")
    os.replace(partial, path)
    return found
