"""Statistics of windows, out of the trees of a series: the upper half of the kernel of windowed statistics.

A window [begin, end) is [the readings up to its first block border] + [whole blocks] + [the readings from its last
block border on]; windows are best whole numbers of blocks long. The outer two are made of leaves, and of single
readings where an edge lies inside a leaf. `features.windows` calls this.
"""

from __future__ import annotations

import numpy as np

from features.summaries import (
    ALWAYS,
    DAY_US,
    FIRST,
    GAP,
    GOOD,
    HELD,
    HIGH,
    HOUR_US,
    LAST,
    LOW,
    M2,
    MEAN,
    NEVER,
    OUT,
    OUT_FIRST,
    OUT_LAST,
    RUNS,
    SEEN,
    START,
    STOP,
    T2,
    TM,
    C,
    N,
    compiled,
    empty,
    inlined,
    join,
    merge,
)
from features.trees import (
    BOTTOM,
    FROM,
    LEAF,
    LEFT,
    LEVELS_OF_BLOCK,
    MIDDLE,
    NOTHING,
    OFFSET,
    ONE,
    RIGHT,
    TO,
    WHOLE,
    late,
    node,
    piece,
    seek,
)

# what `statistics` can tell of each window; those from `slope` on need full summaries
STATISTICS = (
    "count", "mean", "std", "min", "max", "first", "last",
    "slope", "out_of_limits", "gap", "share_good", "hours_out", "excursions", "level",
)
BASIC = 7


