"""On real orders of excavators the text model beats both baselines on later orders, for each field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.text import calibration_error, evaluate, f1, orders


@pytest.fixture(scope="module")
def found(shared_data: Path) -> dict[str, Any]:
    return evaluate(*orders(shared_data))


@pytest.mark.parametrize("name", ["failure_mode", "component", "action"])
def test_later_orders_are_read_better_than_by_both_baselines(found: dict[str, Any], name: str) -> None:
    figures = found["fields"][name]
    assert figures["macro_f1"] > figures["macro_f1_majority"] + 0.3
    assert figures["macro_f1"] > figures["macro_f1_rules"]
    assert figures["gain_over_rules_interval"][0] > 0  # 95 % of paired resamples of the held-out orders
    assert figures["accuracy"] > max(figures["accuracy_rules"], figures["accuracy_majority"]) + 0.03
    assert figures["macro_f1_rules"] > figures["macro_f1_majority"] + 0.3  # the rules are no straw man
    assert figures["ece"] < 0.05
    assert figures["fill_precision"] > 0.95
    assert figures["fill_coverage"] > 0.9


def test_the_split_is_in_time_and_every_coded_order_counts(found: dict[str, Any], shared_data: Path) -> None:
    days, texts, codes, _ = orders(shared_data)
    assert days == sorted(days)
    assert len(days) == len(texts) == 5484  # one line of the export is in quarantine
    assert {f: sum(c is not None for c in cs) for f, cs in codes.items()} == {
        "failure_mode": 2303, "component": 3085, "action": 2982,
    }
    for name, figures in found["fields"].items():
        assert figures["n_train"] + figures["n_test"] == sum(c is not None for c in codes[name])


def test_f1_and_calibration_error_against_scikit_learn_and_by_hand() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(3)
    truth, said = rng.integers(0, 3, 50), rng.integers(0, 4, 50)
    expected = f1_score(truth, said, average="macro", labels=[0, 1, 2])
    sets = [[frozenset([str(c)]) for c in some] for some in (truth, said)]
    assert f1(sets[0], sets[1], np.ones((1, 50)))[0] == pytest.approx(expected)
    right, sure = np.array([1, 0, 1, 1]), np.array([0.95, 0.91, 0.15, 1.0])
    assert calibration_error(right, sure) == pytest.approx(0.75 * abs(2 / 3 - (0.95 + 0.91 + 1) / 3) + 0.25 * 0.85)
