"""Rolling origin: folds cover the test period once, in order, and nothing of it lies before the origin."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.split import Split
from plant.errors import SteadylineError
from tests.training.small import DAY, START
from training.splits import MOST_LEFT_OUT, calibration_start, folds, on_both_sides
from training.splits import test_start as first_test_moment

END = START + 100 * DAY


@given(st.integers(1, 20), st.integers(1, 10**6))
def test_folds_cover_the_period_once_and_in_order(count: int, minutes: int) -> None:
    end = START + pd.Timedelta(minutes=minutes)
    cuts = folds(START, end, count)
    assert len(cuts) == count
    assert (cuts[0].origin, cuts[-1].end) == (START, end)
    assert all(a.end == b.origin and a.origin < a.end for a, b in itertools.pairwise(cuts))
    lengths = [(f.end - f.origin).total_seconds() for f in cuts]
    assert max(lengths) - min(lengths) < 1e-4


def test_the_test_period_by_share_or_by_date() -> None:
    assert first_test_moment(START, END, Split(test_share=0.25)) == START + 75 * DAY
    assert first_test_moment(START, END, Split(test_from=START + 30 * DAY)) == START + 30 * DAY


@pytest.mark.parametrize("days", [-1, 0, 100, 101])
def test_a_date_outside_the_data_is_refused(days: int) -> None:
    with pytest.raises(SteadylineError) as refused:
        first_test_moment(START, END, Split(test_from=START + days * DAY))
    assert refused.value.code == "bad_split"
    assert str(END) in refused.value.allowed
    assert "split.test_from" in refused.value.hint


def test_calibration_is_the_end_of_the_training_period() -> None:
    at = calibration_start(START, START + 50 * DAY, Split(calibration_share=0.2))
    assert at == START + 40 * DAY


def made(products: str, lines: str | None = None, days: list[float] | None = None) -> pd.DataFrame:
    """One batch a day (or on the given days), each of a one-letter product on a one-letter line."""
    count = len(products)
    return pd.DataFrame({
        "batch_id": [f"B{i:03d}" for i in range(count)], "product": list(products),
        "line": list(lines or "1" * count), "started_at": [START + d * DAY for d in days or range(count)],
    })


def used(lots: str) -> pd.DataFrame:
    return pd.DataFrame({"batch_id": [f"B{i:03d}" for i in range(len(lots))], "material_lot": list(lots)})


def apart(batches: pd.DataFrame, lots: pd.DataFrame, first: int) -> list[int]:
    """Numbers of the batches left out when the test begins with batch number `first`."""
    ids = list(batches["batch_id"])
    return sorted(ids.index(b) for b in on_both_sides(batches, lots, set(ids[:first]), set(ids[first:])))


NO_LOTS = used("")


@pytest.mark.parametrize(("batches", "lots", "first", "out"), [
    (made("abababababab"), used("aaabbbbccccc"), 9, [7, 8]),
    (made("abababababab"), used("aaabbbbbbbbb"), 9, []),  # lot b: more than a third would go
    (made("aaaaaaaabbbb"), NO_LOTS, 9, [8]),
    (made("aaaaaaaabbbb", "111111111222"), NO_LOTS, 9, []),  # another line: another campaign
    (made("aaaaaaaabbbb", days=[*range(9), *range(17, 20)]), NO_LOTS, 9, []),  # a pause of more than a week
    (made("aaaaaaaaaaaa"), NO_LOTS, 9, []),  # one campaign without an end
    (made("aaaaaaabbbaa", "111111112111"), NO_LOTS, 9, [7]),
])
def test_lots_and_campaigns_stand_on_one_side(
    batches: pd.DataFrame, lots: pd.DataFrame, first: int, out: list[int]
) -> None:
    assert apart(batches, lots, first) == out


@given(st.integers(0, 10**6), st.integers(2, 60))
def test_what_is_left_out_separates_lots_and_never_more_than_a_third(seed: int, first: int) -> None:
    rng = np.random.default_rng(seed)
    count = first + int(rng.integers(1, 30))
    batches = made("".join(rng.choice(list("ab"), count)), "".join(rng.choice(list("12"), count)))
    start = np.sort(rng.integers(0, 8, count)) if seed % 2 else rng.integers(0, 8, count)
    lots = used("".join("abcdefgh"[i] for i in start))
    out = apart(batches, lots, first)
    assert len(out) <= MOST_LEFT_OUT * first
    assert all(i < first for i in out)
    held = [{lots["material_lot"][i] for i in part} for part in (set(range(first)) - set(out), range(first, count))]
    for lot in held[0] & held[1]:  # what still is on both sides would have taken too much
        members = {i for i in range(first) if lots["material_lot"][i] == lot}
        assert len(members | set(out)) > MOST_LEFT_OUT * first
    mixed = batches.sample(frac=1, random_state=seed)
    assert on_both_sides(mixed, lots.sample(frac=1, random_state=seed), set(batches["batch_id"][:first]),
                         set(batches["batch_id"][first:])) == {batches["batch_id"][i] for i in out}
