"""The events and readings behind the reasons of a score: the source rows of each reason's leading feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from features.assemble import FeaturePlan
from features.lineage import explain_row
from plant.snapshot import SnapshotLike


def behind(
    snapshot: SnapshotLike, plan: FeaturePlan, score: Mapping[str, Any], most: int = 5
) -> list[dict[str, Any]]:
    """For each reason of an equipment's score: how many rows its leading feature was made of, and the newest `most`.

    score: an answer of `Scorer.equipment` from this snapshot's data version. Each row: table, key, time, what it says,
    source file and line; as known strictly before the score's `as_of`. Times are ISO 8601, UTC.
    """
    names = list(dict.fromkeys(str(r["feature"]) for r in score["reasons"]))
    if not names:
        return []
    told = explain_row(snapshot, plan, str(score["equipment_id"]), pd.Timestamp(score["as_of"]), names)
    told = told[told["table"] != ""]
    return [_of(reason, told[told["feature"] == reason["feature"]], most) for reason in score["reasons"]]


def _of(reason: Mapping[str, Any], rows: pd.DataFrame, most: int) -> dict[str, Any]:
    newest = rows.sort_values("time", kind="stable", na_position="first").tail(most).iloc[::-1]
    return {
        "feature": reason["feature"], "count": len(rows),
        "rows": [_row(line) for line in newest.to_dict("records")],
    }


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values; what is not known is null."""
    kept = {k: line[k] for k in ("table", "key", "time", "row", "source_file", "source_line")}
    out = {k: None if pd.isna(v) else v.isoformat() if isinstance(v, pd.Timestamp) else v for k, v in kept.items()}
    out["source_line"] = None if out["source_line"] is None else int(out["source_line"])
    return out


def with_rows(snapshot: SnapshotLike, plan: FeaturePlan, scores: Sequence[dict[str, Any]]) -> None:
    """Puts `behind` into every score."""
    for score in scores:
        score["behind"] = behind(snapshot, plan, score)
