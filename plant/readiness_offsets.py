"""How far two clocks are apart, from moments that both record: where all differences pile up, or where they begin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.readiness_records import HOUR, MINUTE

REACH = 14 * HOUR  # the widest mistake of time zones
FEWEST = 8
_MOST_PAIRS = 3_000_000


@dataclass(frozen=True)
class Moments:
    """Moments of one kind on machines. grain: µs between which the moment may lie (sampling of readings)."""

    what: str  # start or stop of a machine
    name: str
    source: str
    system: str
    machine: np.ndarray
    ts: np.ndarray
    grain: float = 0.0


@dataclass(frozen=True)
class Offset:
    """How far `other` is ahead of `one`, µs: median, half the middle 80 %, matched moments and their share.

    grain: µs within which the moments are known; an offset below it may come from where in a sampling step they lie.
    """

    one: str
    other: str
    pair: str
    offset: float
    spread: float
    matched: int
    share: float
    grain: float = 0.0

    def as_dict(self) -> dict[str, object]:
        return {
            "systems": [self.one, self.other],
            "moments": self.pair,
            "offset_min": round(float(self.offset / MINUTE), 1),
            "spread_min": round(float(self.spread / MINUTE), 1),
            "matched": self.matched,
            "share": round(float(self.share), 2),
            "resolution_min": round(float(self.grain / MINUTE), 1),
        }


def estimate(one: Moments, other: Moments, reach: float = REACH) -> tuple[float, float, int, float] | None:
    """(offset, spread, matched, share) of `other` against `one`, µs, or None where nothing piles up."""
    shared = np.intersect1d(one.machine, other.machine)
    if not len(shared) or not len(one.ts) or not len(other.ts):
        return None
    a_in, b_in = np.isin(one.machine, shared), np.isin(other.machine, shared)
    low = max(one.ts[a_in].min(), other.ts[b_in].min()) - reach
    high = min(one.ts[a_in].max(), other.ts[b_in].max()) + reach
    a_in &= (one.ts >= low) & (one.ts <= high)
    b_in &= (other.ts >= low) & (other.ts <= high)
    if min(a_in.sum(), b_in.sum()) < FEWEST:
        return None
    difference, who = _differences(one, other, a_in, b_in, reach)
    if len(difference) < FEWEST:
        return None
    # Moments of readings lie anywhere within a sampling step: the pile is as wide.
    width = int(np.ceil(max(3.0, (one.grain + other.grain) / MINUTE)))
    bins = np.floor(difference / MINUTE).astype(np.int64) + int(reach / MINUTE) + 1
    counts = np.bincount(bins, minlength=int(2 * reach / MINUTE) + 3)
    pile = np.convolve(counts, np.ones(width), "same")
    best = float(pile.max())
    # Of equal piles the one closest to no offset at all.
    tops = np.flatnonzero(pile >= best - 0.5 * np.sqrt(best))
    centre = int(tops[np.argmin(np.abs(tops - reach / MINUTE))])
    middle = (centre - int(reach / MINUTE) - 0.5) * MINUTE
    for _ in range(3):
        near = np.abs(difference - middle) <= max(width, 4) * MINUTE
        if not near.any():
            return None
        middle = float(np.median(difference[near]))
    near = np.abs(difference - middle) <= (0.5 * width + 1) * MINUTE
    matched = len(np.unique(who[near]))
    fewer = min(int(a_in.sum()), int(b_in.sum()))
    share = matched / fewer
    chance = float(np.median(pile)) * (width + 2) / width
    if matched < FEWEST or share < 0.4 or matched < 3 * chance:
        return None
    spread = float(np.quantile(np.abs(difference[near] - middle), 0.8))
    return middle, spread, matched, min(share, 1.0)


def _differences(
    one: Moments, other: Moments, a_in: np.ndarray, b_in: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """All differences (other - one, µs) on a machine within `reach`, and which moment of one each is of."""
    codes, _ = pd.factorize(np.concatenate([one.machine[a_in], other.machine[b_in]]))
    ts = np.concatenate([one.ts[a_in], other.ts[b_in]])
    apart = ts.max() - ts.min() + 2 * int(reach) + 1  # machines apart, so that one search does for all
    n = int(a_in.sum())
    keys = codes.astype(np.int64) * apart + (ts - ts.min())
    a, b = np.sort(keys[:n]), np.sort(keys[n:])
    first, behind = np.searchsorted(b, a - int(reach)), np.searchsorted(b, a + int(reach))
    several = behind - first
    if several.sum() > _MOST_PAIRS:
        keep = np.arange(0, len(a), int(several.sum() // _MOST_PAIRS) + 1)
        a, first, several = a[keep], first[keep], several[keep]
    who = np.repeat(np.arange(len(a)), several)
    at = np.arange(len(who)) - np.repeat(np.cumsum(several) - several, several) + np.repeat(first, several)
    return (b[at] - a[who]).astype(np.float64), who


def leading_edge(one: Moments, other: Moments) -> tuple[float, int, float] | None:
    """(lag of the first of `other` after `one`, how many, how sure; µs), where they begin sharply; else None."""
    a_in, b_in = (np.isin(m.machine, o.machine) for m, o in ((one, other), (other, one)))
    if min(a_in.sum(), b_in.sum()) < 20:
        return None
    lag = np.sort(_differences(one, other, a_in, b_in, 6 * HOUR)[0] / MINUTE)
    counts = np.histogram(lag, np.arange(-360, 361, 5))[0]
    usual = float(np.median(counts))
    near = counts > usual + 3 * np.sqrt(usual + 1)
    if not near.any():
        return None
    top = int(np.argmax(np.where(near, counts, 0)))
    left, right = top, top
    while left > 0 and near[left - 1]:
        left -= 1
    while right < len(near) - 1 and near[right + 1]:
        right += 1
    low, high = -360 + 5 * (left - 3), -360 + 5 * (right + 1)
    inside = lag[(lag >= low) & (lag < high)]
    noise = usual / 5 * (high - low)  # differences that are there by chance
    n = len(inside) - noise
    if n < 20 or n < 0.4 * b_in.sum():
        return None
    start, density = _change(inside, usual / 5, low)
    after = inside[inside >= start]
    tenth, half = np.quantile(after, [0.1, 0.5])
    if tenth - start > 0.3 * (half - start) + 1:
        return None  # it begins softly: a habit, that tells no clock
    return start * MINUTE, int(n), max(MINUTE, 3 * MINUTE / density)


def _change(lag: np.ndarray, before: float, low: float) -> tuple[float, float]:
    """(minute at which the lags become frequent, how many a minute there are then): the likeliest step."""
    most = float(np.quantile(lag, 0.75))
    counts = np.histogram(lag, np.arange(np.floor(low), np.ceil(most) + 1))[0].astype(float)
    rate = max(before, 0.02)
    best, at, density = -np.inf, low, rate
    for t in range(len(counts) - 1):
        d = max(counts[t:].mean(), 1e-6)
        if d <= rate:
            continue
        likely = counts[:t].sum() * np.log(rate) - rate * t + counts[t:].sum() * np.log(d) - d * (len(counts) - t)
        if likely > best:
            best, at, density = likely, np.floor(low) + t, d
    return float(at), float(density)
