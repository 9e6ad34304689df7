"""What a saved model of an attribute is made of, written out once more by hand: the same bytes, file by file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from models import boosting
from models.pass_fail import PassFailModel, venn_abers
from models.quality import AttributeModel
from models.rolling import blocks
from plant.errors import SteadylineError

PARAMS = {"num_leaves": 5}
# as documented of both; not read from the code under test
USUAL = {"learning_rate": 0.03, "num_leaves": 7, "min_data_in_leaf": 10, "feature_fraction": 0.8,
         "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 1.0, "extra_trees": True}
N, MEMBERS, BLOCKS, ROUNDS, SEED = 160, 3, 4, 25, 11
TIMES = pd.date_range("2024-01-01", periods=N, freq="7h", tz="UTC")
KNOWN = TIMES + pd.Timedelta("3d")
US = TIMES.as_unit("us").asi8.astype(float)


def rows(passes: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(N, 4))
    y = 2 * x[:, 0] + rng.normal(size=N)
    return x, (y > 1).astype(float) if passes else y


def trees(x: np.ndarray, y: np.ndarray, objective: str, count: int) -> list[lgb.Booster]:
    settings = {**USUAL, **PARAMS, "objective": objective}
    settings["min_data_in_leaf"] = min(settings["min_data_in_leaf"], max(2, len(x) // 10))
    return [boosting.train(x, y, settings, ROUNDS, seed=SEED + 101 * m, num_threads=1) for m in range(count)]


def by_hand(x: np.ndarray, y: np.ndarray, objective: str) -> tuple[np.ndarray, list[lgb.Booster]]:
    """Out-of-time predictions (raw scores) and the members of the model, with an obvious loop."""
    x = x.copy()
    x[:, 3] = np.nan
    told = np.full(N, np.nan)
    edges = sorted({int(e) for e in np.linspace(int(N * 0.35), N, BLOCKS + 1)})
    for k in range(len(edges) - 1):
        begin, end = edges[k], edges[k + 1]
        past = [i for i in range(begin) if KNOWN[i] <= TIMES[begin]]
        made = trees(x[past], y[past], objective, 2)
        told[begin:end] = np.mean([b.predict(x[begin:end], raw_score=True) for b in made], axis=0)
    return told, trees(x, y, objective, MEMBERS)


@pytest.mark.parametrize("passes", [False, True])
def test_a_saved_model_is_that_of_the_recipe_to_the_byte(passes: bool, tmp_path: Path) -> None:
    x, y = rows(passes)
    kind: Any = PassFailModel if passes else AttributeModel
    model = kind(PARAMS, ROUNDS, SEED, members=MEMBERS, blocks=BLOCKS, unused=(3,)).fit(x, y, TIMES, KNOWN)
    name = "pass_fail" if passes else "attribute"
    files = model.save(tmp_path)
    assert files == [f"{name}.json", *(f"{name}.{m}.txt" for m in range(MEMBERS))]
    told, boosters = by_hand(x, y, "binary" if passes else "l1")
    for m, booster in enumerate(boosters):
        assert (tmp_path / f"{name}.{m}.txt").read_bytes() == boosting.text(booster).encode()
    there = np.isfinite(told)
    settings = {"params": PARAMS, "rounds": ROUNDS, "seed": SEED, "members": MEMBERS, "blocks": BLOCKS, "unused": [3],
                "min_rows": 40}
    state: dict[str, Any] = {"n_features": 4, "at": US[there], "known_at": (US + 3 * 86400e6)[there]}
    if passes:
        failed, score = y[there], told[there]
        calibrated = venn_abers(score, failed, score).mean(axis=1)
        rate = failed.mean()
        state |= {"settings": settings | {"window": 1000}, "score": score, "failed": failed,
                  "errors": {"brier": float(np.mean((calibrated - failed) ** 2)), "naive": float(rate * (1 - rate))}}
    else:
        squared, _ = by_hand(x, y, "regression")
        rolled = {"level": told, "regression": squared}
        errors = {name: float(np.mean(np.abs(y - of)[there])) for name, of in rolled.items()}
        assert errors["regression"] > 0.97 * errors["level"], "the absolute error was made small"
        more = {"window": 100, "half_life": 150.0, "target": "auto", "base_columns": []}
        state |= {"settings": settings | more, "point": told[there], "residual": (y - told)[there], "target": "level",
                  "errors": errors, "objective": "l1", "fallback": float(np.median(y)),
                  "base_mean": float(np.median(y)), "reporting": {"decimals": None, "floor": None}}
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in state.items()}
    assert (tmp_path / f"{name}.json").read_text() == json.dumps(plain, sort_keys=True, indent=1)
    again = kind.load(tmp_path)
    assert again.save(tmp_path / "again") == files
    assert all((tmp_path / "again" / f).read_bytes() == (tmp_path / f).read_bytes() for f in files)


def test_a_block_is_predicted_from_what_was_known_when_it_began() -> None:
    made = np.arange(100.0)
    seen = list(blocks(made, made + 20.0, 5, 40))
    assert [(b.start, b.stop) for b, _ in seen] == [(35, 48), (48, 61), (61, 74), (74, 87), (87, 100)]
    for block, past in seen:
        assert past.tolist() == [i for i in range(100) if made[i] + 20.0 <= made[block.start]]
    assert [b.start for b, _ in blocks(made, made + 45.0, 5, 40)] == [61, 74, 87]  # before, fewer than ten were known


@pytest.mark.parametrize("kind", [AttributeModel, PassFailModel])
def test_what_cannot_be_learnt_from_is_refused_by_both(kind: Any) -> None:
    x, y = rows(passes=True)
    for wrong in ({"at": np.arange(N - 1)}, {"known_at": np.arange(3)}, {"learn": np.ones(2)}):
        with pytest.raises(SteadylineError, match="one of each"):
            kind().fit(x, y, **wrong)
    with pytest.raises(SteadylineError, match="time zone"):
        kind().fit(x, y, TIMES.tz_localize(None))
    for ask in (kind().predict, kind().contributions):
        with pytest.raises(SteadylineError, match="not trained"):
            ask(x)
    fitted = kind(rounds=5, members=1).fit(x, y)
    with pytest.raises(SteadylineError) as wide:
        fitted.predict(x[:, :2])
    assert wide.value.code == "bad_matrix"
