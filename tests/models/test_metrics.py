"""Measures agree with their definitions and are None where they are not defined."""

from __future__ import annotations

import numpy as np
import pytest

from models import metrics


def test_degenerate_cases_are_none() -> None:
    p, none, all_ = [0.1, 0.9], [0.0, 0.0], [1.0, 1.0]
    assert metrics.auc(p, none) is None
    assert metrics.auc(p, all_) is None
    assert metrics.average_precision(p, none) is None
    assert metrics.average_precision(p, all_) == 1.0
    assert metrics.r2([3.0, 3.0], [3.0, 2.0]) is None
    for measure in (metrics.auc, metrics.average_precision, metrics.brier, metrics.ece, metrics.r2, metrics.mae,
                    metrics.rmse):
        assert measure([], []) is None
        assert measure([np.nan], [1.0]) is None
    assert metrics.coverage([np.nan], [[0, 1]]) is None
    assert metrics.base_rate([]) is None


def test_known_values() -> None:
    assert metrics.auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == pytest.approx(0.75)
    assert metrics.brier([0.0, 1.0, 0.5], [0, 1, 1]) == pytest.approx(0.25 / 3)
    assert metrics.mae([1, 2], [2, 4]) == 1.5
    assert metrics.rmse([0, 0], [3, 4]) == pytest.approx(np.sqrt(12.5))
    assert metrics.r2([1, 2, 3], [1, 2, 3]) == 1.0
    assert metrics.coverage([1, 2, 3], [[0, 1], [0, 1], [-np.inf, np.inf]]) == pytest.approx(2 / 3)
    with pytest.raises(ValueError, match="bounds"):
        metrics.coverage([1, 2], [[0, 1]])


def test_calibration_error_of_equal_mass_bins() -> None:
    p = np.repeat([0.1, 0.6], 50)
    event = np.concatenate([np.repeat([1, 0], [5, 45]), np.repeat([1, 0], [10, 40])]).astype(float)
    assert metrics.ece(p, event) == pytest.approx(0.5 * 0.0 + 0.5 * 0.4)
    rng = np.random.default_rng(1)
    p = rng.random(20000)
    assert metrics.ece(p, (rng.random(20000) < p).astype(float)) < 0.02


def test_bootstrap_draws_whole_groups() -> None:
    rng = np.random.default_rng(2)
    shift = np.repeat(rng.normal(size=20), 50)  # rows of a group share their error
    y = np.zeros(1000)
    by_row = metrics.bootstrap(metrics.mae, y, shift)
    by_group = metrics.bootstrap(metrics.mae, y, shift, np.repeat(np.arange(20), 50))
    assert by_row is not None
    assert by_group is not None
    assert by_group[1] - by_group[0] > 3 * (by_row[1] - by_row[0])
    assert by_group[0] < metrics.mae(y, shift) < by_group[1]
    assert metrics.bootstrap(metrics.mae, y, shift, np.zeros(1000)) is None
    assert metrics.bootstrap(metrics.auc, shift, y) is None
    assert metrics.bootstrap(metrics.mae, y, shift) == by_row
