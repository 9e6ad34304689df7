"""Golden batch: how each signal usually runs along a step, and one batch held against that.

Batches are aligned by the share of the step's own duration: 0 % is its start, 100 % its end, whatever it lasted. Each
signal is resampled to as many equal slots of that. A slot is the mean of its usable readings; one without a reading
lies on the line between its neighbours, unless these are further apart than a hole; in a hole nothing is known, and
nothing is made up. The envelope is, slot by slot, the quantiles across the reference batches.

Everything here is of what was known strictly before a cut-off: tables come from the as-of view at it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.asof import Ints, moment
from features.reading_ranges import Series

Floats = NDArray[np.float64]

SLOTS = 50
LEAST, LATEST = 10, 60
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
HOLE = 3.0  # times the usual distance of the batch's readings in the step: what is further apart is a hole
RULE = (
    "batches of the same product whose step of this name had ended, released or, where nothing is decided yet, with an "
    "approved result; none with a result out of specification, none rejected or reworked"
)


@dataclass(frozen=True)
class Run:
    """One run of a step. end: its end, or the expected one while it runs; ended: whether the end was known."""

    batch_id: str
    equipment_id: str
    start: pd.Timestamp
    end: pd.Timestamp
    ended: bool = True


@dataclass(frozen=True)
class References:
    """The batches that an envelope is made of, newest first, and how many others were left out, by reason.

    earlier: whether all of them had ended before the batch began; where these are too few, later ones count too.
    """

    runs: tuple[Run, ...]
    left_out: Mapping[str, int]
    earlier: bool

    @property
    def enough(self) -> bool:
        return len(self.runs) >= LEAST


def references(tables: Mapping[str, pd.DataFrame], batch_id: str, step: str, t: pd.Timestamp) -> References:
    """Reference batches of one step of a batch: `RULE`, at most the `LATEST` newest.

    tables: batches, batch_steps, lab_results and dispositions of the as-of view at `t`. Those that had ended before
    the batch began; where they are fewer than `LEAST`, all that had ended before `t`. The batch itself never counts.
    """
    batches = tables["batches"]
    own = batches[batches["batch_id"] == batch_id].iloc[-1]
    same = set(batches.loc[(batches["product"] == own["product"]) & (batches["batch_id"] != batch_id), "batch_id"])
    steps = tables["batch_steps"]
    rows = steps[(steps["step"] == step) & steps["batch_id"].isin(same) & steps["equipment_id"].notna()]
    rows = rows[(rows["ended_at"] < t) & (rows["started_at"] < rows["ended_at"])]
    rows = rows.sort_values(["ended_at", "batch_id"], ascending=False, kind="stable")
    why = judged(tables["lab_results"], tables["dispositions"], [str(b) for b in rows["batch_id"]])
    left_out: dict[str, int] = {}
    good = []
    for row in rows.to_dict("records"):
        reason = why[str(row["batch_id"])]
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
        else:
            good.append(Run(str(row["batch_id"]), str(row["equipment_id"]), row["started_at"], row["ended_at"]))
    before = [r for r in good if r.end < own["started_at"]]
    earlier = len(before) >= LEAST or len(before) == len(good)
    return References(tuple((before if earlier else good)[:LATEST]), dict(sorted(left_out.items())), earlier)


def judged(results: pd.DataFrame, decisions: pd.DataFrame, batch_ids: Sequence[str]) -> dict[str, str]:
    """Batch -> why it is no reference, "" where it is one. results, decisions: of the as-of view."""
    wanted = set(batch_ids)
    told = results["value"].notna() | results["status"].notna()  # a laboratory may say pass or fail and no more
    results = results[results["batch_id"].isin(wanted) & told & ~results["status"].isin(["invalidated"])]
    outside = (results["value"] < results["lower_spec"]) | (results["value"] > results["upper_spec"])
    outside |= results["status"].isin(["out_of_spec"])
    out_of_spec, tested = set(results.loc[outside, "batch_id"]), set(results["batch_id"])
    decided = decisions[decisions["batch_id"].isin(wanted) & decisions["decision"].notna()]
    said = dict(zip(decided["batch_id"].astype(str), decided["decision"].astype(str), strict=True))
    return {
        b: "out of specification" if b in out_of_spec
        else said[b] if said.get(b, "released") != "released"
        else "neither released nor tested yet" if b not in said and b not in tested
        else ""
        for b in batch_ids
    }


def resample(series: Series, start: pd.Timestamp, end: pd.Timestamp, slots: int = SLOTS) -> Floats:
    """(slots,) the signal along a run from `start` to `end`; NaN where nothing is known. The module says how."""
    low, high = moment(start), moment(end)
    keep = series.usable & (series.ts >= low) & (series.ts <= high)
    order = np.argsort(series.ts[keep], kind="stable")
    ts, value = series.ts[keep][order], series.value[keep][order]
    out = np.full(slots, np.nan)
    if not len(ts) or high <= low:
        return out
    share = (ts - low) / (high - low)
    slot = np.minimum((share * slots).astype(np.int64), slots - 1)
    count = np.bincount(slot, minlength=slots)
    there = count > 0
    out[there] = np.bincount(slot, weights=value, minlength=slots)[there] / count[there]
    if len(ts) < 2 or there.all():
        return out
    middle = (np.flatnonzero(~there) + 0.5) / slots
    after = np.searchsorted(share, middle)
    inner = (after > 0) & (after < len(ts))
    left, right = np.maximum(after - 1, 0), np.minimum(after, len(ts) - 1)
    near = inner & (share[right] - share[left] <= HOLE * float(np.median(np.diff(share))))
    out[np.flatnonzero(~there)[near]] = np.interp(middle[near], share, value)
    return out


@dataclass(frozen=True)
class Envelope:
    """quantiles (5, slots): those of `SHARES`, NaN where fewer than `LEAST` batches are known; known (slots,): of how
    many batches each slot is."""

    quantiles: Floats
    known: Ints


def envelope(curves: Floats, least: int = LEAST) -> Envelope:
    """The envelope of reference curves (batches, slots). Quantiles by linear interpolation between order statistics
    (definition 7 of Hyndman & Fan 1996), as in numpy."""
    ranked, known = np.sort(curves, axis=0), np.isfinite(curves).sum(axis=0)
    out = np.array([_quantile(lambda k: _pick(ranked, k), known, share) for share in SHARES])
    out[:, known < max(least, 1)] = np.nan
    return Envelope(out, known.astype(np.int64))


def _quantile(pick: Callable[[Ints], Floats], known: Ints, share: float) -> Floats:
    """The quantile out of order statistics: pick(k) gives the k-th value, known how many there are."""
    at = share * np.maximum(known - 1, 0)
    below = np.floor(at).astype(np.int64)
    low, high = pick(below), pick(np.minimum(below + 1, np.maximum(known - 1, 0)))
    return np.minimum(low + (high - low) * (at - below), high)  # rounding must not carry it past the next one


def _pick(ranked: Floats, k: Ints) -> Floats:
    """ranked (batches, slots), sorted by slot; k (…, slots). NaN where there is no batch."""
    if not len(ranked):
        return np.full(k.shape, np.nan)
    return np.take_along_axis(ranked, np.atleast_2d(k), axis=0).reshape(k.shape)


@dataclass(frozen=True)
class Against:
    """One curve against an envelope. side (slots,): 1 above the 5-95 % band, -1 below, 0 inside, NaN not known.

    compared: slots that could be compared; share_outside: of those, None where there are none; longest: first and last
    slot of the longest stretch outside, the first of several as long.
    """

    side: Floats
    compared: int
    share_outside: float | None
    longest: tuple[int, int] | None


def against(curve: Floats, of: Envelope) -> Against:
    """Where a curve (slots,) leaves the 5-95 % band. A stretch ends where it is inside again, or where nothing is
    known."""
    low, high = of.quantiles[0], of.quantiles[-1]
    known = np.isfinite(curve) & np.isfinite(low)
    side = np.where(known, (curve > high).astype(float) - (curve < low), np.nan)
    outside = known & (side != 0)
    longest = max(spans(outside), key=lambda s: (s[1] - s[0], -s[0]), default=None)
    n = int(known.sum())
    return Against(
        side, n, float(outside.sum() / n) if n else None, None if longest is None else (longest[0], longest[1] - 1)
    )


def usual_outside(curves: Floats, least: int = LEAST) -> float | None:
    """Share of slots outside that 19 of 20 reference batches stay below, each against the envelope of the others.

    None where a batch less is too few. With a band of 5 to 95 % a usual batch lies outside in a tenth of its slots.
    """
    if len(curves) <= least:
        return None
    there = np.isfinite(curves)
    ranked, others = np.sort(curves, axis=0), there.sum(axis=0) - there
    # the k-th of the others is the k-th of all, or the one after it from the batch's own place on
    place = np.where(there, np.argsort(np.argsort(curves, axis=0, kind="stable"), axis=0), len(curves))

    def pick(k: Ints) -> Floats:
        return _pick(ranked, np.minimum(k + (k >= place), len(curves) - 1))

    low, high = (_quantile(pick, others, share) for share in (SHARES[0], SHARES[-1]))
    compared = there & (others >= max(least, 1))
    outside = compared & ((curves < low) | (curves > high))
    n = compared.sum(axis=1)
    shares = outside.sum(axis=1)[n > 0] / n[n > 0]
    return float(np.quantile(shares, SHARES[-1])) if len(shares) >= least else None


def expected_end(start: pd.Timestamp, of: Sequence[Run], t: pd.Timestamp) -> pd.Timestamp:
    """When a step that still runs is taken to end: after the median duration of the references, not before `t`."""
    if not of:
        return t
    return max(start + pd.Series([r.end - r.start for r in of]).median(), t)


def slot_times(start: pd.Timestamp, end: pd.Timestamp, slots: int = SLOTS) -> list[pd.Timestamp]:
    """(slots + 1,) edges of the slots of a run."""
    return [start + (end - start) * k / slots for k in range(slots)] + [end]


def spans(flags: NDArray[Any]) -> list[tuple[int, int]]:
    """First and one after the last of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags).astype(np.int64), [0]])))
    return [(int(a), int(b)) for a, b in list(pairwise(edges))[::2]]
