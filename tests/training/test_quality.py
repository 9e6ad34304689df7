"""Training a quality model: it learns what a step tells, only from approved results, and calls noise undecided."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from plant.errors import SteadylineError
from plant.snapshot import Frames
from tests.training.small import DAY, START, batches, fingerprint, quality_spec
from training.quality import QualityTraining, base_columns, train_quality, with_targets

GATE = ("assay", "after:mix")


@pytest.fixture(scope="module")
def trained() -> QualityTraining:
    return train_quality(batches(), quality_spec())


def test_what_the_step_tells_is_learnt_when_it_has_ended(trained: QualityTraining) -> None:
    assay = trained.evidence["attributes"]["assay"]
    assert assay["gates"]["after:mix"]["verdict"] == "skilled"
    assert assay["gates"]["before_start"]["verdict"] == "undecided", "before the mixing nobody can know"
    assert assay["verdict"] == "skilled", "the last gate counts"
    assert assay["r2"] > 0.4
    assert assay["mae"] < assay["mae_naive"]
    assert assay["unit"] == "%"
    assert trained.evidence["beats_baseline"] is True
    assert trained.evidence["verdict"] == "beats the naive guesses for assay"


@pytest.mark.parametrize("seed", [5, 6])
def test_noise_is_undecided(seed: int) -> None:
    evidence = train_quality(batches(noise=True, seed=seed), quality_spec(gates=["after:mix"])).evidence
    assert evidence["verdict"] == "undecided"
    assert evidence["beats_baseline"] is False
    assert "it is not better" in evidence["attributes"]["assay"]["why"]


def test_batches_tested_are_later_than_all_that_trained(trained: QualityTraining) -> None:
    origin = trained.folds[-1].origin
    for gate, matrix in trained.matrices.items():
        t = pd.DatetimeIndex(matrix.rows["t"])
        rows = trained.fits["assay", gate][-1].rows
        assert len(rows) == 45
        assert (t[rows] >= origin).all()
    assert trained.evidence["test"]["start"] == origin.isoformat()


def other_future(plant: Frames, origin: pd.Timestamp) -> Frames:
    """Other results wherever they were approved at `origin` or later, and other steps and lots from then on."""
    tables = {name: plant.table(name).copy() for name in plant.tables}
    results, steps, lots = tables["lab_results"], tables["batch_steps"], tables["genealogy"]
    late = results["approved_at"] >= origin
    assert (late & (results["sampled_at"] < origin)).any(), "some were sampled in time, but not approved"
    results["value"] = results["value"].where(~late, 120 - results["value"])
    steps["force"] = steps["force"].where(steps["ended_at"] < origin, 3.0)
    lots["material_lot"] = lots["material_lot"].where(lots["used_at"] < origin, "L-new")
    return Frames(tables)


def saved(training: QualityTraining, folder: Path) -> list[str]:
    out = []
    for (attribute, gate), fits in training.fits.items():
        fits[-1].model.save(folder / attribute / gate.replace(":", "_"))
        out.append(fingerprint(folder / attribute / gate.replace(":", "_")))
    return out


def test_the_future_never_changes_the_model(trained: QualityTraining, tmp_path: Path) -> None:
    changed = other_future(batches(), trained.folds[-1].origin)
    other = train_quality(changed, quality_spec())
    assert saved(other, tmp_path / "other") == saved(trained, tmp_path / "trained")
    assert other.plan.to_json() == trained.plan.to_json()
    assert other.evidence["attributes"]["assay"]["mae"] != trained.evidence["attributes"]["assay"]["mae"]


def test_the_past_does_change_it(trained: QualityTraining, tmp_path: Path) -> None:
    changed = other_future(batches(), trained.folds[-1].origin - 20 * DAY)
    assert saved(train_quality(changed, quality_spec()), tmp_path / "other") != saved(trained, tmp_path / "trained")


def test_risk_of_leaving_the_specification_is_judged_where_there_are_limits() -> None:
    plant = batches()
    tight = {name: plant.table(name) for name in plant.tables}
    tight["lab_results"] = tight["lab_results"].assign(lower_spec=98.5, upper_spec=np.nan)
    judged = train_quality(Frames(tight), quality_spec(gates=["after:mix"])).evidence["attributes"]["assay"]
    assert judged["out_of_spec"] > 3
    assert judged["out_of_spec_auc"] > 0.8
    none = tight | {"lab_results": tight["lab_results"].assign(lower_spec=np.nan)}
    judged = train_quality(Frames(none), quality_spec(gates=["after:mix"])).evidence["attributes"]["assay"]
    assert judged["out_of_spec"] is judged["out_of_spec_auc"] is None


def test_all_attributes_are_those_with_a_limit() -> None:
    plant = batches()
    tables = {name: plant.table(name) for name in plant.tables}
    more = tables["lab_results"].assign(
        result_id=tables["lab_results"]["result_id"] + "/colour",
        attribute="colour",
        lower_spec=np.nan,
        upper_spec=np.nan,
    )
    both = Frames(tables | {"lab_results": pd.concat([tables["lab_results"], more], ignore_index=True)})
    assert train_quality(both, quality_spec(attributes="all", gates=["after:mix"])).attributes == ("assay",)


def test_a_batchs_own_result_is_no_feature(trained: QualityTraining) -> None:
    spec = with_targets(quality_spec(), ("assay",))
    assert spec.features.batches is not None
    assert spec.features.batches.targets == ("assay",)
    matrix = trained.matrices["after:mix"]
    names = [matrix.features[i].name for i in base_columns(matrix, "assay")]
    assert names == ["lag.assay.lot.api.mean", "lag.assay.product.mean", "lag.assay.overall.mean"], (
        "the narrowest first"
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"attributes": ["asay"]}, "unknown_attribute"),
        ({"gates": ["after:mixing"]}, "unknown_gate"),
        ({"population": {"product": ["P9"]}}, "no_results"),
        ({"split": {"test_from": (START + 900 * DAY).isoformat()}}, "bad_split"),
        ({"split": {"test_share": 0.99}}, "too_few_results"),
    ],
)
def test_what_cannot_be_trained_is_said(changes: dict[str, object], code: str) -> None:
    with pytest.raises(SteadylineError) as refused:
        train_quality(batches(), quality_spec(**changes))
    assert refused.value.code == code


def test_an_attribute_that_was_given_up_before_the_test_period_is_no_crash() -> None:
    """Two attributes; one is no longer measured in the test period, so nothing can be said about it."""
    plant = batches()
    tables = {name: plant.table(name) for name in plant.tables}
    old = tables["lab_results"].head(100)
    more = old.assign(result_id=old["result_id"] + "/old", attribute="old")
    both = Frames(tables | {"lab_results": pd.concat([tables["lab_results"], more], ignore_index=True)})
    evidence = train_quality(both, quality_spec(attributes=["assay", "old"], gates=["after:mix"])).evidence
    assert evidence["attributes"]["old"]["verdict"] == "undecided"
    assert evidence["attributes"]["old"]["n"] == 0
    assert evidence["attributes"]["assay"]["verdict"] == "skilled"


def test_results_to_learn_from_are_those_of_the_day(trained: QualityTraining, tmp_path: Path) -> None:
    """A result of before the origin that was corrected only after it changes no byte of the model."""
    plant = batches()
    origin = trained.folds[-1].origin
    results = plant.table("lab_results")
    old = results[results["attribute"].eq("assay") & (results["approved_at"] < origin - pd.Timedelta(days=5))].iloc[:20]
    corrected = old.assign(value=old["value"] + 50.0, recorded_at=origin + pd.Timedelta(days=1))
    told = Frames({**plant.tables, "lab_results": pd.concat([results, corrected], ignore_index=True)})
    assert len(corrected) == 20
    assert saved(train_quality(told, quality_spec()), tmp_path / "told") == saved(trained, tmp_path / "trained")


def test_batches_of_a_shared_lot_are_not_learnt_from_but_tell_how_large_errors_are() -> None:
    # 98 batches before the test, 90 to 97 of a lot that the test goes on with
    spec = quality_spec(split={"test_share": 0.35, "folds": 1}, gates=["after:mix"],
                        lightgbm={"rounds": 40, "num_leaves": 4, "min_data_in_leaf": 5, "objective": "l1"})
    plant = batches()
    training = train_quality(plant, spec)
    fit = training.fits[GATE][-1]
    assert fit.train.max() == 89
    other = {name: plant.table(name).copy() for name in plant.tables}
    odd = other["lab_results"]["batch_id"].between("B0090", "B0094")
    other["lab_results"]["value"] = other["lab_results"]["value"].where(~odd, 104.9)
    fits = train_quality(Frames(other), spec).fits[GATE]
    assert [b.model_to_string() for b in fits[-1].model.boosters_] == [b.model_to_string() for b in fit.model.boosters_]
    assert np.mean(np.diff(fits[-1].distribution.interval(0.5))) > np.mean(np.diff(fit.distribution.interval(0.5)))


def test_a_corrected_result_tells_nothing_before_its_correction() -> None:
    plant = batches()
    results = plant.table("lab_results")
    first, corrected_at = results[results["batch_id"] == "B0110"], START + 130 * DAY

    def intervals(value: float) -> tuple[np.ndarray, np.ndarray]:
        correction = first.assign(value=value, recorded_at=corrected_at)
        both = pd.concat([results, correction], ignore_index=True)
        training = train_quality(Frames({**plant.tables, "lab_results": both}), quality_spec(gates=["after:mix"]))
        fit = training.fits[GATE][-1]
        t = pd.DatetimeIndex(training.gates["after:mix"]["t"])[fit.rows]
        told = fit.distribution.interval(0.9)
        return told[t < corrected_at], told[t >= corrected_at]

    (low, low_after), (high, high_after) = intervals(90.0), intervals(108.0)
    np.testing.assert_array_equal(low, high)
    assert not np.array_equal(low_after, high_after)
