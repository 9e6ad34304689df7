"""Judging a risk where some lives were cut short: weights that stand in for the rows whose end nobody saw.

A row whose censoring came before the horizon is unknown. Leaving such rows out while keeping those that failed before
their censoring would overstate the risk, as a failure has less time to be censored than a survival. Each known row
therefore counts 1 / G(time until it was known), G(t) = P(not censored before t), by Kaplan-Meier with the roles of
failure and censoring exchanged (inverse probability of censoring weights: Graf et al., Stat. Med. 18, 1999, for the
Brier score; Uno et al., JASA 102, 2007, for the ROC curve). This holds where censoring, within a stratum, does not
depend on the risk.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: No row stands in for more than 1 / this many: where hardly any row stays uncensored, weights would be noise.
LEAST_UNCENSORED = 0.05
#: A stratum with fewer rows takes the censoring of all rows.
STRATUM_LEAST = 200


def uncensored(duration_h: ArrayLike, observed: ArrayLike, at_h: ArrayLike) -> Floats:
    """G(t-) at each of `at_h`: Kaplan-Meier share of rows not censored before t.

    duration_h, observed: (n,) hours to the failure (True) or the censoring. At equal times the failure comes first, so
    a row that fails at t was no longer at risk of being censored then.
    """
    duration, failed = np.asarray(duration_h, dtype=np.float64), np.asarray(observed, dtype=bool)
    wanted = np.asarray(at_h, dtype=np.float64)
    times, counts = np.unique(duration[~failed], return_counts=True)
    if not len(times):
        return np.ones(wanted.shape)
    ordered, failures = np.sort(duration), np.sort(duration[failed])
    at_risk = len(duration) - np.searchsorted(ordered, times, side="left")
    at_risk = at_risk - (np.searchsorted(failures, times, side="right") - np.searchsorted(failures, times, side="left"))
    after = np.concatenate([[1.0], np.cumprod(1.0 - counts / np.maximum(at_risk, 1))])
    return np.asarray(after[np.searchsorted(times, wanted, side="left")])


def within(duration_h: ArrayLike, observed: ArrayLike, horizons_h: Sequence[float], watched_h: ArrayLike | None = None,
           strata: ArrayLike | None = None) -> tuple[Floats, Floats]:
    """(n, k) events and (n, k) weights: 1 failed within the horizon, 0 did not, NaN (weight 0) unknown.

    duration_h, observed: (n,) hours to the failure or the censoring. watched_h: (n,) hours to the end of observation,
    known for every row whatever happened to it: a row that was watched for less than the horizon is left out whether
    it failed or not, and needs no weight. What else censors is weighted for. strata: (n,) codes; rows of one code
    share a censoring of their own. The weights of a horizon sum to the number of rows watched for that long, or less
    where `LEAST_UNCENSORED` holds them down.
    """
    duration, failed = np.asarray(duration_h, dtype=np.float64), np.asarray(observed, dtype=bool)
    watched = np.full(len(duration), np.inf) if watched_h is None else np.asarray(watched_h, dtype=np.float64)
    codes = np.zeros(len(duration)) if strata is None else np.nan_to_num(np.asarray(strata, dtype=np.float64), nan=-1.0)
    event = np.full((len(duration), len(horizons_h)), np.nan)
    weight = np.zeros_like(event)
    for k, horizon in enumerate(horizons_h):
        kept = (watched >= horizon) & (failed | (duration > 0))  # no exposure is not a censored life
        event[kept & failed & (duration < horizon), k] = 1.0
        event[kept & (duration >= horizon), k] = 0.0
        until = np.minimum(duration, horizon)
        g = np.ones(len(duration))
        g[kept] = uncensored(duration[kept], failed[kept], until[kept])
        for code in np.unique(codes[kept]):
            of_code = kept & (codes == code)
            if int(of_code.sum()) >= STRATUM_LEAST:
                g[of_code] = uncensored(duration[of_code], failed[of_code], until[of_code])
        known = np.isfinite(event[:, k])
        weight[known, k] = 1.0 / np.maximum(g[known], LEAST_UNCENSORED)
    return event, weight
