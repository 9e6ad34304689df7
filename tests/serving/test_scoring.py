"""A score says what it was made of, is kept, and follows data and champion without a restart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.assemble import equipment_matrix
from governance import scores, versions
from governance.database import reading
from governance.versions import ModelVersion
from models import bundle as bundles
from models.predict import FailurePredictor
from plant.errors import NotReady, SteadylineError, UnknownId
from serving.scoring import Scorer, input_hash
from tests.serving.world import END, GATE, PRESSES, TRAIN_END, World

ORIGIN = {"score_id", "model", "model_version", "role", "bundle_sha256", "data_version", "as_of", "data_end"}


def scorer(world: World, model: str, version: str = "champion") -> Scorer:
    return Scorer.open(world.home, world.site, model, version)


def test_equipment(world: World) -> None:
    world.promote("press_failures")
    found = scorer(world, "press_failures").equipment()
    assert [s["equipment_id"] for s in found] == PRESSES  # the room is not of the model's population
    for score in found:
        assert score.keys() >= ORIGIN
        risks = [r["probability"] for r in score["risks"]]
        assert [r["horizon"] for r in score["risks"]] == ["24h", "72h"]
        assert 0 <= risks[0] <= risks[1] <= 1
        assert sum(m["probability"] for m in score["failure_modes"]) == pytest.approx(risks[1])
        assert score["decision"]["action"] in ("open_order", "watch", "none")
        assert score["data"]["age_hours"] == pytest.approx(0, abs=1e-3)
        assert score["simulated"] is True
        json.dumps(score, allow_nan=False)


def test_the_score_is_that_of_the_bundle_and_is_kept(world: World) -> None:
    world.promote("press_failures")
    own = scorer(world, "press_failures")
    t = pd.Timestamp("2026-02-20T06:00:00Z")
    score = own.equipment(["press-3"], t)[0]
    with reading(world.engine) as connection:
        version = versions.champion(connection, "dublin", "press_failures")
        kept = scores.get(connection, score["score_id"])
    assert version is not None
    predictor = FailurePredictor(bundles.read(Path(version.bundle_uri)))
    rows = pd.DataFrame({"equipment_id": ["press-3"], "t": pd.DatetimeIndex([t])})
    values = equipment_matrix(own.data.current().snapshot, predictor.plan, rows).values
    assert score["risks"] == predictor.predict(values)[0]["risks"]
    assert kept.payload == score
    assert kept.input_hash == input_hash(values[0])
    assert (kept.subject, kept.as_of, kept.bundle_sha256) == ("press-3", t, version.sha256)


def test_the_same_question_gives_the_same_answer(world: World) -> None:
    world.promote("press_failures")
    first, second = (scorer(world, "press_failures").equipment(["press-2"])[0] for _ in range(2))
    assert first.pop("score_id") != second.pop("score_id")
    assert first == second


def test_one_at_a_time_or_all_at_once(world: World) -> None:
    world.promote("press_failures")
    together = scorer(world, "press_failures").equipment()
    alone = [scorer(world, "press_failures").equipment([p])[0] for p in PRESSES]
    for a, b in zip(together, alone, strict=True):
        assert {k: v for k, v in a.items() if k != "score_id"} == {k: v for k, v in b.items() if k != "score_id"}


def test_batches(world: World) -> None:
    world.promote("tablet_quality")
    own = scorer(world, "tablet_quality")
    found = own.batches()
    assert found
    for score in found:
        assert score.keys() >= ORIGIN | {"batch_id", "product", "gate", "gate_time"}
        assert score["gate"] == GATE
        one = score["attributes"][0]
        assert one["interval_90"][0] <= one["interval_80"][0] <= one["interval_50"][0] <= one["expected"]
        assert one["expected"] <= one["interval_50"][1] <= one["interval_80"][1] <= one["interval_90"][1]
        assert 0.0 < one["prob_out_of_trend"] < 1.0
        assert one["lower_trend"] < one["expected"] < one["upper_trend"]
        assert (one["lower_spec"], one["upper_spec"]) == (86.0, None)
        assert one["verdict"] in ("in_spec_expected", "at_risk", "out_of_spec_expected")
        assert one["reasons"]
        json.dumps(score, allow_nan=False)
    results = own.data.current().snapshot.table("lab_results").set_index("batch_id")["approved_at"]
    assert all(pd.isna(results[s["batch_id"]]) for s in found)  # nothing to predict where the result is known


def test_a_batch_scored_before_a_result_was_approved_does_not_know_it(world: World) -> None:
    world.promote("tablet_quality")
    own = scorer(world, "tablet_quality")
    asked = [s["batch_id"] for s in own.batches()]
    gate = max(pd.Timestamp(s["gate_time"]) for s in own.batches())
    before = own.batches(asked, gate)
    results = own.data.current().snapshot.table("lab_results")
    later = results[results["batch_id"].isin(asked)].assign(value=1.0, approved_at=gate + pd.Timedelta("1h"),
                                                            status="out_of_spec", recorded_at=pd.NaT)
    later = later.assign(result_id=later["result_id"] + "x", sampled_at=gate + pd.Timedelta("30min"))
    world.load({"lab_results": later})
    after = own.batches(asked, gate)
    assert len(later) == len(asked) > 0
    assert after[0]["data_version"] != before[0]["data_version"]
    assert [one["attributes"] for one in after] == [one["attributes"] for one in before]


def test_predictions_follow_what_drives_them(world: World) -> None:
    world.promote("tablet_quality")
    steps = scorer(world, "tablet_quality").data.current().snapshot.table("batch_steps").set_index("batch_id")
    later = [b for b, t in steps["started_at"].items() if t > TRAIN_END and t < END - pd.Timedelta("1D")]
    expected = [s["attributes"][0]["expected"] for s in scorer(world, "tablet_quality").batches(later)]
    assert np.corrcoef(expected, steps.loc[later, "moisture"])[0, 1] < -0.8


def test_default_time_is_the_end_of_the_data_and_follows_a_new_load(world: World) -> None:
    world.promote("press_failures")
    own = scorer(world, "press_failures")
    before = own.equipment(["press-1"])[0]
    reading_ = {"equipment_id": ["press-1"], "signal": ["vibration"], "ts": [END + pd.Timedelta("5h")], "value": [2.0]}
    world.load({"readings": pd.DataFrame(reading_).assign(quality="good")})
    after = own.equipment(["press-1"])[0]
    assert (before["data_version"], after["data_version"]) == ("dublin@1", "dublin@2")
    assert pd.Timestamp(after["as_of"]) == END + pd.Timedelta("5h") + pd.Timedelta(1, "us")
    assert own.equipment(["press-2"])[0]["data"]["age_hours"] == pytest.approx(7.0)


def test_a_new_champion_serves_without_a_restart(world: World) -> None:
    world.promote("press_failures")
    own = scorer(world, "press_failures")
    assert own.equipment(["press-1"])[0]["model_version"] == "1"
    with world.engine.begin() as connection:
        first = versions.get(connection, "dublin", "press_failures", "1")
        second = ModelVersion(**{**vars(first), "version": "2", "stage": "challenger"})
        versions.register_version(connection, second, "trainer", "again")
    assert scorer(world, "press_failures", "2").equipment(["press-1"])[0]["role"] == "challenger"
    assert own.equipment(["press-1"])[0]["model_version"] == "1"
    world.promote("press_failures", "2")
    assert own.equipment(["press-1"])[0]["model_version"] == "2"


def test_nothing_after_the_time_changes_a_score(world: World) -> None:
    world.promote("press_failures")
    t = pd.Timestamp("2026-02-20T06:00:00Z")
    before = scorer(world, "press_failures").equipment(["press-1"], t)[0]
    later = pd.DataFrame({
        "equipment_id": "press-1", "signal": "vibration", "value": 99.0, "quality": "good",
        "ts": pd.date_range(t, periods=50, freq="1h") + pd.Timedelta("30min"),
    })
    world.load({"readings": later})
    after = scorer(world, "press_failures").equipment(["press-1"], t)[0]
    assert after["data_version"] != before["data_version"]
    assert [after[k] for k in ("risks", "reasons", "data")] == [before[k] for k in ("risks", "reasons", "data")]


def test_refusals(world: World) -> None:
    with pytest.raises(NotReady) as none:
        scorer(world, "press_failures").equipment()
    assert none.value.hint == "steadyline promote press_failures 1 --as USER"
    world.promote("press_failures")
    world.promote("tablet_quality")
    own, tablets = scorer(world, "press_failures"), scorer(world, "tablet_quality")
    with pytest.raises(UnknownId) as unknown:
        own.equipment(["pres-1"])
    assert unknown.value.hint == "did you mean 'press-1'?"
    with pytest.raises(SteadylineError, match="not trained for it"):
        own.equipment(["room-1"])
    with pytest.raises(SteadylineError, match="no time zone"):
        own.equipment(["press-1"], pd.Timestamp("2026-02-20"))
    with pytest.raises(UnknownId, match="no batch"):
        tablets.batches(["B-999"])
    with pytest.raises(NotReady) as early:
        tablets.batches(["B-100"], pd.Timestamp("2026-01-02", tz="UTC"))
    assert early.value.code == "no_gate_yet"
    with pytest.raises(SteadylineError, match="is for quality"):
        tablets.equipment()
    with reading(world.engine) as connection:
        assert scores.latest(connection, "dublin", "press_failures", "1") == []  # a refusal leaves nothing behind


def test_an_altered_bundle_is_refused(world: World, tmp_path: Path) -> None:
    with world.engine.begin() as connection:
        first = versions.get(connection, "dublin", "press_failures", "1")
        copy = tmp_path / "altered"
        shutil.copytree(first.bundle_uri, copy)
        file = copy / "parts" / "hazard" / "hazard.txt"
        file.write_text(file.read_text().replace("leaf_value=", "leaf_value=-", 1))
        changed = ModelVersion(**{**vars(first), "version": "3", "bundle_uri": str(copy)})
        versions.register_version(connection, changed, "trainer", "altered on disk")
    world.promote("press_failures", "3")
    with pytest.raises(SteadylineError) as refusal:
        scorer(world, "press_failures").equipment()
    assert refusal.value.code == "bundle_altered"
