"""How far a figure lies from those that came before it, and what earlier batches of the product have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.asof import micros, moment
from serving.review_case import Case, Known

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
    """Whether a value lies outside limits, which it may touch."""
    return value is not None and ((low is not None and value < low) or (high is not None and value > high))


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


@dataclass(frozen=True)
class Habit:
    """What the peers of a batch have of one attribute. share: of the peers that have a sample, or a value of it.

    late, slow: hours, 95 % are sooner.

    late: from the start of the batch to the sample; slow: from the sample to its approval. NaN: not known.
    """

    share: float
    late: float
    slow: float


def lab_habits(case: Case) -> dict[str, Habit]:
    """Attribute -> what the peers' results of it are like; made once for a case."""
    return case.keep("lab habits", lambda: _lab_habits(case))


def _lab_habits(case: Case) -> dict[str, Habit]:
    peers = case.peers
    rows = case.known.rows("lab_results", "batch_id", *peers)
    rows = rows[rows["material_lot"].isna()]
    started = case.known.rows("batches", "batch_id", *peers).set_index("batch_id")["started_at"]
    hours = pd.Timedelta(hours=1)
    late = (rows["sampled_at"] - rows["batch_id"].map(started)) / hours
    slow = (rows["approved_at"] - rows["sampled_at"]) / hours
    rows = rows.assign(late=late.astype(float), slow=slow.astype(float))
    out = {}
    for attribute, own in rows.groupby("attribute", observed=True):
        first = own.sort_values("sampled_at", kind="stable").drop_duplicates("batch_id")
        told = own["value"].notna() | own["approved_at"].isna() | (own["status"].astype(object) == "invalidated")
        share = own.loc[told, "batch_id"].nunique() / len(peers)
        out[str(attribute)] = Habit(share, _most(first["late"]), _most(own["slow"]))
    return out


def _most(hours: pd.Series) -> float:
    there = hours.dropna()
    return float(there.quantile(0.95)) if len(there) else float("nan")
