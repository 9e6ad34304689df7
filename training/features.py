"""The features of a model before it is trained, and what their values were made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from features.assemble import FeaturePlan
from features.lineage import explain_row
from features.rows import require_aware
from models.spec import FailureSpec, ModelSpec, QualitySpec, load_models
from plant.errors import SteadylineError, UnknownId, did_you_mean, listing
from plant.home import state_home, store_root
from plant.site import Site
from plant.snapshot import Snapshot
from plant.store import Store
from training.failure import failure_plan
from training.quality import quality_plan
from training.texts import rules_for


def model_plan(site: Site, model: str) -> tuple[Snapshot, FeaturePlan]:
    """The newest data version, and the plan that training on it would make.

    Raises UnknownId for a model that the site does not have, NotReady when the site was never connected.
    """
    specs: dict[str, ModelSpec] = load_models(site.folder)
    if model not in specs:
        raise UnknownId(
            "unknown_model", f"site '{site.name}' has no model '{model}'{did_you_mean(model, specs)}",
            listing(sorted(specs)) or f"none: put a YAML into {site.folder}/models",
        )
    snapshot, spec = Store(store_root(state_home()), site.name).snapshot(), specs[model]
    if isinstance(spec, FailureSpec):
        return snapshot, failure_plan(snapshot, spec, rules_for(site.folder, spec))
    if not isinstance(spec, QualitySpec):
        raise TypeError(f"no features for {type(spec).__name__}")
    return snapshot, quality_plan(snapshot, spec)


def explained(site: Site, model: str, subject: str, at: str | None, names: Sequence[str] = ()) -> dict[str, Any]:
    """Each feature's value with the source rows that it was made of, as JSON values.

    subject: an equipment or a batch. at: ISO time with a zone; None: the end of the data. names: features or patterns.
    Raises UnknownId, SteadylineError (bad_time, naive_time, unknown_feature), NotReady.
    """
    snapshot, plan = model_plan(site, model)
    t = snapshot.data_end if at is None else _time(at)
    told = explain_row(snapshot, plan, subject, t, names)
    about = {f.name: f for f in plan.features}
    listed = []
    for name, lines in told.groupby("feature", sort=False):
        feature, value = about[str(name)], float(lines["value"].iloc[0])
        rows = [_row(line) for line in lines[lines["table"] != ""].to_dict("records")]
        listed.append({
            "feature": name, "meaning": feature.meaning, "value": None if math.isnan(value) else value,
            "unit": feature.unit, "rows": rows,
        })
    return {"site": site.name, "simulated": site.simulated, "model": model, "subject": subject, "at": t.isoformat(),
            "data_version": snapshot.data_version, "features": listed}


def _time(text: str) -> pd.Timestamp:
    try:
        return require_aware(pd.Timestamp(text), "--at").tz_convert("UTC").as_unit("us")
    except ValueError:
        raise SteadylineError(
            "bad_time", f"'{text}' is no time", "an ISO time with a zone", "write it as 2026-03-01T06:00:00Z"
        ) from None


def _row(line: dict[str, Any]) -> dict[str, Any]:
    """A source row as JSON values; what is not known is null."""
    kept = {k: line[k] for k in ("table", "key", "time", "row", "source_file", "source_line", "recorded_at")}
    kept = {k: None if pd.isna(v) else v.isoformat() if isinstance(v, pd.Timestamp) else v for k, v in kept.items()}
    line_number = kept["source_line"]
    return kept | {"source_line": None if line_number is None else int(line_number)}
