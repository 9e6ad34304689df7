"""Nearest batches by reason profile: against brute force, symmetric, and in whatever order they are given."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.similar import Shared, distances, nearest

GROUPS = ["api", "press", "dryer", "earlier"]
PROFILES = st.lists(
    st.lists(st.floats(-100, 100), min_size=4, max_size=4), min_size=1, max_size=20
).map(np.array)


@given(PROFILES)
def test_the_nearest_are_those_of_brute_force(many: np.ndarray) -> None:
    own, others = many[0], many[1:]
    found = nearest(GROUPS, own, others)
    slow = [math.dist(own, other) for other in others]
    assert [n.distance for n in found] == pytest.approx(sorted(slow)[:5], abs=1e-9)
    assert len(found) == min(5, len(others))
    for n in found:
        assert n.distance == pytest.approx(slow[n.index], abs=1e-9)


@given(PROFILES)
def test_distance_is_symmetric_and_nothing_is_nearer_than_itself(many: np.ndarray) -> None:
    there = np.array([distances(p, many) for p in many])
    assert np.array_equal(there, there.T)
    assert (np.diag(there) == 0).all()


def test_of_equally_near_ones_the_first_given_comes_first() -> None:
    others = np.array([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [-1.0, 0, 0, 0]])
    assert [n.index for n in nearest(GROUPS, np.zeros(4), others, most=2)] == [0, 1]


def test_a_shared_reason_is_strong_in_both_and_moves_both_the_same_way() -> None:
    own = np.array([3.0, -2.0, 1.0, 0.5])
    (found,) = nearest(GROUPS, own, np.array([[2.0, 2.0, 0.0, 1.0]]))
    assert found.shared == (Shared("api", 3.0, 2.0),)  # press the other way, dryer without effect, earlier only there
    (found,) = nearest(GROUPS, own, np.array([[0.0, -2.0, 1.0, 9.0]]))
    assert [s.group for s in found.shared] == ["press", "dryer"]
