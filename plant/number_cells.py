"""Numbers of raw columns: typed ones as they are, text in the notation of its source, nothing guessed."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant import cells as c
from plant.months import all_names
from plant.sources import Source

NO_NUMBER = "'{}' is no finite number"
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Cells that mean the same in every path: digits, the source's decimal mark, digits.
_EVERYDAY = {".": r"^-?[0-9]{1,15}(?:\.[0-9]{1,15})?$", ",": r"^-?[0-9]{1,15}(?:,[0-9]{1,15})?$"}
_LONGEST = 80  # characters of a number that anyone writes
_DATE = re.compile(
    r"(?:[0-9]{1,2}([-/.])[0-9]{1,2}\1(?:[0-9]{2}|[0-9]{4})|[0-9]{4}([-/.])[0-9]{1,2}\2[0-9]{1,2})(?:[ T].*)?"
    r"|[0-9]{1,2}[-/][0-9]{1,2}"
)
_SHORTENED = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]{1,3}")


def numbers(
    cells: pd.Categorical, source: Source, problem: c.Problem, plain: frozenset[str] = frozenset()
) -> np.ndarray:
    """float64 of text written with the source's decimal mark; NaN where missing or refused.

    plain: words that the mapping itself wrote (constants, replacements, crosswalks); a decimal point is one there too.
    """
    n = len(cells.categories)
    parsed = np.full(n + 1, np.nan)
    odd: dict[str, list[int]] = {}
    for i, cell in enumerate(cells.categories):
        text = _plain_number(cell, source)
        if cell in plain and len(cell) <= _LONGEST and _NUMBER.fullmatch(cell):
            text = cell
        value = float(text) if len(text) <= _LONGEST and _NUMBER.fullmatch(text) else np.nan
        if np.isfinite(value):
            parsed[i] = value
        else:
            odd.setdefault(_why(str(cell), source), []).append(i)
    for reason, places in odd.items():
        mask = np.zeros(n + 1, dtype=bool)
        mask[places] = True
        problem(mask[cells.codes], reason)
    return parsed[cells.codes]


def _plain_number(text: str, source: Source) -> str:
    if source.thousands:
        whole = text.split(source.decimal)[0].lstrip("+-")
        if re.fullmatch(rf"[0-9]{{1,3}}(?:{re.escape(source.thousands)}[0-9]{{3}})+", whole):
            text = text.replace(source.thousands, "")
    return text.translate({ord(","): ".", ord("."): ","}) if source.decimal == "," else text


def _why(cell: str, source: Source) -> str:
    """Why `cell` is no number of the source, and what it looks like."""
    base = NO_NUMBER + (f" (decimal mark is '{source.decimal}')" if source.decimal != "." else "")
    if len(cell) > _LONGEST:
        return f"{base}: it has {len(cell)} characters"
    looks = _looks_like(cell, source)
    return f"{base}; it looks like {looks}" if looks else base


def _looks_like(cell: str, source: Source) -> str:
    if cell.startswith("=") or re.match(r"[-+@][A-Za-z(@]", cell):
        return "a formula of a spreadsheet"
    if _DATE.fullmatch(cell) or (re.search("[0-9]", cell) and _month_in(cell)):
        return "a date: a spreadsheet turns some numbers into dates"
    for mark, name in ((".", "points"), (",", "commas")):
        if source.thousands != mark and re.fullmatch(rf"[+-]?[0-9]+(?:\{mark}[0-9]+){{2,}}", cell):
            return f"a number with thousands {name}, which a spreadsheet may have set (the source names no such mark)"
    other = "," if source.decimal == "." else "."
    if source.thousands == other and re.fullmatch(rf"[+-]?[0-9]+(?:\{other}[0-9]+)+.*", cell):
        return "a number whose thousands are cut at other places than every three digits"
    return ""


def _month_in(cell: str) -> bool:
    return any(word.lower() in all_names() for word in re.findall(r"[^\W\d_]+", cell))


def looks_shortened(word: str) -> bool:
    """Whether a code was shortened by a spreadsheet: 1.5E+09 was a number of ten digits."""
    return _SHORTENED.fullmatch(word) is not None


def plain_numbers(column: pa.ChunkedArray, source: Source, problem: c.Problem) -> np.ndarray:
    """float64 of a raw column: typed numbers as they are, text parsed (fast where the cells are plain)."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = np.array(column.cast(pa.float64(), safe=False).to_numpy())
        endless = np.isinf(values)
        if endless.any():
            problem(endless, NO_NUMBER)
            values[endless] = np.nan
        return values
    if not c.is_text(column):
        return numbers(c.text_of(column), source, problem)
    text = c.joined(column)
    every = _cast(text, source)
    if every is not None:
        return every
    # Some cells are not plain: those go the careful way, each distinct one once.
    everyday = pc.match_substring_regex(text, _EVERYDAY[source.decimal]).fill_null(False)
    rest = np.flatnonzero(~everyday.to_numpy(zero_copy_only=False))
    if len(rest) > len(text) // 2:
        return numbers(c.text_of(column), source, problem)
    values = np.full(len(text), np.nan)
    some = _cast(text.filter(everyday), source)
    assert some is not None  # noqa: S101 (every cell of it is plain)
    values[everyday.to_numpy(zero_copy_only=False)] = some
    odd = pa.chunked_array([text.take(pa.array(rest))])
    values[rest] = numbers(c.text_of(odd), source, at_rows(rest, len(text), problem))
    return values


def at_rows(rows: np.ndarray, n: int, problem: c.Problem) -> c.Problem:
    """A problem of some rows, told as one of all n rows."""

    def tell(mask: np.ndarray, reason: str) -> None:
        whole = np.zeros(n, dtype=bool)
        whole[rows[mask]] = True
        problem(whole, reason)

    return tell


def _cast(text: pa.Array, source: Source) -> np.ndarray | None:
    """Text as float64 in one go; None where a cell needs care. Both ways give the same bits."""
    holds: Callable[[str], bool] = lambda mark: bool(pc.any(pc.match_substring(text, mark)).as_py())  # noqa: E731
    if source.thousands and holds(source.thousands):
        return None
    if source.decimal == ",":
        if holds("."):
            return None
        text = pc.replace_substring(text, ",", ".")
    try:
        values = text.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    missing = np.isnan(values)
    if np.isinf(values).any() or missing.sum() != text.null_count:
        return None
    if (pc.max(pc.binary_length(text)).as_py() or 0) > _LONGEST:
        return None
    return np.array(values)
