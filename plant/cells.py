"""Column vectors while they are being mapped: text as categories, so that each distinct cell is worked on once."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant.sources import Source
from plant.tables import TIME_DTYPE

Problem = Callable[[np.ndarray, str], None]  # (mask of rows, reason); {} in the reason takes the cell
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# ISO 8601, of which pandas also takes a bare year; the group is the zone.
_ISO = re.compile(r"[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:[Tt ][0-9:.,]+)? ?([Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?")
TRUE, FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


def text_of(column: pa.ChunkedArray) -> pd.Categorical:
    """Any raw column as text categories; null and blank cells are missing."""
    if not pa.types.is_string(column.type) and not pa.types.is_large_string(column.type):
        if pa.types.is_floating(column.type):
            whole = pc.and_(pc.equal(pc.floor(column), column), pc.less(pc.abs(column), 2.0**53))
            if pc.all(whole).as_py():  # 12.0 in a column of numbers is the code 12
                column = column.cast(pa.int64())
        column = column.cast(pa.string())
    encoded = column.combine_chunks().dictionary_encode()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.combine_chunks()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    categories = [str(c) for c in encoded.dictionary.to_pylist()]
    plain = pd.Categorical.from_codes(codes, categories=categories)
    return mapped(plain, lambda c: c.strip() or None)


def constant_text(value: str, n: int) -> pd.Categorical:
    return pd.Categorical.from_codes(np.zeros(n, dtype=np.int8), categories=[value])


def mapped(cells: pd.Categorical, word: Callable[[str], str | None]) -> pd.Categorical:
    """`cells` with each distinct word replaced; None makes it missing."""
    words = [word(str(c)) for c in cells.categories]
    codes, uniques = pd.factorize(np.array(words, dtype=object)) if words else (np.array([], dtype=np.int64), [])
    table = np.append(codes, -1)
    return pd.Categorical.from_codes(table[cells.codes], categories=[str(u) for u in uniques])


def pasted(template: str, parts: dict[str, pd.Categorical], n: int) -> pd.Categorical:
    """The template filled from `parts`, missing where a part is missing."""
    out = pd.Series(template, index=range(n), dtype=object)
    missing = np.zeros(n, dtype=bool)
    pieces = re.split(r"\{([^{}]+)\}", template)
    out = pd.Series(pieces[0], index=range(n), dtype=object)
    for name, after in zip(pieces[1::2], pieces[2::2], strict=True):
        cells = parts[name]
        missing |= cells.codes < 0
        out = out + pd.Series(cells.astype(object)).fillna("").astype(str) + after
    out[missing] = None
    return pd.Categorical(out)


def _spread(values: np.ndarray, cells: pd.Categorical) -> np.ndarray:
    """Values of the categories taken to the rows; missing rows get the last element."""
    return values[cells.codes]


def _plain_number(text: str, source: Source) -> str:
    if source.thousands:
        whole = text.split(source.decimal)[0].lstrip("+-")
        if re.fullmatch(rf"\d{{1,3}}(?:{re.escape(source.thousands)}\d{{3}})+", whole):
            text = text.replace(source.thousands, "")
    return text.translate({ord(","): ".", ord("."): ","}) if source.decimal == "," else text


def numbers(
    cells: pd.Categorical, source: Source, problem: Problem, plain: frozenset[str] = frozenset()
) -> np.ndarray:
    """float64 of text written with the source's decimal mark; NaN where missing or refused.

    plain: words that the mapping itself wrote (constants, replacements, crosswalks); a decimal point is one there too.
    """
    n = len(cells.categories)
    parsed = np.full(n + 1, np.nan)
    odd = np.zeros(n + 1, dtype=bool)
    for i, cell in enumerate(cells.categories):
        text = _plain_number(cell, source)
        if cell in plain and _NUMBER.fullmatch(cell):
            text = cell
        if _NUMBER.fullmatch(text):
            parsed[i] = float(text)
        odd[i] = not np.isfinite(parsed[i])
    if odd.any():
        problem(
            _spread(odd, cells),
            "'{}' is no finite number" + (f" (decimal mark is '{source.decimal}')" if source.decimal != "." else ""),
        )
    return _spread(parsed, cells)


def plain_numbers(column: pa.ChunkedArray, source: Source, problem: Problem) -> np.ndarray:
    """float64 of a raw column: typed numbers as they are, text parsed (fast where every cell is plain)."""
    numeric = pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)
    if not numeric:
        if source.decimal == "." and not source.thousands:
            try:
                values = column.cast(pa.float64()).to_numpy()
                if np.isfinite(values[~np.isnan(values)]).all() and np.isnan(values).sum() == column.null_count:
                    return np.array(values)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                pass
        return numbers(text_of(column), source, problem)
    values = np.array(column.cast(pa.float64(), safe=False).to_numpy())
    if np.isinf(values).any():
        problem(np.isinf(values), "'{}' is no finite number")
        values[np.isinf(values)] = np.nan
    return values


def times(
    cells: pd.Categorical,
    form_format: str | None,
    months: dict[str, int],
    zone: str | None,
    source: Source,
    problem: Problem,
    naive: Callable[[str], None],
) -> pd.DatetimeIndex:
    """UTC of local or zoned time text; NaT where missing or refused.

    `naive(cell)` is called when a zone is needed and none is named.
    """
    words = pd.Series([str(c) for c in cells.categories], dtype=object)
    layout = form_format or "iso"
    if months:
        names = sorted(months, key=len, reverse=True)
        pattern = re.compile("|".join(re.escape(m) for m in names), re.IGNORECASE)
        digits = {k.lower(): f"{v:02d}" for k, v in months.items()}
        words = words.map(lambda w: pattern.sub(lambda m: digits.get(m.group().lower(), m.group()), w))
        layout = layout.replace("%b", "%m").replace("%B", "%m")
    if layout == "iso":
        read = [_ISO.fullmatch(w) for w in words]
        zoned = np.array([m is not None and m[1] is not None for m in read], dtype=bool)
        words = pd.Series([w.upper() if m else "?" for w, m in zip(words, read, strict=True)], dtype=object)
    else:
        zoned = np.full(len(words), "%z" in layout.lower())
        words = words.where([any(d in w for d in "0123456789") for w in words], "?")  # to pandas, `today` is a time
    parsed = np.full(len(words) + 1, np.datetime64("NaT", "us"))
    fmt = "ISO8601" if layout == "iso" else layout
    if zoned.any():
        parsed[:-1][zoned] = _utc(pd.to_datetime(words[zoned], format=fmt, errors="coerce", utc=True))
    reasons = np.full(len(words) + 1, "", dtype=object)
    local = ~zoned
    if local.any():
        plain = pd.DatetimeIndex(pd.to_datetime(words[local], format=fmt, errors="coerce"))
        if zone is None and plain.notna().any():
            naive(str(words[local].iloc[int(np.argmax(plain.notna()))]))
        parsed[:-1][local], reasons[:-1][local] = localised(plain, zone or "UTC", source)
    unread = np.isnat(parsed[:-1]) & (reasons[:-1] == "")
    reasons[:-1][unread] = "'{}' is no time of the form " + layout
    for reason in sorted({r for r in reasons if r}):
        problem(_spread(reasons == reason, cells), reason)
    return pd.DatetimeIndex(_spread(parsed, cells)).tz_localize("UTC").as_unit("us")


def localised(plain: pd.DatetimeIndex, zone: str, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Naive local times as UTC (datetime64[us]) and a reason where the clock change makes them unclear."""
    choice = {"quarantine": "NaT", "first": np.ones(len(plain), bool), "second": np.zeros(len(plain), bool)}[
        source.ambiguous
    ]
    out = plain.tz_localize(zone, ambiguous=choice, nonexistent="NaT")
    reasons = np.full(len(plain), "", dtype=object)
    gone = np.asarray(out.isna() & plain.notna())
    if gone.any():
        skipped = (
            np.asarray(plain.tz_localize(zone, ambiguous=np.ones(len(plain), bool), nonexistent="NaT").isna()) & gone
        )
        reasons[gone] = "'{}' stands twice on the clock of " + zone + " (end of summer time)"
        reasons[skipped] = "'{}' does not exist on the clock of " + zone + " (start of summer time)"
    return _utc(out), reasons


