"""What a plant would do without the model: nothing, work at a fixed interval, work by age (Weibull).

Their settings are chosen for each fold on the time before it, by the same simulation that judges them, so that each
rival is as good as it can be under these costs and this capacity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from features.asof import Snapshot, as_of, history
from features.failures import failures
from models.decision import NEVER, Terms
from models.policy import Chances, Floats, Ints, Policy, candidates, sweep
from models.spec import FailureSpec
from plant.snapshot import SnapshotLike
from training.thresholds import HOUR

INTERVALS_D = (3, 5, 7, 10, 14, 21, 28, 42, 56, 84, 126, 182)
LEAST_LIVES = 8  # failures from which on a class has a distribution of its own


@dataclass(frozen=True)
class Weibull:
    """Distribution of lives: P(life > a) = exp(−(a / scale_h)^shape)."""

    shape: float
    scale_h: float
    failures: int

    def risk(self, age_h: Floats, within_h: float) -> Floats:
        """P(fails within so many hours | age)."""
        a = np.asarray(age_h, dtype=np.float64)
        return 1.0 - np.exp((a / self.scale_h) ** self.shape - ((a + within_h) / self.scale_h) ** self.shape)


def fit_weibull(life_h: Floats, failed: np.ndarray) -> Weibull:
    """Maximum likelihood with censoring on the right. life_h: (n,) > 0; failed: (n,), False where it was censored.

    The shape solves Σ x^k ln x / Σ x^k − 1/k = mean of ln x of the failed (sums over all), the scale is
    (Σ x^k / failures)^(1/k): Lawless, Statistical Models and Methods for Lifetime Data, 2003, ch. 5.2. ValueError
    without two different failed lives.
    """
    x, d = np.asarray(life_h, dtype=np.float64), np.asarray(failed, dtype=bool)
    if np.unique(x[d]).size < 2:
        raise ValueError(f"{np.unique(x[d]).size} different failed lives, at least 2 are needed")
    z = np.log(x / x.max())  # powers of numbers up to 1 do not overflow

    def slope(k: float) -> float:
        w = np.exp(k * z)
        return float((w * z).sum() / w.sum() - 1.0 / k - z[d].mean())

    k = float(brentq(slope, 1e-3, 200.0))
    return Weibull(k, float(x.max() * (np.exp(k * z).sum() / d.sum()) ** (1 / k)), int(d.sum()))


def renewals(snapshot: Snapshot, spec: FailureSpec) -> pd.DataFrame:
    """(equipment_id, at, failed): failures, and work that ends a life (`labels.censor_at`), in order of time."""
    failed = failures(history(snapshot), spec.labels)
    frame = pd.DataFrame({
        "equipment_id": failed["equipment_id"].astype(object),
        "at": pd.to_datetime(failed["at"], unit="us", utc=True), "failed": True,
    })
    orders = snapshot.table("work_orders")
    work = orders[orders["kind"].isin(spec.labels.censor_at)]
    at = work["started_at"].fillna(work["closed_at"]) if "started_at" in work else work["closed_at"]
    work = pd.DataFrame({"equipment_id": work["equipment_id"].astype(object), "at": at, "failed": False})
    out = pd.concat([frame, work[work["at"].notna()]], ignore_index=True)
    out["at"] = out["at"].astype("datetime64[us, UTC]")
    return out.sort_values(["at", "equipment_id", "failed"], kind="stable", ignore_index=True)


def last_before(events: pd.DataFrame, rows: pd.DataFrame, origin: pd.Timestamp) -> Floats:
    """(n,) hours since `origin` of the last of `events` strictly before each row's t; -inf where there was none."""
    asked = rows[["equipment_id", "t"]].astype({"equipment_id": object, "t": "datetime64[us, UTC]"})
    asked = asked.assign(row=np.arange(len(rows))).sort_values("t", kind="stable")
    joined = pd.merge_asof(
        asked, events[["equipment_id", "at"]].sort_values("at", kind="stable"), left_on="t", right_on="at",
        by="equipment_id", allow_exact_matches=False,
    )
    out = np.empty(len(rows))
    out[joined["row"].to_numpy()] = ((joined["at"] - origin) / HOUR).fillna(-np.inf).to_numpy()
    return out


