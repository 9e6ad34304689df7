"""Exact quantiles of one series over many windows: the compiled kernel.

Where cut-offs follow one another, a window slides: readings enter and leave a set that knows, for every reading of the
series, whether it is in, and how many are in each run of 64 and of 4,096 neighbours by value. A quantile is found by
walking over the runs. Each reading is touched twice for a window, whatever the window's length. What a single cut-off
asks for, or one that does not see all versions of its readings, is picked out of the readings themselves; both ways
give the same numbers, since a quantile does not depend on how it is found.

Quantiles are by linear interpolation between order statistics (definition 7 of Hyndman & Fan, Sample quantiles in
statistical packages, 1996), as in numpy and in SQL's `percentile_cont`.
"""

from __future__ import annotations

import numba
import numpy as np

from features.windows import NEVER, Floats, Ints, Series

_FEW = 8  # cut-offs for which sorting the whole series does not pay


def quantiles(s: Series, begin: Ints, end: Ints, at: Ints, settled: np.ndarray, shares: tuple[float, ...]) -> Floats:
    """(q, k, shares) quantiles of the usable readings in [begin[q, k], end[q]) as known strictly before at[q].

    As in `features.windows.statistics`: end ascends; settled (q, k) says which windows see all versions as they are
    now. NaN where a window holds no usable reading.
    """
    out = np.full((*begin.shape, len(shares)), np.nan)
    if not len(s.ts) or not len(end):
        return out
    wanted = np.array(shares)
    slides = len(end) > _FEW and bool((begin[1:] >= begin[:-1]).all())
    if slides:
        now = slice(None) if not len(s.quality) else s.quality > 0
        if len(s.until):
            now = (s.quality > 0) & (s.until == NEVER)
        ts, x = s.ts[now], s.x[now]
        order = np.argsort(x)
        rank = np.empty(len(x), dtype=np.int64)
        rank[order] = np.arange(len(x))
        for k in range(begin.shape[1]):
            _slide(ts, x[order], rank, np.ascontiguousarray(begin[:, k]), end, settled, k, wanted, out)
    _pick(s.ts, s.x, s.quality, s.since, s.until, begin, end, at, settled, slides, wanted, out)
    return out


@numba.njit(cache=True, nogil=True)
def _pick(ts, x, quality, since, until, begin, end, at, settled, slides, shares, out):  # type: ignore[no-untyped-def]
    """Quantiles of single windows (with `slides`: of those that have not settled)."""
    room = np.empty(ts.size)
    for q in range(end.size):
        high = np.searchsorted(ts, end[q])
        for k in range(begin.shape[1]):
            if slides and settled[q, k]:
                continue
            low = np.searchsorted(ts[:high], begin[q, k])
            n = 0
            for j in range(low, high):
                if since.size > 0 and not (since[j] < at[q] and at[q] <= until[j]):
                    continue
                if quality.size == 0 or quality[j] > 0:
                    room[n] = x[j]
                    n += 1
            if n == 0:
                continue
            for p in range(shares.size):
                place = shares[p] * (n - 1)
                i = np.int64(place)
                part = np.partition(room[:n], i)
                a = part[i]
                b = part[i + 1:].min() if i + 1 < n else a
                out[q, k, p] = a + (b - a) * (place - i)


@numba.njit(cache=True, nogil=True)
def _slide(ts, values, rank, begin, end, settled, k, shares, out):  # type: ignore[no-untyped-def]
    """Quantiles of the windows that have settled; begin ascends too."""
    inside = np.zeros(ts.size + 1, dtype=np.uint8)
    blocks = np.zeros((ts.size >> 6) + 2, dtype=np.int32)
    supers = np.zeros((ts.size >> 12) + 2, dtype=np.int32)
    low, high, n = 0, 0, 0
    for q in range(end.size):
        while high < ts.size and ts[high] < end[q]:
            if ts[high] >= begin[q]:
                _enter(rank[high], inside, blocks, supers, 1)
                n += 1
            high += 1
        while low < high and ts[low] < begin[q]:
            if inside[rank[low]]:
                _enter(rank[low], inside, blocks, supers, -1)
                n -= 1
            low += 1
        if n == 0 or not settled[q, k]:
            continue
        for p in range(shares.size):
            place = shares[p] * (n - 1)
            i = np.int64(place)
            c, under = 0, 0
            while under + supers[c] <= i:
                under += supers[c]
                c += 1
            b = c << 6
            while under + blocks[b] <= i:
                under += blocks[b]
                b += 1
            r = b << 6
            while True:
                if inside[r]:
                    if under == i:
                        break
                    under += 1
                r += 1
            a = values[r]
            if place > i:
                r += 1
                while not inside[r]:
                    if (r & 63) == 0 and blocks[r >> 6] == 0:
                        r += 64
                    else:
                        r += 1
                a += (values[r] - a) * (place - i)
            out[q, k, p] = a


@numba.njit(cache=True, nogil=True)
def _enter(r, inside, blocks, supers, step):  # type: ignore[no-untyped-def]
    """A reading enters the set (step 1) or leaves it (-1)."""
    inside[r] = 1 if step > 0 else 0
    blocks[r >> 6] += step
    supers[r >> 12] += step
