"""The parts of a review that compute: excursions, silence, distance from what came before; order of rows is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.asof import as_of
from features.reading_ranges import Series
from serving.review import review
from serving.review_case import Known, open_case
from serving.review_feeds import longest_silence
from serving.review_finding import Found, Outcome, evidence_hash, exception_id
from serving.review_readings import excursions
from serving.review_rules import load_rules
from serving.review_trend import distance, outside
from tests.serving.review_planted import planted
from tests.serving.review_world import World, plant_of

MINUTE = 60_000_000
VALUES = st.lists(st.tuples(st.sampled_from([-3.0, 0.0, 1.0, 5.0, 9.0]), st.booleans()), min_size=1, max_size=40)


@given(VALUES)
def test_every_reading_outside_lies_in_one_excursion_and_no_other_does(values: list[tuple[float, bool]]) -> None:
    ts = np.arange(len(values), dtype=np.int64) * 10 * MINUTE
    value = np.array([v for v, _ in values])
    usable = np.array([u for _, u in values])
    found = excursions(Series(ts, value, usable), 0.0, 5.0, 500 * MINUTE)
    for i in np.flatnonzero(usable):
        inside = [e for e in found if e.begin <= ts[i] < e.end]
        assert len(inside) == (1 if outside(float(value[i]), 0.0, 5.0) else 0)
    assert sum(e.count for e in found) == sum(outside(float(v), 0.0, 5.0) and bool(u) for v, u in values)
    for e in found:
        at = np.flatnonzero((ts >= e.begin) & (ts < e.end) & usable)
        beyond = {float(v): max(-v, v - 5.0) for v in value[at]}
        assert beyond[e.worst] == max(beyond.values())
    assert [e.begin for e in found] == sorted(e.begin for e in found)


def test_an_excursion_lasts_until_the_first_reading_inside() -> None:
    ts = np.array([0, 10, 20, 30, 40], dtype=np.int64) * MINUTE
    value, usable = np.array([1.0, 9.0, 9.5, 1.0, 9.0]), np.ones(5, dtype=bool)
    first, last = excursions(Series(ts, value, usable), 0.0, 5.0, 500 * MINUTE)
    assert (first.begin, first.end, first.worst, first.count) == (10 * MINUTE, 30 * MINUTE, 9.5, 2)
    assert (last.begin, last.end) == (40 * MINUTE, 50 * MINUTE)  # none follows: as long again as readings lie apart
    assert excursions(Series(ts, value, usable), None, None, 500 * MINUTE) == []
    only = Series(ts[1:2], value[1:2], usable[1:2])
    assert [(e.begin, e.end) for e in excursions(only, 0.0, 5.0, 70 * MINUTE)] == [(10 * MINUTE, 70 * MINUTE)]


@given(st.lists(st.integers(0, 100), max_size=12), st.integers(0, 60), st.integers(1, 40))
def test_silence_is_the_longest_stretch_without_a_sign(times: list[int], begin: int, length: int) -> None:
    end = begin + length
    since, until = longest_silence(np.unique(np.array(times, dtype=np.int64)), begin, end)
    assert since < until <= end
    assert not [t for t in times if since < t < until]
    # by brute force: from each sign, or the beginning where none is before it, to the next sign or the end
    starts = [t for t in times if begin < t < end] + [max((t for t in times if t <= begin), default=begin)]
    longest = max(min([t for t in times if t > s and t < end] + [end]) - s for s in starts)
    assert until - since == longest


@given(st.lists(st.floats(-50, 50), min_size=5, max_size=40), st.floats(-100, 100))
def test_only_what_lies_beyond_everything_before_is_unusual(earlier: list[float], value: float) -> None:
    found = distance(value, np.array(earlier))
    if min(earlier) <= value <= max(earlier):
        assert found is None
    else:
        assert found is not None
        assert found[0] > 0


@pytest.mark.parametrize(("value", "out"), [
    (0.1 + 0.2, False), (0.3, False), (0.3001, True), (0.0999, True), (None, False),
])
def test_a_value_may_touch_its_limit(value: float | None, out: bool) -> None:
    assert outside(value, 0.1, 0.3) is out


def test_the_distance_is_in_robust_standard_deviations() -> None:
    earlier = np.random.default_rng(1).normal(100, 2, 4000).clip(95, 105)
    found = distance(110.0, earlier)
    assert found is not None
    assert found[0] == pytest.approx(5.0, abs=0.2)
    same = distance(3.0, np.full(20, 2.0))
    assert same == (10.0, "always 2")


def test_an_id_is_that_of_its_rows_and_a_hash_that_of_its_evidence() -> None:
    def found(keys: tuple[str, ...], evidence: dict[str, object]) -> Found:
        return Found("downtime", keys, "text", None, evidence)

    one = found(("a", "b"), {"hours": 1.0})
    assert exception_id("s", "B1", one) == exception_id("s", "B1", found(("b", "a"), {"hours": 9.0}))
    assert len({exception_id(s, b, one) for s in ("s", "t") for b in ("B1", "B2")}) == 4
    assert evidence_hash(one, "minor") == evidence_hash(found(("c",), {"hours": 1.0 + 1e-9}), "minor")
    assert evidence_hash(one, "minor") != evidence_hash(one, "major")
    assert evidence_hash(one, "minor") != evidence_hash(found(("a", "b"), {"hours": 1.1}), "minor")


def test_the_order_of_rows_changes_nothing() -> None:
    world = planted(2, each=1)
    rng = np.random.default_rng(5)
    mixed = World({
        name: frame.iloc[rng.permutation(len(frame))] if frame["recorded_at"].isna().all() else frame
        for name, frame in world.tables.items()
    })
    plant = plant_of(load_rules(()))
    for item in world.planted[::3]:
        batch_id = min(item.batches)
        one, other = (
            review(open_case(plant, Known(w, world.data_end), batch_id)).as_dict() for w in (world, mixed)
        )
        assert one == other


def test_rows_found_by_a_word_are_those_of_the_view() -> None:
    world = planted(2, each=1)
    t = world.tables["batches"]["ended_at"].iloc[90]
    known = Known(world, t)
    view = as_of(world, t).table("lab_results")
    for words in (["B050"], ["B050", "B089", "B150", "B050"], ["none"]):
        pd.testing.assert_frame_equal(known.rows("lab_results", "batch_id", *words),
                                      view[view["batch_id"].isin(words)])


def test_an_entry_with_two_exceptions_is_taken_off_once() -> None:
    world = planted(2, each=1)
    case = open_case(plant_of(load_rules(())), Known(world, world.data_end), world.batch_ids[60])

    def found(kind: str, key: str, entries: int = 1, about: tuple[str, ...] | None = None) -> Found:
        return Found(kind, (key,), "text", case.started, {}, measure=1.0, entries=entries, about=about)

    hidden = Found("predicted_at_risk", ("g",), "text", case.started, {}, measure=0.0)
    for told, cleared in (
        ((found("predicted_out_of_spec", "a"), found("predicted_at_risk", "a", entries=0)), 9),
        ((found("predicted_out_of_spec", "a"), found("predicted_at_risk", "b")), 8),
        ((found("predicted_out_of_spec", "a", about=("x", "y")), found("predicted_at_risk", "b", about=("y", "z"))), 7),
        ((found("predicted_out_of_spec", "a", entries=4), found("predicted_at_risk", "b", about=())), 6),
        ((hidden, found("predicted_at_risk", "g", entries=0)), 9),
        ((hidden,), 10),
    ):
        one = review(case, [Outcome("predicted results", 10, told)])
        (check,) = (c for c in one.checked if c.name == "predicted results")
        assert (check.entries, check.cleared) == (10, cleared)
