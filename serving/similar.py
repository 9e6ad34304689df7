"""Similar batches: the five nearest earlier ones by reason profile, with what the laboratory found in them.

Profiles are made once for a load and a model version, by a service in the background, elsewhere when asked; no bundle
carries them. Batches are those of the load: one that came with the live log has none before the next load. What the
laboratory found counts as soon as it is known, also from the live log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from models.similar import NEAREST, nearest
from plant.errors import NotReady, UnknownId, listing
from plant.errors import nearest as nearest_word
from serving.review_case import Case
from serving.scoring import Quality, Scorer, require_loaded
from serving.words import number, stage

RULE = (
    "batches that passed the same gate earlier and whose valid result was known strictly before the time asked for; "
    "Euclidean distance of what each group of reasons moves the expected result by"
)


@dataclass(frozen=True)
class _Asked:
    """A batch at a gate (passed `at`), and those of the model's products that passed it earlier, oldest first."""

    case: Case
    by: Quality
    gate: str
    at: pd.Timestamp
    earlier: Sequence[tuple[str, pd.Timestamp]]


class Similar:
    """Similar batches by one quality model of a site."""

    def __init__(self, scorer: Scorer):
        self.scorer = scorer

    def batches(self, case: Case, attribute: str | None = None, gate: str | None = None) -> dict[str, Any]:
        """The nearest earlier batches as JSON values, for each attribute or one.

        gate: None for the last one that the batch had passed. Raises UnknownId (`unknown_attribute`, `unknown_batch`),
        NotReady (`batch_not_loaded`, `no_gate_yet`, `gate_not_passed`, no champion).
        """
        by = self.scorer.quality()
        require_loaded(by.book, by.data, case.batch_id)
        last = by.book.gate(case.batch_id, case.t)
        chosen, at = last if gate is None else _gate(by.book.passed(case.batch_id, case.t), gate, case)
        of_gate = [a for a in by.predictor.attributes if (a, chosen) in by.predictor.models]
        if attribute is not None and attribute not in of_gate:
            raise UnknownId(
                "unknown_attribute", f"model '{self.scorer.model}' predicts no '{attribute}' {stage(chosen)}",
                listing(of_gate), nearest_word(attribute, of_gate),
            )
        trained = pd.Timestamp(by.predictor.data["train_end"])
        asked = _Asked(case, by, chosen, at, [e for e in by.book.earlier(chosen, at) if e[0] != case.batch_id])
        return {
            "site": case.plant.site, "simulated": case.plant.simulated, "batch_id": case.batch_id,
            "as_of": case.t.isoformat(), "data_version": by.data.version, "gate": chosen,
            "gate_time": at.isoformat(), "model": self.scorer.model, "model_version": by.served.version.version,
            "bundle_sha256": by.served.version.sha256, "train_end": trained.isoformat(),
            "hindsight": bool(case.t < trained), "rule": RULE,
            "attributes": [self._attribute(asked, a, trained) for a in of_gate if attribute in (None, a)],
        }

    def _attribute(self, asked: _Asked, attribute: str, trained: pd.Timestamp) -> dict[str, Any]:
        results = outcomes(asked.case, attribute)
        there = [(b, at) for b, at in asked.earlier if b in results]
        asked_too = [(asked.case.batch_id, asked.at), *there]
        groups, profile = self.scorer.profiles(asked.by, attribute, asked.gate, asked_too)
        similar = []
        for near in nearest(groups, profile[0], profile[1:], NEAREST):
            batch_id, at = there[near.index]
            similar.append({
                "batch_id": batch_id, "product": asked.by.book.about(batch_id)["product"], "gate_time": at.isoformat(),
                "distance": near.distance, "outcome": results[batch_id], "learnt_from": bool(at < trained),
                "shared_reasons": [vars(s) for s in near.shared],
            })
        return {
            "attribute": attribute, "unit": asked.by.predictor.profile_unit(attribute, asked.gate),
            "candidates": len(there), "without_result": len(asked.earlier) - len(there), "similar": similar,
        }


def _gate(passed: Sequence[tuple[str, pd.Timestamp]], gate: str, case: Case) -> tuple[str, pd.Timestamp]:
    for name, at in passed:
        if name == gate:
            return name, at
    raise NotReady(
        "gate_not_passed", f"batch '{case.batch_id}' had not passed the gate '{gate}' by {case.t.isoformat()}",
        listing([name for name, _ in passed]), "ask for a gate it has passed, or at a later time",
    )


def outcomes(case: Case, attribute: str) -> dict[str, dict[str, Any]]:
    """Batch -> its valid result of an attribute, approved last, as known strictly before the case's time.

    in_spec: by the laboratory's verdict, else by the result's own limits; None where there are neither. value: None
    where the laboratory says pass or fail and no more.
    """
    def make() -> dict[str, dict[str, Any]]:
        rows = case.known.rows("lab_results", "attribute", attribute)
        told = rows["value"].notna() | rows["status"].notna()
        rows = rows[rows["batch_id"].notna() & told & ~rows["status"].isin(["invalidated"])]
        rows = rows.sort_values(["approved_at", "result_id"], kind="stable").drop_duplicates("batch_id", keep="last")
        return {str(r["batch_id"]): _outcome(r) for r in rows.to_dict("records")}

    return case.known.keep(("outcomes", attribute), make)


def result_in_words(outcome: Mapping[str, Any]) -> str:
    """What the laboratory found, in words: the value with its unit; passed or failed where it says no more."""
    if outcome["value"] is None and outcome["in_spec"] is not None:
        return "passed" if outcome["in_spec"] else "failed"
    return f"{number(outcome['value'])} {outcome['unit'] or ''}".strip()


def _outcome(row: dict[str, Any]) -> dict[str, Any]:
    low, high = (None if pd.isna(row[k]) else float(row[k]) for k in ("lower_spec", "upper_spec"))
    value = None if pd.isna(row["value"]) else float(row["value"])
    inside: bool | None = None
    if row["status"] in ("in_spec", "out_of_spec", "out_of_trend"):
        inside = row["status"] != "out_of_spec"
    elif value is not None and (low is not None or high is not None):
        inside = (low is None or value >= low) and (high is None or value <= high)
    return {
        "value": value, "unit": None if pd.isna(row["unit"]) else str(row["unit"]), "lower_spec": low,
        "upper_spec": high, "in_spec": inside, "approved_at": row["approved_at"].isoformat(),
    }
