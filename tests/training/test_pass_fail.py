"""A site whose laboratory only says pass or fail: trained, written, read, scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.labels import pass_fail_targets
from models import bundle as bundles
from models.explain import Reference
from models.pass_fail import PassFailModel
from models.predict import QualityPredictor
from plant.errors import SteadylineError
from plant.snapshot import Frames
from tests.training.small import batches, quality_spec
from training.quality import QualityTraining, train_quality

SPEC = quality_spec(target="pass_fail", attributes="all")


def plant(noise: bool = False) -> Frames:
    """As `small.batches`, 200 of them, but the laboratory only says whether the assay failed."""
    made = batches(noise=noise, count=200)
    results = made.table("lab_results")
    failed = results["value"] < 98.6
    told = results.assign(value=np.nan, lower_spec=np.nan, upper_spec=np.nan, unit=None,
                          status=np.where(failed, "out_of_spec", "in_spec"))
    return Frames({**{n: made.table(n) for n in made.tables}, "lab_results": told})


@pytest.fixture(scope="module")
def trained() -> QualityTraining:
    return train_quality(plant(), SPEC)


def test_what_the_step_tells_is_learnt_and_noise_is_not(trained: QualityTraining) -> None:
    assay = trained.evidence["attributes"]["assay"]
    assert assay["verdict"] == "skilled"
    assert "squared error" in assay["why"]
    assert assay["out_of_spec_auc"] > 0.9
    assert assay["mae"] == pytest.approx(assay["out_of_spec_brier"])
    assert train_quality(plant(noise=True), SPEC).evidence["verdict"] == "undecided"


def test_a_batch_failed_when_one_valid_result_did() -> None:
    results = plant().table("lab_results").head(3).assign(status=["in_spec", "out_of_spec", "invalidated"])
    again = results.assign(result_id=results["result_id"] + "b", status=["out_of_spec", "in_spec", "in_spec"],
                           approved_at=results["approved_at"] + pd.Timedelta("1h"))
    found = pass_fail_targets(Frames({"lab_results": pd.concat([results, again])}), ["assay"]).set_index("batch_id")
    assert found["value"].to_dict() == {"B0000": 1.0, "B0001": 1.0, "B0002": 0.0}
    assert (found["approved_at"] == again["approved_at"].to_numpy()).all()


def test_a_version_of_it_scores(trained: QualityTraining, tmp_path: Path) -> None:
    gate = "after:mix"
    fit, matrix = trained.fits["assay", gate][-1], trained.matrices[gate]
    bundles.write(
        tmp_path / "version", name=SPEC.name, task=SPEC.task, spec=SPEC.as_dict(), plan=trained.plan.to_json(),
        parts={"mix/assay": fit.model}, data={}, reference={gate: Reference.of(matrix.values)},
        evidence={"scoring": {"attributes": [
            {"attribute": "assay", "gate": gate, "part": "mix/assay", "unit": "", "verdict": "skilled"}]}},
        golden={"mix/assay": bundles.golden_rows(fit.model, matrix.values)},
    )
    read = bundles.read(tmp_path / "version")
    assert isinstance(read.parts["mix/assay"], PassFailModel)
    assert bundles.verify(read) == {"mix/assay": 0.0}
    times = pd.DatetimeIndex(matrix.rows["t"])[fit.rows]
    told = QualityPredictor(read).predict(matrix.values[fit.rows], [gate] * len(fit.rows), times=list(times))
    one = [score["attributes"][0] for score in told]
    # the backtest also knew results that came since the training
    assert np.corrcoef([o["prob_out_of_spec"] for o in one], fit.point)[0, 1] > 0.95
    for o in one:
        assert o["prob_bounds"][0] <= o["prob_out_of_spec"] <= o["prob_bounds"][1]
        assert (o["lower_spec"], o["upper_spec"], o["prob_out_of_trend"]) == (None, None, None)
    likely = max(one, key=lambda o: o["prob_out_of_spec"])
    unlikely = min(one, key=lambda o: o["prob_out_of_spec"])
    assert (likely["verdict"], unlikely["verdict"]) == ("out_of_spec_expected", "in_spec_expected")


@pytest.mark.parametrize("attributes", ["all", ["assay"]])
def test_a_numeric_model_of_verdicts_alone_is_told_the_other_target(attributes: str | list[str]) -> None:
    with pytest.raises(SteadylineError) as refused:
        train_quality(plant(), quality_spec(attributes=attributes))
    assert "`target: pass_fail`" in refused.value.hint


@pytest.mark.parametrize("target", ["numeric", "pass_fail"])
def test_without_verdicts_no_one_is_sent_to_the_other_target_in_vain(target: str) -> None:
    made = plant()
    results = made.table("lab_results").assign(status=None)
    none = Frames({**{n: made.table(n) for n in made.tables}, "lab_results": results})
    with pytest.raises(SteadylineError) as refused:
        train_quality(none, quality_spec(target=target, attributes="all"))
    assert refused.value.code == "no_attributes"
    assert "pass_fail" not in refused.value.hint
    assert ("verdict" in refused.value.found) == (target == "pass_fail")
