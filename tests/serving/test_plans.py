"""What a planner reads beside a risk: the next planned work, the spare part, the rows behind the reasons."""

from __future__ import annotations

import json

import pandas as pd

from plant.snapshot import Frames
from serving.behind import behind
from serving.plans import Plans
from serving.scoring import Scorer
from tests.serving.world import World

T = pd.Timestamp("2025-06-01T00:00:00Z")
DAY = pd.Timedelta("1D")


def orders(*rows: tuple[str, str, float, float | None]) -> pd.DataFrame:
    """(equipment, kind, days before T at which it was opened, and closed)."""
    return pd.DataFrame([
        {"work_order_id": f"w{i}", "equipment_id": e, "kind": kind, "opened_at": T - a * DAY,
         "closed_at": pd.NaT if b is None else T - b * DAY}
        for i, (e, kind, a, b) in enumerate(rows)
    ])


PARTS = pd.DataFrame({
    "part_id": ["P2", "P1", "P3", "P4"], "equipment_class": ["pump", "pump", None, "pump"],
    "failure_mode": ["leak", "leak", "leak", None], "on_hand": [0.0, 3.0, None, 1.0],
    "lead_time_days": [5.0, 9.0, 2.0, 1.0],
})


def plant(work: pd.DataFrame) -> Frames:
    return Frames({
        "equipment": pd.DataFrame({"equipment_id": ["a", "b", "c"]}), "work_orders": work, "spare_parts": PARTS,
    })


def test_the_next_planned_work_is_an_open_order_or_the_usual_interval_and_is_told_apart() -> None:
    work = orders(
        ("a", "preventive", 100, 99), ("a", "preventive", 70, 69), ("a", "preventive", 40, 39),
        ("b", "preventive", 60, 59), ("b", "preventive", 30, 29), ("b", "preventive", 2, None),
        ("c", "preventive", 50, 49), ("c", "corrective", 20, 19),
    )
    found = Plans.at(plant(work), T).planned
    assert found["a"].estimated
    assert found["a"].at == T  # due ten days ago: it comes any day
    assert not found["b"].estimated
    assert "w5" in found["b"].source
    assert "c" not in found  # one order is no interval
    earlier = Plans.at(plant(work), T - 35 * DAY).planned  # what was opened later was not known
    assert earlier["a"].at == T - 10 * DAY
    assert "b" not in earlier


def test_parts_of_a_class_and_those_for_any_class() -> None:
    plans = Plans.at(plant(orders()[0:0].reindex(columns=["work_order_id", "equipment_id", "kind", "opened_at",
                                                          "closed_at"])), T)
    assert [p.part_id for p in plans.parts_of("pump", "leak")] == ["P1", "P2", "P3"]
    assert [p.part_id for p in plans.parts_of("fan", "leak")] == ["P3"]
    assert plans.parts_of("pump", "bearing") == []
    assert plans.parts_of("pump", "leak")[2].on_hand is None


def test_a_score_says_what_to_do_and_which_rows_its_reasons_are_made_of(world: World) -> None:
    world.promote("press_failures")
    scorer = Scorer.open(world.home, world.site, "press_failures")
    score = scorer.equipment()[0]
    what = score["decision"]["recommended"]
    assert what["when"] in ("nothing", "watch", "now", "before_the_next_stop", "at_the_next_stop")
    assert what["text"]
    assert score["what_if"] == []
    told = behind(scorer.data.current().snapshot, scorer.served().predictor.plan, score, most=2)
    json.dumps(told, allow_nan=False)
    assert [t["feature"] for t in told] == [r["feature"] for r in score["reasons"]]
    of_readings = [t for t in told if any(r["table"] == "readings" for r in t["rows"])]
    for one in of_readings:
        assert len(one["rows"]) == min(2, one["count"])
        assert all(pd.Timestamp(r["time"]) < pd.Timestamp(score["as_of"]) for r in one["rows"])
        assert one["rows"][0]["time"] >= one["rows"][-1]["time"]
    assert told
