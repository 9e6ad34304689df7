"""Statistics of one series of readings over many windows: the compiled kernel.

Time is cut into *leaves*, epoch-aligned and of equal length. The readings of a leaf are folded into a summary (count,
mean, second moment, extremes, ends, trend, gaps, limits), and summaries are merged up a dyadic tree: a node of level l
covers 2**l leaves that start at a multiple of 2**l. What a node holds depends on its own readings alone, not on where a
history starts or ends, so the same window has the same bits in training and in serving, and a window costs the
logarithm of its length. Eight leaves are a *block*; windows are best whole numbers of blocks long.

A window [begin, end) is [the readings up to its first block border] + [whole blocks] + [the readings from its last
block border on]. The outer two are made of leaves, and of single readings where an edge lies inside a leaf.

Late and corrected readings are versions of a reading, visible at the cut-offs t with since < t <= until. A node
remembers when the last of its versions was recorded (`settle`); a cut-off before that goes down to its children, and
at the bottom to the readings that it may see, by the same merges in the same order.

Means and moments: pairwise updates of Chan, Golub & LeVeque (Updating formulae and a pairwise algorithm for computing
sample variances, 1979), readings and nodes each taken as distances to one of them, so that values that are large
against their spread keep it. All of this stands in one file because numba's cache notices a change of the file that
defines a kernel, and not one of a file that it calls. Times are int64 microseconds; counts are exact in float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

DAY_US = 86_400_000_000.0
HOUR_US = 3_600_000_000.0
NEVER = np.iinfo(np.int64).max
ALWAYS = np.iinfo(np.int64).min

# what `statistics` can tell of each window; those from `slope` on need full summaries
STATISTICS = (
    "count", "mean", "std", "min", "max", "first", "last",
    "slope", "out_of_limits", "gap", "share_good", "hours_out", "excursions",
)
BASIC = 7

# Fields of a summary, a row of `nodes`; those from _GOOD on only in full ones. _MEAN: less _FIRST; _TM: mean time, less
# _START; _T2, _C: second moments of time, and of time and value (µs); _GAP, _HELD: µs; _RUNS: excursions; _OUT_FIRST,
# _OUT_LAST: whether the first and the last reading lie outside the limits.
_N, _MEAN, _M2, _LOW, _HIGH, _FIRST, _LAST, _SEEN = range(8)
_GOOD, _START, _STOP, _TM, _T2, _C, _GAP, _OUT, _HELD, _RUNS, _OUT_FIRST, _OUT_LAST = range(8, 20)
WIDTH_BASIC, WIDTH_FULL = 8, 20
LEVELS_OF_BLOCK = 3

# Entries of `index`, what a tree is: its leaf (µs), its first and last leaf, its lowest and highest level, the row of
# the node (level, i) less i from _OFFSET on, and from _KEYS on the leaf of each summary on the stack.
_LEAF, _BOTTOM, _TOP, _FROM, _TO = range(5)
_OFFSET, _KEYS, _LEVELS, _PLACES, _INDEX = 8, 72, 144, 216, 288
# The first rows of `nodes` are room to work in: the stack of a walk down the tree, then the parts of windows.
_DEEP, MOST_WINDOWS = 72, 64
_LEFT, _RIGHT, _ONE, _WHOLE, _NOTHING = range(_DEEP, _DEEP + 5)
_MIDDLE = _DEEP + 5
_ROWS = _MIDDLE + MOST_WINDOWS


class Series(NamedTuple):
    """Readings of one series, sorted by ts, then by version.

    quality: 0 cannot be used, 1 can, 2 is good; empty where all are good and there are no versions. since, until: empty
    where every reading came in time and was never corrected.
    """

    ts: Ints
    x: Floats
    quality: Any
    since: Ints
    until: Ints


class Tree(NamedTuple):
    """Summaries of a series. full: with all fields; nodes (rows, fields); index: see _LEAF; limits: lower, upper.

    settle (rows,): when the last version below a node was recorded; empty where there are no versions. some_ts, some_x:
    room for readings that count.
    """

    full: bool
    index: Ints  # type: ignore[assignment]  # of a tuple too, which nobody asks here
    nodes: Floats
    settle: Ints
    limits: Floats
    some_ts: Ints
    some_x: Floats


# Without _nrt numba would count references at each inner call, which costs more than what the calls do. Nothing here
# allocates: every array is handed in and outlives the call.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled on first use; kept on disk where numba finds a folder of ours that it may write."""
    return _made(function)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `compiled`, and put into its callers: a call costs more than what these do."""
    return _made(function, forceinline=True)


def _made(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    made: Callable[..., Any]
    try:
        made = numba.njit(cache=True, **_OPTIONS, **options)(function)
    except RuntimeError:  # a read-only installation: compile in each process
        made = numba.njit(**_OPTIONS, **options)(function)
    return made


@compiled
def _seek(ts, low, high, hint, x):  # type: ignore[no-untyped-def]
    """First position in the sorted ts[low:high] with ts >= x; quick where it is near `hint`."""
    a, b = low, high
    j = min(max(hint, low), high)
    if j < high and ts[j] < x:
        step = 1
        a = j + 1
        while j + step < high and ts[j + step] < x:
            a = j + step + 1
            step *= 2
        b = min(j + step, high)
    elif j > low and ts[j - 1] >= x:
        step = 1
        b = j - 1
        while j - step - 1 >= low and ts[j - step - 1] >= x:
            b = j - step - 1
            step *= 2
        a = max(j - step - 1, low)
    elif j == high or ts[j] >= x:
        return j
    while a < b:
        middle = (a + b) >> 1
        if ts[middle] < x:
            a = middle + 1
        else:
            b = middle
    return a


@inlined
def _empty(nodes, r, full):  # type: ignore[no-untyped-def]
    """The summary of no readings."""
    nodes[r, _N] = nodes[r, _MEAN] = nodes[r, _M2] = nodes[r, _FIRST] = nodes[r, _LAST] = nodes[r, _SEEN] = 0.0
    nodes[r, _LOW], nodes[r, _HIGH] = np.inf, -np.inf
    if full:
        for f in range(_GOOD, WIDTH_FULL):
            nodes[r, f] = 0.0


@inlined
def _fold(ts, x, low, high, limits, full, nodes, r):  # type: ignore[no-untyped-def]
    """Summary of the readings [low, high), all of them good, into row r."""
    n = high - low
    if n <= 0:
        _empty(nodes, r, full)
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
    nodes[r, _N], nodes[r, _MEAN], nodes[r, _M2] = n, shift, max(squares - total * shift, 0.0)
    nodes[r, _LOW], nodes[r, _HIGH], nodes[r, _FIRST], nodes[r, _LAST] = least, most, pivot, x[high - 1]
    nodes[r, _SEEN] = n
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
    nodes[r, _GOOD], nodes[r, _START], nodes[r, _STOP], nodes[r, _GAP] = n, origin, ts[high - 1], gap
    nodes[r, _TM], nodes[r, _T2], nodes[r, _C] = share, max(times - time * share, 0.0), product - time * shift
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
    nodes[r, _OUT], nodes[r, _RUNS], nodes[r, _HELD] = outside, runs, held
    nodes[r, _OUT_FIRST] = 1.0 if pivot < lower or pivot > upper else 0.0
    nodes[r, _OUT_LAST] = 1.0 if was else 0.0


@inlined
def _copy(nodes, i, r, full):  # type: ignore[no-untyped-def]
    for f in range(WIDTH_FULL if full else WIDTH_BASIC):
        nodes[r, f] = nodes[i, f]


@inlined
def _merge(nodes, i, j, r, full):  # type: ignore[no-untyped-def]
    """Row r = row i followed by row j; r may be either of them."""
    na, nb = nodes[i, _N], nodes[j, _N]
    seen = nodes[i, _SEEN] + nodes[j, _SEEN]
    good = nodes[i, _GOOD] + nodes[j, _GOOD] if full else 0.0
    if nb == 0.0 or na == 0.0:
        _copy(nodes, i if nb == 0.0 else j, r, full)
        nodes[r, _SEEN] = seen
        if full:
            nodes[r, _GOOD] = good
        return
    n = na + nb
    part = nb / n
    both = na * part
    d = (nodes[j, _FIRST] - nodes[i, _FIRST]) + (nodes[j, _MEAN] - nodes[i, _MEAN])
    if full:
        s = (nodes[j, _START] - nodes[i, _START]) + (nodes[j, _TM] - nodes[i, _TM])
        gap = nodes[j, _START] - nodes[i, _STOP]
        joined = nodes[i, _OUT_LAST]
        nodes[r, _HELD] = nodes[i, _HELD] + nodes[j, _HELD] + gap * joined
        nodes[r, _RUNS] = nodes[i, _RUNS] + nodes[j, _RUNS] - joined * nodes[j, _OUT_FIRST]
        nodes[r, _T2] = nodes[i, _T2] + nodes[j, _T2] + s * s * both
        nodes[r, _C] = nodes[i, _C] + nodes[j, _C] + s * d * both
        nodes[r, _TM] = nodes[i, _TM] + s * part
        nodes[r, _GAP] = max(max(nodes[i, _GAP], nodes[j, _GAP]), gap)
        nodes[r, _OUT] = nodes[i, _OUT] + nodes[j, _OUT]
        nodes[r, _GOOD], nodes[r, _START], nodes[r, _STOP] = good, nodes[i, _START], nodes[j, _STOP]
        nodes[r, _OUT_FIRST], nodes[r, _OUT_LAST] = nodes[i, _OUT_FIRST], nodes[j, _OUT_LAST]
    nodes[r, _M2] = nodes[i, _M2] + nodes[j, _M2] + d * d * both
    nodes[r, _N], nodes[r, _MEAN], nodes[r, _SEEN] = n, nodes[i, _MEAN] + d * part, seen
    a, b = nodes[i, _LOW], nodes[j, _LOW]
    nodes[r, _LOW] = a if a < b else b
    a, b = nodes[i, _HIGH], nodes[j, _HIGH]
    nodes[r, _HIGH] = a if a > b else b
    nodes[r, _FIRST], nodes[r, _LAST] = nodes[i, _FIRST], nodes[j, _LAST]


@compiled
def _join(nodes, a, b, c, r, full):  # type: ignore[no-untyped-def]
    """Row r = rows a, b, c one after the other, distances taken to the first of b, c, a that holds a reading."""
    na, nb, nc = nodes[a, _N], nodes[b, _N], nodes[c, _N]
    n = na + nb + nc
    seen = nodes[a, _SEEN] + nodes[b, _SEEN] + nodes[c, _SEEN]
    if n == 0.0:
        good = nodes[a, _GOOD] + nodes[b, _GOOD] + nodes[c, _GOOD] if full else 0.0
        _empty(nodes, r, full)
        nodes[r, _SEEN] = seen
        if full:
            nodes[r, _GOOD] = good
        return
    p = b if nb > 0.0 else (c if nc > 0.0 else a)
    pivot, above = nodes[p, _FIRST], nodes[p, _MEAN]
    da = (nodes[a, _FIRST] - pivot) + (nodes[a, _MEAN] - above)
    db = (nodes[b, _FIRST] - pivot) + (nodes[b, _MEAN] - above)
    dc = (nodes[c, _FIRST] - pivot) + (nodes[c, _MEAN] - above)
    shift = na * da + nb * db + nc * dc
    squares = nodes[a, _M2] + nodes[b, _M2] + nodes[c, _M2] + na * da * da + nb * db * db + nc * dc * dc
    mean = shift / n
    first = a if na > 0.0 else (b if nb > 0.0 else c)
    last = c if nc > 0.0 else (b if nb > 0.0 else a)
    nodes[r, _N], nodes[r, _M2] = n, max(squares - shift * mean, 0.0)
    nodes[r, _MEAN] = (pivot - nodes[first, _FIRST]) + above + mean
    nodes[r, _FIRST], nodes[r, _LAST], nodes[r, _SEEN] = nodes[first, _FIRST], nodes[last, _LAST], seen
    least = nodes[a, _LOW] if nodes[a, _LOW] < nodes[b, _LOW] else nodes[b, _LOW]
    most = nodes[a, _HIGH] if nodes[a, _HIGH] > nodes[b, _HIGH] else nodes[b, _HIGH]
    nodes[r, _LOW] = least if least < nodes[c, _LOW] else nodes[c, _LOW]
    nodes[r, _HIGH] = most if most > nodes[c, _HIGH] else nodes[c, _HIGH]
    if not full:
        return
    start, middle = nodes[p, _START], nodes[p, _TM]
    ta = (nodes[a, _START] - start) + (nodes[a, _TM] - middle) if na > 0.0 else 0.0
    tb = (nodes[b, _START] - start) + (nodes[b, _TM] - middle) if nb > 0.0 else 0.0
    tc = (nodes[c, _START] - start) + (nodes[c, _TM] - middle) if nc > 0.0 else 0.0
    time = na * ta + nb * tb + nc * tc
    later = time / n
    times = na * ta * ta + nb * tb * tb + nc * tc * tc
    products = na * ta * da + nb * tb * db + nc * tc * dc
    nodes[r, _T2] = max(nodes[a, _T2] + nodes[b, _T2] + nodes[c, _T2] + times - time * later, 0.0)
    nodes[r, _C] = nodes[a, _C] + nodes[b, _C] + nodes[c, _C] + products - time * mean
    nodes[r, _START], nodes[r, _STOP] = nodes[first, _START], nodes[last, _STOP]
    nodes[r, _TM] = (start - nodes[first, _START]) + middle + later
    nodes[r, _GOOD] = nodes[a, _GOOD] + nodes[b, _GOOD] + nodes[c, _GOOD]
    nodes[r, _OUT] = nodes[a, _OUT] + nodes[b, _OUT] + nodes[c, _OUT]
    gap = max(max(nodes[a, _GAP], nodes[b, _GAP]), nodes[c, _GAP])
    held = nodes[a, _HELD] + nodes[b, _HELD] + nodes[c, _HELD]
    runs = nodes[a, _RUNS] + nodes[b, _RUNS] + nodes[c, _RUNS]
    before = first
    for step in range(2):
        after = b if step == 0 else c
        if after != before and nodes[after, _N] > 0.0:
            between = nodes[after, _START] - nodes[before, _STOP]
            gap = max(gap, between)
            held += between * nodes[before, _OUT_LAST]
            runs -= nodes[before, _OUT_LAST] * nodes[after, _OUT_FIRST]
            before = after
    nodes[r, _GAP], nodes[r, _HELD], nodes[r, _RUNS] = gap, held, runs
    nodes[r, _OUT_FIRST], nodes[r, _OUT_LAST] = nodes[first, _OUT_FIRST], nodes[last, _OUT_LAST]


@inlined
def _fork(i, j):  # type: ignore[no-untyped-def]
    """Level at which two different leaves part: the position of the highest bit in which they differ."""
    d = i ^ j
    level = 0
    while d > 1:
        d >>= 1
        level += 1
    return level


@compiled
def _push(index, nodes, depth, leaf, full):  # type: ignore[no-untyped-def]
    """Merge what stands on the stack as far as the tree does before it comes to `leaf`; returns the new depth."""
    while depth >= 2 and _fork(index[_KEYS + depth - 2], index[_KEYS + depth - 1]) < _fork(
        index[_KEYS + depth - 1], leaf
    ):
        _merge(nodes, depth - 2, depth - 1, depth - 2, full)
        depth -= 1
    return depth


@compiled
def _close(nodes, depth, full):  # type: ignore[no-untyped-def]
    """Merge all that is left on the stack into row 0."""
    while depth >= 2:
        _merge(nodes, depth - 2, depth - 1, depth - 2, full)
        depth -= 1
    if depth == 0:
        _empty(nodes, 0, full)


@compiled
def _some(s, tree, low, high, at, r):  # type: ignore[no-untyped-def]
    """As `_piece`, where not all of the readings count."""
    ts, x, quality, since, until = s.ts, s.x, s.quality, s.since, s.until
    full, nodes, limits, some_ts, some_x = tree.full, tree.nodes, tree.limits, tree.some_ts, tree.some_x
    n, seen, good = 0, 0, 0
    for j in range(low, high):
        if since.size > 0 and not (since[j] < at and at <= until[j]):
            continue
        seen += 1
        if quality[j] == 2:
            good += 1
        if quality[j] > 0:
            some_ts[n], some_x[n] = ts[j], x[j]
            n += 1
    _fold(some_ts, some_x, 0, n, limits, full, nodes, r)
    nodes[r, _SEEN] = seen
    if full:
        nodes[r, _GOOD] = good


@inlined
def _piece(s, tree, low, high, at, r):  # type: ignore[no-untyped-def]
    """Summary of the readings [low, high) as they are visible at `at` (NEVER: as they are now) into row r."""
    ts, x, quality = s.ts, s.x, s.quality
    full, nodes, limits = tree.full, tree.nodes, tree.limits
    if quality.size == 0 or high <= low:
        _fold(ts, x, low, high, limits, full, nodes, r)
    else:
        _some(s, tree, low, high, at, r)


@compiled
def _leaves(s, tree, low, high, at, depth):  # type: ignore[no-untyped-def]
    """Put the leaves that the readings [low, high) lie in on the stack, merged as in the tree; returns the depth."""
    ts = s.ts
    full, index, nodes = tree.full, tree.index, tree.nodes
    j, leaf = low, index[_LEAF]
    while j < high:
        i = ts[j] // leaf
        border = (i + 1) * leaf
        k = j + 1
        while k < high and ts[k] < border:
            k += 1
        depth = _push(index, nodes, depth, i, full)
        _piece(s, tree, j, k, at, depth)
        if nodes[depth, _SEEN] > 0.0:
            index[_KEYS + depth] = i
            depth += 1
        j = k
    return depth


def plan_tree(first: int, last: int, readings: int, leaf: int, longest: int) -> tuple[Ints, int]:
    """`index` and number of rows of a tree for the leaves `first` to `last` and windows of up to `longest` leaves.

    The lowest level kept is that of leaves; where most of them would be empty, that of blocks or of longer nodes.
    """
    bottom, leaves = 0, last - first + 1
    while bottom < 24 and (leaves >> bottom) > 4 * readings + 64:
        bottom += 1
    bottom = 0 if bottom == 0 else max(bottom, LEVELS_OF_BLOCK)
    top = bottom
    while (first >> top) != (last >> top) and (1 << (top + 1)) <= longest:
        top += 1
    index = np.zeros(_INDEX, dtype=np.int64)
    index[_LEAF], index[_FROM], index[_TO], index[_BOTTOM], index[_TOP] = leaf, first, last, bottom, top
    rows = _ROWS
    for level in range(bottom, top + 1):
        index[_OFFSET + level] = rows - (first >> level)
        rows += (last >> level) - (first >> level) + 1
    return index, rows


@compiled
def grow(s, tree, begin, end):  # type: ignore[no-untyped-def]
    """Fill the leaves from `begin` to `end` and what lies above them; other nodes stay.

    The first and the last leaf make a whole tree, that of a new reading brings a tree up to date. settle (rows,): when
    the last version below a node was recorded; empty where there are no versions.
    """
    ts, since = s.ts, s.since
    full, index, nodes, settle = tree.full, tree.index, tree.nodes, tree.settle
    leaf, first, last, bottom = index[_LEAF], index[_FROM], index[_TO], index[_BOTTOM]
    versions, size = since.size > 0, ts.size
    j = _seek(ts, 0, size, 0, ((begin >> bottom) << bottom) * leaf)
    for i in range(begin >> bottom, (end >> bottom) + 1):
        border = ((i + 1) << bottom) * leaf
        k = j
        while k < size and ts[k] < border:
            k += 1
        r = index[_OFFSET + bottom] + i
        if bottom == 0:
            _piece(s, tree, j, k, NEVER, r)
        else:
            depth = _leaves(s, tree, j, k, NEVER, 0)
            _close(nodes, depth, full)
            _copy(nodes, 0, r, full)
        if versions:
            recorded = ALWAYS
            for v in range(j, k):
                recorded = max(recorded, since[v])
            settle[r] = recorded
        j = k
    for level in range(bottom + 1, index[_TOP] + 1):
        below, here = index[_OFFSET + level - 1], index[_OFFSET + level]
        lowest, highest = first >> (level - 1), last >> (level - 1)
        for i in range(begin >> level, (end >> level) + 1):
            left, right = 2 * i, 2 * i + 1
            if left < lowest:
                _copy(nodes, below + right, here + i, full)
            elif right > highest:
                _copy(nodes, below + left, here + i, full)
            else:
                _merge(nodes, below + left, below + right, here + i, full)
            if versions:
                recorded = settle[below + left] if left >= lowest else ALWAYS
                settle[here + i] = max(recorded, settle[below + right]) if right <= highest else recorded


@compiled
def _visible(s, tree, level, i, at):  # type: ignore[no-untyped-def]
    """Summary of a node as it is visible at `at` into row 0: children that have settled, else their readings."""
    ts = s.ts
    full, index, nodes, settle = tree.full, tree.index, tree.nodes, tree.settle
    leaf, bottom = index[_LEAF], index[_BOTTOM]
    levels, places = index[_LEVELS:_LEVELS + _DEEP], index[_PLACES:_PLACES + _DEEP]
    levels[0], places[0] = level, i
    waiting, depth = 1, 0
    while waiting > 0:
        waiting -= 1
        level, i = levels[waiting], places[waiting]
        if i < (index[_FROM] >> level) or i > (index[_TO] >> level):
            continue
        r = index[_OFFSET + level] + i
        if settle[r] < at:
            if nodes[r, _SEEN] > 0.0:
                depth = _push(index, nodes, depth, i << level, full)
                _copy(nodes, r, depth, full)
                index[_KEYS + depth] = i << level
                depth += 1
        elif level > bottom:
            levels[waiting], places[waiting] = level - 1, 2 * i + 1
            levels[waiting + 1], places[waiting + 1] = level - 1, 2 * i
            waiting += 2
        else:
            j = _seek(ts, 0, ts.size, 0, (i << level) * leaf)
            k = _seek(ts, 0, ts.size, j, ((i + 1) << level) * leaf)
            depth = _leaves(s, tree, j, k, at, depth)
    _close(nodes, depth, full)


@inlined
def _late(since, low, high, at):  # type: ignore[no-untyped-def]
    """Whether a version of the readings [low, high) is recorded at `at` or later."""
    if since.size > 0:
        for j in range(low, high):
            if since[j] >= at:
                return True
    return False


@compiled
def _edge(s, tree, a, b, hint, at, r):  # type: ignore[no-untyped-def]
    """Summary of [a, b), which lies within a block, into row r: leaf after leaf, those that lie inside from the tree.

    Returns whether all that it is made of has settled before `at`.
    """
    ts, since = s.ts, s.since
    full, index, nodes = tree.full, tree.index, tree.nodes
    leaf = index[_LEAF]
    j = _seek(ts, 0, ts.size, hint, a)
    k = _seek(ts, 0, ts.size, j, b)
    _empty(nodes, r, full)
    if j == k:
        return True
    settled = not _late(since, j, k, at)
    inner, outer = -((-a) // leaf), b // leaf
    if inner >= outer or index[_BOTTOM] > 0 or not settled:
        while j < k:
            border = (ts[j] // leaf + 1) * leaf
            v = j + 1
            while v < k and ts[v] < border:
                v += 1
            _piece(s, tree, j, v, at, 0)
            _merge(nodes, r, 0, r, full)
            j = v
        return settled
    if inner * leaf > a:
        v = _seek(ts, 0, ts.size, j, inner * leaf)
        _piece(s, tree, j, v, at, 0)
        _merge(nodes, r, 0, r, full)
    for i in range(max(inner, index[_FROM]), min(outer, index[_TO] + 1)):
        _merge(nodes, r, index[_OFFSET] + i, r, full)
    if outer * leaf < b:
        v = _seek(ts, 0, ts.size, k, outer * leaf)
        _piece(s, tree, v, k, at, 0)
        _merge(nodes, r, 0, r, full)
    return settled


@compiled
def _unkept(s, tree, level, i, at):  # type: ignore[no-untyped-def]
    """Summary of a node below the lowest level that is kept into row 0; returns whether it has settled before `at`."""
    ts, since = s.ts, s.since
    full, index, nodes = tree.full, tree.index, tree.nodes
    j = _seek(ts, 0, ts.size, 0, (i << level) * index[_LEAF])
    k = _seek(ts, 0, ts.size, j, ((i + 1) << level) * index[_LEAF])
    _close(nodes, _leaves(s, tree, j, k, at, 0), full)
    return not _late(since, j, k, at)


@inlined
def _node(s, tree, level, i, at):  # type: ignore[no-untyped-def]
    """Row of the summary of a node as it is visible at `at` and whether it has settled by then; -1: it is empty."""
    index, settle = tree.index, tree.settle
    if i < (index[_FROM] >> level) or i > (index[_TO] >> level):
        return np.int64(-1), True
    top = index[_TOP]
    if level > top:  # then all readings lie in one node of the highest level
        level, i = top, index[_FROM] >> top
    if level >= index[_BOTTOM]:
        r = index[_OFFSET + level] + i
        if settle.size == 0 or settle[r] < at:
            return r, True
        _visible(s, tree, level, i, at)
        return np.int64(0), False
    return np.int64(0), _unkept(s, tree, level, i, at)


@compiled
def _blocks(s, tree, block, border, at, settled):  # type: ignore[no-untyped-def]
    """Summaries of the whole blocks [block[k], border) into the rows _MIDDLE + k; block[k] falls with k.

    Nodes are met from the newest to the oldest; sums of distances to the first node met need no division between.
    Windows that end before a block begins (block[k] > border) are left alone.
    """
    full, nodes = tree.full, tree.nodes
    n, shift, squares, least, most, first, last, seen = 0.0, 0.0, 0.0, np.inf, -np.inf, 0.0, 0.0, 0.0
    good, start, stop, gap, outside, held, runs, newer, ends_out = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    time, times, product, products, t2, begun, pivot, above = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    b, so_far = border, True
    for k in range(block.size):
        a = block[k]
        if a > border:
            continue
        while b > a:
            level, size = LEVELS_OF_BLOCK, np.int64(1)
            while (b & size) == 0 and b - 2 * size >= a:
                size *= 2
                level += 1
            b -= size
            r, whole = _node(s, tree, level, (b << LEVELS_OF_BLOCK) >> level, at)
            if r < 0:
                continue
            so_far = so_far and whole
            seen += nodes[r, _SEEN]
            if full:
                good += nodes[r, _GOOD]
            count = nodes[r, _N]
            if count == 0.0:
                continue
            if n == 0.0:
                pivot, above, last = nodes[r, _FIRST], nodes[r, _MEAN], nodes[r, _LAST]
                if full:
                    begun, ends_out = nodes[r, _START] + nodes[r, _TM], nodes[r, _OUT_LAST]
                    stop = start = nodes[r, _STOP]
            d = (nodes[r, _FIRST] - pivot) + (nodes[r, _MEAN] - above)
            n += count
            shift += count * d
            squares += nodes[r, _M2] + count * d * d
            least = nodes[r, _LOW] if nodes[r, _LOW] < least else least
            most = nodes[r, _HIGH] if nodes[r, _HIGH] > most else most
            first = nodes[r, _FIRST]
            if full:
                t = (nodes[r, _START] - begun) + nodes[r, _TM]
                time += count * t
                times += count * t * t
                products += count * t * d
                t2 += nodes[r, _T2]
                product += nodes[r, _C]
                between = start - nodes[r, _STOP]
                gap = max(max(gap, nodes[r, _GAP]), between)
                outside += nodes[r, _OUT]
                held += nodes[r, _HELD] + between * nodes[r, _OUT_LAST]
                runs += nodes[r, _RUNS] - newer * nodes[r, _OUT_LAST]
                start, newer = nodes[r, _START], nodes[r, _OUT_FIRST]
        settled[k] = 1 if so_far else 0
        r = _MIDDLE + k
        _empty(nodes, r, full)
        nodes[r, _SEEN] = seen
        if full:
            nodes[r, _GOOD] = good
        if n == 0.0:
            continue
        mean = shift / n
        nodes[r, _N], nodes[r, _M2] = n, max(squares - shift * mean, 0.0)
        nodes[r, _MEAN] = (pivot - first) + above + mean
        nodes[r, _LOW], nodes[r, _HIGH], nodes[r, _FIRST], nodes[r, _LAST] = least, most, first, last
        if full:
            later = time / n
            nodes[r, _START], nodes[r, _STOP], nodes[r, _TM] = start, stop, (begun - start) + later
            nodes[r, _T2], nodes[r, _C] = max(t2 + times - time * later, 0.0), product + products - time * mean
            nodes[r, _GAP], nodes[r, _OUT], nodes[r, _HELD], nodes[r, _RUNS] = gap, outside, held, runs
            nodes[r, _OUT_FIRST], nodes[r, _OUT_LAST] = newer, ends_out


@inlined
def _put(out, q, k, place, statistic, value):  # type: ignore[no-untyped-def]
    if place[statistic] >= 0:
        out[q, k, place[statistic]] = value


@compiled
def _tell(nodes, r, full, begin, end, place, out, q, k):  # type: ignore[no-untyped-def]
    """Statistics of a summary of the window [begin, end) into out[q, k]; NaN where they are not defined."""
    n = nodes[r, _N]
    if n > 0.0:
        _put(out, q, k, place, 0, n)
        _put(out, q, k, place, 1, nodes[r, _FIRST] + nodes[r, _MEAN])
        if place[2] >= 0:
            out[q, k, place[2]] = np.sqrt(nodes[r, _M2] / (n - 1.0)) if n > 1.0 else np.nan
        _put(out, q, k, place, 3, nodes[r, _LOW])
        _put(out, q, k, place, 4, nodes[r, _HIGH])
        _put(out, q, k, place, 5, nodes[r, _FIRST])
        _put(out, q, k, place, 6, nodes[r, _LAST])
        if full:
            _put(out, q, k, place, 7, nodes[r, _C] / nodes[r, _T2] * DAY_US if nodes[r, _T2] > 0.0 else np.nan)
            _put(out, q, k, place, 8, nodes[r, _OUT] / n)
            gap = max(max(nodes[r, _GAP], end - nodes[r, _STOP]), nodes[r, _START] - begin)
            _put(out, q, k, place, 9, gap / HOUR_US)
            _put(out, q, k, place, 11, (nodes[r, _HELD] + (end - nodes[r, _STOP]) * nodes[r, _OUT_LAST]) / HOUR_US)
            _put(out, q, k, place, 12, nodes[r, _RUNS])
    else:
        for f in range(place.size):
            _put(out, q, k, place, f, np.nan)
        _put(out, q, k, place, 0, 0.0)
        if full:
            _put(out, q, k, place, 9, (end - begin) / HOUR_US)
    if full:
        _put(out, q, k, place, 10, nodes[r, _GOOD] / nodes[r, _SEEN] if nodes[r, _SEEN] > 0.0 else np.nan)


@compiled
def answer(s, tree, ints, edges, known, begin, end, at, low, high, place, out, settled):  # type: ignore[no-untyped-def]
    """Statistics of a tree's series over the windows [begin[q, k], end[q]), as known strictly before at[q].

    end ascends; begin[q, :] falls. place: where in out (q, k, ...) each statistic goes, -1 for nowhere. settled (q, k):
    no version of a reading in the window is recorded at at[q] or later.
    """
    ts, versions, full, nodes = s.ts, s.since.size > 0, tree.full, tree.nodes
    asked, size = begin.shape[1], s.ts.size
    index, leaf, width = tree.index, tree.index[_LEAF], nodes.shape[1]
    block = leaf << LEVELS_OF_BLOCK
    reached, current = np.int64(0), ALWAYS  # row _WHOLE: leaves of the block `current` before `reached`
    _empty(nodes, _NOTHING, full)
    starts, before, pointer, hints, inner = ints[0], ints[1], ints[2], ints[3], ints[4]
    for k in range(asked):
        before[k], pointer[k], hints[k] = ALWAYS, low, 0
    # edges: what lies between a cut-off and the next border, for windows that begin at an earlier cut-off
    hint, previous = np.int64(0), ALWAYS
    for q in range(low, high):
        e, t = end[q], at[q] if versions else NEVER
        border = e // block
        same = border == previous and not versions
        for k in range(asked):
            starts[k] = -((-begin[q, k]) // block)
            same = same and starts[k] == before[k]
            before[k] = starts[k]
        previous = border
        if not same:
            _blocks(s, tree, starts, border, t, inner)
        ragged, newest = e > border * block, True
        if ragged and (versions or index[_BOTTOM] > 0):
            hint = _seek(ts, 0, size, hint, border * block)
            newest = _edge(s, tree, border * block, e, hint, t, _RIGHT)
        elif ragged:  # the same, going on from the cut-off before
            if border != current:
                _empty(nodes, _WHOLE, full)
                reached, current = border << LEVELS_OF_BLOCK, border
            while reached < e // leaf:
                if index[_FROM] <= reached <= index[_TO]:
                    _merge(nodes, _WHOLE, index[_OFFSET] + reached, _WHOLE, full)
                reached += 1
            hint = _seek(ts, 0, size, hint, reached * leaf)
            j = _seek(ts, 0, size, hint, e)
            _piece(s, tree, hint, j, t, _RIGHT)
            _merge(nodes, _WHOLE, _RIGHT, _RIGHT, full)
        for k in range(asked):
            b = begin[q, k]
            if starts[k] > border:  # the window lies within a block
                hints[k] = _seek(ts, 0, size, hints[k], b)
                settled[q, k] = _edge(s, tree, b, e, hints[k], t, _ONE)
                _tell(nodes, _ONE, full, b, e, place, out, q, k)
                continue
            whole, left, r = newest and inner[k] != 0, _NOTHING, _MIDDLE + k
            if starts[k] * block > b:
                left = _LEFT
                j = pointer[k]
                while j < high and end[j] < b:
                    j += 1
                pointer[k] = j
                kept = not versions and j < high and end[j] == b
                if kept and known[j]:
                    for f in range(width):
                        nodes[_LEFT, f] = edges[j, f]
                else:
                    hints[k] = _seek(ts, 0, size, hints[k], b)
                    whole = _edge(s, tree, b, starts[k] * block, hints[k], t, _LEFT) and whole
                    if kept:
                        for f in range(width):
                            edges[j, f] = nodes[_LEFT, f]
                        known[j] = True
            if ragged or left == _LEFT:
                _join(nodes, left, r, _RIGHT if ragged else _NOTHING, _ONE, full)
                r = _ONE
            settled[q, k] = whole
            _tell(nodes, r, full, b, e, place, out, q, k)


@compiled
def _run(s, tree, ints, edges, known, begin, end, at, limit_low, limit_high, place, out, settled):  # type: ignore[no-untyped-def]
    """Grow a tree and ask it, for each pair of limits in turn."""
    q = 0
    while q < end.size:
        tree.limits[0], tree.limits[1] = limit_low[q], limit_high[q]
        p = q + 1
        while p < end.size and (not tree.full or (limit_low[p] == limit_low[q] and limit_high[p] == limit_high[q])):
            p += 1
        for i in range(known.size):
            known[i] = False
        grow(s, tree, tree.index[_FROM], tree.index[_TO])
        answer(s, tree, ints, edges, known, begin, end, at, q, p, place, out, settled)
        q = p


def statistics(
    s: Series, leaf: int, begin: Ints, end: Ints, at: Ints, limits: tuple[Floats, Floats], place: Ints, room: Room,
    out: Floats,
) -> Any:
    """Statistics of a series over the windows [begin[q, k], end[q]), as known strictly before at[q] >= end[q].

    leaf: microseconds; the same in training and serving. end ascends, begin[q, :] falls; at most MOST_WINDOWS windows.
    limits (q,) each: infinite where there is none. place (statistics,): where in out (q, k, ...) each of STATISTICS
    goes, -1 for nowhere. Returns (q, k): whether no version of a reading in the window is recorded at at[q] or later.
    """
    settled = np.empty(begin.shape, dtype=np.bool_)
    first, last = (int(s.ts[0]) // leaf, int(s.ts[-1]) // leaf) if len(s.ts) else (0, 0)
    longest = max(int((end - begin[:, -1]).max()) // leaf, 1) if len(end) else 1
    tree = new_tree(s, leaf, first, last, longest, needs_all(place), room)
    _run(s, tree, *_windows_of(s, tree, begin, end, room), begin, end, at, *limits, place, out, settled)
    return settled


def ask(s: Series, tree: Tree, begin: Ints, end: Ints, at: Ints, place: Ints, room: Room, out: Floats) -> Any:
    """As `statistics`, of a tree that stands and has grown, with its own limits."""
    settled = np.empty(begin.shape, dtype=np.bool_)
    answer(s, tree, *_windows_of(s, tree, begin, end, room), begin, end, at, 0, len(end), place, out, settled)
    return settled


def needs_all(place: Ints) -> bool:
    """Whether one of the statistics that are asked for needs full summaries."""
    return bool((place[BASIC:] >= 0).any())


def new_tree(s: Series, leaf: int, first: int, last: int, longest: int, full: bool, room: Room) -> Tree:
    """A tree without content (see `plan_tree`), in arrays of `room`."""
    index, rows = plan_tree(first, last, len(s.ts), leaf, longest)
    some = len(s.ts) if len(s.quality) else 0
    return Tree(
        full, index, room.floats("nodes", rows, WIDTH_FULL if full else WIDTH_BASIC),
        room.ints("settle", rows if len(s.since) else 0), np.array([-np.inf, np.inf]),
        room.ints("some_ts", some), room.floats("some_x", some),
    )


def _windows_of(s: Series, tree: Tree, begin: Ints, end: Ints, room: Room) -> tuple[Ints, Floats, Any]:
    """Room that `answer` needs for windows: its pointers, edges that are used again, and which are known."""
    edges = room.floats("edges", 0 if len(s.since) else len(end), tree.nodes.shape[1])
    return np.empty((5, begin.shape[1]), dtype=np.int64), edges, np.zeros(len(end), dtype=np.bool_)


class Room:
    """Arrays to work in, kept between series: fresh memory costs more than the work. One for each thread."""

    def __init__(self) -> None:
        self._kept: dict[str, Any] = {}

    def ints(self, name: str, *shape: int) -> Ints:
        return self._array(name, shape, np.int64)

    def floats(self, name: str, *shape: int) -> Floats:
        return self._array(name, shape, np.float64)

    def _array(self, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        size = int(np.prod(shape))
        if name not in self._kept or len(self._kept[name]) < size:
            self._kept[name] = np.empty(size + size // 4, dtype=dtype)
        return self._kept[name][:size].reshape(shape)
