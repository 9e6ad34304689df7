"""Reviews of records that are odd in ways a plant is: what stopped coming, verdicts, limits, spellings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plant.tables import TABLES
from serving.pages import render_review
from serving.review import Review, review
from serving.review_case import Known, open_case
from serving.review_desk import with_reviews
from serving.review_habits import usual
from serving.review_rules import load_rules
from tests.serving.review_planted import made_of
from tests.serving.review_world import DAY, HOUR, World, batch, begin, clean, lot_of, plant_of

RULES = load_rules(())
LATER = [batch(i) for i in range(110, 200, 22)]  # made after the middle, when the feeds below stop
Tables = dict[str, pd.DataFrame]


@pytest.fixture
def tables() -> Tables:
    return {name: frame.copy() for name, frame in CLEAN.items()}


CLEAN = clean(3)


def reviews(tables: Tables, batches: list[str], at: pd.Timestamp | None = None) -> dict[str, Review]:
    world = World(dict(tables))
    known, plant = Known(world, at or world.data_end), plant_of(RULES)
    return {b: review(open_case(plant, known, b)) for b in batches}


def told(one: Review) -> list[str]:
    return sorted(f"{e.severity} {e.found.kind}" for e in one.exceptions)


def only(tables: Tables, batch_id: str, at: pd.Timestamp | None = None) -> list[str]:
    return told(reviews(tables, [batch_id], at)[batch_id])


def result(tables: Tables, batch_id: str, attribute: str = "assay") -> int:
    lab = tables["lab_results"]
    return int(lab.index[(lab["batch_id"] == batch_id) & (lab["attribute"] == attribute)][0])


def add(tables: Tables, table: str, **row: Any) -> None:
    tables[table] = pd.concat([tables[table], pd.DataFrame([row])], ignore_index=True)


@pytest.mark.parametrize(("table", "column", "name", "time", "kind"), [
    ("lab_results", "attribute", "dissolution", "sampled_at", "lab_missing"),
    ("batch_steps", "step", "coating", "started_at", "step_missing"),
    ("genealogy", "material", "lactose", "used_at", "material_missing"),
])
def test_what_stopped_coming_is_missed_in_every_batch_since(
    tables: Tables, table: str, column: str, name: str, time: str, kind: str
) -> None:
    """Not only in the first ones, after which the peers have none of it either."""
    rows = tables[table]
    tables[table] = rows[~((rows[column] == name) & (rows[time] > begin(100)))]
    for batch_id, one in reviews(tables, LATER).items():
        assert f"critical {kind}" in told(one), batch_id
    assert only(tables, batch(60)) == []


@pytest.mark.parametrize(("column", "empty", "kind"), [
    ("speed", np.nan, "step_value_missing"), ("equipment_id", None, "step_without_equipment"),
])
def test_a_value_that_is_no_longer_recorded_is_missed(
    tables: Tables, column: str, empty: object, kind: str
) -> None:
    steps = tables["batch_steps"]
    tables["batch_steps"].loc[(steps["step"] == "coating") & (steps["started_at"] > begin(100)), column] = empty
    for batch_id, one in reviews(tables, LATER).items():
        assert f"major {kind}" in told(one), batch_id


def test_results_of_lots_that_stopped_coming_are_missed(tables: Tables) -> None:
    lab = tables["lab_results"]
    tables["lab_results"] = lab[~(lab["material_lot"].notna() & (lab["sampled_at"] > begin(60)))]
    assert all("major lot_untested" in told(one) for one in reviews(tables, LATER).values())
    tables["lab_results"] = lab[lab["material_lot"].isna()]
    assert all(told(one) == ["minor lots_never_tested"] for one in reviews(tables, LATER).values())


def test_a_site_may_declare_that_it_has_no_results_of_lots(tables: Tables) -> None:
    tables["lab_results"] = tables["lab_results"][tables["lab_results"]["material_lot"].isna()]
    rules, world = type(RULES)(RULES.table, RULES.settings, {"lot_results": "they are on paper"}), World(tables)
    one = review(open_case(plant_of(rules), Known(world, world.data_end), batch(120)))
    assert told(one) == ["minor not_expected"]
    assert "lot results (they are on paper)" in one.exceptions[0].found.text


def test_what_stopped_longer_ago_than_it_came_is_no_longer_critical(tables: Tables) -> None:
    """A test, a step or a material that a product no longer has is told, and not as if a feed had just died."""
    lab = tables["lab_results"]
    tables["lab_results"] = lab[~((lab["attribute"] == "dissolution") & (lab["sampled_at"] > begin(40)))]
    assert only(tables, batch(60)) == ["critical lab_missing"]
    assert only(tables, batch(190)) == ["major lab_missing"]


def test_a_product_that_the_laboratory_never_tests_is_not_clean(tables: Tables) -> None:
    lab, batches = tables["lab_results"], tables["batches"]
    own = set(batches.loc[batches["product"] == "P10", "batch_id"])
    tables["lab_results"] = lab[~lab["batch_id"].isin(own)]
    some = sorted(own)[10::30]
    assert all("critical lab_missing" in told(one) for one in reviews(tables, some).values())


@pytest.mark.parametrize("of", [8, 20, 60])
def test_what_is_usual(of: int) -> None:
    """Newest first; a name counts by its share, or by that before it stopped."""
    peers = [{"a"} if i % 20 else {"a", "b"} for i in range(of)]
    assert set(usual(peers, 0.9, 8)) == {"a"}
    stopped = [set[str]() for _ in range(30)] + peers
    assert set(usual(stopped, 0.9, 8)) == {"a"}
    assert (usual(stopped, 0.9, 8)["a"].without, usual(stopped, 0.9, 8)["a"].of) == (30, of)
    assert set(usual(peers, 0.9, of + 1)) == {"a"}  # of few, what every one of them has
    assert usual([*peers, {"b"}], 0.9, of + 2) == {}
    assert usual(peers[:2], 0.9, 8) == {}
    assert usual([], 0.9, 8) == {}


def test_verdicts_without_values_count(tables: Tables) -> None:
    """A laboratory that passes or fails: no value anywhere."""
    tables["lab_results"]["value"] = np.nan
    for batch_id, status in ((batch(120), "out_of_spec"), (batch(130), "out_of_trend")):
        tables["lab_results"].loc[result(tables, batch_id), "status"] = status
    assert only(tables, batch(120)) == ["critical lab_out_of_spec"]
    assert only(tables, batch(130)) == ["major lab_out_of_trend"]
    assert only(tables, batch(121)) == []
    tables["lab_results"] = tables["lab_results"].drop(index=result(tables, batch(121)))
    assert only(tables, batch(121)) == ["critical lab_missing"]


def test_a_verdict_counts_where_only_its_value_is_missing(tables: Tables) -> None:
    tables["lab_results"].loc[result(tables, batch(120)), ["value", "status"]] = [np.nan, "out_of_spec"]
    assert only(tables, batch(120)) == ["critical lab_out_of_spec"]


@pytest.mark.parametrize(("changes", "kinds"), [
    ({"lower_spec": np.nan, "upper_spec": np.nan}, ["major lab_limits_changed"]),
    ({"lower_spec": np.nan, "upper_spec": np.nan, "value": 94.0},
     ["critical lab_out_of_spec", "major lab_limits_changed"]),
    ({"lower_spec": 90.0}, ["major lab_limits_changed"]), ({"unit": "mg"}, ["major lab_limits_changed"]),
])
def test_a_result_held_against_other_limits_than_the_products_is_told(
    tables: Tables, changes: dict[str, Any], kinds: list[str]
) -> None:
    for column, value in changes.items():
        tables["lab_results"].loc[result(tables, batch(120)), column] = value
    assert only(tables, batch(120)) == kinds


def test_limits_that_changed_for_good_are_told_only_at_first(tables: Tables) -> None:
    lab = tables["lab_results"]
    tables["lab_results"].loc[(lab["attribute"] == "assay") & (lab["sampled_at"] > begin(100)), "lower_spec"] = 94.5
    assert only(tables, batch(105)) == ["major lab_limits_changed"]
    assert only(tables, batch(195)) == []


@pytest.mark.parametrize("write", [str.lower, lambda name: f" {name} "])
def test_a_lot_written_otherwise_is_the_same_lot(tables: Tables, write: Callable[[str], str]) -> None:
    lot = lot_of("film", 120)  # it goes in through an intermediate
    lab, holds = tables["lab_results"], made_of(CLEAN, lot)
    row = lab.index[lab["material_lot"] == lot][0]
    tables["lab_results"].loc[row, ["material_lot", "value", "status"]] = [write(lot), 500.0, "out_of_spec"]
    used = tables["genealogy"]["material_lot"]
    tables["genealogy"]["material_lot"] = used.where(~used.str.startswith("C"), used.map(write))
    others = [batch(i) for i in range(20, 200, 12) if batch(i) not in holds]
    made = reviews(tables, [*sorted(b for b in holds if b.startswith("B")), *others])
    flagged = {b for b, one in made.items() if "critical lot_out_of_spec" in told(one)}
    assert flagged == {b for b in holds if b.startswith("B")}
    assert all(told(one) == [] for b, one in made.items() if b in others)


@pytest.mark.parametrize(("column", "severity", "kinds"), [
    ("batch_id", "critical", ["minor closed_deviation"]), ("batch_id", "major", ["minor closed_deviation"]),
    ("batch_id", "minor", []), ("equipment_id", "critical", ["minor closed_deviation"]),
    ("equipment_id", "major", []),
])
def test_a_grave_deviation_is_shown_when_it_is_closed_too(
    tables: Tables, column: str, severity: str, kinds: list[str]
) -> None:
    of = {"batch_id": batch(121), "equipment_id": "gran-2"}[column]
    add(tables, "deviations", deviation_id="X", category="equipment", severity=severity, opened_at=begin(120),
        closed_at=begin(126), **{column: of})
    assert only(tables, batch(121)) == kinds
    then = [e for e in reviews(tables, [batch(121)], begin(125))[batch(121)].exceptions if e.found.keys[0][-2:] == "/X"]
    assert [e.severity for e in then] == [severity]  # open then, as recorded


def test_rooms_are_found_by_area_where_equipment_has_no_parent(tables: Tables) -> None:
    equipment = tables["equipment"]
    equipment["area"] = equipment["parent_id"].fillna(equipment["equipment_id"])
    equipment["parent_id"] = None
    r = tables["readings"]
    where = (r["equipment_id"] == "room-1") & (r["signal"] == "relative_humidity")
    tables["readings"].loc[where & (r["ts"] >= begin(120)) & (r["ts"] < begin(121)), "value"] = 70.0
    assert only(tables, batch(120)) == ["critical environment_excursion"]
    assert only(tables, batch(140)) == []


def test_a_running_batch_that_is_behind_misses_nothing_yet(tables: Tables) -> None:
    """It stands in compression for a day: neither the next step nor the samples after it are missing."""
    at, steps = begin(150) + 60 * HOUR, tables["batch_steps"]
    own = steps["batch_id"] == batch(150)
    tables["batch_steps"].loc[own & (steps["step"] == "compression"), "ended_at"] = at + HOUR
    tables["batch_steps"] = tables["batch_steps"][~(own & (steps["step"] == "coating"))]
    tables["batches"].loc[tables["batches"]["batch_id"] == batch(150), "ended_at"] = at + 20 * HOUR
    lab = tables["lab_results"]
    tables["lab_results"] = lab[lab["batch_id"] != batch(150)]
    assert not [k for k in only(tables, batch(150), at) if "missing" in k and "readings" not in k]
    # and one that has skipped a step misses it while it runs
    coating = {"batch_id": batch(150), "step": "coating", "equipment_id": "coater-1", "started_at": at - HOUR}
    steps = tables["batch_steps"]
    skipped = steps[~((steps["batch_id"] == batch(150)) & (steps["step"] == "compression"))]
    tables["batch_steps"] = pd.concat([skipped, pd.DataFrame([coating])])
    assert "critical step_missing" in only(tables, batch(150), at)


def test_silence_of_what_is_rare_anyway_is_no_exception(tables: Tables) -> None:
    for name, every in (("deviations", 9), ("work_orders", 12), ("downtime", 40), ("events", 80)):
        tables[name] = tables[name].iloc[::every]
    made = reviews(tables, [batch(i) for i in range(40, 200, 20)])
    assert not [b for b, one in made.items() if any("feed" in k for k in told(one))]


def test_systems_are_quiet_between_batches_that_are_rare(tables: Tables) -> None:
    """A plant that makes one batch in five days, and whose machines send nothing in between."""
    keep = {batch(i) for i in range(0, 200, 10)}
    kept = keep | set(tables["genealogy"].loc[tables["genealogy"]["batch_id"].isin(keep), "material_lot"])
    for name in ("batches", "batch_steps", "genealogy", "dispositions"):
        tables[name] = tables[name][tables[name]["batch_id"].isin(kept)]
    lab, steps = tables["lab_results"], tables["batch_steps"].dropna(subset=["equipment_id"])
    lots = set(tables["genealogy"]["material_lot"])
    tables["lab_results"] = lab[lab["batch_id"].isin(kept) | lab["material_lot"].isin(lots)]
    for name, time in (("downtime", "started_at"), ("events", "ts"), ("readings", "ts")):
        rows = tables[name]
        runs = rows["equipment_id"].astype(str).str.startswith("room").to_numpy().copy()
        for s in steps.itertuples():
            runs |= ((rows["equipment_id"] == s.equipment_id) & rows[time].between(s.started_at, s.ended_at)).to_numpy()
        tables[name] = rows[runs]
    some = sorted(keep)[8:]
    assert not [b for b, one in reviews(tables, some).items() if any("feed" in k for k in told(one))]
    tables["lab_results"] = lab[lab["sampled_at"] < begin(100)]
    assert all(any("critical" in k for k in told(one)) for one in reviews(tables, sorted(keep)[12:]).values())


@pytest.mark.parametrize("table", ["equipment", "signals"])
def test_without_equipment_or_limits_no_batch_is_clean(tables: Tables, table: str) -> None:
    del tables[table]
    assert only(tables, batch(120)) == ["critical feed_missing"]


def test_equipment_that_is_not_read_is_missed_where_its_like_is(tables: Tables) -> None:
    """Neither its readings nor its signals: nothing of it is known to the historian."""
    for name in ("readings", "signals"):
        tables[name] = tables[name][tables[name]["equipment_id"] != "press-1"]
    assert only(tables, batch(120)) == ["critical readings_missing"]
    assert only(tables, batch(121)) == []
    for name in ("readings", "signals"):  # a step whose machines nobody reads misses nothing
        tables[name] = tables[name][~tables[name]["equipment_id"].astype(str).str.startswith("press")]
    assert only(tables, batch(120)) == []


def test_an_alarm_that_equipment_hardly_ever_has_is_shown_each(tables: Tables) -> None:
    add(tables, "events", event_id="X", equipment_id="press-1", ts=begin(120) + 8 * HOUR, kind="alarm", code="metal")
    assert only(tables, batch(120)) == ["minor alarm_rare"]
    events = tables["events"]
    usual_one = events[(events["equipment_id"] == "press-1") & (events["kind"] == "alarm")]
    assert len(usual_one) > 20  # which are not shown
    assert only(tables, batch(122)) == []


def test_a_retest_does_not_undo_a_result_out_of_specification(tables: Tables) -> None:
    for row, other in ((result(tables, batch(120)), None), (
        tables["lab_results"].index[tables["lab_results"]["material_lot"] == lot_of("api", 120)][0], "RX2"
    )):
        again = tables["lab_results"].loc[row].to_dict()
        tables["lab_results"].loc[row, ["value", "status"]] = [150.0, "out_of_spec"]
        again |= {"result_id": other or "RX", "sampled_at": again["sampled_at"] + DAY,
                  "approved_at": again["approved_at"] + DAY}
        add(tables, "lab_results", **again)
    assert only(tables, batch(120)) == ["critical lab_out_of_spec", "critical lot_out_of_spec"]


@pytest.mark.parametrize("seed", range(6))
def test_no_odd_record_breaks_a_review(seed: int) -> None:
    """Rows and values lost, times moved: every batch that is known gets its review, and its page."""
    rng, tables = np.random.default_rng(seed), {n: f.copy() for n, f in CLEAN.items()}
    for name, frame in tables.items():
        kind = rng.integers(0, 3)
        if kind == 0:
            tables[name] = frame[rng.random(len(frame)) < rng.choice([0.0, 0.1, 0.9])]
            continue
        contract = TABLES[name]
        for column in (c for c in contract.columns if c.name in frame):
            odd, values = rng.random(len(frame)) < rng.choice([0.05, 0.5, 1.0]), frame[column.name]
            if kind == 1 and not column.required and column.name not in contract.key:
                frame[column.name] = values.mask(odd, None if values.dtype == object else np.nan)
            if kind == 2 and column.kind == "time":
                frame[column.name] = values.where(~odd, values - 50 * HOUR)
    world = World(tables)
    batches = list(world.tables["batches"]["batch_id"])
    known = Known(world, world.data_end)
    for batch_id in rng.choice(batches, min(3, len(batches)), replace=False):
        one = review(open_case(plant_of(RULES), known, str(batch_id)))
        assert 0 <= one.counts["cleared"] <= one.counts["entries"]
        assert str(batch_id) in render_review(with_reviews(one.as_dict(), []))


def test_deviations_of_other_batches_on_the_equipment_are_one_exception(tables: Tables) -> None:
    for number, severity in enumerate(("critical", "minor")):
        add(tables, "deviations", deviation_id=f"X{number}", category="equipment", severity=severity,
            opened_at=begin(119), batch_id=batch(110), equipment_id=("gran-1", "press-1")[number])
    (one,) = reviews(tables, [batch(120)])[batch(120)].exceptions
    assert (one.severity, one.found.kind) == ("minor", "deviation_of_others")
    assert one.found.rows == ("deviations/X0", "deviations/X1")
    assert "X0 on gran-1 during granulation" in one.found.text
    assert sorted(only(tables, batch(110))) == ["critical open_deviation", "minor open_deviation"]


@pytest.mark.parametrize(("begun", "expected"), [(None, ["major calibration_overdue"]), (2 * HOUR, [])])
def test_work_that_becomes_overdue_while_a_step_runs_is_overdue(
    tables: Tables, begun: pd.Timedelta | None, expected: list[str]
) -> None:
    """Ten days after its release, which the step begins before and ends after; unless it was begun in time."""
    steps = tables["batch_steps"]
    step = steps[(steps["batch_id"] == LATER[2]) & (steps["step"] == "coating")].iloc[0]
    middle = step["started_at"] + (step["ended_at"] - step["started_at"]) * 0.9
    assert step["started_at"] + 2 * HOUR < middle
    started = step["ended_at"] + HOUR if begun is None else step["started_at"] + begun
    add(tables, "work_orders", work_order_id="C1", equipment_id=step["equipment_id"], kind="calibration",
        opened_at=middle - 10 * DAY, started_at=started, closed_at=started + HOUR)  # fmt: skip
    assert only(tables, LATER[2]) == expected
