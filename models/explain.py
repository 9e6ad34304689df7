"""Why is this score high or low? Reasons in plain words from TreeSHAP contributions.

Contributions are summed by `Feature.group` (the signal, the kind of order, the material); a group is told by its
feature with the largest contribution: value, unit, usual range, direction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from features.catalogue import Feature
from plant.errors import SteadylineError

Floats = NDArray[np.float64]


PRODUCT = "batch.product"
_OWN = 30  # training rows from which on a product has usual ranges of its own


@dataclass(frozen=True)
class Reference:
    """The usual range of every feature: 10th and 90th percentile of the training rows; NaN where never known."""

    low: Floats
    high: Floats

    @classmethod
    def of(cls, values: ArrayLike) -> Reference:
        """From training values (n, p)."""
        v = np.asarray(values, dtype=np.float64)
        known = np.isfinite(v).any(axis=0)
        low, high = np.full(v.shape[1], np.nan), np.full(v.shape[1], np.nan)
        if known.any():
            low[known], high[known] = np.nanquantile(v[:, known], [0.1, 0.9], axis=0)
        return cls(low, high)

    def as_dict(self) -> dict[str, list[float | None]]:
        """JSON form; not known is null."""
        return {name: [None if math.isnan(x) else float(x) for x in getattr(self, name)] for name in ("low", "high")}

    @classmethod
    def from_dict(cls, data: dict[str, list[float | None]]) -> Reference:
        """From the JSON form."""
        return cls(*(np.array([np.nan if x is None else x for x in data[name]]) for name in ("low", "high")))


@dataclass(frozen=True)
class Reason:
    """One group's part in a score.

    contribution: the group's sum on the scale of the contributions (log-odds of a failure, or the attribute's unit);
    value: of the group's leading feature (a word for a code; None: not known); usual_low, usual_high: its usual range;
    text: all of it as a sentence.
    """

    group: str
    feature: str
    meaning: str
    value: float | str | None
    unit: str
    usual_low: float | None
    usual_high: float | None
    direction: Literal["raises", "lowers"]
    contribution: float
    text: str

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def group_contributions(features: Sequence[Feature], contributions: ArrayLike) -> tuple[list[str], Floats]:
    """Groups in order of first appearance and their sums (n, groups + 1); the last column is the expectation.

    contributions: (n, p + 1) with the expectation last. Each row keeps its sum.
    """
    values, groups, which = _checked(features, contributions)
    out = np.zeros((len(values), len(groups) + 1))
    np.add.at(out.T, which, values[:, :-1].T)
    out[:, -1] = values[:, -1]
    return groups, out


def product_of(features: Sequence[Feature], row: Floats) -> str:
    """Product of the batch that a row of features (p,) is about; empty where the features do not tell."""
    for j, feature in enumerate(features):
        if feature.name == PRODUCT and np.isfinite(row[j]) and 0 <= int(row[j]) < len(feature.categories):
            return str(feature.categories[int(row[j])])
    return ""


def references_by_product(features: Sequence[Feature], gate: str, values: Floats) -> dict[str, Reference]:
    """Usual ranges at a gate from training values (n, p): of all products (key: the gate), and of each one's own.

    What is usual for a small tablet is not for a large one. A product with fewer than 30 rows has none of its own.
    """
    out = {gate: Reference.of(values)}
    products = np.array([product_of(features, row) for row in values], dtype=object)
    for product in sorted(set(products) - {""}):
        own = values[products == product]
        if len(own) >= _OWN:
            out[reference_key(gate, product)] = Reference.of(own)
    return out


def reference_key(gate: str, product: str) -> str:
    """Under which a bundle keeps the usual ranges of a product at a gate."""
    return f"{gate} of {product}"


def reasons(features: Sequence[Feature], values: ArrayLike, contributions: ArrayLike,
            reference: Reference | Sequence[Reference], most: int = 3, target: str = "the risk"
            ) -> list[list[Reason]]:
    """For each row the `most` groups that move its score most, strongest first; groups without effect are left out.

    features: p; values: (n, p), NaN = not known; contributions: (n, p + 1), expectation last; reference: one for all
    rows or one for each; target: what is raised or lowered, in words ("the risk", "the expected dissolution").
    """
    usual = [reference] * len(np.atleast_2d(values)) if isinstance(reference, Reference) else list(reference)
    x = np.atleast_2d(np.asarray(values, dtype=np.float64))
    c, groups, which = _checked(features, contributions)
    if x.shape != (len(c), len(features)):
        raise SteadylineError("bad_matrix", f"The values have shape {x.shape}.", f"({len(c)}, {len(features)})")
    _, sums = group_contributions(features, contributions)
    members = [np.flatnonzero(which == g) for g in range(len(groups))]
    out = []
    for i in range(len(x)):
        strength = np.abs(sums[i, :-1])
        order = np.argsort(-strength, kind="stable")[:most]
        out.append([
            _reason(features, x[i], c[i], usual[i], groups[g], members[g], float(sums[i, g]), target)
            for g in order if strength[g] > 1e-12
        ])
    return out


def _reason(features: Sequence[Feature], x: Floats, c: Floats, reference: Reference, group: str,
            members: NDArray[np.intp], total: float, target: str) -> Reason:
    # the leading feature pushes the way the group does; it always exists, since the sum has that sign
    j = int(members[np.argmax(c[members] * math.copysign(1.0, total))])
    feature = features[j]
    value: float | str | None = None if math.isnan(x[j]) else float(x[j])
    low, high = (None if math.isnan(v) else float(v) for v in (reference.low[j], reference.high[j]))
    if feature.categories:
        known = value is not None and 0 <= int(x[j]) < len(feature.categories)
        value, low, high = (feature.categories[int(x[j])] if known else None), None, None
    direction: Literal["raises", "lowers"] = "raises" if total > 0 else "lowers"
    return Reason(group, feature.name, feature.meaning, value, feature.unit, low, high, direction, total,
                  _sentence(feature, group, value, low, high, f"{direction} {target}"))


def _sentence(feature: Feature, group: str, value: float | str | None, low: float | None, high: float | None,
              effect: str) -> str:
    what = feature.meaning if group in feature.meaning else f"{group}: {feature.meaning}"
    unit = f" {feature.unit}" if feature.unit and feature.unit != "share" else ""
    if value is None:
        said = "is not known"
    elif isinstance(value, str):
        said = f"is {value}"
    else:
        said = f"is {number(value)}{unit}"
    if low is not None and high is not None:
        usual = number(low) if number(low) == number(high) else f"{number(low)} to {number(high)}"
        said += f", usually {usual}" + (unit if value is None else "")
    return f"{_words(what)} {said} — {_words(effect)}"


def _words(text: str) -> str:
    """Names of signals and attributes as a person says them."""
    return text.replace("_", " ")


def number(value: float) -> str:
    """Three significant digits without an exponent where a person can do without: 7.1, 0.0123, 1,240."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.2e}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _checked(features: Sequence[Feature], contributions: ArrayLike) -> tuple[Floats, list[str], NDArray[np.intp]]:
    c = np.atleast_2d(np.asarray(contributions, dtype=np.float64))
    if c.shape[1] != len(features) + 1:
        raise SteadylineError("bad_matrix", f"The contributions have {c.shape[1]} columns.",
                              f"{len(features) + 1}: one for each feature and the expectation")
    groups = list(dict.fromkeys(f.group for f in features))
    index = {g: k for k, g in enumerate(groups)}
    return c, groups, np.array([index[f.group] for f in features], dtype=np.intp)
