"""Copies of the label: a feature that changes exactly when the label does, in every life.

What announces a failure does so some time ahead, sooner in one life and later in another, and grows from there. A copy
of "fails within h" changes at h hours before each failure, whatever the equipment, and is flat before and after. So
rows shortly before the horizon are held against rows shortly after it, and a feature is an echo when

* it separates the two almost without error, and also all rows beyond the horizon from those shortly within it,
* where it says that the end is near, it mostly is (an error that precedes each failure comes at other times too),
* it says nothing about the time left among the rows beyond the horizon,
* it says nothing about it either among the rows within, as far as the length of its own look-back lets it.

Between the two lies a strip of some hours, so that a copy that is shifted by an hour, or read as seldom as its source
comes, shows too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

SEPARATES, APART, PRECISE, FLAT, SATURATED = 0.96, 0.93, 0.8, 0.27, 0.6
SHIFT_H = 1.5  # hours by which a copy may be shifted
_FEWEST_ROWS, _FEWEST_LIVES = 10, 8
_MOST = 400  # rows of a side


@dataclass(frozen=True)
class Echo:
    """A feature that knows the horizon: how well it separates rows at the two sides of it (area under the curve)."""

    column: int
    horizon: str
    of: str
    separates: float
    lives: int

    @property
    def reason(self) -> str:
        return (
            f"repeats the label: it changes {self.horizon} before each {self.of}, in {self.lives} lives alike, and "
            f"separates the rows on the two sides of the horizon with an AUC of {self.separates:.3f}"
        )


def label_echoes(
    values: np.ndarray,
    left: np.ndarray,
    at_least: np.ndarray,
    age: np.ndarray,
    life: np.ndarray,
    look_back_h: np.ndarray,
    strip_h: np.ndarray,
    rates: np.ndarray,
    horizons: dict[str, float],
    grid_h: float,
    of: str,
) -> list[Echo]:
    """The best echo of each column of `values` (n, p; NaN where not known).

    left (n,): hours to the next failure, NaN where it was not seen; at_least (n,): hours without one, known for every
    row. age: hours since the last failure (NaN: none seen). life (n,): number of the life. look_back_h, strip_h (p,):
    hours that a feature reads back, and within which the onset of a copy may lie beside the horizon. rates (p,):
    whether a feature is a rate of change. horizons: name -> hours.
    """
    best: dict[int, Echo] = {}
    for name, h in horizons.items():
        strips = np.minimum(strip_h, h / 2)
        for w, strip in sorted(set(zip(look_back_h.tolist(), strips.tolist(), strict=True))):
            columns = np.flatnonzero((look_back_h == w) & (strips == strip))
            band = max(grid_h, h / 2 if w >= h else h / 4)
            for found in _at(values, columns, rates, left, at_least, age, life, w, h, strip, band, name, of):
                if found.column not in best or found.separates > best[found.column].separates:
                    best[found.column] = found
    return [best[j] for j in sorted(best)]


def _at(
    values: np.ndarray, columns: np.ndarray, rates: np.ndarray, left: np.ndarray, at_least: np.ndarray,
    age: np.ndarray, life: np.ndarray, look_back: float, h: float, strip: float, band: float, name: str, of: str,
) -> list[Echo]:
    reach = max(band, min(look_back, h))
    clean = ~(age < look_back)  # for so long after a failure a feature still mixes in the life before
    within = clean & (left < h - strip)
    beside = within & (left >= h - strip - band), clean & (left >= h + strip) & (left < h + strip + band)
    near, past = _some(beside[0]), _some(beside[1])
    if len(near) < _FEWEST_ROWS or len(np.unique(life[near])) < _FEWEST_LIVES:
        return []
    far = clean & (at_least >= h + strip + band)
    if len(past) < _FEWEST_ROWS or far.sum() < _FEWEST_ROWS:
        return []
    separates = auc(values[np.ix_(near, columns)], values[np.ix_(past, columns)])
    strong = np.flatnonzero(np.abs(separates - 0.5) >= SEPARATES - 0.5)
    if not len(strong):
        return []
    columns = columns[strong]
    out = []
    for column in columns.tolist():
        x = values[:, [column]]
        there = np.isfinite(x[:, 0])  # features of one class of equipment are not known of the others
        near, past = _some(beside[0] & there), _some(beside[1] & there)
        lives = len(np.unique(life[near]))
        if min(len(near), len(past)) < _FEWEST_ROWS or lives < _FEWEST_LIVES:
            continue
        power = auc(x[near], x[past])[0]
        if abs(power - 0.5) < SEPARATES - 0.5:
            continue
        reaching = _some(within & there & (left >= h - strip - reach))
        inside = _some(within & there & (left < h - strip - look_back))
        beyond = _some(far & there, 2 * _MOST)
        apart = auc(x[reaching], x[np.concatenate([past, beyond])])[0]
        flat = abs(auc(x[past], x[beyond])[0] - 0.5)
        told = _rank_correlation(x[inside, 0], left[inside])
        if rates[column] and not _a_pulse(x[inside], x[beyond]):
            continue  # the rate of a trend that sets in at the horizon stays what it is until the failure
        precise = _precision(x[:, 0], clean & (at_least >= h + strip), within, near, past)
        if max(apart, 1 - apart) >= APART and flat <= FLAT and told <= SATURATED and precise >= PRECISE:
            out.append(Echo(column, name, of, float(0.5 + abs(power - 0.5)), lives))
    return out


def _a_pulse(inside: np.ndarray, beyond: np.ndarray) -> bool:
    """Whether a rate is, long after its onset, what it was before: that of a value that jumped."""
    return len(inside) >= _FEWEST_ROWS and abs(auc(inside, beyond)[0] - 0.5) <= FLAT


def _precision(x: np.ndarray, beyond: np.ndarray, within: np.ndarray, near: np.ndarray, past: np.ndarray) -> float:
    """Of the rows that look as those just within the horizon do, the share that lie within it."""
    inside, outside = np.nanmedian(x[near]), np.nanmedian(x[past])
    middle = (inside + outside) / 2
    says = x > middle if inside > outside else x < middle
    return float((says & within).sum() / max(1, (says & (within | beyond)).sum()))


def _some(rows: np.ndarray, most: int = _MOST) -> np.ndarray:
    """Up to `most` of the chosen rows, evenly spread."""
    at = np.flatnonzero(rows)
    return at if len(at) <= most else at[np.linspace(0, len(at) - 1, most).astype(int)]


def auc(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Per column the chance that a value of `a` lies above one of `b` (ties half), of those known; 0.5 where few are.

    a (n, p), b (m, p). The area under the ROC curve by ranks (Mann and Whitney).
    """
    both = np.concatenate([a, b])
    there = np.isfinite(both)
    ranks = np.where(there, rankdata(np.where(there, both, np.inf), axis=0), 0.0)
    n, m = there[: len(a)].sum(axis=0), there[len(a):].sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        out = (ranks[: len(a)].sum(axis=0) - n * (n + 1) / 2) / (n * m)
    return np.where((n >= _FEWEST_ROWS / 2) & (m >= _FEWEST_ROWS / 2), out, 0.5)


def _rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """|Spearman's correlation| of x with y where x is known; 0 where one of them does not vary."""
    there = np.isfinite(x)
    if there.sum() < _FEWEST_ROWS or min(len(np.unique(x[there])), len(np.unique(y[there]))) < 2:
        return 0.0
    return float(abs(np.corrcoef(rankdata(x[there]), rankdata(y[there]))[0, 1]))
