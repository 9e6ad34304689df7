"""Kinds of machine with trees of their own beside those of all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models import metrics
from models.hazard import HazardModel
from models.hazard_trees import copies_of_interval

EDGES = (0.0, 24.0, 72.0, 168.0)
FAST = {"num_leaves": 4, "min_data_in_leaf": 20, "learning_rate": 0.1}


def kinds(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two kinds wear by the same signal, the third by the opposite; codes stand in the last column. Simulated."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(3, n, p=(0.6, 0.3, 0.1)).astype(float)
    wear = rng.normal(size=n)
    life = rng.exponential(150 * np.exp(np.where(kind == 2, 1.2, -1.2) * wear))
    return np.column_stack([wear, rng.normal(size=n), kind]), np.minimum(life, 168.0), np.where(life < 168, 0, -1)


def fitted(own_rows: int | None, n: int = 2500) -> HazardModel:
    x, duration, mode = kinds(n, 1)
    return HazardModel(EDGES, FAST, 20, num_threads=1, strata_column=2, own_rows=own_rows).fit(x, duration, mode)


@pytest.fixture(scope="module")
def own() -> HazardModel:
    return fitted(100)


def test_a_kind_that_wears_the_other_way_is_told_better(own: HazardModel) -> None:
    x, duration, mode = kinds(6000, 2)
    odd, event = x[:, 2] == 2, ((mode >= 0) & (duration < 72)).astype(float)
    auc = [metrics.auc(m.predict_risk(x[odd], [72.0])[:, 0, 0], event[odd]) for m in (own, fitted(None))]
    assert auc[0] is not None
    assert auc[1] is not None
    assert auc[0] > auc[1] + 0.02, auc


def test_log_odds_are_the_mean_of_both(own: HazardModel) -> None:
    x, _, _ = kinds(300, 3)
    mine = x[:, 2] == 1
    alone = HazardModel(EDGES, FAST, 8, num_threads=1)  # two fifths of the rounds, and only these rows
    learnt, duration, mode = kinds(2500, 1)
    of_it = learnt[:, 2] == 1
    alone.fit(learnt[of_it], duration[of_it], mode[of_it])
    mean = (fitted(None).raw_score(x[mine], 72.0) + alone.raw_score(x[mine], 72.0)) / 2
    assert own.raw_score(x[mine], 72.0) == pytest.approx(mean, abs=1e-12)


def test_contributions_still_sum_to_the_raw_score(own: HazardModel) -> None:
    x, _, _ = kinds(200, 4)
    x[:5, 2] = np.nan  # a machine of which the kind is not known
    assert own.contributions(x, 72.0).sum(axis=1) == pytest.approx(own.raw_score(x, 72.0), abs=1e-9)


def test_saved_and_read_again_gives_the_same_bits(own: HazardModel, tmp_path: Path) -> None:
    x, _, _ = kinds(100, 5)
    names = own.save(tmp_path)
    assert names[:5] == ["hazard.json", "hazard.txt", "hazard_0.txt", "hazard_1.txt", "hazard_2.txt"]
    again = HazardModel.load(tmp_path)
    whole = own.predict_risk(x, [24.0, 168.0])
    assert np.array_equal(again.predict_risk(x, [24.0, 168.0]), whole)
    assert np.array_equal(np.concatenate([own.predict_risk(x[i:i + 1], [24.0, 168.0]) for i in range(20)]), whole[:20])


def test_few_failures_and_a_single_kind_get_none() -> None:
    x, duration, mode = kinds(2500, 1)
    failing = np.bincount(x[(mode >= 0), 2].astype(int))
    model = HazardModel(EDGES, FAST, 4, num_threads=1, strata_column=2, own_rows=int(failing[1]))
    assert sorted(model.fit(x, duration, mode).hazard_.own) == [0, 1]
    one = x[:, 2] == 0
    assert not model.fit(x[one], duration[one], mode[one]).hazard_.own
    assert not HazardModel(EDGES, FAST, 4, num_threads=1, own_rows=1).fit(x, duration, mode).hazard_.own


def test_importance_is_a_share_of_what_the_trees_gain(own: HazardModel) -> None:
    share = own.hazard_.importance(3)
    assert share.shape == (3,)
    assert share[0] > 0.5
    assert share.sum() <= 1.0 + 1e-9


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5, 0.7, 0.95, 1.0])
def test_nine_trees_of_ten_can_split_by_the_interval(share: float) -> None:
    copies = copies_of_interval(share)
    assert 1 - (1 - share) ** copies >= 0.9 - 1e-12
    assert copies == 1 or 1 - (1 - share) ** (copies - 1) < 0.9  # and no more columns than that takes
    x, duration, mode = kinds(600, 6)
    model = HazardModel(EDGES, {**FAST, "feature_fraction": share}, 4, num_threads=1).fit(x, duration, mode)
    assert model.hazard_.pooled.num_feature() == x.shape[1] + copies
    assert model.contributions(x[:20]).sum(axis=1) == pytest.approx(model.raw_score(x[:20]), abs=1e-9)
