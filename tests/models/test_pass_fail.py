"""Pass or fail: Venn-Abers against the slow way, calibration, honesty in time, state."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from models import metrics
from models.pass_fail import PassFail, PassFailModel, venn_abers
from models.quality import History
from plant.errors import SteadylineError

QUICK = {"rounds": 40, "members": 1}


def batches(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    true = 1 / (1 + np.exp(-(1.5 * x[:, 0] - 2.0)))
    return x, (rng.random(n) < true).astype(float), true


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 1)), max_size=30),
       st.lists(st.integers(-5, 5), min_size=1, max_size=4))
def test_venn_abers_is_two_isotonic_regressions(told: list[tuple[int, int]], asked: list[int]) -> None:
    scores, failed = (np.array([pair[k] for pair in told], dtype=float) for k in (0, 1))
    found = venn_abers(scores, failed, np.array(asked, dtype=float))
    for i, score in enumerate(asked):
        for label in (0, 1):
            slow = IsotonicRegression().fit(np.append(scores, score), np.append(failed, label))
            assert found[i, label] == pytest.approx(slow.predict([score])[0], abs=1e-9)
    assert (found[:, 0] <= found[:, 1] + 1e-12).all()


def test_probabilities_are_calibrated_and_rank() -> None:
    gaps, ranks = [], []
    for seed in range(3):
        x, failed, _ = batches(1500, seed)
        model = PassFailModel(**QUICK).fit(x, failed)
        later, happened, true = batches(3000, 100 + seed)
        found = model.predict_distribution(later)
        gaps.append(metrics.ece(found.point, happened))
        ranks.append(metrics.auc(found.point, happened) / metrics.auc(true, happened))
        assert np.allclose(found.prob_outside(np.nan, 0.5), found.point)
        assert (found.bounds[:, 0] <= found.point).all()
        assert (found.point <= found.bounds[:, 1]).all()
    assert np.mean(gaps) < 0.035
    assert np.mean(ranks) > 0.93


def test_an_interval_is_of_the_result_itself() -> None:
    p = PassFail(np.array([[0.02, 0.02], [0.3, 0.3], [0.97, 0.97]]))
    assert p.interval(0.9).tolist() == [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    assert p.below(0.5).tolist() == pytest.approx([0.98, 0.7, 0.03])
    assert np.isnan(p.prob_outside(np.nan, np.nan)).all()


def test_later_results_count_once_they_are_known() -> None:
    x, failed, _ = batches(300, 3)
    at = np.arange(300.0)
    model = PassFailModel(**QUICK).fit(x[:200], failed[:200], at[:200], at[:200] + 5)
    history = model.history(x[200:], np.ones(100), at[200:], at[200:] + 50)
    asked = x[:3]
    before = model.predict_distribution(asked, np.full(3, 250.0), history)  # the first is told just then
    after = model.predict_distribution(asked, np.full(3, 349.0), history)
    alone = model.predict_distribution(asked, np.full(3, 250.0))
    assert np.array_equal(before.bounds, alone.bounds)
    assert (after.point > alone.point).all()
    nothing = History(np.full(5, np.nan), at[:5], at[:5], np.zeros(5))
    assert np.array_equal(model.predict_distribution(asked, None, nothing).bounds,
                          model.predict_distribution(asked).bounds)


def test_saved_and_read_again_gives_the_same_bits(tmp_path) -> None:
    x, failed, _ = batches(200, 4)
    model = PassFailModel(rounds=20, members=2, unused=(3,)).fit(x, failed)
    assert model.save(tmp_path) == ["pass_fail.json", "pass_fail.0.txt", "pass_fail.1.txt"]
    again = PassFailModel.load(tmp_path)
    assert np.array_equal(again.predict(x), model.predict(x))
    assert np.array_equal(again.contributions(x), model.contributions(x))
    assert np.allclose(model.contributions(x).sum(axis=1), model.scores(x))


def test_too_few_failures_are_refused() -> None:
    x, failed, _ = batches(100, 5)
    with pytest.raises(SteadylineError, match="3 failed") as few:
        PassFailModel(**QUICK).fit(x, np.where(np.cumsum(failed) <= 3, failed, 0.0))
    assert few.value.code == "too_few_results"
    with pytest.raises(SteadylineError, match="0 \\(passed\\)"):
        PassFailModel(**QUICK).fit(x, failed * 2)
