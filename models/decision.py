"""From a calibrated probability to an action that costs least.

Every row of a backtest is one decision: open an order or not. The cost of a decision is

    ordered, the failure would have come:  planned_intervention      (a failure prevented)
    ordered, nothing would have happened:  false_alarm
    not ordered, the failure came:         missed_failure
    not ordered, nothing happened:         0

The threshold is the probability from which ordering costs least on the backtest, never a bare 0.5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ConfigDict, Field

from plant.errors import SteadylineError

Action = Literal["open_order", "watch", "none"]
Floats = NDArray[np.float64]

_AMOUNTS = ("missed_failure", "planned_intervention", "false_alarm")


class CostError(SteadylineError, ValueError):
    """Costs that allow no decision (a ValueError too: pydantic then reports it with the other problems of a file)."""


@dataclass(frozen=True)
class Costs:
    """What a decision costs, in one currency.

    missed_failure: an unplanned failure: repair, lost production, batches at risk.
    planned_intervention: an order carried out in time, before the failure.
    false_alarm: an order carried out where no failure was coming.
    Raises `CostError` (a `SteadylineError`, code `bad_costs`) naming every amount that is not positive.
    """

    missed_failure: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    planned_intervention: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    false_alarm: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    currency: Annotated[str, Field(min_length=1)] = "EUR"

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        problems = [
            f"{name}: found {getattr(self, name)!r}, allowed: a positive amount"
            for name in _AMOUNTS
            if not np.isfinite(getattr(self, name)) or getattr(self, name) <= 0
        ]
        if not problems and self.missed_failure <= self.planned_intervention:
            problems.append(
                f"missed_failure: found {self.missed_failure:g}, allowed: more than planned_intervention "
                f"({self.planned_intervention:g}); otherwise no order could ever pay"
            )
        if problems:
            raise CostError("bad_costs", "The costs allow no decision.", "positive amounts in one currency",
                            "Correct `costs` in the model's YAML.", problems)

    @property
    def break_even(self) -> float:
        """Probability from which an order pays when probabilities are exactly right:
        p·planned + (1 − p)·false_alarm < p·missed  ⇔  p > false_alarm / (missed − planned + false_alarm)."""
        return self.false_alarm / (self.missed_failure - self.planned_intervention + self.false_alarm)

    def as_dict(self) -> dict[str, Any]:
        """The amounts and the currency, as JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Terms:
    """What holds for every policy. protects_h: hours that an order stands; lead_h: hours from the order to the work;
    effectiveness: share of failures that work in time prevents; orders_per_week: None for no limit."""

    costs: Costs
    protects_h: float
    lead_h: float = 0.0
    effectiveness: float = 1.0
    orders_per_week: float | None = None


@dataclass(frozen=True)
class Threshold:
    """What is signed with a model version: open an order from `order_at`, watch from `watch_from`.

    `expected_cost` is the backtest's cost at `order_at`; `never_cost` and `always_cost` are the costs without
    any order (run to failure) and with an order at every row. Ordering is `probability >= order_at`;
    `order_at` above 1 means that no order pays.
    """

    order_at: float
    watch_from: float
    expected_cost: float
    never_cost: float
    always_cost: float
    rows: int
    events: int

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Threshold:
        """From the JSON form."""
        return cls(**data)


@dataclass(frozen=True)
class Decision:
    """One row's decision. Amounts are in the currency of the costs, over the decision horizon.

    expected_loss: the risk times a missed failure: what waiting is expected to cost.
    expected_saving: expected loss minus the expected cost of an order now; negative where an order does not pay.
    """

    action: Action
    expected_loss: float
    expected_saving: float
    currency: str


#: A probability above 1: nothing reaches it.
NEVER = 1.0 + 1e-9


def decision_costs(prob: ArrayLike, event: ArrayLike, costs: Costs, thresholds: ArrayLike) -> Floats:
    """Total backtest cost (same length as `thresholds`) of ordering where `prob >= threshold`.

    prob: (n,) probabilities in [0, 1]; event: (n,) 0/1, whether the failure came within the horizon.
    """
    p, e = _checked(prob, event)
    order = np.argsort(p, kind="stable")
    p, e = p[order], e[order]
    at = np.searchsorted(p, np.asarray(thresholds, dtype=np.float64), side="left")
    events_below = np.concatenate([[0.0], np.cumsum(e)])
    missed = events_below[at]
    caught = events_below[-1] - missed
    false = (len(p) - at) - caught
    return np.asarray(missed * costs.missed_failure + caught * costs.planned_intervention + false * costs.false_alarm)


