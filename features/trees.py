"""Trees of summaries: the middle of the kernel of windowed statistics.

Time is cut into *leaves*, epoch-aligned and of equal length. The readings of a leaf are folded into a summary, and
summaries are merged up a dyadic tree: a node of level l covers 2**l leaves that start at a multiple of 2**l. What a
node holds depends on its own readings alone, not on where a history starts or ends, so the same window has the same
bits in training and in serving, and a window costs the logarithm of its length. Eight leaves are a *block*.

Late and corrected readings are versions of a reading, visible at the cut-offs t with since < t <= until. A node
remembers when the last of its versions was recorded (`settle`); a cut-off before that goes down to its children, and
at the bottom to the readings that it may see, by the same merges in the same order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from features.summaries import (
    ALWAYS,
    GOOD,
    NEVER,
    SEEN,
    Floats,
    Ints,
    compiled,
    copy,
    empty,
    fold,
    inlined,
    merge,
)

LEVELS_OF_BLOCK = 3

# Entries of `index`, what a tree is: its leaf (µs), its first and last leaf, its lowest and highest level, the row of
# the node (level, i) less i from OFFSET on, and from KEYS on the leaf of each summary on the stack.
LEAF, BOTTOM, TOP, FROM, TO = range(5)
OFFSET, KEYS, LEVELS, PLACES, INDEX = 8, 72, 144, 216, 288
# The first rows of `nodes` are room to work in: the stack of a walk down the tree, then the parts of windows.
DEEP, MOST_WINDOWS = 72, 64
LEFT, RIGHT, ONE, WHOLE, NOTHING = range(DEEP, DEEP + 5)
MIDDLE = DEEP + 5
ROWS = MIDDLE + MOST_WINDOWS


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
    """Summaries of a series. full: with all fields; nodes (rows, fields); index: see LEAF; limits: lower, upper.

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


@compiled
def seek(ts, low, high, hint, x):  # type: ignore[no-untyped-def]
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
def fork(i, j):  # type: ignore[no-untyped-def]
    """Level at which two different leaves part: the position of the highest bit in which they differ."""
    d = i ^ j
    level = 0
    while d > 1:
        d >>= 1
        level += 1
    return level


@compiled
def push(index, nodes, depth, leaf, full):  # type: ignore[no-untyped-def]
    """Merge what stands on the stack as far as the tree does before it comes to `leaf`; returns the new depth."""
    while depth >= 2 and fork(index[KEYS + depth - 2], index[KEYS + depth - 1]) < fork(
        index[KEYS + depth - 1], leaf
    ):
        merge(nodes, depth - 2, depth - 1, depth - 2, full)
        depth -= 1
    return depth


@compiled
def close(nodes, depth, full):  # type: ignore[no-untyped-def]
    """Merge all that is left on the stack into row 0."""
    while depth >= 2:
        merge(nodes, depth - 2, depth - 1, depth - 2, full)
        depth -= 1
    if depth == 0:
        empty(nodes, 0, full)


@compiled
def some(s, tree, low, high, at, r):  # type: ignore[no-untyped-def]
    """As `piece`, where not all of the readings count."""
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
    fold(some_ts, some_x, 0, n, limits, full, nodes, r)
    nodes[r, SEEN] = seen
    if full:
        nodes[r, GOOD] = good


@inlined
def piece(s, tree, low, high, at, r):  # type: ignore[no-untyped-def]
    """Summary of the readings [low, high) as they are visible at `at` (NEVER: as they are now) into row r."""
    ts, x, quality = s.ts, s.x, s.quality
    full, nodes, limits = tree.full, tree.nodes, tree.limits
    if quality.size == 0 or high <= low:
        fold(ts, x, low, high, limits, full, nodes, r)
    else:
        some(s, tree, low, high, at, r)


@compiled
def leaves(s, tree, low, high, at, depth):  # type: ignore[no-untyped-def]
    """Put the leaves that the readings [low, high) lie in on the stack, merged as in the tree; returns the depth."""
    ts = s.ts
    full, index, nodes = tree.full, tree.index, tree.nodes
    j, leaf = low, index[LEAF]
    while j < high:
        i = ts[j] // leaf
        border = (i + 1) * leaf
        k = j + 1
        while k < high and ts[k] < border:
            k += 1
        depth = push(index, nodes, depth, i, full)
        piece(s, tree, j, k, at, depth)
        if nodes[depth, SEEN] > 0.0:
            index[KEYS + depth] = i
            depth += 1
        j = k
    return depth


