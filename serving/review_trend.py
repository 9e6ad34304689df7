"""How far a figure lies from those that came before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.asof import micros, moment
from serving.review_case import Known
from serving.review_finding import number, word

_NO_SPREAD = 10.0  # distance from what never varied
_MAD = 1.4826  # of a normal distribution: standard deviation / median absolute deviation


def distance(value: float, earlier: np.ndarray) -> tuple[float, str] | None:
    """How far a value lies beyond all earlier ones, and their range in words.

    In robust standard deviations (1.4826 × median absolute deviation) from their median; where more than half of them
    are equal, in plain ones; 10 where they are all the same. None for a value that does not lie beyond all of them:
    what came before is not unusual, however it is spread.
    """
    low, high = float(earlier.min()), float(earlier.max())
    if low <= value <= high:
        return None
    median = float(np.median(earlier))
    spread = _MAD * float(np.median(np.abs(earlier - median)))
    if spread <= 1e-9 * max(1.0, abs(median)):
        spread = float(np.std(earlier))
    if spread <= 1e-9 * max(1.0, abs(median)):
        return _NO_SPREAD, f"always {median:.4g}"
    return abs(value - median) / spread, f"{low:.4g} to {high:.4g}, median {median:.4g}"


def outside(value: float | None, low: float | None, high: float | None) -> bool:
    """Whether a value lies outside limits, which it may touch, also where a conversion of units moved its last bit."""
    if value is None:
        return False
    return bool((low is not None and value < low - _near(low)) or (high is not None and value > high + _near(high)))


def _near(limit: float) -> float:
    return 1e-9 * abs(limit)


@dataclass(frozen=True)
class Line:
    """Valid results within specification of one attribute, by approval: µs, value, whose they are."""

    at: np.ndarray
    value: np.ndarray
    of: np.ndarray

    def before(self, at: pd.Timestamp, own: str, most: int) -> np.ndarray:
        """The last `most` values that were approved before `at`, those of `own` left out."""
        keep = (self.at < moment(at)) & (self.of != own)
        return self.value[keep][-most:]


Limits = tuple[str, float | None, float | None]  # unit, lower, upper


@dataclass(frozen=True)
class LimitsLine:
    """Unit and specification of the valid results of one attribute, by approval: µs, limits, whose they are."""

    at: np.ndarray
    limits: list[Limits]
    of: np.ndarray

    def usual(self, at: pd.Timestamp, own: str, most: int, least: int, share: float) -> Limits | None:
        """What at least `share` of the last `most` results approved before `at` have; None where they do not agree."""
        last = [self.limits[i] for i in np.flatnonzero((self.at < moment(at)) & (self.of != own))[-most:]]
        if len(last) < least:
            return None
        commonest, count = Counter(last).most_common(1)[0]
        return commonest if count >= share * len(last) else None


def limits_of_product(known: Known, product: str, attribute: str) -> LimitsLine:
    def make() -> LimitsLine:
        batches = known.rows("batches", "product", product)["batch_id"]
        rows = known.rows("lab_results", "attribute", attribute)
        rows = rows[rows["batch_id"].isin(set(batches)) & rows["material_lot"].isna() & rows["approved_at"].notna()]
        rows = rows[rows["status"].astype(object) != "invalidated"]
        rows = rows.sort_values(["approved_at", "result_id"], kind="stable")
        limits = [limits_of(r) for r in rows[["unit", "lower_spec", "upper_spec"]].to_dict("records")]
        return LimitsLine(micros(rows["approved_at"]), limits, rows["batch_id"].to_numpy(dtype=object))

    return known.keep(("limits", product, attribute), make)


def limits_of(row: Mapping[str, Any]) -> Limits:
    """Unit and specification of a result."""
    return word(row["unit"]), number(row["lower_spec"]), number(row["upper_spec"])


def results_of_product(known: Known, product: str, attribute: str) -> Line:
    def make() -> Line:
        batches = known.rows("batches", "product", product)["batch_id"]
        rows = known.rows("lab_results", "attribute", attribute)
        return _line(rows[rows["batch_id"].isin(set(batches)) & rows["material_lot"].isna()], "batch_id")

    return known.keep(("results", product, attribute), make)


def results_of_material(known: Known, material: str, attribute: str) -> Line:
    """Results of lots of a material; those of an intermediate may be booked on it as a batch."""

    def make() -> Line:
        lots = set(known.rows("genealogy", "material", material)["material_lot"])
        rows = known.rows("lab_results", "attribute", attribute)
        rows = rows.assign(lot=rows["material_lot"].where(rows["material_lot"].notna(), rows["batch_id"]))
        return _line(rows[rows["lot"].isin(lots)], "lot")

    return known.keep(("lot results", material, attribute), make)


def _line(rows: pd.DataFrame, of: str) -> Line:
    status = rows["status"].astype(object)
    rows = rows[rows["approved_at"].notna() & rows["value"].notna() & ~status.isin(["invalidated", "out_of_spec"])]
    within = ~((rows["value"] < rows["lower_spec"]) | (rows["value"] > rows["upper_spec"]))
    rows = rows[within].sort_values(["approved_at", "result_id"], kind="stable")
    return Line(micros(rows["approved_at"]), rows["value"].to_numpy(np.float64), rows[of].to_numpy(dtype=object))
