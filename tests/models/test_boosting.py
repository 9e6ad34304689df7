"""Training is the same to the last byte, whatever the number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from models import boosting

PARAMS = {"objective": "regression", "num_leaves": 31, "learning_rate": 0.2, "min_data_in_leaf": 5}


def _texts(threads: tuple[int, ...]) -> set[str]:
    """Weights over many orders of magnitude: their sums depend on the order in which they are added."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(20_000, 6))
    y = x[:, 0] * x[:, 1] + rng.normal(size=len(x))
    weight = 10.0 ** rng.uniform(-9, 3, len(x))
    return {boosting.text(boosting.train(x, y, PARAMS, 20, seed=1, weight=weight, num_threads=n)) for n in threads}


def test_threads_change_no_byte() -> None:
    assert len(_texts((1, 2, 3, 4))) == 1


def test_summing_row_by_row_would_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above guards against exists: if it ever no longer does, the slower way can be given up."""
    monkeypatch.setattr(boosting, "FIXED", {k: v for k, v in boosting.FIXED.items() if k != "force_col_wise"}
                        | {"force_row_wise": True})
    assert len(_texts((1, 2, 3, 4))) > 1
