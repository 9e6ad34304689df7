"""Which text model a training reads with: one for features and labels, fitted before the first fold begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from features.asof import Snapshot
from features.assemble import FeaturePlan
from features.text import TextModel
from features.text_fit import fit_before
from features.text_plan import asks_for_texts
from features.text_rules import TextRules, site_rules
from models.spec import FailureSpec, ModelSpec


def rules_for(folder: Path, spec: ModelSpec) -> TextRules | None:
    """The rules of a site where a model reads texts, else None. Raises SiteError where text_rules.yaml is wrong."""
    if not isinstance(spec, FailureSpec):
        return None
    return site_rules(folder) if asks_for_texts(spec.features) or spec.labels.failure.fill_codes is not None else None


def label_texts(
    snapshot: Snapshot, spec: FailureSpec, plan: FeaturePlan, before: pd.Timestamp, rules: TextRules | None
) -> TextModel | None:
    """What fills the codes of failures, fitted from what was known strictly before `before`; None where none is filled.

    The plan's own model where it has one: fitted before the same time. Labels of every fold are read with it, since a
    model of a later fold would have learnt from the period on which the earlier ones are judged.
    """
    if spec.labels.failure.fill_codes is None:
        return None
    own = plan.vocabulary.text_model
    return own if own is not None else fit_before(snapshot, before, rules=rules)


def told(texts: TextModel, before: pd.Timestamp) -> dict[str, Any]:
    """What stands in the evidence of the text model that filled the labels."""
    head = texts.head("failure_mode")
    return {"fitted_before": before.isoformat(), "coded_orders": head.examples, "note": head.note}
