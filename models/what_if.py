"""What would the score be if an input that a person can change were another? Not causal, and said so.

Only the inputs that the model's YAML names (`what_if`), and only inside the range that the model knows well: the 10th
to the 90th percentile of the training rows (`models.explain.Reference`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalogue import Feature
from models.explain import Reference, number
from plant.errors import SteadylineError, listing, nearest

Floats = NDArray[np.float64]
NOT_CAUSAL = (
    "What the model has seen where the value was such. It is not what would happen if somebody changed the value."
)
STEPS = 5


def require_changeable(names: Sequence[str], features: Sequence[Feature]) -> None:
    """Raises SteadylineError (unknown_feature) for a name that is no feature, or one that counts through words."""
    known = {f.name: f for f in features}
    for name in names:
        if name not in known or known[name].categories:
            why = "is a word, not a number" if name in known else "is no feature of the model"
            allowed = sorted(n for n, f in known.items() if not f.categories)
            raise SteadylineError("unknown_feature", f"what_if names '{name}', which {why}", listing(allowed),
                                  nearest(name, allowed) or "`steadyline features SITE MODEL` lists them")


def alternatives(
    names: Sequence[str], features: Sequence[Feature], values: Floats, reference: Reference,
    risk: Callable[[Floats], Floats],
) -> list[list[dict[str, Any]]]:
    """For each row of values (n, p), and each input: the risk over its validated range.

    risk: rows -> (n,). An input whose range is not known or is one value is left out; so is one that the row does not
    know.
    """
    index = {f.name: j for j, f in enumerate(features)}
    out: list[list[dict[str, Any]]] = [[] for _ in values]
    for name in names:
        j = index[name]
        low, high = float(reference.low[j]), float(reference.high[j])
        if not low < high:
            continue
        grid = np.linspace(low, high, STEPS)
        told = np.flatnonzero(np.isfinite(values[:, j]))
        if not len(told):
            continue
        wide = np.repeat(values[told], STEPS, axis=0)
        wide[:, j] = np.tile(grid, len(told))
        curve = risk(wide).reshape(len(told), STEPS)
        for i, row in enumerate(told):
            best = int(np.argmin(curve[i]))
            out[row].append({
                "feature": name, "meaning": features[j].meaning, "unit": features[j].unit,
                "value": float(values[row, j]), "range": [low, high],
                "outside_range": bool(not low <= values[row, j] <= high),
                "risks": [{"value": float(v), "probability": float(p)} for v, p in zip(grid, curve[i], strict=True)],
                "least": {"value": float(grid[best]), "probability": float(curve[i, best])}, "note": NOT_CAUSAL,
            })
    return out


def changed(
    changes: Mapping[str, float], names: Sequence[str], features: Sequence[Feature], values: Floats,
    reference: Reference,
) -> Floats:
    """Rows (n, p) with some inputs set. Raises SteadylineError: `not_changeable` for an input that the YAML does not
    name, `outside_validated_range` for a value out of its range; all problems at once."""
    index, wrong = {f.name: j for j, f in enumerate(features)}, []
    out = np.array(values, dtype=np.float64)
    code = "outside_validated_range"
    for name, value in changes.items():
        if name not in names or name not in index:
            code = "not_changeable"
            wrong.append(f"{name}: is no input that a person can change, allowed: {listing(names) or 'none'}")
            continue
        j = index[name]
        low, high = float(reference.low[j]), float(reference.high[j])
        if not low <= value <= high:
            allowed = f"{number(low)} to {number(high)} {features[j].unit}".rstrip()
            wrong.append(f"{name}: found {value:g}, allowed: {allowed}")
            continue
        out[:, j] = value
    if wrong:
        raise SteadylineError(code, "The what-if cannot be answered.",
                              "inputs under `what_if` of the model's YAML, inside the range of training", "", wrong)
    return out
