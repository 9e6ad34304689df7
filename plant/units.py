"""Unit conversion through pint, with the plant's ways of writing units."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pint

_SPELLINGS = {
    "%": "percent",
    "°C": "degC",
    "°F": "degF",
    "C": "degC",
    "F": "degF",
    "°": "degree",
    "µm": "micrometer",
    "-": "dimensionless",
}


@functools.cache
def _registry() -> Any:
    return pint.UnitRegistry(cache_folder=None)


def _unit(text: str) -> Any:
    text = text.strip()
    return _registry().Unit(_SPELLINGS.get(text, text))


def problem(source: str, target: str) -> str:
    """What is wrong with converting `source` to `target`, or an empty string."""
    for side in (source, target):
        try:
            _unit(side)
        except Exception:  # pint raises many kinds for text that is no unit
            return f"'{side}' is no unit; allowed: units such as degC, bar, kN, mm, rpm, %"
    if not _unit(source).is_compatible_with(_unit(target)):
        return f"'{source}' cannot be converted to '{target}': one measures {_unit(source).dimensionality}, the other {_unit(target).dimensionality}"
    return ""


def convert(values: np.ndarray, source: str, target: str) -> np.ndarray:
    """`values` in `source` as `target`; float64, same shape. Temperatures are absolute, not differences."""
    if source.strip() == target.strip():
        return values
    converted = _registry().Quantity(np.asarray(values, dtype=np.float64), _unit(source)).m_as(_unit(target))
    return np.asarray(converted, dtype=np.float64)
