"""Unit conversion through pint, with the plant's ways of writing units."""

from __future__ import annotations

import difflib
import functools
import re
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
# Units that plants measure in, for the nearest match: pint knows thousands.
_USUAL = (
    "%", "degC", "degF", "kelvin", "Pa", "hPa", "kPa", "MPa", "bar", "mbar", "psi", "N", "kN", "mm", "cm", "m", "um",
    "mg", "g", "kg", "l", "ml", "m^3", "m^3/h", "l/min", "l/h", "kg/h", "m/s", "mm/s", "g/l", "mg/ml", "rpm", "Hz",
    "1/min", "s", "min", "h", "d", "A", "mA", "V", "kV", "W", "kW", "kWh", "VA", "ohm", "uS/cm", "mS/cm", "N*m", "ppm",
    "dimensionless", "percent", "minute", "hour", "second", "day", "liter", "gram", "meter",
)  # fmt: skip


@functools.cache
def _registry() -> Any:
    return pint.UnitRegistry(cache_folder=None)


# A power of a unit, m^2 or m²: pint computes any other, and a cell such as 9**9**9 would keep it busy for ever.
_POWER = re.compile(r"[^\W\d_]\s*(?:(?:\*\*|\^)\s*-?[0-9](?![0-9*^.])|⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹](?![⁰¹²³⁴⁵⁶⁷⁸⁹]))")
_LONGEST = 40


def _unit(text: str) -> Any:
    text = text.strip()
    if len(text) > _LONGEST or re.search(r"\*\*|\^|[⁰¹²³⁴⁵⁶⁷⁸⁹]", _POWER.sub("", text)):
        raise ValueError(text)
    return _registry().Unit(_SPELLINGS.get(text, text))


def problem(source: str, target: str) -> str:
    """What is wrong with converting `source` to `target`, or an empty string."""
    for side in (source, target):
        try:
            _unit(side).dimensionality  # noqa: B018 (only pint knows whether it has one)
        except Exception:  # pint raises many kinds for text that is no unit
            near = difflib.get_close_matches(side[:_LONGEST], _USUAL, n=2)
            told = "; did you mean " + " or ".join(f"'{n}'" for n in near) + "?" if near else ""
            return f"'{side}' is no unit; allowed: units such as degC, bar, kN, mm, rpm, %{told}"
    one, other = _unit(source), _unit(target)
    if not one.is_compatible_with(other):
        return (
            f"'{source}' cannot be converted to '{target}': "
            f"one measures {one.dimensionality}, the other {other.dimensionality}"
        )
    try:
        convert(np.ones(1), source, target)
    except Exception as e:  # a difference of temperatures as a temperature, for example
        return f"'{source}' cannot be converted to '{target}': {e}"
    return ""


def convert(values: np.ndarray, source: str, target: str) -> np.ndarray:
    """`values` in `source` as `target`; float64, same shape. Temperatures are absolute, not differences."""
    if source.strip() == target.strip():
        return values
    converted = _registry().Quantity(np.asarray(values, dtype=np.float64), _unit(source)).m_as(_unit(target))
    return np.asarray(converted, dtype=np.float64)
