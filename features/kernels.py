"""The compiled loops. They know nothing of plants: sorted arrays in, numbers out; times are int64 microseconds.

All of them stand in this one file because numba's cache notices a change of the file that defines a kernel, and not one
of a file that it calls.
"""

from __future__ import annotations

import numpy as np

from features.jit import compiled

DAY_US = 86_400_000_000.0
HOUR_US = 3_600_000_000.0


@compiled
def lower_bound(a, low, high, x):  # type: ignore[no-untyped-def]
    """First position in the sorted a[low:high] whose value is at least `x`; `high` if there is none."""
    while low < high:
        middle = (low + high) >> 1
        if a[middle] < x:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def latest(offsets, order, start, until, owner, base, t, asks, width, most, forward, out):  # type: ignore[no-untyped-def]
    """Positions of the `most` last (or, `forward`, first) rows of a group that are visible at t.

    Group g holds the rows offsets[g]:offsets[g + 1], sorted by `order`, and order <= start; a row is visible where
    start < t <= until. Query i asks for the groups base[i] * width + (0 .. width - 1), none where base[i] < 0, and does
    not see rows whose `owner` is asks[i]. out (len(base), width, most) is -1 where there are fewer.
    """
    owned = owner.size > 0
    for i in range(base.size):
        for k in range(width):
            for m in range(most):
                out[i, k, m] = -1
            if base[i] < 0:
                continue
            g = base[i] * width + k
            low, high = offsets[g], lower_bound(order, offsets[g], offsets[g + 1], t[i])
            found = 0
            for s in range(high - low):
                j = low + s if forward else high - 1 - s
                if start[j] < t[i] and t[i] <= until[j] and not (owned and owner[j] == asks[i]):
                    out[i, k, found] = j
                    found += 1
                    if found == most:
                        break


@compiled
def count_active(offsets, starts, ends, base, t, width, out):  # type: ignore[no-untyped-def]
    """How many intervals (start, end] of a group hold t: its starts before t less its ends before t, both sorted."""
    for i in range(base.size):
        for k in range(width):
            if base[i] < 0:
                out[i, k] = 0
                continue
            g = base[i] * width + k
            low, high = offsets[g], offsets[g + 1]
            out[i, k] = lower_bound(starts, low, high, t[i]) - lower_bound(ends, low, high, t[i])


@compiled
def decayed(offsets, order, start, until, base, t, width, half_life, out):  # type: ignore[no-untyped-def]
    """Sum over the visible rows of a group, from the newest on, of a weight that halves with every `half_life`."""
    for i in range(base.size):
        for k in range(width):
            total = 0.0
            if base[i] >= 0:
                g = base[i] * width + k
                low = offsets[g]
                j = lower_bound(order, low, offsets[g + 1], t[i]) - 1
                while j >= low:
                    if start[j] < t[i] and t[i] <= until[j]:
                        total += 0.5 ** ((t[i] - order[j]) / half_life)
                    j -= 1
            out[i, k] = total


@compiled
def count_between(offsets, order, start, until, base, begin, end, t, out):  # type: ignore[no-untyped-def]
    """How many rows of the group base[i] (-1: 0) that are visible at t[i] stand in [begin[i], end[i]]."""
    for i in range(base.size):
        out[i] = 0
        if base[i] >= 0:
            high = offsets[base[i] + 1]
            j = lower_bound(order, offsets[base[i]], high, begin[i])
            while j < high and order[j] <= end[i]:
                if start[j] < t[i] and t[i] <= until[j]:
                    out[i] += 1
                j += 1


@compiled
def last_between(offsets, order, start, until, base, end, t, out):  # type: ignore[no-untyped-def]
    """Position of the last row of the group base[i] that is visible at t[i] and stands at or before end[i]; else -1."""
    for i in range(base.size):
        out[i] = -1
        if base[i] >= 0:
            low = offsets[base[i]]
            j = lower_bound(order, low, offsets[base[i] + 1], end[i] + 1) - 1
            while j >= low and out[i] < 0:
                if start[j] < t[i] and t[i] <= until[j]:
                    out[i] = j
                j -= 1


@compiled
def hours_between(offsets, order, start, until, over, base, begin, end, t, out):  # type: ignore[no-untyped-def]
    """Microseconds of [begin[i], end[i]] that the rows of the group base[i] (-1: 0) lasted, as known at t[i] > end[i].

    A row lasts from `order` to `over`; whether an end after end[i] is known at t[i] makes no difference.
    """
    for i in range(base.size):
        out[i] = 0
        if base[i] >= 0:
            j, high = offsets[base[i]], offsets[base[i] + 1]
            while j < high and order[j] < end[i]:
                if start[j] < t[i] and t[i] <= until[j]:
                    out[i] += max(0, min(over[j], end[i]) - max(order[j], begin[i]))
                j += 1


@compiled
def ramp_sum(offsets, breaks, constant, rate, base, t, out):  # type: ignore[no-untyped-def]
    """Sum of straight pieces at t: constant + rate * t, cumulated over the group's breaks strictly before t."""
    for i in range(base.size):
        out[i] = 0
        if base[i] >= 0:
            low, high = offsets[base[i]], offsets[base[i] + 1]
            j = lower_bound(breaks, low, high, t[i]) - 1
            if j >= low:
                out[i] = constant[j] + rate[j] * t[i]


@compiled
def unite(group, start, end):  # type: ignore[no-untyped-def]
    """Merge overlapping intervals (start, end] of the same group; sorted by group and start. Returns what is kept."""
    keep = np.zeros(group.size, dtype=np.bool_)
    end = end.copy()
    last = -1
    for i in range(group.size):
        if last >= 0 and group[i] == group[last] and start[i] <= end[last]:
            end[last] = max(end[last], end[i])
        else:
            keep[i] = True
            last = i
    return keep, end


@compiled
def repeat_pairs(group, opened, start, until, reach, row, first, last):  # type: ignore[no-untyped-def]
    """When it shows that row i came within `reach` after another row of its group: (row, start, end), unmerged.

    Rows are sorted by group and `opened`; a pair shows while both rows do. Returns how many there are, and writes them
    where the three arrays have room.
    """
    n = 0
    for i in range(group.size):
        j = i - 1
        while j >= 0 and group[j] == group[i] and opened[i] - opened[j] <= reach:
            a, b = max(start[i], start[j]), min(until[i], until[j])
            if opened[j] < opened[i] and a < b:
                if n < row.size:
                    row[n], first[n], last[n] = i, a, b
                n += 1
            j -= 1
    return n


@compiled
def first_means(ts, x, quality, since, until, begin, at, most, out):  # type: ignore[no-untyped-def]
    """Mean of the first `most` usable readings of one series in [begin[q], at[q]) as known strictly before at[q].

    Versions of a reading stand next to each other; quality, since and until may be empty (all good, none late). The sum
    goes forward in time, so that it does not depend on where the series begins. NaN where there is none.
    """
    stated, versions, n = quality.size > 0, since.size > 0, ts.size
    for q in range(begin.size):
        found, total = 0, 0.0
        i = lower_bound(ts, 0, n, begin[q])
        while i < n and ts[i] < at[q] and found < most:
            if (not stated or quality[i] > 0) and (not versions or since[i] < at[q] <= until[i]):
                found += 1
                total += x[i]
            i += 1
        out[q] = total / found if found > 0 else np.nan
