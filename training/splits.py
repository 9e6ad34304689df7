"""Rolling origin: the future is always later than everything a model was fitted on.

The test period is cut into folds. The model of a fold learns from what was known when the fold begins: labels of
its training rows are censored at that moment, which is an embargo of the whole label horizon, and no row of a
training period is dropped for it. The model of the last fold is the one that becomes a version: it is tested
on that fold, exactly as it is; the earlier folds show that the recipe holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from models.split import Split
from plant.errors import SteadylineError


@dataclass(frozen=True)
class Fold:
    """Fit on what is known before `origin`, test on rows in [origin, end)."""

    origin: pd.Timestamp
    end: pd.Timestamp


def test_start(start: pd.Timestamp, end: pd.Timestamp, split: Split) -> pd.Timestamp:
    """First moment of the test period. Raises SteadylineError when it does not lie inside the data."""
    at = split.test_from if split.test_from is not None else end - (end - start) * split.test_share
    if not start < at < end:
        raise SteadylineError(
            "bad_split",
            f"the test period would start at {at}",
            f"a time between {start} and {end}, where there is data",
            "correct split.test_from in the model's YAML, or connect more data",
        )
    return at.as_unit("us")


def folds(first: pd.Timestamp, end: pd.Timestamp, count: int) -> list[Fold]:
    """`count` folds of equal length over [first, end)."""
    step = (end - first) / count
    origins = [(first + step * i).as_unit("us") for i in range(count)]
    return [Fold(a, b) for a, b in zip(origins, [*origins[1:], end], strict=True)]


def calibration_start(start: pd.Timestamp, origin: pd.Timestamp, split: Split) -> pd.Timestamp:
    """Where the training period of `origin` is cut: fit before, calibrate after."""
    return (origin - (origin - start) * split.calibration_share).as_unit("us")


#: Share of the batches to learn from that may be left out so that lots and campaigns stand on one side only.
MOST_LEFT_OUT = 1 / 3
#: A week without a batch on the line ends a campaign.
_CAMPAIGN_PAUSE = pd.Timedelta(days=7)


def on_both_sides(batches: pd.DataFrame, lots: pd.DataFrame, learnt: set[str], tested: set[str]) -> set[str]:
    """Those of `learnt` that share a material lot or a campaign with a batch of `tested`: a model is to leave them out.

    batches: batch_id, product, line, started_at; lots: batch_id, material_lot; one row each. A campaign is what one
    line made of one product one after the other. The smallest groups go first, until a third of `learnt` is left out:
    a lot that most batches hold cannot be kept apart, the leakage audit tells of it.
    """
    groups = [lots[["batch_id", "material_lot"]].set_axis(["batch_id", "group"], axis=1).dropna()]
    if len(batches):
        groups.append(_campaigns(batches))
    members = pd.concat(groups, ignore_index=True).astype({"batch_id": str})
    members["group"] = members["group"].astype(str)
    shared = members.loc[members["batch_id"].isin(tested), "group"].unique()
    members = members[members["group"].isin(shared) & members["batch_id"].isin(learnt)]
    out: set[str] = set()
    by_size = members.groupby("group")["batch_id"].agg(set)
    for _, _, group in sorted((len(ids), str(name), ids) for name, ids in by_size.items()):
        if len(out | group) <= MOST_LEFT_OUT * len(learnt):
            out |= group
    return out


def _campaigns(batches: pd.DataFrame) -> pd.DataFrame:
    """batch_id, group (campaign) of each batch that has started."""
    made = batches[batches["started_at"].notna()].sort_values(["started_at", "batch_id"], kind="stable")
    line = made["line"].astype("string").fillna("")
    made = made.assign(line=line).sort_values(["line", "started_at", "batch_id"], kind="stable")
    same = (made["line"] == made["line"].shift()) & (made["product"].astype(str) == made["product"].astype(str).shift())
    same &= made["started_at"] - made["started_at"].shift() <= _CAMPAIGN_PAUSE
    return pd.DataFrame({"batch_id": made["batch_id"], "group": "campaign " + (~same).cumsum().astype(str)})
