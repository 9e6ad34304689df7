"""Earlier results of the predicted attributes: of any batch, or of the same product, recipe, lot or supplier.

A result is known when it was approved, so a lag carries the laboratory's real delay; a batch's own results never count.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from features import batch_lineage
from features.asof import Floats, History
from features.batches import RESULTS, issued, result_values, row_of, valid
from features.definitions import Ask, Values
from features.spec import FeatureSpec, LagSpec, Vocabulary
from features.timeline import Timeline, code, take, timeline

__all__ = ["RESULTS"]


def lag_groups(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    """What lags are taken by (`by` in the name, `of` in words, `material` or "").

    overall, product, recipe, lot.<material>, supplier.<material>.
    """
    lags, out = spec.batches.lags if spec.batches is not None else None, []
    asked = lags.by if lags is not None else ()
    every = {"lots": words.materials, "suppliers": tuple(m for m in words.materials if words.suppliers.get(m))}
    for by in asked:
        kind, _, material = by.partition(":")
        if by in every:
            kind = by.removesuffix("s")
            out += [(f"{kind}.{m}", m) for m in every[by] if f"{kind}:{m}" not in asked]
        else:
            out.append((f"{kind}.{material}" if material else by, material))  # LightGBM refuses a colon in a name
    told = {"overall": "of any batch", "product": "of the same product", "recipe": "of the same recipe"}
    return [{"by": by, "material": m, "of": told.get(by, f"from the same {by.partition('.')[0]} of {m}")}
            for by, m in out]


def _lagged(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    """The attributes, and how many of their results a mean is of."""
    most = str(_lag_spec(spec).most)
    return [{**result_values(a, words), "most": most} for a in words.lagged]


def _lag_spec(spec: FeatureSpec) -> LagSpec:
    return (spec.batches.lags if spec.batches is not None else None) or LagSpec(by=())


_of_earlier = partial(
    RESULTS.feature, unit="{unit}", source="lab_results", group="earlier {attribute}", over=(_lagged, lag_groups),
    rows=batch_lineage.earlier,
)


@_of_earlier("lag.{attribute}.{by}.last", "last known {attribute} {of}")
def _lag_last(ask: Ask) -> Floats:
    return np.stack([value[:, :, 0] for value in _lags(ask)], axis=2)


@_of_earlier("lag.{attribute}.{by}.mean", "mean of the last {most} known {attribute} {of}")
def _lag_mean(ask: Ask) -> Floats:
    def mean(value: Floats) -> Floats:
        there = ~np.isnan(value)
        count = there.sum(axis=2)
        of_all = np.where(there, value, 0.0).sum(axis=2) / np.where(count > 0, count, 1)
        return np.where(count > 0, of_all, np.nan)

    return np.stack([mean(value) for value in _lags(ask)], axis=2)


def _lags(ask: Ask) -> list[Floats]:
    """For each way of `lag_groups` the last known results of other batches (n, attributes, most), newest first."""

    def of(by: str, material: str) -> Floats:
        attributes, log = ask.words.lagged, ask.history.log("lab_results")
        how = by.partition(".")[0]
        if how == "overall":
            keys = np.zeros_like(ask.subject)
        elif how in _OF_BATCH:
            keys = code(ask.history.log("batches"), how, row_of(ask), ask.t)
        elif material not in ask.words.materials:
            keys = np.full_like(ask.subject, -1)
        elif how == "lot":
            keys = issued(ask, material)[1]
        else:
            keys = code(ask.history.log("genealogy"), "supplier", issued(ask, material)[0][:, 0], ask.t)
        kept = ("earlier results", how, material if how == "supplier" else "", attributes)
        line = ask.history.keep(kept, lambda: _earlier(ask.history, how, material, attributes))
        own = ask.base("lab_results", "batch_id")
        at = line.latest(keys, ask.t, len(attributes), most=_lag_spec(ask.spec).most, asks=own)
        return np.where(at >= 0, take(log.floats["value"], take(line.row, at)), np.nan)

    return ask.keep("lags", lambda: [of(v["by"], v["material"]) for v in lag_groups(ask.spec, ask.words)])


_OF_BATCH = ("product", "recipe")


def _earlier(history: History, how: str, material: str, attributes: tuple[str, ...]) -> Timeline:
    """Results of batches by product (recipe, lot, supplier of a material, all together) * attributes.

    They are owned by their batch. A result carries its batch's product while both are visible: the intersection of the
    two rows' visibility.
    """
    log = history.log("lab_results")
    attribute = log.coded("attribute", attributes)
    rows = np.flatnonzero(valid(log) & (attribute >= 0) & (log.codes["batch_id"] >= 0))
    words = np.array(log.words["batch_id"], dtype=object)
    left = pd.DataFrame({
        "row": rows, "batch": words[log.codes["batch_id"][rows]], "attribute": attribute[rows],
        "owner": log.codes["batch_id"][rows], "order": log.times["approved_at"][rows],
        "start": log.known("value")[rows], "until": log.until[rows],
    })
    if how == "overall":
        left["group"], groups = 0, 1
    else:
        name, column = ("batches", how) if how in _OF_BATCH else (
            "genealogy", "material_lot" if how == "lot" else "supplier")
        other = history.log(name)
        right = pd.DataFrame({
            "batch": np.array(other.words["batch_id"], dtype=object)[other.codes["batch_id"]],
            "group": other.codes[column], "from": other.known(column), "to": other.until,
        })
        if how == "supplier":
            right = _joined(right[other.coded("material", (material,)) == 0])
        left = left.merge(right[right["group"] >= 0], on="batch").sort_values(["row", "from"], kind="stable")
        left["start"], left["until"] = left[["start", "from"]].max(axis=1), left[["until", "to"]].min(axis=1)
        groups = len(other.words[column])
    group = left["group"].to_numpy(np.int64) * len(attributes) + left["attribute"].to_numpy(np.int64)
    a = {c: left[c].to_numpy(np.int64) for c in ("order", "start", "until", "row", "owner")}
    return timeline(groups * len(attributes), group, a["order"], a["start"], a["until"], a["row"], a["owner"])


def _joined(right: pd.DataFrame) -> pd.DataFrame:
    """Two lots of one supplier in a batch are one tie: stretches (from, to) that touch become one."""
    right = right.sort_values(["batch", "group", "from"], kind="stable")
    key = [right["batch"], right["group"]]
    ended = right.groupby(["batch", "group"])["to"].cummax().groupby(key).shift()
    stretch = (ended.isna() | (right["from"] > ended)).cumsum()
    return right.groupby([*key, stretch.rename("stretch")]).agg({"from": "min", "to": "max"}).reset_index()