@compiled
def edge(s, tree, a, b, hint, at, r):  # type: ignore[no-untyped-def]
    """Summary of [a, b), which lies within a block, into row r: leaf after leaf, those that lie inside from the tree.

    Returns whether all that it is made of has settled before `at`.
    """
    ts, since = s.ts, s.since
    full, index, nodes = tree.full, tree.index, tree.nodes
    leaf = index[LEAF]
    j = seek(ts, 0, ts.size, hint, a)
    k = seek(ts, 0, ts.size, j, b)
    empty(nodes, r, full)
    if j == k:
        return True
    settled = not late(since, j, k, at)
    inner, outer = -((-a) // leaf), b // leaf
    if inner >= outer or index[BOTTOM] > 0 or not settled:
        while j < k:
            border = (ts[j] // leaf + 1) * leaf
            v = j + 1
            while v < k and ts[v] < border:
                v += 1
            piece(s, tree, j, v, at, 0)
            merge(nodes, r, 0, r, full)
            j = v
        return settled
    if inner * leaf > a:
        v = seek(ts, 0, ts.size, j, inner * leaf)
        piece(s, tree, j, v, at, 0)
        merge(nodes, r, 0, r, full)
    for i in range(max(inner, index[FROM]), min(outer, index[TO] + 1)):
        merge(nodes, r, index[OFFSET] + i, r, full)
    if outer * leaf < b:
        v = seek(ts, 0, ts.size, k, outer * leaf)
        piece(s, tree, v, k, at, 0)
        merge(nodes, r, 0, r, full)
    return settled


@compiled
def blocks(s, tree, block, border, at, settled):  # type: ignore[no-untyped-def]
    """Summaries of the whole blocks [block[k], border) into the rows MIDDLE + k; block[k] falls with k.

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
            r, whole = node(s, tree, level, (b << LEVELS_OF_BLOCK) >> level, at)
            if r < 0:
                continue
            so_far = so_far and whole
            seen += nodes[r, SEEN]
            if full:
                good += nodes[r, GOOD]
            count = nodes[r, N]
            if count == 0.0:
                continue
            if n == 0.0:
                pivot, above, last = nodes[r, FIRST], nodes[r, MEAN], nodes[r, LAST]
                if full:
                    begun, ends_out = nodes[r, START] + nodes[r, TM], nodes[r, OUT_LAST]
                    stop = start = nodes[r, STOP]
            d = (nodes[r, FIRST] - pivot) + (nodes[r, MEAN] - above)
            n += count
            shift += count * d
            squares += nodes[r, M2] + count * d * d
            least = nodes[r, LOW] if nodes[r, LOW] < least else least
            most = nodes[r, HIGH] if nodes[r, HIGH] > most else most
            first = nodes[r, FIRST]
            if full:
                t = (nodes[r, START] - begun) + nodes[r, TM]
                time += count * t
                times += count * t * t
                products += count * t * d
                t2 += nodes[r, T2]
                product += nodes[r, C]
                between = start - nodes[r, STOP]
                gap = max(max(gap, nodes[r, GAP]), between)
                outside += nodes[r, OUT]
                held += nodes[r, HELD] + between * nodes[r, OUT_LAST]
                runs += nodes[r, RUNS] - newer * nodes[r, OUT_LAST]
                start, newer = nodes[r, START], nodes[r, OUT_FIRST]
        settled[k] = 1 if so_far else 0
        r = MIDDLE + k
        empty(nodes, r, full)
        nodes[r, SEEN] = seen
        if full:
            nodes[r, GOOD] = good
        if n == 0.0:
            continue
        mean = shift / n
        nodes[r, N], nodes[r, M2] = n, max(squares - shift * mean, 0.0)
        nodes[r, MEAN] = (pivot - first) + above + mean
        nodes[r, LOW], nodes[r, HIGH], nodes[r, FIRST], nodes[r, LAST] = least, most, first, last
        if full:
            later = time / n
            nodes[r, START], nodes[r, STOP], nodes[r, TM] = start, stop, (begun - start) + later
            nodes[r, T2], nodes[r, C] = max(t2 + times - time * later, 0.0), product + products - time * mean
            nodes[r, GAP], nodes[r, OUT], nodes[r, HELD], nodes[r, RUNS] = gap, outside, held, runs
            nodes[r, OUT_FIRST], nodes[r, OUT_LAST] = newer, ends_out


@inlined
def put(out, q, k, place, statistic, value):  # type: ignore[no-untyped-def]
    if place[statistic] >= 0:
        out[q, k, place[statistic]] = value


@compiled
def tell(nodes, r, full, begin, end, place, out, q, k):  # type: ignore[no-untyped-def]
    """Statistics of a summary of the window [begin, end) into out[q, k]; NaN where they are not defined."""
    n = nodes[r, N]
    if n > 0.0:
        put(out, q, k, place, 0, n)
        put(out, q, k, place, 1, nodes[r, FIRST] + nodes[r, MEAN])
        if place[2] >= 0:
            out[q, k, place[2]] = np.sqrt(nodes[r, M2] / (n - 1.0)) if n > 1.0 else np.nan
        put(out, q, k, place, 3, nodes[r, LOW])
        put(out, q, k, place, 4, nodes[r, HIGH])
        put(out, q, k, place, 5, nodes[r, FIRST])
        put(out, q, k, place, 6, nodes[r, LAST])
        if full:
            put(out, q, k, place, 7, nodes[r, C] / nodes[r, T2] * DAY_US if nodes[r, T2] > 0.0 else np.nan)
            put(out, q, k, place, 8, nodes[r, OUT] / n)
            gap = max(max(nodes[r, GAP], end - nodes[r, STOP]), nodes[r, START] - begin)
            put(out, q, k, place, 9, gap / HOUR_US)
            put(out, q, k, place, 11, (nodes[r, HELD] + (end - nodes[r, STOP]) * nodes[r, OUT_LAST]) / HOUR_US)
            put(out, q, k, place, 12, nodes[r, RUNS])
            if place[13] >= 0:
                later = (nodes[r, STOP] - nodes[r, START]) - nodes[r, TM]
                trend = nodes[r, C] / nodes[r, T2] * later if nodes[r, T2] > 0.0 else 0.0
                out[q, k, place[13]] = nodes[r, FIRST] + nodes[r, MEAN] + trend
    else:
        for f in range(place.size):
            put(out, q, k, place, f, np.nan)
        put(out, q, k, place, 0, 0.0)
        if full:
            put(out, q, k, place, 9, (end - begin) / HOUR_US)
    if full:
        put(out, q, k, place, 10, nodes[r, GOOD] / nodes[r, SEEN] if nodes[r, SEEN] > 0.0 else np.nan)


@compiled
def answer(s, tree, ints, edges, known, begin, end, at, low, high, place, out, settled):  # type: ignore[no-untyped-def]
    """Statistics of a tree's series over the windows [begin[q, k], end[q]), as known strictly before at[q].

    end ascends; begin[q, :] falls. place: where in out (q, k, ...) each statistic goes, -1 for nowhere. settled (q, k):
    no version of a reading in the window is recorded at at[q] or later.
    """
    ts, versions, full, nodes = s.ts, s.since.size > 0, tree.full, tree.nodes
    asked, size = begin.shape[1], s.ts.size
    index, leaf, width = tree.index, tree.index[LEAF], nodes.shape[1]
    block = leaf << LEVELS_OF_BLOCK
    reached, current = np.int64(0), ALWAYS  # row WHOLE: leaves of the block `current` before `reached`
    empty(nodes, NOTHING, full)
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
            blocks(s, tree, starts, border, t, inner)
        ragged, newest = e > border * block, True
        if ragged and (versions or index[BOTTOM] > 0):
            hint = seek(ts, 0, size, hint, border * block)
            newest = edge(s, tree, border * block, e, hint, t, RIGHT)
        elif ragged:  # the same, going on from the cut-off before
            if border != current:
                empty(nodes, WHOLE, full)
                reached, current = border << LEVELS_OF_BLOCK, border
            while reached < e // leaf:
                if index[FROM] <= reached <= index[TO]:
                    merge(nodes, WHOLE, index[OFFSET] + reached, WHOLE, full)
                reached += 1
            hint = seek(ts, 0, size, hint, reached * leaf)
            j = seek(ts, 0, size, hint, e)
            piece(s, tree, hint, j, t, RIGHT)
            merge(nodes, WHOLE, RIGHT, RIGHT, full)
        for k in range(asked):
            b = begin[q, k]
            if starts[k] > border:  # the window lies within a block
                hints[k] = seek(ts, 0, size, hints[k], b)
                settled[q, k] = edge(s, tree, b, e, hints[k], t, ONE)
                tell(nodes, ONE, full, b, e, place, out, q, k)
                continue
            whole, left, r = newest and inner[k] != 0, NOTHING, MIDDLE + k
            if starts[k] * block > b:
                left = LEFT
                j = pointer[k]
                while j < high and end[j] < b:
                    j += 1
                pointer[k] = j
                kept = not versions and j < high and end[j] == b
                if kept and known[j]:
                    for f in range(width):
                        nodes[LEFT, f] = edges[j, f]
                else:
                    hints[k] = seek(ts, 0, size, hints[k], b)
                    whole = edge(s, tree, b, starts[k] * block, hints[k], t, LEFT) and whole
                    if kept:
                        for f in range(width):
                            edges[j, f] = nodes[LEFT, f]
                        known[j] = True
            if ragged or left == LEFT:
                join(nodes, left, r, RIGHT if ragged else NOTHING, ONE, full)
                r = ONE
            settled[q, k] = whole
            tell(nodes, r, full, b, e, place, out, q, k)
