"""Column vectors while they are being mapped: text as categories, so that each distinct cell is worked on once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

Problem = Callable[[np.ndarray, str], None]  # (mask of rows, reason); {} in the reason takes the cell
TRUE, FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


def joined(column: pa.ChunkedArray) -> pa.Array:
    """The chunks of a column as one array."""
    if column.num_chunks == 1:
        return column.chunk(0)
    whole = column.combine_chunks()
    return pa.concat_arrays(whole.chunks) if isinstance(whole, pa.ChunkedArray) else whole


def plain_cells(column: pa.ChunkedArray) -> list[Any]:
    """Cells as Python values; as text where Python has no such value (a time stamp of the year 294247)."""
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError, pa.ArrowException):
        return list(column.cast(pa.string()).to_pylist())


def is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def text_of(column: pa.ChunkedArray) -> pd.Categorical:
    """Any raw column as text categories; null and blank cells are missing. The number 12.0 is the code 12."""
    encoded = joined(column).dictionary_encode()
    words, indices = encoded.dictionary, encoded.indices
    if pa.types.is_floating(words.type):
        words = _plain_text(words)
    elif not is_text(words):
        words = words.cast(pa.string())
    codes = (indices.fill_null(-1) if indices.null_count else indices).to_numpy(zero_copy_only=False)
    cells = words.to_pylist()
    if words.null_count == 0 and all(c and c == c.strip() for c in cells) and len(set(cells)) == len(cells):
        return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(cells), validate=False)
    return _recoded(codes, [(c or "").strip() or None for c in cells])


def _plain_text(numbers: pa.Array) -> pa.Array:
    """Numbers as text, cell by cell; whole ones as digits alone, without a point or a power of ten."""
    whole = pc.and_(pc.equal(pc.floor(numbers), numbers), pc.less(pc.abs(numbers), 2.0**53))
    digits = pc.if_else(whole, numbers, pa.scalar(0, numbers.type)).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, digits, numbers.cast(pa.string()))


def constant_text(value: str, n: int) -> pd.Categorical:
    return pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), dtype=pd.CategoricalDtype([value]), validate=False)


def taken(cells: pd.Categorical, rows: np.ndarray) -> pd.Categorical:
    """Some rows; without the words of the others where those are many."""
    if len(cells.categories) > len(rows):
        places, codes = np.unique(cells.codes[rows], return_inverse=True)
        words = [*cells.categories, None]
        return _recoded(codes, [words[place] for place in places])
    return pd.Categorical.from_codes(cells.codes[rows], dtype=cells.dtype, validate=False)


def quoted(cells: pd.Categorical) -> Callable[[np.ndarray], list[str]]:
    """The text of some rows, for a problem that quotes them."""
    words = [*cells.categories, ""]
    return lambda rows: [str(words[code]) for code in cells.codes[rows]]


def mapped(cells: pd.Categorical, word: Callable[[str], str | None]) -> pd.Categorical:
    """`cells` with each distinct word replaced; None makes it missing."""
    return _recoded(cells.codes, [word(str(c)) for c in cells.categories])


def _recoded(codes: np.ndarray, words: Sequence[str | None]) -> pd.Categorical:
    """`words[code]` of each row as categories; code -1 and None are missing."""
    places: dict[str, int] = {}
    table = np.array([-1 if w is None else places.setdefault(w, len(places)) for w in words] + [-1], dtype=np.int64)
    return pd.Categorical.from_codes(table[codes], dtype=pd.CategoricalDtype(list(places)), validate=False)


def combined(parts: Sequence[pd.Categorical], n: int) -> tuple[np.ndarray, list[tuple[str | None, ...]]]:
    """(number of its combination for each row, the combinations in the order of their first row)."""
    codes = np.zeros(n, dtype=np.int64)
    for cells in parts:
        codes = pd.factorize(codes * (len(cells.categories) + 1) + cells.codes + 1)[0]
    if not parts:
        return codes, [()] if n else []
    firsts = np.full(int(codes.max()) + 1 if n else 0, 0, dtype=np.int64)
    firsts[codes[::-1]] = np.arange(n)[::-1]
    columns = [quoted_or_none(cells, firsts) for cells in parts]
    return codes, list(zip(*columns, strict=True))


def quoted_or_none(cells: pd.Categorical, rows: np.ndarray) -> list[str | None]:
    """The text of some rows, None where missing."""
    words = [*cells.categories, None]
    return [words[code] for code in cells.codes[rows]]


def of_combinations(
    parts: Sequence[pd.Categorical], n: int, word: Callable[[tuple[str | None, ...]], str | None]
) -> pd.Categorical:
    """Text made of several columns; `word` is asked once for each distinct combination."""
    codes, several = combined(parts, n)
    return _recoded(codes, [word(one) for one in several])


def pasted(template: str, parts: dict[str, pd.Categorical], n: int) -> pd.Categorical:
    """The template filled from `parts`, missing where a part is missing."""
    pieces = re.split(r"\{([^{}]+)\}", template)
    names = pieces[1::2]

    def word(cells: tuple[str | None, ...]) -> str | None:
        if any(c is None for c in cells):
            return None
        inner = [f"{cell}{after}" for cell, after in zip(cells, pieces[2::2], strict=True)]
        return pieces[0] + "".join(inner)

    return of_combinations([parts[name] for name in names], n, word)


def split(cells: pd.Categorical, at: str, part: int, no_match: str, problem: Problem) -> pd.Categorical:
    """The n-th part of each text."""

    def one(word: str) -> str | None:
        parts = word.split(at)
        where = part - 1 if part > 0 else part
        return parts[where] if -len(parts) <= where < len(parts) else None

    found = [one(str(c)) for c in cells.categories]
    return _found(cells, found, no_match, f"'{{}}' has no part {part} where it is cut at '{at}'", problem)


def matched(cells: pd.Categorical, pattern: str, no_match: str, problem: Problem) -> pd.Categorical:
    """The first group of `pattern` (RE2) in each text, or the whole match where it has no group."""
    words = pa.array([str(c) for c in cells.categories], pa.string())
    hit = pc.match_substring_regex(words, pattern).to_pylist()
    # Leftmost match, as a search: what comes before it is as short as can be, what comes after takes the rest.
    whole = rf"(?s:^.*?)(?:{pattern})(?s:.*$)"
    try:
        inner = pc.replace_substring_regex(words, whole, r"\1").to_pylist()
    except pa.ArrowInvalid:  # there is no first group
        inner = pc.replace_substring_regex(words, rf"(?s:^.*?)({pattern})(?s:.*$)", r"\1").to_pylist()
    found = [word if yes else None for yes, word in zip(hit, inner, strict=True)]
    return _found(cells, found, no_match, f"'{{}}' does not match the pattern {pattern}", problem)


def _found(
    cells: pd.Categorical, found: list[str | None], no_match: str, reason: str, problem: Problem
) -> pd.Categorical:
    none = np.array([f is None for f in found] + [False])
    if no_match == "quarantine" and none[:-1].any():
        problem(none[cells.codes], reason)
    if no_match == "keep":
        found = [str(c) if f is None else f for f, c in zip(found, cells.categories, strict=True)]
    return _recoded(cells.codes, [(f or "").strip() or None for f in found])


def booleans(cells: pd.Categorical, problem: Problem) -> pd.array:
    """Nullable booleans of true/false, yes/no, 1/0."""
    words = [str(c).lower() for c in cells.categories]
    odd = np.array([w not in TRUE | FALSE for w in words] + [False])
    if odd.any():
        problem(odd[cells.codes], "'{}' is neither true nor false; translate it with a crosswalk")
    values = np.array([w in TRUE for w in words] + [False])
    return pd.arrays.BooleanArray(values[cells.codes].copy(), (cells.codes < 0) | odd[cells.codes])
