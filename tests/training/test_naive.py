"""Naive forecasts against a slow, obvious version: for each batch, look through everything that was approved before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.small import START
from training.naive import naive_forecasts

HOUR = pd.Timedelta("1h")


def obvious(rows: pd.DataFrame, results: pd.DataFrame, lots: pd.DataFrame) -> dict[str, list[float]]:
    lot_of = {
        (r.material, r.batch_id): r.material_lot for r in lots.drop_duplicates(["material", "batch_id"]).itertuples()
    }
    materials = sorted({r.material for r in lots.itertuples()})
    out: dict[str, list[float]] = {}

    def keep(name: str, value: float, instead: float) -> None:
        out.setdefault(name, []).append(instead if np.isnan(value) else value)

    def three(known: list[float]) -> tuple[float, float, float]:
        if not known:
            return np.nan, np.nan, np.nan
        return known[-1], sum(known) / len(known), sum(known[-10:]) / len(known[-10:])

    ordered = sorted(results.itertuples(), key=lambda r: (r.approved_at, r.batch_id))
    for row in rows.itertuples():
        known = [r for r in ordered if r.approved_at < row.t]
        last, mean, moving = three([r.value for r in known])
        of_product = three([r.value for r in known if r.product == row.product])
        keep("last", last, np.nan)
        keep("mean so far", mean, np.nan)
        keep("moving average", moving, np.nan)
        keep("last of the product", of_product[0], last)
        keep("mean of the product so far", of_product[1], mean)
        keep("moving average of the product", of_product[2], moving)
        for material in materials:
            lot = lot_of.get((material, row.batch_id))
            same = [r.value for r in known if lot is not None and lot_of.get((material, r.batch_id)) == lot]
            keep(f"mean of the {material} lot so far", three(same)[1], out["moving average of the product"][-1])
    return out


BATCH = st.tuples(
    st.integers(0, 40),
    st.integers(0, 30),
    st.sampled_from("PQ"),
    st.sampled_from(["L1", "L2", None]),
    st.integers(0, 9),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(BATCH, min_size=1, max_size=25), st.sampled_from(["us", "ns"]))
def test_against_the_obvious_version(plan: list[tuple[int, int, str, str | None, int]], unit: str) -> None:
    names = [f"B{i:02d}" for i in range(len(plan))]
    t = pd.Series(pd.DatetimeIndex([START + hour * HOUR for hour, *_ in plan]).as_unit(unit))
    rows = pd.DataFrame({"batch_id": names, "product": [p for _, _, p, _, _ in plan], "t": t})
    results = rows.drop(columns="t").assign(
        value=[float(v) for *_, v in plan], approved_at=pd.Series([START + (h + delay) * HOUR for h, delay, *_ in plan])
    )
    lots = pd.DataFrame(
        [
            {"batch_id": name, "material": material, "material_lot": lot}
            for name, (*_, lot, _) in zip(names, plan, strict=True)
            if lot is not None
            for material in ("api", "starch")
        ],
        columns=["batch_id", "material", "material_lot"],
    )
    got = naive_forecasts(rows, results, lots)
    wanted = obvious(rows, results, lots)
    assert set(got) == set(wanted)
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("early", [0, 1])
def test_a_result_approved_at_the_very_moment_is_not_known(early: int) -> None:
    rows = pd.DataFrame({"batch_id": ["B2"], "product": ["P"], "t": [START]})
    approved = START - pd.Timedelta(microseconds=early)
    results = pd.DataFrame({"batch_id": ["B1"], "product": ["P"], "value": [5.0], "approved_at": [approved]})
    lots = pd.DataFrame({"batch_id": ["B1"], "material": ["api"], "material_lot": ["L1"]})
    got = naive_forecasts(rows, results, lots)
    assert np.isnan(got["last"][0]) == (early == 0)
