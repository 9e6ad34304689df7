"""What a plant would guess without a model: earlier results that were known at the time.

An attribute's model has to beat the best of these on unseen time, whichever that turns out to be.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

_LAST = 10  # results in the moving average


def naive_forecasts(rows: pd.DataFrame, results: pd.DataFrame, lots: pd.DataFrame) -> dict[str, np.ndarray]:
    """Naive guesses for rows (batch_id, product, t), each from results with `approved_at` strictly before its t.

    results: batch_id, product, value, approved_at of one attribute. lots: batch_id, material, material_lot.
    Returns by name an (n,) array; where a group has no known result yet, the guess of the next wider group stands.
    """
    known = results.sort_values(["approved_at", "batch_id"], kind="stable")
    out: dict[str, np.ndarray] = {}
    overall = _by_group(
        rows["t"],
        pd.Series("", index=rows.index),
        known["approved_at"],
        pd.Series("", index=known.index),
        known["value"],
    )
    product = _by_group(rows["t"], rows["product"], known["approved_at"], known["product"], known["value"])
    out["last"], out["mean so far"], out["moving average"] = overall
    for name, values, wider in zip(
        ("last of the product", "mean of the product so far", "moving average of the product"),
        product,
        overall,
        strict=True,
    ):
        out[name] = np.where(np.isnan(values), wider, values)
    for material in sorted(lots["material"].dropna().astype(str).unique()):
        of = lots[lots["material"] == material].drop_duplicates("batch_id").set_index("batch_id")["material_lot"]
        _, mean, _ = _by_group(
            rows["t"], rows["batch_id"].map(of), known["approved_at"], known["batch_id"].map(of), known["value"]
        )
        out[f"mean of the {material} lot so far"] = np.where(np.isnan(mean), out["moving average of the product"], mean)
    return out


def _by_group(
    t: pd.Series, group: pd.Series, known_at: pd.Series, of: pd.Series, value: pd.Series
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(last, mean, moving average) of a group's known results at each t; NaN where there is none."""
    asked, known = (pd.DatetimeIndex(times).as_unit("us").asi8 for times in (t, known_at))
    last, mean, moving = (np.full(len(asked), np.nan) for _ in range(3))
    values, groups, wanted = value.to_numpy(np.float64), of.to_numpy(object), group.to_numpy(object)
    for name in pd.unique(wanted):
        rows, own = np.flatnonzero(wanted == name), np.flatnonzero(groups == name)
        if not len(own):
            continue
        count = np.searchsorted(known[own], asked[rows], side="left")
        total = np.concatenate([[0.0], np.cumsum(values[own])])
        some = count > 0
        n = count[some]
        last[rows[some]] = values[own][n - 1]
        mean[rows[some]] = total[n] / n
        begin = np.maximum(n - _LAST, 0)
        moving[rows[some]] = (total[n] - total[begin]) / (n - begin)
    return last, mean, moving
