"""Rolling origin: folds cover the test period once, in order, and nothing of it lies before the origin."""

from __future__ import annotations

import itertools

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.split import Split
from plant.errors import SteadylineError
from tests.training.small import DAY, START
from training.splits import calibration_start, folds
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
