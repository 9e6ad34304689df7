"""Series of readings in units of their operating regime's deviation, with the versions that late settings make.

A derived reading has a version wherever the reading or a setting in force has one: it is visible at the cut-offs at
which just these values were known. Where nothing came late that is one version, and the work is one sorted search.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from features.asof import ALWAYS, NEVER, Floats, Ints, Mask
from features.readings import Readings
from features.spec import DAY_US
from features.windows import Series

HOLD_US = DAY_US  # how long a setting counts after it was read
_NO_INTS: Ints = np.empty(0, dtype=np.int64)

Piece = tuple[int, int, float]  # visible at cut-offs from, to (both included); value


def nearest(values: Floats, spread: Floats, centres: Floats) -> Ints:
    """(n,) the regime whose centre is nearest to each row of settings (n, settings); -1 where one is not known."""
    known = np.isfinite(values).all(axis=1)
    out = np.full(len(values), -1, dtype=np.int64)
    best = np.full(len(values), np.inf)
    for k, centre in enumerate(centres):  # one regime at a time: the sum does not depend on which rows are asked for
        apart = np.zeros(len(values))
        for j in range(values.shape[1]):
            apart += ((values[:, j] - centre[j]) / spread[j]) ** 2
        closer = known & (apart < best)
        out[closer], best[closer] = k, apart[closer]
    return out


def in_force(ts: Ints, at: Ints, x: Floats) -> Floats:
    """The last of the values (at ascending, x) at or before each of `ts`, not older than a day; NaN where none is."""
    if not len(at):
        return np.full(len(ts), np.nan)
    place = np.searchsorted(at, ts, side="right") - 1
    there = (place >= 0) & (ts - at[place] <= HOLD_US)
    return np.where(there, x[place], np.nan)


def regimes_at(ts: Ints, settings: Sequence[tuple[Ints, Floats]], spread: Floats, centres: Floats) -> Ints:
    """The regime in force at each of `ts` (-1: not known); settings: (times, values) of each, as they are known."""
    return nearest(np.column_stack([in_force(ts, at, x) for at, x in settings]), spread, centres)


def known_at(s: Series, t: int) -> tuple[Ints, Floats]:
    """Times and values of the usable readings of a series that were known strictly before `t`."""
    known = (s.ts < t) & _usable(s)
    if len(s.since):
        known &= (s.since < t) & (t <= s.until)
    return s.ts[known], s.x[known]


def standardised(s: Series, settings: Sequence[Series], spread: Floats, centres: Floats, levels: Floats) -> Series:
    """The readings of `s` less the mean, in deviations, of the regime in force; levels (regimes, 2): mean, deviation.

    A reading counts as not usable while its regime is not known, or where the deviation is 0.
    """
    if not any(_late(one).any() for one in settings):
        regime = regimes_at(s.ts, [(one.ts[_usable(one)], one.x[_usable(one)]) for one in settings], spread, centres)
        return _scaled(s.ts, s.x, _usable(s), *_seen(s), regime, levels)
    row, since, until, values = _pieces(s, settings)
    return _scaled(s.ts[row], s.x[row], _usable(s)[row], since, until, nearest(values, spread, centres), levels)


def _scaled(ts: Ints, x: Floats, usable: Mask, since: Ints, until: Ints, regime: Ints, levels: Floats) -> Series:
    mean, deviation = levels[regime, 0], levels[regime, 1]
    counts = usable & (regime >= 0) & (deviation > 0)
    value = np.where(counts, (x - mean) / np.where(deviation > 0, deviation, 1.0), np.nan)
    return Series(ts, value, np.where(counts, np.int8(2), np.int8(0)), since, until)


def _usable(s: Series) -> Mask:
    return s.quality > 0 if len(s.quality) else np.ones(len(s.ts), dtype=bool)


def _seen(s: Series) -> tuple[Ints, Ints]:
    """`since` and `until` of every reading."""
    if len(s.since):
        return s.since, s.until
    return np.full(len(s.ts), ALWAYS, dtype=np.int64), np.full(len(s.ts), NEVER, dtype=np.int64)


def _late(s: Series) -> Mask:
    """Readings that came late, or have more than one version."""
    since, until = _seen(s)
    return (since > s.ts) | (until != NEVER)


# ---- settings that came late ---------------------------------------------------------------------------------------


def _pieces(s: Series, settings: Sequence[Series]) -> tuple[Ints, Ints, Ints, Floats]:
    """Row of `s`, since, until and settings (n, settings) of every version of a derived reading, in order."""
    since, until = _seen(s)
    plain = [_plain_before(one, s.ts) for one in settings]
    rows: list[int] = []
    spans: list[tuple[int, int]] = []
    told: list[tuple[float, ...]] = []
    for i, ts in enumerate(s.ts.tolist()):
        first = max(int(since[i]), ts) + 1
        made: list[tuple[int, int, tuple[float, ...]]] = [(first, int(until[i]), ())]
        for one, (easy, value) in zip(settings, plain, strict=True):
            pieces = [(first, NEVER, float(value[i]))] if easy[i] else _over_time(one, ts, first)
            made = [(max(a, c), min(b, d), (*so_far, v)) for a, b, so_far in made for c, d, v in pieces
                    if max(a, c) <= min(b, d)]
        for a, b, values in _joined(made):
            rows.append(i)
            spans.append((int(since[i]) if a == first else a - 1, b))
            told.append(values)
    ends = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return (np.array(rows, dtype=np.int64), ends[:, 0], ends[:, 1],
            np.array(told, dtype=np.float64).reshape(len(rows), len(settings)))


def _plain_before(one: Series, ts: Ints) -> tuple[Mask, Floats]:
    """Where the last reading of a setting at or before `ts` came in time, once, and is usable: it is all there is."""
    place = np.searchsorted(one.ts, ts, side="right") - 1
    if not len(one.ts):
        return np.zeros(len(ts), dtype=bool), np.full(len(ts), np.nan)
    easy = (place >= 0) & (_usable(one) & ~_late(one))[place] & (ts - one.ts[place] <= HOLD_US)
    return easy, one.x[place]


def _over_time(one: Series, ts: int, first: int) -> list[Piece]:
    """The value of a setting in force at `ts`, by the cut-offs from `first` on at which it was known to be so."""
    since, until = _seen(one)
    usable = _usable(one)
    out: list[Piece] = []
    free = [(first, NEVER)]
    row = int(np.searchsorted(one.ts, ts, side="right")) - 1
    while row >= 0 and free and ts - one.ts[row] <= HOLD_US:
        if usable[row]:
            a, b = max(int(since[row]), int(one.ts[row])) + 1, int(until[row])
            left: list[tuple[int, int]] = []
            for c, d in free:
                low, high = max(a, c), min(b, d)
                if low > high:
                    left.append((c, d))
                    continue
                out.append((low, high, float(one.x[row])))
                left += [(c, low - 1)] if c < low else []
                left += [(high + 1, d)] if high < d else []
            free = left
        row -= 1
    return sorted(out + [(c, d, np.nan) for c, d in free])


def _joined(made: list[tuple[int, int, tuple[float, ...]]]) -> list[tuple[int, int, tuple[float, ...]]]:
    """Neighbours with the same values as one."""
    out: list[tuple[int, int, tuple[float, ...]]] = []
    for a, b, values in made:
        if out and out[-1][1] + 1 == a and np.array_equal(out[-1][2], values, equal_nan=True):
            out[-1] = (out[-1][0], b, values)
        else:
            out.append((a, b, values))
    return out


def made_of(made: Sequence[tuple[tuple[str, str], Series, int]]) -> Readings:
    """Readings of some series: (equipment, signal), its readings, and since when it is known at all."""
    if not made:
        nothing = np.zeros(0, dtype=bool)
        return Readings(_NO_INTS, np.empty(0), np.empty(0, np.int8), _NO_INTS, _NO_INTS, _NO_INTS, _NO_INTS, _NO_INTS,
                        nothing, nothing, {})
    series = [s for _, s, _ in made]
    ends = np.cumsum([len(s.ts) for s in series]).astype(np.int64)
    starts = ends - np.array([len(s.ts) for s in series], dtype=np.int64)
    late = np.array([bool(_late(s).any()) for s in series])
    plain = np.array([bool(_usable(s).all()) for s in series]) & ~late
    ts, value, quality = (np.concatenate([getattr(s, name) for s in series]) for name in ("ts", "x", "quality"))
    since, until = ((np.concatenate([getattr(s, name) for s in series]) for name in ("since", "until"))
                    if late.any() else (_NO_INTS, _NO_INTS))
    known = np.array([first for _, _, first in made], dtype=np.int64)
    return Readings(ts, value, quality, since, until, starts, ends, known, plain, late,
                    {pair: i for i, (pair, _, _) in enumerate(made)})
