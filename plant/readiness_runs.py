"""Whether a machine ran in its batch steps: the level of its signals within each step and between the steps.

A historian that sends on while a machine stands has readings in every step, whether the machine ran there or not. What
tells a run is the level: that of most steps of the kind on this machine against that between its steps. Signals that
do not tell the two apart are not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

_MOST_SIGNALS = 12  # of a machine that are asked
_FEWEST_STEPS, _FEWEST_GAPS, _FEWEST_READINGS = 8, 5, 3
NONE, HALF = 0.15, 0.5  # share of a run below which a step held none of it, or too little


@dataclass(frozen=True)
class _Timeline:
    """Steps of a machine (`rows` of all steps) and the time between them: [begin, end) in µs, the steps first.

    before: for each step the gap before it, a place among the gaps; the next place is the gap behind it.
    """

    rows: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    before: np.ndarray


def _timeline(rows: np.ndarray, start: np.ndarray, end: np.ndarray) -> _Timeline:
    order = np.argsort(start, kind="stable")
    furthest = np.maximum.accumulate(end[order])
    new = np.append(True, start[order][1:] > furthest[:-1])  # steps that overlap are one stretch
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(order)) - 1
    whole = np.iinfo(np.int64)
    before = np.empty(len(order), dtype=np.int64)
    before[order] = np.cumsum(new) - 1
    # A reading at the very end of a step is one of neither.
    gap_begin = np.append(whole.min, furthest[last] + 1)
    gap_end = np.append(start[order][first], whole.max)
    return _Timeline(rows, np.append(start, gap_begin), np.append(end, gap_end), before)


class StepLevels:
    """Number and sum of the good readings of each signal in each step of its machine, and between the steps."""

    def __init__(self, of: dict[str, np.ndarray], start: np.ndarray, end: np.ndarray):
        """of: equipment -> its rows of `start` and `end` (µs)."""
        self._count = len(start)
        self._lines = {name: _timeline(rows, start[rows], end[rows]) for name, rows in of.items()}
        self._sums: dict[str, dict[str, np.ndarray]] = {}

    def see(self, equipment: str, signal: str, ts: np.ndarray, value: np.ndarray) -> None:
        """Readings of one signal, sorted by time; NaN where bad."""
        line = self._lines.get(equipment)
        several = self._sums.setdefault(equipment, {})
        if line is None or not len(ts) or (signal not in several and len(several) >= _MOST_SIGNALS):
            return
        sums = several.setdefault(signal, np.zeros((2, len(line.begin))))
        which = np.flatnonzero((line.begin <= ts[-1]) & (line.end > ts[0]))
        a, b = np.searchsorted(ts, line.begin[which]), np.searchsorted(ts, line.end[which])
        good = np.isfinite(value)
        for row, what in enumerate((good, np.where(good, value, 0.0))):
            total = np.append(0.0, np.cumsum(what))
            sums[row, which] += total[b] - total[a]

    def runs(self, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(share of each step in which its machine ran, NaN where unknown; whether it ran beside the step instead).

        kinds: name of each step.
        """
        ran, beside = np.full(self._count, np.nan), np.zeros(self._count, dtype=bool)
        for equipment, line in self._lines.items():
            of_kind = pd.Series(kinds[line.rows]).groupby(kinds[line.rows]).indices
            for at in of_kind.values():
                told = [t for sums in self._sums.get(equipment, {}).values() if (t := _told(sums, line, at))]
                if len(at) < _FEWEST_STEPS or not told:
                    continue
                inside, outside = (np.array(several) for several in zip(*told, strict=True))
                known = np.isfinite(inside).any(axis=0)
                rows = line.rows[at[known]]
                ran[rows] = np.nanmedian(inside[:, known], axis=0)
                beside[rows] = np.nanmedian(outside[:, known], axis=0) >= HALF
        return ran, beside


def _told(sums: np.ndarray, line: _Timeline, at: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """What one signal tells of the steps `at`: (share of a run within, what ran beside as a share of what lacks).

    None where it does not tell steps from the time between them.
    """
    n = len(line.rows)
    enough = sums[0] >= _FEWEST_READINGS
    mean = np.where(enough, sums[1] / np.maximum(sums[0], 1), np.nan)
    steps, gaps = mean[at], mean[n:]
    if np.isfinite(steps).sum() < _FEWEST_STEPS or np.isfinite(gaps).sum() < _FEWEST_GAPS:
        return None
    standing = float(np.nanmedian(gaps))
    apart = float(np.nanmedian(steps)) - standing
    if apart == 0:
        return None
    inside, between = (steps - standing) / apart, (gaps - standing) / apart
    low, high = np.nanquantile(between, [0.1, 0.8])
    if np.nanquantile(inside, 0.2) < 0.8 or low < -0.3 or high > 0.3:
        return None
    # Runs between the steps, in readings: what is above the usual scatter there.
    stray = np.nan_to_num(np.maximum(between - max(high, 0.0), 0.0)) * sums[0, n:]
    lacks = np.maximum(1.0 - inside, 1e-6) * np.maximum(sums[0, at], 1)
    place = line.before[at]
    return inside, np.where(np.isfinite(inside), (stray[place] + stray[place + 1]) / lacks, np.nan)
