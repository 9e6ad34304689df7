"""What earlier batches of the product have, so that what is missing shows, also where it stopped coming long ago."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from serving.review_case import Case

_HOUR = pd.Timedelta(hours=1)
_FEWEST = 3
_MOST = 0.95  # "nineteen in twenty"


@dataclass(frozen=True)
class Usual:
    """How many of the peers have something. without: newest peers in a row that have none; of: those before them."""

    have: int
    of: int
    without: int

    @property
    def measure(self) -> float:
        """1 where it has come until now, or stopped no longer ago than it came before; 0 where it is long gone."""
        return float(self.without <= self.of)

    def told(self, product: str) -> str:
        """`39 of the last 40 batches of P have it`, or when it stopped."""
        if self.without == 0 or self.have == 0:
            return f"{self.have} of the last {self.of} batches of {product} have it"
        return (
            f"{self.have} of {self.of} batches of {product} have it, and the "
            f"{'last one has' if self.without == 1 else f'last {self.without} have'} not"
        )


def usual(peers: Sequence[Collection[str]], share: float, least: int) -> dict[str, Usual]:
    """What is expected of a batch: name -> how usual it is.

    peers: names that each peer has, newest first. Expected is what at least `share` of them have; and what at least so
    many had before it stopped coming, however long ago within the peers: else a feed that has died teaches that nothing
    is to be expected. least: peers from which on a share is one; of fewer, at least three, every one has to have it.
    """
    out = {}
    for name in sorted({n for has in peers for n in has}):
        has = [name in of for of in peers]
        have = sum(has)
        for without in dict.fromkeys((0, has.index(True))):
            of = len(has) - without
            if have >= share * of if of >= least else have == of >= _FEWEST:
                out[name] = Usual(have, of, without)
                break
    return out


def expected(case: Case, of_peer: Mapping[str, Collection[str]]) -> dict[str, Usual]:
    """`usual` for the peers of a batch. of_peer: peer -> what it has."""
    settings = case.rules.settings
    return usual([of_peer.get(p, ()) for p in case.peers], settings.peers_share, settings.least_peers)


def peer_steps(case: Case) -> pd.DataFrame:
    """Steps of the peers, with the hours from the start of the batch (`_after`); made once for a case."""

    def make() -> pd.DataFrame:
        started = case.known.rows("batches", "batch_id", *case.peers).set_index("batch_id")["started_at"]
        rows = case.known.rows("batch_steps", "batch_id", *case.peers)
        return rows.assign(_after=((rows["started_at"] - rows["batch_id"].map(started)) / _HOUR).astype(float))

    return case.keep("peer steps", make)


def step_order(case: Case) -> list[str]:
    """The product's steps in the order in which the peers begin them."""
    rows = peer_steps(case)
    return [str(s) for s in rows.groupby("step", observed=True)["_after"].median().sort_values(kind="stable").index]


def by_step(case: Case, happened: pd.Series, edge: str) -> tuple[str, pd.Series] | None:
    """The last step that peers have always begun (edge: `started_at`) or ended (`ended_at`) when something happens.

    happened: time of it, by batch_id. Gives that step, and the hours from its edge to it; None without such a step.
    """
    rows, best = peer_steps(case), None
    for step in step_order(case):
        at = rows[rows["step"] == step].set_index("batch_id")[edge]
        hours = ((happened - at.reindex(happened.index)) / _HOUR).astype(float).dropna()
        if len(hours) >= case.rules.settings.least_peers and (hours >= 0).mean() >= case.rules.settings.peers_share:
            best = step, hours
    return best


def most(hours: pd.Series) -> float:
    """What nineteen in twenty are within; NaN where nothing is known."""
    there = hours.dropna()
    return float(there.quantile(_MOST)) if len(there) else float("nan")


@dataclass(frozen=True)
class Habit:
    """What the peers have of one attribute.

    usual: of results and samples, valued: of those that carry a value; None where that is not expected. slow: hours
    from sample to approval, 95 % are sooner; NaN: not known.
    after_end, after_step: hours from the end of the batch, or of `step`, to the sample, 95 % are sooner.
    """

    usual: Usual | None
    valued: Usual | None
    slow: float
    after_end: float
    step: str
    after_step: float


def lab_habits(case: Case) -> dict[str, Habit]:
    """Attribute -> what the peers' results of it are like; made once for a case."""
    return case.keep("lab habits", lambda: _lab_habits(case))


def _lab_habits(case: Case) -> dict[str, Habit]:
    peers = case.peers
    rows = case.known.rows("lab_results", "batch_id", *peers)
    rows = rows[rows["material_lot"].isna()]
    slow = ((rows["approved_at"] - rows["sampled_at"]) / _HOUR).astype(float)
    told = rows["value"].notna() | rows["approved_at"].isna() | (rows["status"].astype(object) == "invalidated")
    rows = rows.assign(_slow=slow)
    wanted, valued = (
        expected(case, of.groupby("batch_id", observed=True)["attribute"].agg(set).to_dict())
        for of in (rows, rows[told])
    )
    ended = case.known.rows("batches", "batch_id", *peers).set_index("batch_id")["ended_at"]
    out = {}
    for attribute, own in rows.groupby("attribute", observed=True):
        first = own.sort_values("sampled_at", kind="stable").drop_duplicates("batch_id")
        sampled = first.set_index("batch_id")["sampled_at"]
        after_end = ((sampled - ended.reindex(sampled.index)) / _HOUR).astype(float)
        step = by_step(case, sampled, "ended_at") if case.ended is None else None
        out[str(attribute)] = Habit(
            wanted.get(str(attribute)), valued.get(str(attribute)),
            most(own["_slow"]) if case.enough_peers else float("nan"), most(after_end),
            step[0] if step else "", most(step[1]) if step else float("nan"),
        )  # fmt: skip
    return out


def sample_due(case: Case, habit: Habit) -> pd.Timestamp:
    """When the sample of an attribute is overdue: counted from the end of the batch, or, while it runs, of the step
    after which it is taken. A batch that is behind is not one whose sample is missing: then pd.Timestamp.max."""
    if case.ended is not None:
        return case.ended + _after(habit.after_end)
    if habit.step:
        ended = next((s.end for s in case.steps if s.name == habit.step and s.ended), None)
        if ended is not None:
            return ended + _after(habit.after_step)
    return pd.Timestamp.max.tz_localize("UTC")


def _after(hours: float) -> pd.Timedelta:
    return pd.Timedelta(hours=0.0 if np.isnan(hours) else hours)
