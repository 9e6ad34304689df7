"""Point-in-time features: what was known about an equipment or a batch strictly before a cut-off, and its labels."""

from __future__ import annotations

from features.asof import Snapshot, as_of
from features.assemble import FeaturePlan, Matrix, batch_matrix, equipment_matrix, plan
from features.catalogue import Feature, features_of
from features.definitions import Ask, Definition, FeatureSet
from features.labels import LabelReport, cutoff_grid, failure_labels, gate_times, label_report, quality_targets
from features.lineage import explain_row
from features.spec import FeatureSpec, LabelSpec

__all__ = [
    "Ask", "Definition", "Feature", "FeaturePlan", "FeatureSet", "FeatureSpec", "LabelReport", "LabelSpec", "Matrix",
    "Snapshot", "as_of", "batch_matrix", "cutoff_grid", "equipment_matrix", "explain_row", "failure_labels",
    "features_of", "gate_times", "label_report", "plan", "quality_targets",
]