def _utc(values: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    index = pd.DatetimeIndex(values).tz_convert("UTC").tz_localize(None)
    return np.asarray(index.as_unit("us"), dtype="datetime64[us]")


def typed_times(
    column: pa.ChunkedArray, zone: str | None, source: Source, problem: Problem, naive: Callable[[str], None]
) -> pd.DatetimeIndex:
    """UTC of an Arrow timestamp (or date) column."""
    micros = pa.timestamp("us", tz=getattr(column.type, "tz", None))
    plain = pd.DatetimeIndex(column.cast(micros, safe=False).to_pandas())
    if plain.tz is not None:
        return plain.tz_convert("UTC").as_unit("us")
    if zone is None and plain.notna().any():
        naive(str(plain[plain.notna()][0]))
    values, reasons = localised(plain, zone or "UTC", source)
    for reason in sorted({r for r in reasons if r}):
        problem(reasons == reason, reason)
    return pd.DatetimeIndex(values).tz_localize("UTC").as_unit("us")


def booleans(cells: pd.Categorical, problem: Problem) -> pd.array:
    """Nullable booleans of true/false, yes/no, 1/0."""
    words = [str(c).lower() for c in cells.categories]
    odd = np.array([w not in TRUE | FALSE for w in words] + [False])
    if odd.any():
        problem(_spread(odd, cells), "'{}' is neither true nor false; translate it with a crosswalk")
    values = np.array([w in TRUE for w in words] + [False])
    return pd.arrays.BooleanArray(_spread(values, cells).copy(), (cells.codes < 0) | _spread(odd, cells))


def empty_times(n: int) -> pd.Series:
    return pd.Series(pd.NaT, index=range(n), dtype=TIME_DTYPE)
