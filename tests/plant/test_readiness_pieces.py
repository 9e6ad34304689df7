"""Many short stretches at once give what each of them gives alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.readiness_conversions import conversions, jump, jumps
from plant.readiness_pieces import Pieces, borders, cuts, middles, pieces_of, quantiles

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def some(seed: int, lengths: list[int]) -> tuple[np.ndarray, Pieces]:
    rng = np.random.default_rng(seed)
    stop = np.cumsum(lengths)
    return rng.normal(size=stop[-1]).round(1), Pieces(stop - lengths, stop)


def split(values: np.ndarray, pieces: Pieces) -> list[np.ndarray]:
    return [values[a:b] for a, b in zip(pieces.start, pieces.stop, strict=True)]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), lengths=LENGTHS)
def test_numbers_of_pieces(seed: int, lengths: list[int]) -> None:
    values, pieces = some(seed, lengths)
    owner = np.repeat(np.arange(len(lengths)), lengths)
    assert pieces_of(owner)[0].tolist() == list(range(len(lengths)))
    assert pieces_of(owner)[1].stop.tolist() == pieces.stop.tolist()
    # All of them, and some with others in between.
    for chosen in (pieces, pieces.take(np.arange(0, len(lengths), 2))):
        alone = split(values, chosen)
        assert chosen.sums(values) == pytest.approx([x.sum() for x in alone])
        assert chosen.least(values).tolist() == [x.min() for x in alone]
        assert chosen.most(values).tolist() == [x.max() for x in alone]
        middle, scatter = middles(values, chosen)
        assert middle.tolist() == [np.median(x) for x in alone]
        assert scatter.tolist() == [np.median(np.abs(x - np.median(x))) for x in alone]
        assert quantiles(values, chosen, 0.8) == pytest.approx([np.quantile(x, 0.8) for x in alone])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), lengths=LENGTHS, least=st.integers(1, 6))
def test_a_cut_is_where_two_means_fit_best(seed: int, lengths: list[int], least: int) -> None:
    values, pieces = some(seed, lengths)
    for x, start, at in zip(split(values, pieces), pieces.start, cuts(values, pieces, least), strict=True):
        if len(x) < 2 * least:
            assert at == -1
            continue
        rest = {k: x[:k].var() * k + x[k:].var() * (len(x) - k) for k in range(least, len(x) - least + 1)}
        assert rest[int(at - start)] == pytest.approx(min(rest.values()))


def test_borders_are_where_the_level_changes() -> None:
    rng = np.random.default_rng(3)
    level = np.repeat([10.0, 50.0, 20.0, 20.0, 30.0], [30, 20, 25, 30, 40])
    values = level + rng.normal(size=len(level))
    pieces = Pieces(np.array([0, 75, 105]), np.array([75, 105, 145]))
    assert borders(values, pieces).tolist() == [30, 50]
    assert borders(values, Pieces(np.array([0]), np.array([145]))).tolist() == [30, 50, 105]
    assert borders(values[:0], Pieces(np.array([], dtype=int), np.array([], dtype=int))).tolist() == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), lengths=st.lists(st.integers(0, 80), min_size=1, max_size=15))
def test_many_series_jump_as_each_does_alone(seed: int, lengths: list[int]) -> None:
    rng = np.random.default_rng(seed)
    series, units = [], []
    for n in lengths:
        unit = str(rng.choice(["degC", "bar", "", "rpm"]))
        x = rng.normal(rng.choice([0.0, 5.0, 60.0]), 1.0, n)
        _, factor, constant = conversions(unit)[int(rng.integers(len(conversions(unit))))]
        kind = int(rng.integers(4))
        if kind == 1:
            x[n // 3 :] = x[n // 3 :] * factor + constant
        if kind == 2:
            x[: n // 2] = 7.0
        if kind == 3 and n:
            x[-1] = rng.choice([np.nan, np.inf, 1e9])
        series.append(x)
        units.append(unit)
    stop = np.cumsum(lengths)
    found = jumps(np.concatenate(series), Pieces(stop - lengths, stop), np.array(units, dtype=object), 5)
    alone = {k: jump(x, unit, 5) for k, (x, unit) in enumerate(zip(series, units, strict=True))}
    assert found == {k: at for k, at in alone.items() if at is not None}
