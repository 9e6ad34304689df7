"""Trend limits by hand and against the slow way."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.trend import trend_limits
from tests.features.conftest import at


def table(values: list[float], product: str = "P") -> pd.DataFrame:
    return pd.DataFrame({"batch_id": [f"{product}{i}" for i in range(len(values))], "product": product, "value": values,
                         "approved_at": [at(float(i)) for i in range(len(values))]})


def test_limits_are_those_of_the_products_results_known_before() -> None:
    rng = np.random.default_rng(3)
    results = pd.concat([table(rng.normal(10, 1, 80).tolist()), table(rng.normal(90, 5, 80).tolist(), "Q")])
    results = results.sample(frac=1.0, random_state=1)
    rows = pd.DataFrame({"batch_id": ["new", "P70", "new", "new", "R"], "product": ["P", "P", "Q", "P", "R"],
                         "t": [at(70.0), at(79.5), at(80.0), at(11.0), at(80.0)]})
    found = trend_limits(rows, results)
    for i, row in enumerate(rows.itertuples()):
        known = results[(results["product"] == row.product) & (results["approved_at"] < row.t)]
        known = known[known["batch_id"] != row.batch_id].sort_values("approved_at")["value"].tail(60)
        if len(known) < 12:
            assert np.isnan(found[i]).all()
        else:
            assert np.allclose(found[i], [known.mean() - 3 * known.std(), known.mean() + 3 * known.std()])
    assert np.isnan(found[3:]).all()  # 11 results are known by then; nothing of product R


def test_results_that_are_all_equal_make_no_limits() -> None:
    rows = pd.DataFrame({"batch_id": ["new"], "product": ["P"], "t": [at(50.0)]})
    assert np.isnan(trend_limits(rows, table([0.05] * 30))).all()
