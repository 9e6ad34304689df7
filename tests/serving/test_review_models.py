"""Reviews with models, which speak only of what they have not learnt, and with what came live after the load."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from serving.fleet import Fleet
from serving.review_desk import ReviewDesk
from tests.serving.world import World


def test_models_speak_only_of_what_they_have_not_learnt(world: World) -> None:
    """The small plant of `world`: its laboratory is open on the last batches, and press-1 runs every batch."""
    fleet = Fleet(world.home, [world.folder])
    desk = ReviewDesk(fleet)
    without = desk.review("B-149")
    assert [(c["done"], c["notes"][0]) for c in without["checked"] if c["system"] == "Steadyline"] == [
        (False, "model 'tablet_quality' of site dublin has no champion"),
        (False, "model 'press_failures' of site dublin has no champion"),
    ]
    world.promote("tablet_quality")
    world.promote("press_failures")
    now = desk.review("B-149")
    assert {name: m["version"] for name, m in now["models"].items()} == {"tablet_quality": "1", "press_failures": "1"}
    checks = {c["check"]: c for c in now["checked"]}
    assert (checks["predicted results"]["done"], checks["predicted results"]["entries"]) == (True, 1)
    assert (checks["predicted failures"]["done"], checks["predicted failures"]["entries"]) == (True, 1)
    old = {c["check"]: c for c in desk.review("B-010")["checked"]}
    assert not old["predicted failures"]["done"]
    assert "hindsight" in old["predicted failures"]["notes"][0]
    risky = [b for b in (f"B-{i:03d}" for i in range(115, 150)) if "failure_risk" in
             {e["kind"] for e in desk.review(b)["exceptions"]}]
    scorer = fleet.scorer("dublin", "failure")
    starts = world_steps(fleet)
    asked = {b: s for b, s in starts.items() if b >= "B-115"}
    wanted = [
        b for b, s in asked.items() if s >= pd.Timestamp(now["models"]["press_failures"]["train_end"])
        and scorer.equipment(["press-1"], s)[0]["decision"]["action"] != "none"
    ]
    assert risky == wanted
    assert wanted, "the test shows nothing where no press was ever at risk"


def world_steps(fleet: Fleet) -> dict[str, Any]:
    steps = fleet.data["dublin"].current().snapshot.table("batch_steps").sort_values("batch_id")
    return {str(b): s.to_pydatetime() for b, s in zip(steps["batch_id"], steps["started_at"], strict=True)}


def test_what_is_not_in_the_laboratory_yet_is_predicted(world: World) -> None:
    world.promote("tablet_quality")
    fleet = Fleet(world.home, [world.folder])
    desk, scorer = ReviewDesk(fleet), fleet.scorer("dublin", "quality")
    seen = set()
    for i in range(130, 150):
        name = f"B-{i:03d}"
        score, reviewed = scorer.batches([name])[0], desk.review(name)
        (attribute,) = score["attributes"]
        told = {e["kind"]: e for e in reviewed["exceptions"] if e["system"] == "Steadyline"}
        kind = {"out_of_spec_expected": "predicted_out_of_spec", "at_risk": "predicted_at_risk"}.get(
            attribute["verdict"], "")
        waiting = pd.isna(results(fleet)[name])
        seen.add((attribute["verdict"], waiting))
        assert bool(score["results"]) == (not waiting), "what is approved stands beside the prediction"
        assert [p["expected"] for p in reviewed["predicted"]] == ([attribute["expected"]] if waiting else [])
        if not waiting or not kind or (kind == "predicted_at_risk" and attribute["prob_out_of_spec"] < 0.1):
            assert not told, name
        else:
            assert list(told) == [kind], name
            assert told[kind]["evidence"]["value"] == pytest.approx(attribute["expected"], rel=1e-5)
            assert told[kind]["evidence"]["model_version"] == "1"
    assert len(seen) > 1, seen
    assert scorer.batches(["B-149"])[0]["hindsight"] is False
    assert scorer.batches(["B-010"])[0]["hindsight"] is True
    early = desk.review("B-010")
    assert early["predicted"] == []
    (check,) = (c for c in early["checked"] if c["check"] == "predicted results")
    assert not check["done"]
    assert "hindsight" in check["notes"][0]


def results(fleet: Fleet) -> dict[str, float]:
    lab = fleet.data["dublin"].current().snapshot.table("lab_results")
    return dict(zip(lab["batch_id"], lab["value"], strict=True))


def test_what_came_live_is_reviewed_without_a_load(world: World) -> None:
    """press-1 alarms, an order is opened on it and its vibration leaves its limits, all after the last load."""
    fleet = Fleet(world.home, [world.folder])
    desk, data = ReviewDesk(fleet), fleet.data["dublin"]
    batches = data.current().snapshot.table("batches")
    name = str(batches["batch_id"].iloc[-1])
    start = pd.Timestamp(batches["started_at"].iloc[-1])
    desk.case(name)
    connected = dict.fromkeys(("readings", "events", "work_orders", "signals", "batch_steps"), "live")
    desk._plants["dublin"] = replace(desk._plants["dublin"], systems=connected)
    quiet = before = desk.review(name)
    ts = pd.Series([start + pd.Timedelta(minutes=45 + 20 * i) for i in range(13)]).astype("datetime64[us, UTC]")
    now = data.current().end + pd.Timedelta("1h")
    log = data.log()
    log.append("readings", pd.DataFrame({
        "equipment_id": "press-1", "signal": "vibration", "ts": ts, "value": 99.0, "quality": "good"}), now)
    log.append("events", pd.DataFrame({
        "event_id": [f"E{i}" for i in range(6)], "equipment_id": "press-1", "ts": ts[:6], "kind": "alarm",
        "code": "vibration_limit"}), now + pd.Timedelta("1s"))
    log.append("work_orders", pd.DataFrame({
        "work_order_id": ["LIVE-1"], "equipment_id": ["press-1"], "kind": ["corrective"],
        "opened_at": pd.Series([start + pd.Timedelta("2h")]).astype("datetime64[us, UTC]")}), now + pd.Timedelta("2s"))
    live = desk.review(name)
    kinds = [{e["kind"] for e in r["exceptions"]} for r in (quiet, live)]
    assert kinds[1] - kinds[0] >= {"alarms", "repair_during_step"}
    worst = [{e["evidence"]["value"] for e in r["exceptions"] if e["kind"] == "limit_excursion"} for r in (quiet, live)]
    assert 99.0 in worst[1] - worst[0]
    assert live["data_version"] != before["data_version"]
    assert live["as_of"] > before["as_of"]
    then = desk.review(name, at=pd.Timestamp(before["as_of"]))
    assert then["exceptions"] == quiet["exceptions"]  # none of it was known then
