"""What a quality model learns: the results of its attributes as its YAML says."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from features.asof import Snapshot
from features.labels import pass_fail_targets, quality_targets
from models.spec import QualitySpec


def targets_of(snapshot: Snapshot, attributes: Iterable[str], spec: QualitySpec) -> pd.DataFrame:
    """One row a batch and attribute: `quality_targets`, or `pass_fail_targets` where the spec's target is pass_fail."""
    if spec.target == "pass_fail":
        return pass_fail_targets(snapshot, attributes)
    return quality_targets(snapshot, attributes, spec.replicates)