def lives(events: pd.DataFrame, end: pd.Timestamp) -> pd.DataFrame:
    """(equipment_id, life_h, failed): from one renewal to the next, the last one censored at `end`.

    What came before the first renewal is left out: when that life began is not known.
    """
    known = events[events["at"] < end].sort_values(["equipment_id", "at"], kind="stable")
    following = known.groupby("equipment_id", sort=False)[["at", "failed"]].shift(-1)
    life = (following["at"].fillna(end) - known["at"]) / HOUR
    frame = pd.DataFrame({
        "equipment_id": known["equipment_id"], "life_h": life, "failed": following["failed"].eq(True),
    })
    return frame[frame["life_h"] > 0].reset_index(drop=True)


def by_class(snapshot: SnapshotLike, spec: FailureSpec, end: pd.Timestamp, kinds: dict[str, str]) -> dict[str, Weibull]:
    """A distribution for each class of equipment, as known at `end`; "" is that of all, for classes of few failures.

    kinds: equipment -> class. Empty where even all together failed less than twice.
    """
    found = lives(renewals(as_of(snapshot, end), spec), end)
    found = found[found["equipment_id"].isin(kinds)]
    of = found["equipment_id"].map(kinds)
    out = {}
    for kind, part in [("", found), *found.groupby(of)]:
        if kind == "" or part["failed"].sum() >= LEAST_LIVES:
            try:
                out[str(kind)] = fit_weibull(part["life_h"].to_numpy(), part["failed"].to_numpy(dtype=bool))
            except ValueError:
                continue
    return out


def staggered(equipment: Ints, count: int, interval_h: float, begin_h: float) -> Floats:
    """(n,) when work was last due before `begin_h`, the equipment spread evenly over the interval."""
    return begin_h - interval_h * (1.0 - (equipment + 1.0) / count)


def best_interval(chances: Chances, terms: Terms, begin_h: float) -> float:
    """Hours of the fixed interval that would have cost least."""
    hours = [24.0 * d for d in INTERVALS_D]
    cost = sweep(chances, [interval_policy(chances, h, begin_h) for h in hours], terms)
    return hours[int(np.argmin(cost))]


def interval_policy(chances: Chances, interval_h: float, begin_h: float) -> Policy:
    """An order whenever so many hours have passed since the last one, whatever happened meanwhile."""
    due = staggered(chances.equipment, chances.count, interval_h, begin_h)
    return Policy("age", interval_h, renewed_h=due)


def best_age(chances: Chances, shape: Floats, scale: Floats, terms: Terms) -> float:
    """Risk by age from which an order would have cost least; above 1 where none pays."""
    age = np.where(np.isfinite(chances.renewed_h), chances.t_h - chances.renewed_h, np.nan)
    risk = 1.0 - np.exp((age / scale) ** shape - ((age + terms.protects_h) / scale) ** shape)
    at = candidates(risk[np.isfinite(risk)], 100) if np.isfinite(risk).any() else np.array([NEVER])
    policies = [Policy("weibull", float(a), shape=shape, scale=scale) for a in at]
    return float(at[int(np.argmin(sweep(chances, policies, terms)))])


def parameters(found: dict[str, Weibull], kinds: list[str]) -> tuple[Floats, Floats]:
    """(shape, scale) of each row's class; without any distribution a risk of next to nothing."""
    none = Weibull(1.0, 1e12, 0)
    chosen = [found.get(k, found.get("", none)) for k in kinds]
    return np.array([w.shape for w in chosen]), np.array([w.scale_h for w in chosen])


def weibull_told(found: dict[str, Weibull]) -> dict[str, Any]:
    """JSON form, by class."""
    return {k or "all classes": {"shape": w.shape, "scale_h": w.scale_h, "failures": w.failures}
            for k, w in found.items()}
