"""What operating regimes there are, and what is usual in each: found once, when the columns of a model are fixed."""

from __future__ import annotations

import numpy as np

from features.asof import Floats, Ints

_MOST_ROUNDS = 100
_CONSTANT = 1e-9  # of a mean, below which a deviation is rounding


def centres_of(points: Floats, count: int) -> tuple[Floats, Floats]:
    """Spread (settings,) and up to `count` centres (regimes, settings) of settings (n, settings), in sorted order.

    k-means from centres that lie as far apart as the settings do (Gonzalez, Theor. Comput. Sci. 38, 1985); the same
    for the same points in any order.
    """
    if not len(points):
        return np.ones(points.shape[1]), np.empty((0, points.shape[1]))
    distinct, weight = np.unique(points, axis=0, return_counts=True)
    mean = np.average(distinct, axis=0, weights=weight)
    spread = np.sqrt(np.average((distinct - mean) ** 2, axis=0, weights=weight))
    spread = np.where(spread > _CONSTANT * np.abs(mean), spread, 1.0)
    scaled = (distinct - mean) / spread
    chosen = [int(np.argmin((scaled**2).sum(axis=1)))]
    apart = ((scaled - scaled[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count and apart.max() > 0:
        chosen.append(int(np.argmax(apart)))
        apart = np.minimum(apart, ((scaled - scaled[chosen[-1]]) ** 2).sum(axis=1))
    centres = scaled[chosen]
    of = np.full(len(scaled), -1)
    for _ in range(_MOST_ROUNDS):
        now = np.stack([((scaled - c) ** 2).sum(axis=1) for c in centres]).argmin(axis=0)
        if (now == of).all():
            break
        of = now
        centres = np.stack([np.average(scaled[of == k], axis=0, weights=weight[of == k]) if (of == k).any() else c
                            for k, c in enumerate(centres)])
    made = centres * spread + mean
    return spread, made[np.lexsort(made.T[::-1])]


class Levels:
    """Mean and deviation of a signal in each regime, from one series after the other (Chan, Golub & LeVeque 1983)."""

    def __init__(self, regimes: int) -> None:
        self.n, self.mean, self.squares = np.zeros(regimes), np.zeros(regimes), np.zeros(regimes)

    def add(self, regime: Ints, x: Floats) -> None:
        """Readings x (n,) with the regime of each (-1: none)."""
        for k in range(len(self.n)):
            own = x[regime == k]
            if not len(own):
                continue
            mean, n = float(own.mean()), self.n[k] + len(own)
            apart = mean - self.mean[k]
            self.squares[k] += float(((own - mean) ** 2).sum()) + apart**2 * self.n[k] * len(own) / n
            self.mean[k] += apart * len(own) / n
            self.n[k] = n

    def told(self) -> tuple[tuple[float, float], ...]:
        """(mean, sample deviation) of each regime; deviation 0: constant, or hardly any reading."""
        deviation = np.sqrt(self.squares / np.maximum(self.n - 1, 1))
        deviation = np.where((self.n > 1) & (deviation > _CONSTANT * np.abs(self.mean)), deviation, 0.0)
        return tuple((float(m), float(d)) for m, d in zip(self.mean, deviation, strict=True))
