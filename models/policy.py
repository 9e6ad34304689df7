"""What a policy of maintenance would have cost: one simulation over recorded time, the same for every policy.

At each cut-off a policy may ask for an order for each equipment. An order is opened when none stands for the equipment
and the crew has room; where room is short the most urgent goes first. It stands until the next failure, at most for
`protects_h`. What became of it is read from what was recorded:

    prevented  the next failure came at least `lead_h` after the order and while it stood
    too_late   it came while the order stood, but sooner than `lead_h`
    false      none came while it stood, or planned work ended the life first (what would have come, nobody knows)

and costs (with effectiveness q, the share of such failures that work in time prevents)

    prevented: planned_intervention + (1 − q) · missed_failure      false: false_alarm
    each failure that no order prevented: missed_failure            too_late: nothing beyond the failure itself

History goes on as recorded after an order: what a renewed part would have gained beyond `protects_h` is not in the
records, and no policy is credited with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from features.jit import compiled
from models.decision import NEVER, Terms, Threshold

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["score", "age", "weibull"]

PREVENTED, TOO_LATE, FALSE = 0, 1, 2
OUTCOMES = ("prevented", "too_late", "false")
WEEK_H = 168.0
MOST_CANDIDATES = 1500
_KINDS: dict[str, int] = {"score": 0, "age": 1, "weibull": 2}


@dataclass(frozen=True, eq=False)
class Chances:
    """Every moment at which an order could have been opened; arrays (n,), sorted by time.

    equipment: code, 0 .. count - 1. t_h: hours since any origin. fails_h: when the next failure came, inf where the
    life ended otherwise. renewed_h: when the equipment last failed or was renewed, as known at t; -inf where never.
    """

    equipment: Ints
    t_h: Floats
    fails_h: Floats
    renewed_h: Floats
    count: int

    @classmethod
    def of(cls, equipment: Any, t_h: Any, fails_h: Any, renewed_h: Any, count: int) -> tuple[Chances, Ints]:
        """Sorted by time, and the order that sorts rows in the same way."""
        at = np.lexsort((np.asarray(equipment), np.asarray(t_h)))
        known = [np.ascontiguousarray(np.asarray(v, dtype=np.float64)[at]) for v in (t_h, fails_h, renewed_h)]
        return cls(np.asarray(equipment, dtype=np.int64)[at], known[0], known[1], known[2], count), at

    def failures(self, within_h: float) -> tuple[Ints, Floats]:
        """(equipment, time) of the failures that came within so many hours of a chance, each once."""
        near = np.isfinite(self.fails_h) & (self.fails_h - self.t_h < within_h)
        pairs = np.unique(np.column_stack([self.equipment[near], self.fails_h[near]]), axis=0)
        return pairs[:, 0].astype(np.int64), pairs[:, 1]


@dataclass(frozen=True, eq=False)
class Policy:
    """When an order is wanted: where the score reaches `at`. Everything is (n,), one for each chance, or one for all.

    kind `score`: `score` is given. `age`: hours since the last order, or since `renewed_h` of the chance. `weibull`:
    P(fails within protects_h | age) by `shape` and `scale` (hours). renewed_h: instead of that of the chances.
    """

    kind: Kind
    at: Floats | float
    score: Floats | float = 0.0
    shape: Floats | float = 1.0
    scale: Floats | float = 1.0
    renewed_h: Floats | None = None


@dataclass(frozen=True, eq=False)
class Played:
    """What a policy led to. row, outcome, lead_h: of each order (lead_h NaN where no failure came while it stood).

    failures: (equipment, time) of all; caught: (failures,) whether one was prevented; cost: (count,) by equipment.
    refused: how often an order was wanted and the crew had no room.
    """

    row: Ints
    outcome: Ints
    lead_h: Floats
    failed: tuple[Ints, Floats]
    caught: NDArray[np.bool_]
    cost: Floats
    refused: int

    @cached_property
    def total(self) -> float:
        """Cost of all equipment."""
        return float(self.cost.sum())


@compiled
def _play(
    equipment: Ints, t: Floats, fails: Floats, renewed: Floats, kind: int, at: Floats, score: Floats, shape: Floats,
    scale: Floats, protects: float, lead: float, per_week: float, count: int, row: Ints, outcome: Ints,
) -> tuple[int, int]:
    """Fills row and outcome of each order; returns how many, and how often there was no room."""
    stands = np.full(count, -np.inf)
    last = np.full(count, -np.inf)
    made, refused, oldest, begin, n = 0, 0, 0, 0, len(t)
    urgency = np.empty(n)
    while begin < n:
        end = begin
        wanted = 0
        while end < n and t[end] == t[begin]:
            e = equipment[end]
            u = -np.inf
            if t[end] >= stands[e] and fails[end] > t[end]:
                if kind == 0:
                    u = score[end]
                else:
                    age = t[end] - max(renewed[end], last[e])
                    u = age
                    if kind == 2:
                        a, b = shape[end], scale[end]
                        u = 1.0 - np.exp((age / b) ** a - ((age + protects) / b) ** a) if np.isfinite(age) else 0.0
                if not u >= at[end]:
                    u = -np.inf
                else:
                    wanted += 1
            urgency[end] = u
            end += 1
        while oldest < made and t[row[oldest]] <= t[begin] - 168.0:
            oldest += 1
        while wanted > 0:
            if made - oldest >= per_week:
                refused += wanted
                break
            best = begin
            for i in range(begin + 1, end):
                if urgency[i] > urgency[best]:
                    best = i
            e = equipment[best]
            ahead = fails[best] - t[best]
            row[made] = best
            if ahead < protects:
                outcome[made] = 0 if ahead >= lead else 1
                stands[e] = fails[best]
            else:
                outcome[made] = 2
                stands[e] = t[best] + protects
            last[e] = t[best]
            urgency[best] = -np.inf
            made += 1
            wanted -= 1
        begin = end
    return made, refused


def _orders(chances: Chances, policy: Policy, terms: Terms) -> tuple[Ints, Ints, int]:
    n = len(chances.t_h)

    def each(value: Floats | float) -> Floats:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=np.float64), (n,)))

    row, outcome = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    made, refused = _play(
        chances.equipment, chances.t_h, chances.fails_h,
        each(chances.renewed_h if policy.renewed_h is None else policy.renewed_h), _KINDS[policy.kind],
        each(policy.at), each(policy.score), each(policy.shape), each(policy.scale), terms.protects_h, terms.lead_h,
        np.inf if terms.orders_per_week is None else float(terms.orders_per_week), chances.count, row, outcome,
    )
    return row[:made], outcome[:made], refused


def play(chances: Chances, policy: Policy | None, terms: Terms) -> Played:
    """What the policy would have led to; None is run to failure."""
    failed = chances.failures(terms.protects_h)
    if policy is None:
        row, outcome, refused = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), 0
    else:
        row, outcome, refused = _orders(chances, policy, terms)
    lead = chances.fails_h[row] - chances.t_h[row]
    at = {(int(e), float(t)): i for i, (e, t) in enumerate(zip(*failed, strict=True))}
    caught = np.zeros(len(failed[0]), dtype=bool)
    good = row[outcome == PREVENTED]
    caught[[at[int(chances.equipment[r]), float(chances.fails_h[r])] for r in good]] = True
    cost = np.zeros(chances.count)
    np.add.at(cost, failed[0][~caught], terms.costs.missed_failure)
    np.add.at(cost, chances.equipment[row], _charges(terms)[outcome])
    return Played(row, outcome, np.where(outcome == FALSE, np.nan, lead), failed, caught, cost, refused)


def _charges(terms: Terms) -> Floats:
    """Cost of an order by its outcome."""
    missed = (1.0 - terms.effectiveness) * terms.costs.missed_failure
    return np.array([terms.costs.planned_intervention + missed, 0.0, terms.costs.false_alarm])


def sweep(chances: Chances, policies: list[Policy], terms: Terms) -> Floats:
    """Total cost of each policy."""
    charges, missed = _charges(terms), terms.costs.missed_failure
    failures = len(chances.failures(terms.protects_h)[0])
    out = np.empty(len(policies))
    for i, policy in enumerate(policies):
        _, outcome, _ = _orders(chances, policy, terms)
        counts = np.bincount(outcome, minlength=3)
        out[i] = (failures - counts[PREVENTED]) * missed + float(counts @ charges)
    return out


def candidates(score: Floats, most: int = MOST_CANDIDATES) -> Floats:
    """Thresholds that decide differently: between neighbouring scores, below all and above all, at most so many."""
    levels = np.unique(score)
    middle = (levels[:-1] + levels[1:]) / 2
    if len(middle) > most:  # the same number of rows between any two
        rows = np.unique(np.quantile(score, np.linspace(0, 1, most)))
        middle = (rows[:-1] + rows[1:]) / 2
    return np.concatenate([[0.0], middle, [NEVER]])


def least_cost(chances: Chances, score: Floats, terms: Terms) -> tuple[float, float]:
    """The threshold on `score` (n,) of least simulated cost, and that cost; of equal ones the highest."""
    at = candidates(score)
    cost = sweep(chances, [Policy("score", float(a), score) for a in at], terms)
    best = int(np.flatnonzero(cost <= cost.min() + 1e-9 * max(1.0, abs(cost.min())))[-1])
    return float(at[best]), float(cost[best])


def without_order(chances: Chances, terms: Terms) -> float:
    """Cost of run to failure."""
    return len(chances.failures(terms.protects_h)[0]) * terms.costs.missed_failure


def order_threshold(
    chances: Chances, score: Floats, terms: Terms, *, bootstrap: int = 200, seed: int = 7
) -> Threshold:
    """The threshold of least simulated cost under costs, lead and capacity, with the undecided band below it.

    score: (n,) calibrated risk at each chance. A lower threshold is *undecided* against the chosen one when the 5th
    percentile of its extra cost, over resamples of whole equipment, is not above zero. `watch_from` is the lowest of
    these: under a capacity the cost is no smooth function of the threshold, so they need not be neighbours. Costs are
    of the simulation; `always_cost` orders wherever the crew has room.
    """
    order_at, cost = least_cost(chances, score, terms)
    below = candidates(score, 150)
    below = np.append(below[below < order_at], order_at)
    plays = [play(chances, Policy("score", float(a), score), terms).cost for a in below]
    extra = np.stack(plays, axis=1) - plays[-1][:, None]
    counts = np.random.default_rng(seed).multinomial(
        chances.count, np.full(chances.count, 1.0 / chances.count), size=bootstrap
    )
    undecided = np.quantile(counts @ extra, 0.05, axis=0) <= 0.0
    lowest = int(np.flatnonzero(undecided)[0])  # the last one is `order_at` itself
    failures = len(chances.failures(terms.protects_h)[0])
    always = float(sweep(chances, [Policy("score", 0.0, score)], terms)[0])
    return Threshold(
        order_at, float(below[lowest]), cost, without_order(chances, terms), always, len(score), failures
    )