@compiled
def grow(s, tree, begin, end):  # type: ignore[no-untyped-def]
    """Fill the leaves from `begin` to `end` and what lies above them; other nodes stay.

    The first and the last leaf make a whole tree, that of a new reading brings a tree up to date. settle (rows,): when
    the last version below a node was recorded; empty where there are no versions.
    """
    ts, since = s.ts, s.since
    full, index, nodes, settle = tree.full, tree.index, tree.nodes, tree.settle
    leaf, first, last, bottom = index[LEAF], index[FROM], index[TO], index[BOTTOM]
    versions, size = since.size > 0, ts.size
    j = seek(ts, 0, size, 0, ((begin >> bottom) << bottom) * leaf)
    for i in range(begin >> bottom, (end >> bottom) + 1):
        border = ((i + 1) << bottom) * leaf
        k = j
        while k < size and ts[k] < border:
            k += 1
        r = index[OFFSET + bottom] + i
        if bottom == 0:
            piece(s, tree, j, k, NEVER, r)
        else:
            depth = leaves(s, tree, j, k, NEVER, 0)
            close(nodes, depth, full)
            copy(nodes, 0, r, full)
        if versions:
            recorded = ALWAYS
            for v in range(j, k):
                recorded = max(recorded, since[v])
            settle[r] = recorded
        j = k
    for level in range(bottom + 1, index[TOP] + 1):
        below, here = index[OFFSET + level - 1], index[OFFSET + level]
        lowest, highest = first >> (level - 1), last >> (level - 1)
        for i in range(begin >> level, (end >> level) + 1):
            left, right = 2 * i, 2 * i + 1
            if left < lowest:
                copy(nodes, below + right, here + i, full)
            elif right > highest:
                copy(nodes, below + left, here + i, full)
            else:
                merge(nodes, below + left, below + right, here + i, full)
            if versions:
                recorded = settle[below + left] if left >= lowest else ALWAYS
                settle[here + i] = max(recorded, settle[below + right]) if right <= highest else recorded


@compiled
def visible(s, tree, level, i, at):  # type: ignore[no-untyped-def]
    """Summary of a node as it is visible at `at` into row 0: children that have settled, else their readings."""
    ts = s.ts
    full, index, nodes, settle = tree.full, tree.index, tree.nodes, tree.settle
    leaf, bottom = index[LEAF], index[BOTTOM]
    levels, places = index[LEVELS:LEVELS + DEEP], index[PLACES:PLACES + DEEP]
    levels[0], places[0] = level, i
    waiting, depth = 1, 0
    while waiting > 0:
        waiting -= 1
        level, i = levels[waiting], places[waiting]
        if i < (index[FROM] >> level) or i > (index[TO] >> level):
            continue
        r = index[OFFSET + level] + i
        if settle[r] < at:
            if nodes[r, SEEN] > 0.0:
                depth = push(index, nodes, depth, i << level, full)
                copy(nodes, r, depth, full)
                index[KEYS + depth] = i << level
                depth += 1
        elif level > bottom:
            levels[waiting], places[waiting] = level - 1, 2 * i + 1
            levels[waiting + 1], places[waiting + 1] = level - 1, 2 * i
            waiting += 2
        else:
            j = seek(ts, 0, ts.size, 0, (i << level) * leaf)
            k = seek(ts, 0, ts.size, j, ((i + 1) << level) * leaf)
            depth = leaves(s, tree, j, k, at, depth)
    close(nodes, depth, full)


@inlined
def late(since, low, high, at):  # type: ignore[no-untyped-def]
    """Whether a version of the readings [low, high) is recorded at `at` or later."""
    if since.size > 0:
        for j in range(low, high):
            if since[j] >= at:
                return True
    return False


@compiled
def unkept(s, tree, level, i, at):  # type: ignore[no-untyped-def]
    """Summary of a node below the lowest level that is kept into row 0; returns whether it has settled before `at`."""
    ts, since = s.ts, s.since
    full, index, nodes = tree.full, tree.index, tree.nodes
    j = seek(ts, 0, ts.size, 0, (i << level) * index[LEAF])
    k = seek(ts, 0, ts.size, j, ((i + 1) << level) * index[LEAF])
    close(nodes, leaves(s, tree, j, k, at, 0), full)
    return not late(since, j, k, at)


@inlined
def node(s, tree, level, i, at):  # type: ignore[no-untyped-def]
    """Row of the summary of a node as it is visible at `at` and whether it has settled by then; -1: it is empty."""
    index, settle = tree.index, tree.settle
    if i < (index[FROM] >> level) or i > (index[TO] >> level):
        return np.int64(-1), True
    top = index[TOP]
    if level > top:  # then all readings lie in one node of the highest level
        level, i = top, index[FROM] >> top
    if level >= index[BOTTOM]:
        r = index[OFFSET + level] + i
        if settle.size == 0 or settle[r] < at:
            return r, True
        visible(s, tree, level, i, at)
        return np.int64(0), False
    return np.int64(0), unkept(s, tree, level, i, at)
