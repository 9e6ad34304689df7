"""What both dialects of the virtual plant need to write exports: numbers, local times, units, broken rows.

Numbers are written with so many digits that converting back and rounding gives the same float64 again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

# (canonical unit, exported unit) -> factor, offset: exported = canonical × factor + offset
FACTORS: dict[tuple[str, str], tuple[float, float]] = {
    ("degC", "degF"): (1.8, 32.0),
    ("kPa", "psi"): (1.0 / 6.894757293168361, 0.0),
    ("kPa", "bar"): (0.01, 0.0),
    ("Pa", "mbar"): (0.01, 0.0),
    ("kN", "lbf"): (1.0 / 0.0044482216152605, 0.0),
    ("N", "kgf"): (1.0 / 9.80665, 0.0),
    ("N", "kN"): (0.001, 0.0),
    ("mm/s", "inch/s"): (1.0 / 25.4, 0.0),
    ("kW", "hp"): (1.0 / 0.7456998715822702, 0.0),
}


def digits(unit: str, other: str, decimals: int) -> int:
    """Decimals that a value needs in `other` so that `decimals` survive the way there and back."""
    if unit == other:
        return decimals
    scale = FACTORS[unit, other][0]
    return max(0, decimals + math.ceil(math.log10(5.0 / scale)))


def converted(values: np.ndarray, unit: str, other: str, decimals: int) -> np.ndarray:
    """`values` in `other`, rounded to `digits`; NaN stays."""
    if unit == other:
        return values
    scale, offset = FACTORS[unit, other]
    return np.asarray(np.round(values * scale + offset, digits(unit, other, decimals)))


def number(
    values: Sequence[float] | pd.Series | np.ndarray, decimals: int, decimal: str = ".", thousands: str = ""
) -> np.ndarray:
    """Text of numbers with fixed decimals, empty for NaN; each distinct value is formatted once."""
    array = np.asarray(values, dtype=np.float64)
    codes, distinct = pd.factorize(array)
    words = [f"{v + 0.0:,.{decimals}f}" if thousands else f"{v + 0.0:.{decimals}f}" for v in distinct]
    if decimal != "." or thousands:
        words = [w.translate({ord(","): thousands or None, ord("."): decimal}) for w in words]
    return np.array([*words, ""], dtype=object)[codes]


def local(stamps: pd.Series, zone: str, layout: str, shift: str = "0min") -> np.ndarray:
    """Text of UTC times on the clock of `zone` (which runs `shift` fast), empty for NaT.

    layout: strftime; the all-numeric ones are put together from the ISO text, which is many times faster.
    """
    index = pd.DatetimeIndex(stamps) + pd.Timedelta(shift)
    there = np.asarray(index.notna())
    naive = index[there].tz_convert(zone).tz_localize(None)
    out = np.full(len(index), "", dtype=object)
    if "%b" in layout:
        out[there] = naive.strftime(layout)
        return out
    iso = np.datetime_as_string(naive.to_numpy(), unit="s")
    cells = iso.view("U1").reshape(len(iso), -1) if len(iso) else np.empty((0, 19), "U1")
    spans = {"Y": (0, 4), "m": (5, 7), "d": (8, 10), "H": (11, 13), "M": (14, 16), "S": (17, 19)}
    columns: list[np.ndarray] = []
    position = 0
    while position < len(layout):
        if layout[position] == "%":
            begin, end = spans[layout[position + 1]]
            columns.append(cells[:, begin:end])
            position += 2
        else:
            columns.append(np.full((len(cells), 1), layout[position], "U1"))
            position += 1
    joined = np.ascontiguousarray(np.concatenate(columns, axis=1))
    out[there] = joined.view(f"U{joined.shape[1]}").ravel() if len(joined) else []
    return out


def words(values: pd.Series, table: Mapping[str, str]) -> np.ndarray:
    """Local words of canonical ones; empty stays empty."""
    codes, distinct = pd.factorize(values.astype(object))
    return np.array([*(table[w] if w else "" for w in distinct), ""], dtype=object)[codes]


def text(values: pd.Series) -> np.ndarray:
    return np.asarray(values.astype(object).where(values.notna(), "").to_numpy(), dtype=object)


def with_broken(frame: pd.DataFrame, broken: Sequence[Mapping[str, str]]) -> pd.DataFrame:
    """`frame` with further rows spread over it that break the contract: good rows with some cells changed."""
    if not broken or frame.empty:
        return frame
    places = [(n + 1) * len(frame) // (len(broken) + 1) for n in range(len(broken))]
    extra = frame.iloc[[min(p, len(frame) - 1) for p in places]].astype(object).reset_index(drop=True)
    for n, cells in enumerate(broken):
        for name, cell in cells.items():
            if name not in frame.columns:
                raise KeyError(name)
            extra.loc[n, name] = cell
    order = np.argsort(np.concatenate([np.arange(len(frame)), np.array(places) - 0.5]), kind="stable")
    return pd.concat([frame, extra], ignore_index=True).iloc[order].reset_index(drop=True)


def write_csv(path: Path, frame: pd.DataFrame, sep: str = ",", encoding: str = "utf-8", line_end: str = "\n") -> None:
    """One CSV export; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path, index=False, sep=sep, encoding=encoding, lineterminator=line_end)


def crosswalk(table: Mapping[str, str], code: str, word: str) -> pd.DataFrame:
    """The crosswalk file that undoes `words`: local code -> canonical word."""
    return pd.DataFrame({code: list(table.values()), word: list(table)})