def choose_threshold(
    prob: ArrayLike, event: ArrayLike, costs: Costs, *, groups: ArrayLike | None = None, max_share: float | None = None,
    bootstrap: int = 200, seed: int = 7,
) -> Threshold:
    """The threshold of least cost on the backtest, with the undecided band below it.

    prob, event: (n,); groups: (n,) the equipment of each row: whole equipments are drawn in the bootstrap,
    because rows of one machine are not independent; without it rows (above 2,000: blocks of neighbours) are drawn.
    max_share: at most this share of rows may be ordered (the crew's capacity as a share of decisions).

    Candidates are the midpoints between neighbouring distinct probabilities, one below all and one above all, so
    the result equals a brute-force sweep. Among equally cheap thresholds the highest wins (fewest orders).
    The band: a lower threshold is *undecided* against `order_at` when the cost difference of the two lies within
    the bootstrap's noise, that is when its 5th percentile over `bootstrap` resamples is not above zero.
    `watch_from` is the lowest threshold reachable from `order_at` through undecided ones only.
    Raises SteadylineError `bad_backtest` for lengths that differ, probabilities outside [0, 1] or no rows.
    """
    p, e = _checked(prob, event)
    levels = np.unique(p)
    candidates = np.concatenate([[0.0], (levels[:-1] + levels[1:]) / 2, [NEVER]])
    cost = decision_costs(p, e, costs, candidates)
    allowed = np.ones(len(candidates), dtype=bool)
    if max_share is not None:
        ordered = len(p) - np.searchsorted(np.sort(p), candidates, side="left")
        allowed = ordered <= max_share * len(p)
    least = np.where(allowed, cost, np.inf).min()
    # sums of floats differ in the last digits between equal costs: compare with a relative tolerance
    best = int(np.flatnonzero(allowed & (cost <= least + 1e-9 * max(1.0, abs(least))))[-1])
    watch = best
    if best > 0 and bootstrap > 0:
        if groups is None:
            ids = np.arange(len(p)) * min(len(p), 2000) // len(p)
        else:
            ids = np.unique(np.asarray(groups), return_inverse=True)[1]
        watch = _band(p, e, costs, candidates, best, ids, bootstrap, seed)
    return Threshold(
        float(candidates[best]), float(candidates[watch]), float(cost[best]), float(cost[-1]), float(cost[0]),
        len(p), int(e.sum()),
    )


def _band(p: Floats, e: Floats, costs: Costs, candidates: Floats, best: int, ids: NDArray[np.intp], times: int,
          seed: int) -> int:
    """Index of the lowest candidate whose extra cost over `best` is within noise, contiguous from `best` down."""
    rng = np.random.default_rng(seed)
    groups = int(ids.max()) + 1
    below = np.arange(best + 1)
    if len(below) > 200:  # a band edge needs no finer grid than 200 steps
        below = np.unique(np.linspace(0, best, 200).astype(int))
    # rows between a lower candidate and `best` are the only ones decided differently: their summed cost per group
    gain = np.where(e > 0, costs.planned_intervention - costs.missed_failure, costs.false_alarm)
    step = np.searchsorted(candidates[below], p, side="right") - 1  # ordered by candidates 0..step
    inside = p < candidates[best]
    table = np.zeros((groups, len(below)))
    np.add.at(table, (ids[inside], step[inside]), gain[inside])
    table = table[:, ::-1].cumsum(axis=1)[:, ::-1]  # candidate j orders every row whose step is >= j
    counts = rng.multinomial(groups, np.full(groups, 1.0 / groups), size=times)
    low = np.quantile(counts @ table, 0.05, axis=0)
    within = low <= 0.0
    lowest = len(below) - 1
    while lowest > 0 and within[lowest - 1]:
        lowest -= 1
    return int(below[lowest])


def decide(risk: float, threshold: Threshold, costs: Costs) -> Decision:
    """What to do at a calibrated probability `risk` of failure within the decision horizon.

    `open_order` from `order_at`; `watch` (undecided) from `watch_from`; else `none`. A risk that is not a number
    is refused (SteadylineError `no_risk`): missing knowledge is not a low risk.
    """
    if not np.isfinite(risk) or not 0.0 <= risk <= 1.0:
        raise SteadylineError("no_risk", f"The risk is {risk!r}.", "a probability from 0 to 1",
                              "Check what is known about this equipment (`steadyline connect`).")
    action: Action = "none"
    if risk >= threshold.order_at:
        action = "open_order"
    elif risk >= threshold.watch_from:
        action = "watch"
    loss = risk * costs.missed_failure
    order_cost = risk * costs.planned_intervention + (1.0 - risk) * costs.false_alarm
    return Decision(action, float(loss), float(loss - order_cost), costs.currency)


def _checked(prob: ArrayLike, event: ArrayLike) -> tuple[Floats, Floats]:
    p = np.asarray(prob, dtype=np.float64)
    e = np.asarray(event, dtype=np.float64)
    problems = []
    if p.ndim != 1 or p.shape != e.shape or len(p) == 0:
        problems.append(f"found {p.shape} probabilities and {e.shape} events, allowed: the same length, not empty")
    if not np.all((p >= 0) & (p <= 1)):
        problems.append("probabilities: found values outside [0, 1] or missing")
    if not np.all((e == 0) | (e == 1)):
        problems.append("events: found values other than 0 and 1")
    if problems:
        raise SteadylineError("bad_backtest", "The backtest's rows cannot be used.", "", "", problems)
    return p, e
