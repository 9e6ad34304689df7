"""Remaining life out of a survival curve: inside the edges as it was learnt, beyond them by a Weibull tail.

Beyond the last edge no interval was learnt, but training lives went on. Of the rows that outlived an edge A their later
failures and censorings fit a Weibull hazard, truncated on the left at A, whose scale depends on how likely the row
was to fail before A (z = log of its cumulative hazard at A):

    H(t) - H(E) = exp(a + b z) ((t / A)^k - (E / A)^k),   t >= E

A is the last edge E, or, with too few failures after it, the latest edge with enough (`anchor_of`).

(Weibull, J. Appl. Mech. 18, 1951; likelihood of truncated and censored lives: Klein & Moeschberger, Survival Analysis,
2003, ch. 3.5). b near 1: who was at risk stays so; near 0: surviving the near danger says nothing more. H rises and is
continuous at E, so that the curve is monotone. With too few failures after any edge the hazard of the last interval
goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaincc, gammaln

Floats = NDArray[np.float64]

#: Fewer rows failing beyond an edge fit no Weibull tail from there.
TAIL_LEAST = 100
#: So many are waited for, or half of all failures: the mean of a life hangs on its tail, and few make it uncertain.
TAIL_USUAL = 300
#: More rows than this tell no more about four numbers; who calls `Tail.fit` draws as many.
TAIL_ROWS = 20_000
_LEAST_RATE = 1e-6  # per hour; a hazard of 0 would make the expected life infinite
# A steeply falling hazard, drawn out to where nobody was watched, would make some lives endless.
_SHAPES = (0.6, 8.0)
# Doubt, in failures' worth, that the tail depends on z (b) and that it is no exponential (log k).
_DOUBT = np.array([0.0, 1.0, 10.0])


@dataclass(frozen=True)
class Tail:
    """What was learnt beyond the edge `anchor`, of `rows` of which so many failed. Without `weibull`: nothing."""

    weibull: bool = False
    anchor: int = 0
    rows: int = 0
    failures: int = 0
    scale: tuple[float, float] = (0.0, 0.0)  # a, b
    shape: float = 1.0  # k
    centre: float = 0.0
    spread: float = 1.0
    z: tuple[float, float] = (-10.0, 10.0)  # of the training rows, standardised; others are taken to these limits

    @classmethod
    def fit(cls, duration_h: Floats, failed: NDArray[np.bool_], survival: Floats, edges_h: Floats, anchor: int) -> Tail:
        """Learn from rows that outlived an edge (`anchor_of`): (n,) hours to the end of each, (n, edges) its curve."""
        rows, failures, last_h = len(duration_h), int(failed.sum()), float(edges_h[anchor])
        log_hazard = _log_hazard(survival[:, anchor])
        centre, spread = float(log_hazard.mean()), max(float(log_hazard.std()), 1e-3)
        low, high = np.quantile((log_hazard - centre) / spread, [0.01, 0.99])
        z = np.clip((log_hazard - centre) / spread, low, high)
        log_u = np.log(np.maximum(duration_h / last_h, 1.0))
        event = failed.astype(np.float64)

        def loss(theta: Floats) -> tuple[float, Floats]:
            a, b, c = theta
            k = float(np.exp(c))
            power = np.exp(np.minimum(k * log_u, 60.0))
            scale = np.exp(np.clip(a + b * z, -40.0, 20.0))
            by_scale = event - scale * (power - 1.0)
            by_shape = event * (1.0 + k * log_u) - scale * power * k * log_u
            value = np.sum(event * (a + b * z + c + (k - 1.0) * log_u) - scale * (power - 1.0))
            slope = np.array([by_scale.sum(), (by_scale * z).sum(), by_shape.sum()])
            return -(value - 0.5 * float((_DOUBT * theta**2).sum())) / len(z), -(slope - _DOUBT * theta) / len(z)

        exposure = max(float(np.expm1(np.minimum(log_u, 60.0)).sum()), 1e-9)
        limits = [(None, None), (-5.0, 5.0), (float(np.log(_SHAPES[0])), float(np.log(_SHAPES[1])))]
        start = np.array([np.log(event.sum() / exposure), 0.0, 0.0])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": 500}).x
        a, b, c = (float(v) for v in found)
        return cls(True, anchor, rows, failures, (a, b), float(np.exp(c)), centre, spread, (float(low), float(high)))

    def of(self, survival: Floats, edges_h: Floats) -> tuple[Floats, Floats]:
        """Scale c and shape k (n,) of H(t) - H(E) = c ((t / E)^k - 1) beyond the last edge E."""
        z = np.clip((_log_hazard(survival[:, self.anchor]) - self.centre) / self.spread, *self.z)
        scale = np.exp(np.clip(self.scale[0] + self.scale[1] * z, -40.0, 20.0))
        return scale * (edges_h[-1] / edges_h[self.anchor]) ** self.shape, np.full(len(z), self.shape)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Tail:
        """From the JSON form."""
        stored: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return cls(**stored)


class Curve:
    """Survival curves (n, number of edges) with their tail: hours at which they reach a level, and expected hours."""

    def __init__(self, survival: Floats, edges_h: Floats, tail: Tail):
        self.survival, self.edges = survival, edges_h
        self.log_s = np.log(np.maximum(survival, 1e-300))
        self.rate = np.maximum(-np.diff(self.log_s, axis=1) / np.diff(edges_h), 0.0)
        if tail.weibull:
            self.scale, self.shape = tail.of(survival, edges_h)
        else:  # exponential: shape 1
            self.scale = np.maximum(self.rate[:, -1], _LEAST_RATE) * edges_h[-1]
            self.shape = np.ones(len(survival))

    def expected_h(self) -> Floats:
        """(n,): integral of the survival curve."""
        widths = np.diff(self.edges)
        fallen = self.survival[:, :-1] - self.survival[:, 1:]
        small = self.rate * widths < 1e-9
        inside = np.where(small, self.survival[:, :-1] * widths, fallen / np.where(small, 1.0, self.rate)).sum(axis=1)
        return np.asarray(inside + self.survival[:, -1] * self.edges[-1] * _beyond(self.scale, self.shape))

    def reaches_h(self, level: float) -> Floats:
        """(n,): hours at which survival falls to `level` (0 < level < 1)."""
        last = len(self.edges) - 1
        k = np.clip((self.survival > level).sum(axis=1) - 1, 0, last)  # last edge still above the level
        row = np.arange(len(k))
        left = np.maximum(self.log_s[row, k] - np.log(level), 0.0)  # hazard still to be gone through
        rate = np.maximum(self.rate[row, np.minimum(k, last - 1)], 1e-12)
        inside = np.minimum(self.edges[k] + left / rate, self.edges[np.minimum(k + 1, last)])
        return np.where(k < last, inside, self.edges[-1] * (1.0 + left / self.scale) ** (1.0 / self.shape))


def anchor_of(duration_h: Floats, failed: NDArray[np.bool_], edges_h: Floats) -> int | None:
    """The latest edge after which enough rows fail for a tail; None where there is none."""
    failures = int(failed.sum())
    later = failures - np.searchsorted(np.sort(duration_h[failed]), edges_h[1:], side="right")
    enough = np.flatnonzero(later >= max(TAIL_LEAST, min(TAIL_USUAL, failures / 2))) + 1
    return int(enough[-1]) if len(enough) else None


def _log_hazard(survival: Floats) -> Floats:
    return np.log(np.maximum(-np.log(np.maximum(survival, 1e-300)), 1e-9))


def _beyond(c: Floats, k: Floats) -> Floats:
    """Integral of exp(-c (u^k - 1)) over u from 1: e^c c^(-1/k) Gamma(1/k, c) / k."""
    shape = 1.0 / k
    near = c < 50.0
    low = np.where(near, c, 1.0)
    exact = shape * np.exp(low - shape * np.log(low) + gammaln(shape)) * gammaincc(shape, low)
    far = np.where(near, 50.0, c)  # Gamma(s, c) = e^-c c^(s-1) (1 + (s-1)/c + ...)
    series = (shape / far) * (1.0 + (shape - 1.0) / far + (shape - 1.0) * (shape - 2.0) / far**2)
    return np.where(near, exact, series)
