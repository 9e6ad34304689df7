"""What the card of a quality model tells of each attribute: errors beside the naive guess, by gate, and of limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from training.card_text import table

_OF_GATE = (
    "n", "r2", "mae", "naive", "mae_naive", "coverage_90", "out_of_spec", "out_of_spec_auc", "out_of_spec_brier",
    "out_of_spec_calibration", "verdict", "why",
)


def attributes(evidence: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Attribute -> its figures at the last gate, and at every one under `gates`; None where not measured."""
    return {
        name: {k: a.get(k) for k in ("target", "unit", "gate", *_OF_GATE)}
        | {"gates": {gate: {k: g.get(k) for k in _OF_GATE} for gate, g in a.get("gates", {}).items()}}
        for name, a in evidence.get("attributes", {}).items()
    }


def lines(card: Mapping[str, Any]) -> list[str]:
    """The card's Markdown lines on how good the model is for which attribute."""
    of = attributes(card)  # again: the card of an older version has fewer figures
    tested = {n: a for n, a in of.items() if a["target"] == "pass_fail"}
    measured = {n: a for n, a in of.items() if n not in tested}
    out = [*_origin(card["data"]), "", "## Performance on unseen time"]
    if measured:
        out += ["", *table(_HEAD, [_row(_named(n, a["unit"]), a["gate"], a) for n, a in measured.items()])]
    if tested:
        out += ["", "Of attributes that only pass or fail, the error is the squared one of the probability of failing "
                "(Brier).", "", *table(_TEST_HEAD, [_test_row(n, a["gate"], a) for n, a in tested.items()])]
    out += ["", *(f"* {n}: {a['why']}" for n, a in of.items())]
    if any(len(a["gates"]) > 1 for a in of.values()):
        out += ["", "### By gate"]
        for head, row, some in ((_HEAD, _row, measured), (_TEST_HEAD, _test_row, tested)):
            if some:
                out += ["", *table(head, [row(n, gate, g) for n, a in some.items() for gate, g in a["gates"].items()])]
    limited = {n: a for n, a in measured.items() if a["out_of_spec"] is not None}
    if limited:
        out += ["", "### Out of specification", "", *table(
            ("attribute", "batches", "out of specification", "AUC", "Brier score", "calibration error"),
            [(n, a["n"], a["out_of_spec"], a["out_of_spec_auc"], a["out_of_spec_brier"], a["out_of_spec_calibration"])
             for n, a in limited.items()])]
    return out


def _origin(data: Mapping[str, Any]) -> list[str]:
    """What two spans that overlap mean; nothing where they do not."""
    train, test = data["train"], data["test"]
    if not test or str(train["end"]) <= str(test["start"]):
        return []
    return [f"* rolling origin, {test['folds']} folds: each batch was predicted by a model that had learnt only from "
            "results known before its fold began, without batches that share a lot or a campaign with those tested; "
            "the spans overlap because later folds learn from earlier ones"]


_HEAD = ("attribute", "gate", "batches", "R²", "mean error", "best naive guess", "its error", "90 % covers", "verdict")
_TEST_HEAD = ("attribute", "gate", "batches", "failed", "base rate", "squared error (Brier)", "best naive guess",
              "its error", "AUC", "calibration error", "verdict")


def _named(name: str, unit: str | None) -> str:
    return f"{name} ({unit})" if unit else name


def _row(name: str, gate: str | None, a: Mapping[str, Any]) -> tuple[Any, ...]:
    return (name, gate, a["n"], a["r2"], a["mae"], a["naive"], a["mae_naive"], _percent(a["coverage_90"]), a["verdict"])


def _test_row(name: str, gate: str | None, a: Mapping[str, Any]) -> tuple[Any, ...]:
    failed = a["out_of_spec"]
    rate = failed / a["n"] if failed is not None and a["n"] else None
    return (name, gate, a["n"], failed, _percent(rate), a["mae"], a["naive"], a["mae_naive"], a["out_of_spec_auc"],
            a["out_of_spec_calibration"], a["verdict"])


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"
