"""The kernel of windowed statistics: against plain numpy, and that a window's bits depend on its own readings alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import windows as kernel
from features.asof import ALWAYS, NEVER
from features.live_readings import LiveSeries
from features.quantiles import quantiles
from features.windows import BASIC, STATISTICS, Series

MINUTE, HOUR, DAY = 60_000_000, 3_600_000_000, 86_400_000_000
START = 20_000 * DAY
LEAF = HOUR // 8
NONE = np.empty(0, dtype=np.int64)
PLACE = np.arange(len(STATISTICS))
ROOM = kernel.Room()
SEEDS = st.integers(0, 100_000)
# Pace of the readings: dense, about a leaf, sparse, with most leaves empty.
PACES = st.sampled_from([20_000_000, MINUTE, 10 * MINUTE, 2 * HOUR, 3 * DAY])


@dataclass(frozen=True)
class Case:
    """A series, cut-offs with their windows, and limits."""

    s: Series
    begin: np.ndarray
    end: np.ndarray
    low: float
    high: float


def case(seed: int, pace: int, versions: bool = False, n: int = 600) -> Case:
    rng = np.random.default_rng(seed)
    ts = START + np.sort(rng.integers(0, n * pace, n) // 1_000_000 * 1_000_000)
    ts = np.unique(ts)
    x = np.round(rng.normal(50.0, 3.0, len(ts)) + np.cumsum(rng.normal(0, 0.1, len(ts))), 2)
    quality = rng.choice(np.array([2, 2, 2, 1, 0], dtype=np.int8), len(ts))
    since, until = np.full(len(ts), ALWAYS), np.full(len(ts), NEVER)
    if versions:
        late = rng.random(len(ts)) < 0.15
        since[late] = ts[late] + rng.integers(1, 60 * pace, late.sum())
        again = np.flatnonzero(rng.random(len(ts)) < 0.15)
        recorded = np.maximum(since[again], ts[again]) + rng.integers(1, 60 * pace, len(again))
        until[again] = recorded
        order = np.argsort(np.concatenate([np.arange(len(ts)), again + 0.5]), kind="stable")
        ts, x, quality = (np.concatenate([c, v])[order] for c, v in (
            (ts, ts[again]), (x, x[again] + 1.0), (quality, np.full(len(again), 2, np.int8))))
        since, until = (np.concatenate([c, v])[order] for c, v in (
            (since, recorded), (until, np.full(len(again), NEVER))))
    s = Series(ts, x, quality, since if versions else NONE, until if versions else NONE)
    end = np.sort(rng.integers(START - pace, START + (n + 100) * pace, 25))
    end = np.concatenate([end, (end[:10] // HOUR + 1) * HOUR, end[:5] // LEAF * LEAF])
    end.sort()
    lengths = np.array([20 * MINUTE, HOUR, 5 * HOUR, 24 * HOUR, 90 * HOUR, 30 * DAY])
    begin = end[:, None] - lengths
    begin[::3] -= rng.integers(0, HOUR)  # windows of other lengths too
    return Case(s, begin, end, 47.0, 53.0)


def told(c: Case, s: Series | None = None, rows: Any = slice(None), place: np.ndarray = PLACE) -> np.ndarray:
    end, begin = c.end[rows], np.ascontiguousarray(c.begin[rows])
    out = np.empty((*begin.shape, int(place.max()) + 1))
    free = np.full(len(end), c.low), np.full(len(end), c.high)
    kernel.statistics(c.s if s is None else s, LEAF, begin, end, end, free, place, ROOM, out)
    return out


def visible(s: Series, t: int) -> Series:
    """What can be seen at t, as a series without versions."""
    if not len(s.since):
        return s
    there = (s.since < t) & (t <= s.until)
    return Series(s.ts[there], s.x[there], s.quality[there], NONE, NONE)


def plainly(s: Series, begin: int, end: int, low: float, high: float) -> list[float]:
    """The statistics of one window in the order of STATISTICS, by numpy."""
    inside = (s.ts >= begin) & (s.ts < end)
    usable = inside & (s.quality > 0)
    ts, x = s.ts[usable], s.x[usable]
    share = float((s.quality[inside] == 2).mean()) if inside.any() else np.nan
    if not len(x):
        nothing = [np.nan] * 6
        return [0.0, *nothing, np.nan, np.nan, (end - begin) / HOUR, share, np.nan, np.nan, np.nan]
    outside = (x < low) | (x > high)
    hours, held = (ts - end) / HOUR, np.diff(np.append(ts, end)) / HOUR
    spread = ((hours - hours.mean()) ** 2).sum()
    slope = 24 * ((hours - hours.mean()) * (x - x.mean())).sum() / spread if spread > 0 else np.nan
    gap = max(np.diff(np.concatenate([[begin], ts, [end]]))) / HOUR
    runs = int(outside[0]) + int((outside[1:] & ~outside[:-1]).sum())
    return [len(x), x.mean(), x.std(ddof=1) if len(x) > 1 else np.nan, x.min(), x.max(), x[0], x[-1], slope,
            outside.mean(), gap, share, float(held[outside].sum()), runs,
            x.mean() + (slope / 24 * (hours[-1] - hours.mean()) if spread > 0 else 0.0)]


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    assert not wrong.any(), [(w.tolist(), a[tuple(w)], b[tuple(w)]) for w in np.argwhere(wrong)[:5]]


@settings(max_examples=60, deadline=None)
@given(SEEDS, PACES, st.booleans())
def test_plain_numpy_agrees(seed: int, pace: int, versions: bool) -> None:
    c = case(seed, pace, versions)
    found = told(c)
    for q, t in enumerate(c.end):
        s = visible(c.s, t)
        expected = np.array([plainly(s, b, t, c.low, c.high) for b in c.begin[q]])
        np.testing.assert_allclose(found[q], expected, rtol=1e-9, atol=1e-9, err_msg=f"cut-off {q}")
        for name in ("count", "excursions", "min", "max", "first", "last"):
            same_bits(found[q][:, STATISTICS.index(name)], expected[:, STATISTICS.index(name)])


@settings(max_examples=60, deadline=None)
@given(SEEDS, PACES, st.booleans())
def test_a_window_does_not_depend_on_what_lies_outside(seed: int, pace: int, versions: bool) -> None:
    c = case(seed, pace, versions)
    found = told(c)
    for q in range(0, len(c.end), 3):
        for k in (1, 3, 5):
            part = (c.s.ts >= c.begin[q, k]) & (c.s.ts < c.end[q])
            own = Series(*(column[part] if len(column) else column for column in c.s))
            same_bits(told(c, own, [q])[0, :k + 1], found[q, :k + 1])


@settings(max_examples=60, deadline=None)
@given(SEEDS, PACES)
def test_versions_that_are_not_seen_leave_no_trace(seed: int, pace: int) -> None:
    c = case(seed, pace, versions=True)
    found = told(c)
    for q in range(len(c.end)):
        same_bits(told(c, visible(c.s, c.end[q]), [q])[0], found[q])


@settings(max_examples=30, deadline=None)
@given(SEEDS, PACES)
def test_fewer_statistics_have_the_same_bits(seed: int, pace: int) -> None:
    c = case(seed, pace)
    some = np.where(np.arange(len(STATISTICS)) < BASIC, PLACE, -1)
    same_bits(told(c, place=some), told(c)[:, :, :BASIC])


@settings(max_examples=40, deadline=None)
@given(SEEDS, PACES, st.booleans())
def test_readings_that_come_one_by_one_give_the_same_bits(seed: int, pace: int, versions: bool) -> None:
    c = case(seed, pace, versions)
    rng = np.random.default_rng(seed)
    s = c.s
    since = s.since if versions else np.full(len(s.ts), ALWAYS)
    order = np.argsort(np.maximum(s.ts, since), kind="stable")
    arrives = np.maximum(s.ts, since)[order]
    empty = Series(NONE, np.empty(0), np.empty(0, np.int8), NONE, NONE)
    live, fed = LiveSeries(empty, NEVER), 0
    found = told(c)
    for q in range(len(c.end)):
        while fed < len(order) and arrives[fed] < c.end[q]:
            i = order[fed]
            live.add(int(s.ts[i]), float(s.x[i]), int(s.quality[i]), int(since[i]))
            fed += 1
        if live.n and (q == len(c.end) - 1 or rng.random() < 0.7):
            out = np.empty((1, c.begin.shape[1], len(STATISTICS)))
            live.windows(LEAF, np.ascontiguousarray(c.begin[[q]]), c.end[[q]], c.end[[q]], (c.low, c.high), PLACE, ROOM,
                         out)
            same_bits(out[0], found[q])


@settings(max_examples=60, deadline=None)
@given(SEEDS, PACES, st.booleans())
def test_quantiles_are_those_of_numpy_however_they_are_found(seed: int, pace: int, versions: bool) -> None:
    c = case(seed, pace, versions, n=300)
    shares = (0.0, 0.25, 0.5, 0.75, 1.0)
    out = np.empty((*c.begin.shape, len(STATISTICS)))
    free = np.full(len(c.end), np.inf)
    settled = kernel.statistics(c.s, LEAF, c.begin, c.end, c.end, (-free, free), PLACE, ROOM, out)
    begin = np.maximum.accumulate(c.begin, axis=0)  # that of each window ascends: it slides
    slid = quantiles(c.s, begin, c.end, c.end, settled & (begin == c.begin), shares)
    for q, t in enumerate(c.end):
        s = visible(c.s, t)
        alone = quantiles(c.s, begin[[q]], c.end[[q]], c.end[[q]], settled[[q]], shares)
        same_bits(alone[0], slid[q])
        for k, b in enumerate(begin[q]):
            x = s.x[(s.ts >= b) & (s.ts < t) & (s.quality > 0)]
            expected = np.quantile(x, shares) if len(x) else np.full(len(shares), np.nan)
            np.testing.assert_allclose(slid[q, k], expected, rtol=1e-12, atol=1e-12)


def test_settled_says_whether_a_version_is_still_to_come() -> None:
    ts = START + np.arange(100) * MINUTE
    since = np.full(100, ALWAYS)
    since[50] = START + 10 * HOUR
    s = Series(ts, np.ones(100), np.full(100, 2, np.int8), since, np.full(100, NEVER))
    end = START + np.array([5, 12]) * HOUR
    begin = np.stack([end - HOUR, end - 24 * HOUR], axis=1)
    out, free = np.empty((2, 2, len(STATISTICS))), np.full(2, np.inf)
    settled = kernel.statistics(s, LEAF, begin, end, end, (-free, free), PLACE, ROOM, out)
    assert settled.tolist() == [[True, False], [True, True]]
    assert out[:, 1, 0].tolist() == [99, 100]


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_and_next_to_nothing(n: int) -> None:
    ts = START + np.arange(n) * MINUTE
    c = Case(Series(ts, np.full(n, 50.0), np.full(n, 2, np.int8), NONE, NONE),
             np.array([[START - HOUR, START - DAY]]), np.array([START + HOUR]), 0.0, 1.0)
    found = told(c)[0, 0]
    assert found[0] == n
    assert found[STATISTICS.index("gap")] == (2.0 if n == 0 else 1.0)
    assert np.isnan(found[STATISTICS.index("std")])
    assert np.isnan(found[STATISTICS.index("slope")])
    if n:
        assert found[STATISTICS.index("hours_out")] == 1.0
        assert found[STATISTICS.index("level")] == 50.0
