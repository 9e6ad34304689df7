"""From a calibrated probability to an action: costs, the terms of a policy, the signed threshold, the decision.

    ordered, the failure would have come:  planned_intervention      (a failure prevented)
    ordered, nothing would have happened:  false_alarm
    not ordered, the failure came:         missed_failure
    not ordered, nothing happened:         0

The threshold is the probability from which ordering costs least on the backtest (`models.policy`), never a bare 0.5.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field

from plant.errors import SteadylineError

Action = Literal["open_order", "watch", "none"]

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

    `expected_cost` is what the simulated play of the backtest costs at `order_at`; `never_cost` and `always_cost` are
    those without any order (run to failure) and with an order wherever the crew has room. `rows`: chances to order,
    `events`: failures in them. Ordering is `probability >= order_at`; `order_at` above 1 means that no order pays.
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
