"""The card of a quality model: as much as the training printed, in words that fit the attribute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from models import metrics
from plant.snapshot import Frames
from tests.training import test_pass_fail
from tests.training.small import batches, quality_spec
from training import card
from training.quality import train_quality
from training.quality_evidence import asked_of


def made(plant: Frames, **changes: Any) -> tuple[dict[str, Any], str]:
    spec = quality_spec(**changes)
    evidence = train_quality(plant, spec).evidence
    told = card.make(spec, "here", True, "here@1", evidence, 9)
    return told, card.markdown(told)


def limited(lower: float, upper: float) -> Frames:
    plant = batches()
    results = plant.table("lab_results").assign(lower_spec=lower, upper_spec=upper)
    return Frames({**{n: plant.table(n) for n in plant.tables}, "lab_results": results})


def test_the_card_tells_each_gate_the_naive_guess_and_how_surely() -> None:
    told, text = made(limited(98.5, 102.0))
    assay = told["attributes"]["assay"]
    assert assay["why"] in text
    assert assay["naive"] in text
    assert list(assay["gates"]) == ["before_start", "after:mix"]
    assert assay["gate"] == "after:mix"
    by_gate = text.split("### By gate")[1]
    for gate, figures in assay["gates"].items():
        assert f"| assay | {gate} | {figures['n']} |" in by_gate
    assert "### Out of specification" in text
    assert assay["out_of_spec"] > 0
    assert "rolling origin" not in text  # one fold: the spans do not overlap


def test_calibration_of_leaving_the_specification_is_the_expected_one() -> None:
    plant, spec = limited(98.5, 102.0), quality_spec()
    trained = train_quality(plant, spec)
    fit, rows = trained.fits["assay", "after:mix"][-1], trained.gates["after:mix"]
    results = plant.table("lab_results").set_index("batch_id")
    y = asked_of(rows, fit, results["value"])
    outside = fit.distribution.prob_outside(np.full(len(y), 98.5), np.full(len(y), 102.0))
    expected = metrics.ece(outside, ((y < 98.5) | (y > 102.0)).astype(float))
    assert trained.evidence["attributes"]["assay"]["out_of_spec_calibration"] == pytest.approx(expected)


def test_spans_that_overlap_are_explained() -> None:
    _, text = made(limited(np.nan, np.nan), split={"test_share": 0.3, "folds": 2})
    assert "rolling origin, 2 folds" in text
    assert "results known before its fold began" in text
    assert "### Out of specification" not in text  # no limits, no such risk


def test_what_only_passes_or_fails_is_told_by_failed_batches_not_by_coverage() -> None:
    told, text = made(test_pass_fail.plant(), target="pass_fail", attributes="all")
    assay = told["attributes"]["assay"]
    rate = f"{100 * assay['out_of_spec'] / assay['n']:.1f} %"
    assert f"| assay | after:mix | {assay['n']} | {assay['out_of_spec']} | {rate} |" in text
    assert "squared error (Brier)" in text
    assert "mean error" not in text
    assert "90 % covers" not in text


def test_the_card_of_a_version_with_fewer_figures_can_be_read() -> None:
    told, _ = made(batches())
    few = ("target", "unit", "n", "r2", "mae", "mae_naive", "coverage_90", "verdict", "why")
    old = told | {"attributes": {n: {k: a[k] for k in few} for n, a in told["attributes"].items()}}
    text = card.markdown(old)
    assert told["attributes"]["assay"]["why"] in text
    assert "### By gate" not in text
