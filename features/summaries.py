"""Summaries of readings, and how they are merged: the lower half of the kernel of windowed statistics.

A summary is a row of `nodes`: count, mean, second moment, extremes and ends of some readings, and in full ones their
trend, gaps and what lies outside the limits. Means and moments: pairwise updates of Chan, Golub & LeVeque (Updating
formulae and a pairwise algorithm for computing sample variances, 1979), readings and summaries each taken as distances
to one of them, so that values that are large against their spread keep it. Times are int64 microseconds; counts are
exact in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.jit import jit

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

DAY_US = 86_400_000_000.0
HOUR_US = 3_600_000_000.0
NEVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min

# Fields of a summary, a row of `nodes`; those from GOOD on only in full ones. MEAN: less FIRST; TM: mean time, less
# START; T2, C: second moments of time, and of time and value (µs); GAP, HELD: µs; RUNS: excursions; OUT_FIRST,
# OUT_LAST: whether the first and the last reading lie outside the limits.
N, MEAN, M2, LOW, HIGH, FIRST, LAST, SEEN = range(8)
GOOD, START, STOP, TM, T2, C, GAP, OUT, HELD, RUNS, OUT_FIRST, OUT_LAST = range(8, 20)
WIDTH_BASIC, WIDTH_FULL = 8, 20

# Without _nrt numba would count references at each inner call, which costs more than what the calls do. Nothing here
# allocates: every array is handed in and outlives the call.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "_nrt": False}


compiled = jit(**_OPTIONS)
inlined = jit(**_OPTIONS, forceinline=True)  # put into its callers: a call costs more than what these do


@inlined
def empty(nodes, r, full):  # type: ignore[no-untyped-def]
    """The summary of no readings."""
    nodes[r, N] = nodes[r, MEAN] = nodes[r, M2] = nodes[r, FIRST] = nodes[r, LAST] = nodes[r, SEEN] = 0.0
    nodes[r, LOW], nodes[r, HIGH] = np.inf, -np.inf
    if full:
        for f in range(GOOD, WIDTH_FULL):
            nodes[r, f] = 0.0


@inlined
def fold(ts, x, low, high, limits, full, nodes, r):  # type: ignore[no-untyped-def]
    """Summary of the readings [low, high), all of them good, into row r."""
    n = high - low
    if n <= 0:
        empty(nodes, r, full)
        return
    pivot = x[low]
    total, squares, least, most = 0.0, 0.0, np.inf, -np.inf
    for j in range(low, high):
        v = x[j]
        d = v - pivot
        total += d
        squares += d * d
        least = v if v < least else least
        most = v if v > most else most
    shift = total / n
    nodes[r, N], nodes[r, MEAN], nodes[r, M2] = n, shift, max(squares - total * shift, 0.0)
    nodes[r, LOW], nodes[r, HIGH], nodes[r, FIRST], nodes[r, LAST] = least, most, pivot, x[high - 1]
    nodes[r, SEEN] = n
    if not full:
        return
    origin, time, times, product, gap = ts[low], 0.0, 0.0, 0.0, np.int64(0)
    for j in range(low, high):
        t = float(ts[j] - origin)
        time += t
        times += t * t
        product += t * (x[j] - pivot)
    for j in range(low + 1, high):
        gap = max(gap, ts[j] - ts[j - 1])
    share = time / n
    nodes[r, GOOD], nodes[r, START], nodes[r, STOP], nodes[r, GAP] = n, origin, ts[high - 1], gap
    nodes[r, TM], nodes[r, T2], nodes[r, C] = share, max(times - time * share, 0.0), product - time * shift
    lower, upper = limits[0], limits[1]
    outside, runs, held, was = 0, 0, np.int64(0), False
    if least < lower or most > upper:
        for j in range(low, high):
            now = x[j] < lower or x[j] > upper
            if was:
                held += ts[j] - ts[j - 1]
            if now:
                outside += 1
                if not was:
                    runs += 1
            was = now
    nodes[r, OUT], nodes[r, RUNS], nodes[r, HELD] = outside, runs, held
    nodes[r, OUT_FIRST] = 1.0 if pivot < lower or pivot > upper else 0.0
    nodes[r, OUT_LAST] = 1.0 if was else 0.0


@inlined
def copy(nodes, i, r, full):  # type: ignore[no-untyped-def]
    for f in range(WIDTH_FULL if full else WIDTH_BASIC):
        nodes[r, f] = nodes[i, f]


@inlined
def merge(nodes, i, j, r, full):  # type: ignore[no-untyped-def]
    """Row r = row i followed by row j; r may be either of them."""
    na, nb = nodes[i, N], nodes[j, N]
    seen = nodes[i, SEEN] + nodes[j, SEEN]
    good = nodes[i, GOOD] + nodes[j, GOOD] if full else 0.0
    if nb == 0.0 or na == 0.0:
        copy(nodes, i if nb == 0.0 else j, r, full)
        nodes[r, SEEN] = seen
        if full:
            nodes[r, GOOD] = good
        return
    n = na + nb
    part = nb / n
    both = na * part
    d = (nodes[j, FIRST] - nodes[i, FIRST]) + (nodes[j, MEAN] - nodes[i, MEAN])
    if full:
        s = (nodes[j, START] - nodes[i, START]) + (nodes[j, TM] - nodes[i, TM])
        gap = nodes[j, START] - nodes[i, STOP]
        joined = nodes[i, OUT_LAST]
        nodes[r, HELD] = nodes[i, HELD] + nodes[j, HELD] + gap * joined
        nodes[r, RUNS] = nodes[i, RUNS] + nodes[j, RUNS] - joined * nodes[j, OUT_FIRST]
        nodes[r, T2] = nodes[i, T2] + nodes[j, T2] + s * s * both
        nodes[r, C] = nodes[i, C] + nodes[j, C] + s * d * both
        nodes[r, TM] = nodes[i, TM] + s * part
        nodes[r, GAP] = max(max(nodes[i, GAP], nodes[j, GAP]), gap)
        nodes[r, OUT] = nodes[i, OUT] + nodes[j, OUT]
        nodes[r, GOOD], nodes[r, START], nodes[r, STOP] = good, nodes[i, START], nodes[j, STOP]
        nodes[r, OUT_FIRST], nodes[r, OUT_LAST] = nodes[i, OUT_FIRST], nodes[j, OUT_LAST]
    nodes[r, M2] = nodes[i, M2] + nodes[j, M2] + d * d * both
    nodes[r, N], nodes[r, MEAN], nodes[r, SEEN] = n, nodes[i, MEAN] + d * part, seen
    a, b = nodes[i, LOW], nodes[j, LOW]
    nodes[r, LOW] = a if a < b else b
    a, b = nodes[i, HIGH], nodes[j, HIGH]
    nodes[r, HIGH] = a if a > b else b
    nodes[r, FIRST], nodes[r, LAST] = nodes[i, FIRST], nodes[j, LAST]


@compiled
def join(nodes, a, b, c, r, full):  # type: ignore[no-untyped-def]
    """Row r = rows a, b, c one after the other, distances taken to the first of b, c, a that holds a reading."""
    na, nb, nc = nodes[a, N], nodes[b, N], nodes[c, N]
    n = na + nb + nc
    seen = nodes[a, SEEN] + nodes[b, SEEN] + nodes[c, SEEN]
    if n == 0.0:
        good = nodes[a, GOOD] + nodes[b, GOOD] + nodes[c, GOOD] if full else 0.0
        empty(nodes, r, full)
        nodes[r, SEEN] = seen
        if full:
            nodes[r, GOOD] = good
        return
    p = b if nb > 0.0 else (c if nc > 0.0 else a)
    pivot, above = nodes[p, FIRST], nodes[p, MEAN]
    da = (nodes[a, FIRST] - pivot) + (nodes[a, MEAN] - above)
    db = (nodes[b, FIRST] - pivot) + (nodes[b, MEAN] - above)
    dc = (nodes[c, FIRST] - pivot) + (nodes[c, MEAN] - above)
    shift = na * da + nb * db + nc * dc
    squares = nodes[a, M2] + nodes[b, M2] + nodes[c, M2] + na * da * da + nb * db * db + nc * dc * dc
    mean = shift / n
    first = a if na > 0.0 else (b if nb > 0.0 else c)
    last = c if nc > 0.0 else (b if nb > 0.0 else a)
    nodes[r, N], nodes[r, M2] = n, max(squares - shift * mean, 0.0)
    nodes[r, MEAN] = (pivot - nodes[first, FIRST]) + above + mean
    nodes[r, FIRST], nodes[r, LAST], nodes[r, SEEN] = nodes[first, FIRST], nodes[last, LAST], seen
    least = nodes[a, LOW] if nodes[a, LOW] < nodes[b, LOW] else nodes[b, LOW]
    most = nodes[a, HIGH] if nodes[a, HIGH] > nodes[b, HIGH] else nodes[b, HIGH]
    nodes[r, LOW] = least if least < nodes[c, LOW] else nodes[c, LOW]
    nodes[r, HIGH] = most if most > nodes[c, HIGH] else nodes[c, HIGH]
    if not full:
        return
    start, middle = nodes[p, START], nodes[p, TM]
    ta = (nodes[a, START] - start) + (nodes[a, TM] - middle) if na > 0.0 else 0.0
    tb = (nodes[b, START] - start) + (nodes[b, TM] - middle) if nb > 0.0 else 0.0
    tc = (nodes[c, START] - start) + (nodes[c, TM] - middle) if nc > 0.0 else 0.0
    time = na * ta + nb * tb + nc * tc
    later = time / n
    times = na * ta * ta + nb * tb * tb + nc * tc * tc
    products = na * ta * da + nb * tb * db + nc * tc * dc
    nodes[r, T2] = max(nodes[a, T2] + nodes[b, T2] + nodes[c, T2] + times - time * later, 0.0)
    nodes[r, C] = nodes[a, C] + nodes[b, C] + nodes[c, C] + products - time * mean
    nodes[r, START], nodes[r, STOP] = nodes[first, START], nodes[last, STOP]
    nodes[r, TM] = (start - nodes[first, START]) + middle + later
    nodes[r, GOOD] = nodes[a, GOOD] + nodes[b, GOOD] + nodes[c, GOOD]
    nodes[r, OUT] = nodes[a, OUT] + nodes[b, OUT] + nodes[c, OUT]
    gap = max(max(nodes[a, GAP], nodes[b, GAP]), nodes[c, GAP])
    held = nodes[a, HELD] + nodes[b, HELD] + nodes[c, HELD]
    runs = nodes[a, RUNS] + nodes[b, RUNS] + nodes[c, RUNS]
    before = first
    for step in range(2):
        after = b if step == 0 else c
        if after != before and nodes[after, N] > 0.0:
            between = nodes[after, START] - nodes[before, STOP]
            gap = max(gap, between)
            held += between * nodes[before, OUT_LAST]
            runs -= nodes[before, OUT_LAST] * nodes[after, OUT_FIRST]
            before = after
    nodes[r, GAP], nodes[r, HELD], nodes[r, RUNS] = gap, held, runs
    nodes[r, OUT_FIRST], nodes[r, OUT_LAST] = nodes[first, OUT_FIRST], nodes[last, OUT_LAST]
