"""Copies of the label among features that only some of the equipment have."""

from __future__ import annotations

import numpy as np

from training.audit_label import Echo, label_echoes

HORIZON_H, LIFE_H = 72.0, 480.0


def _echoes(lives: int, with_values: int, grid_h: float = 12.0) -> list[Echo]:
    """A copy of "fails within 72 h" that only the first `with_values` of the lives know."""
    left = np.tile(np.arange(grid_h / 2, LIFE_H, grid_h), lives)
    life = np.repeat(np.arange(lives), len(left) // lives)
    noise = np.random.default_rng(1).normal(0, 0.05, len(left))
    copy = np.where(life < with_values, (left < HORIZON_H) + noise, np.nan)[:, None]
    return label_echoes(copy, left, left, LIFE_H - left, life, np.array([0.0]), np.array([1.5]), np.array([False]),
                        {"72h": HORIZON_H}, grid_h, "failure")


def test_a_copy_that_one_class_of_many_knows_is_named_with_its_own_lives() -> None:
    found = _echoes(400, 24)
    assert [(e.horizon, e.lives) for e in found] == [("72h", 24)]


def test_two_lives_are_too_few_to_tell_wear_from_a_copy_however_many_others_there_are() -> None:
    assert _echoes(400, 2) == []
    assert _echoes(60, 2, 1.0) == []  # nor does reading them more often make them more
    assert len(_echoes(60, 24, 1.0)) == 1
