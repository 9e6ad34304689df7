"""A search of settings: the same seed finds the same, later time judges, and the clock only stops it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.hazard import HazardModel
from models.tuning import Tuned, _parts, tune
from plant.errors import SteadylineError

HORIZONS = (24.0, 72.0)


def rows(n: int = 1500, seed: int = 3):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    life = rng.exponential(120 * np.exp(-x[:, 0]))
    at = rng.uniform(0, 2000, n)
    duration = np.minimum(life, 2200 - at)
    return x, duration, np.where(life < 2200 - at, 0, -1), at


def search(trials: int = 4, seconds: float | None = None, seed: int = 7, threads: int = 1) -> Tuned:
    x, duration, mode, at = rows()
    return tune(lambda params, rounds: HazardModel((0, 24, 72), params, rounds, num_threads=threads), x, duration, mode,
                at, HORIZONS, params={"num_leaves": 31}, rounds=20, trials=trials, seconds=seconds, seed=seed)


def test_the_same_seed_finds_the_same_with_any_threads() -> None:
    one = search()
    assert one == search(threads=2)
    assert one.params != search(seed=8).params or one.score != search(seed=8).score
    assert (one.trials, one.wanted, one.stopped_early) == (4, 4, False)
    assert one.score <= one.default_score < 1.0


def test_the_clock_stops_it_and_that_is_told() -> None:
    stopped = search(trials=50, seconds=1e-6)
    assert (stopped.trials, stopped.wanted, stopped.stopped_early) == (1, 50, True)
    assert stopped.score == stopped.default_score


def test_what_judges_is_later_than_what_is_learnt() -> None:
    _, duration, mode, at = rows()
    end = (at + duration).max()
    parts = _parts(at, duration, mode, HORIZONS)
    assert len(parts) == 2
    for part, share in zip(parts, (0.6, 0.8), strict=True):
        origin = at.min() + share * (end - at.min())
        assert (at[part.early] + part.duration).max() <= origin + 1e-9
        assert at[part.later].min() >= origin
        ended = at[part.early] + duration[part.early] >= origin
        assert (part.mode[ended] == -1).all(), "what was not over then is not known then"


def test_too_little_to_tune_on_is_said() -> None:
    x, duration, mode, at = rows(40)
    with pytest.raises(SteadylineError, match="before and after it") as refused:
        tune(lambda p, r: HazardModel((0, 24, 72), p, r), x, duration, np.where(mode >= 0, -1, mode), at, HORIZONS,
             params={}, rounds=20, trials=2, seconds=None, seed=1)
    assert refused.value.code == "too_few_failures"


def test_nothing_but_a_search_imports_optuna() -> None:
    code = "import sys, training.failure; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
