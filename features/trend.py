"""Trend limits of an attribute: what its product's own history makes usual, where no specification says so."""

from __future__ import annotations

import numpy as np
import pandas as pd

MOST, LEAST, DEVIATIONS = 60, 12, 3.0


def trend_limits(rows: pd.DataFrame, results: pd.DataFrame) -> np.ndarray:
    """(n, 2) lower and upper trend limit of rows (batch_id, product, t), from results known strictly before t.

    results: batch_id, product, value, approved_at of one attribute, one row a batch. The limits are the mean of the
    latest 60 results of the product on other batches, less and plus three standard deviations (Shewhart's limits for
    individual results). NaN where fewer than 12 are known, or all of them are equal.
    """
    out = np.full((len(rows), 2), np.nan)
    known = results[results["value"].notna()].sort_values(["approved_at", "batch_id"], kind="stable")
    asked = rows.reset_index(drop=True)
    by_product = dict(list(known.groupby("product")))
    for product, of in asked.groupby("product"):
        if product not in by_product:
            continue
        own = by_product[product]
        value, batch = own["value"].to_numpy(np.float64), own["batch_id"].to_numpy(object)
        counts = np.searchsorted(_us(own["approved_at"]), _us(of["t"]), side="left")
        for i, batch_id, count in zip(of.index, of["batch_id"], counts, strict=True):
            before = value[:count][batch[:count] != batch_id][-MOST:]
            if len(before) >= LEAST and np.ptp(before) > 0.0:
                wide = DEVIATIONS * float(before.std(ddof=1))
                out[i] = before.mean() - wide, before.mean() + wide
    return out


def _us(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).as_unit("us").asi8
