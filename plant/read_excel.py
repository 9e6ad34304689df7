"""Excel (.xlsx, .xlsm): one sheet, its cells with their types. A row's line is its number in the sheet.

Of a formula the stored value is taken; one without is refused row by row. Hidden rows and columns are read, of merged
cells only the first holds the value, and hidden sheets are read when they are named.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np

from plant.errors import SourceError, did_you_mean, listing
from plant.raw_rows import Malformed, RawRows
from plant.read_bytes import HARMLESS, MOST_RATIO
from plant.read_cells import as_text, marks, table
from plant.read_csv import HEADER_AGAIN, given_names
from plant.read_files import refused, unreadable, wanted
from plant.sources import Export

_ROWS = 20_000  # rows of a stretch
_LAST_ROW = 1_048_576  # of Excel itself; a file that names a later one would have us count up to it
MOST_UNPACKED = 2 << 30  # bytes; a full sheet of a million rows and twenty columns has about one GB of XML
_FORMULA = re.compile(rb"<(?:\w+:)?f[\s>/]")
_ERRORS = frozenset({"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA", "#SPILL!"})
_OLD = b"\xd0\xcf\x11\xe0"


def header(export: Export) -> list[str]:
    """Column names. Raises SourceError."""
    with closing(_rows(export)) as rows:
        return _names(export, rows)


def read(export: Export, columns: set[str]) -> Generator[RawRows, None, None]:
    """The rows in stretches. Raises SourceError."""
    missing = frozenset(marks(export.source))
    with closing(_rows(export)) as rows:
        names = _names(export, rows)
        asked = wanted(columns, names)
        places = [(n, names.index(n)) for n in asked]
        while batch := list(islice(rows, _ROWS)):
            good, lines, malformed = [], [], []
            for line, cells, formulas in batch:
                reason = _unfit(names, places, cells, formulas, missing)
                if reason is None:
                    good.append([_cell(cells, i, missing) for _, i in places])
                    lines.append(line)
                elif reason:
                    text = export.source.delimiter.join("" if c is None else as_text(c, export.source) for c in cells)
                    malformed.append(Malformed(line, text[:2000], reason))
            yield RawRows(
                export.label, table(asked, good, export.source, len(good)), np.array(lines, dtype=np.int64), malformed
            )


_Row = tuple[int, tuple[Any, ...], tuple[Any, ...]]  # line, values, formulas (empty where the sheets hold none)


def _cell(cells: tuple[Any, ...], i: int, missing: frozenset[str]) -> Any:
    value = cells[i] if i < len(cells) else None
    return None if isinstance(value, str) and value.strip() in missing else value


def _unfit(
    names: list[str],
    places: list[tuple[str, int]],
    cells: tuple[Any, ...],
    formulas: tuple[Any, ...],
    missing: frozenset[str],
) -> str | None:
    """Why the row is none; None where it is one, empty where it is blank."""
    unsaved = [n for n, i in places if i < len(formulas) and _is_formula(formulas[i]) and _at(cells, i) is None]
    if unsaved:
        formula = _text_of(formulas[names.index(unsaved[0])])[:80]
        return (
            f"'{unsaved[0]}' holds a formula without a stored value: {formula} "
            "(open the file in a spreadsheet program, save it, and connect again)"
        )
    filled = [i for i, c in enumerate(cells) if c is not None and not (isinstance(c, str) and not c.strip())]
    if not filled:
        return ""
    if filled[-1] >= len(names):
        return f"the row has {filled[-1] + 1} cells, the header {len(names)}"
    for name, i in places:
        value = _cell(cells, i, missing)
        if isinstance(value, str) and value.strip() in _ERRORS:
            return f"'{name}' holds the error {value.strip()}"
    if [_name(c) for c in cells[: len(names)]] == names:
        return HEADER_AGAIN
    return None


def _at(cells: tuple[Any, ...], i: int) -> Any:
    return cells[i] if i < len(cells) else None


def _is_formula(value: Any) -> bool:
    return (isinstance(value, str) and value.startswith("=")) or hasattr(value, "ref")


def _text_of(formula: Any) -> str:
    return str(getattr(formula, "text", formula))


def _name(value: Any) -> str:
    return "" if value is None else as_text(value, None).strip()


def _names(export: Export, rows: Iterator[_Row]) -> list[str]:
    """Names of the columns; leaves `rows` after the header."""
    if export.source.header and export.source.header_line is None:
        return list(export.source.header)
    above = (export.source.header_line or 1) - 1
    for line, cells, _ in rows:
        if line > above and any(c is not None for c in cells):
            texts = [_name(c) for c in cells]
            while texts and not texts[-1]:
                texts.pop()
            return given_names(export, texts)
    raise refused(
        export,
        "empty_file",
        "is empty" + (f" below line {above}" if above else ""),
        "a header line and rows",
        f"export it again, or correct sources.{export.source_name}.sheet or header_line",
    )


def _rows(export: Export) -> Generator[_Row, None, None]:
    """Every row of the sheet. Raises SourceError, for whatever is wrong with the file."""
    try:
        has_formulas = _check_zip(export)
        with export.file.open("rb") as values, export.file.open("rb") as again:
            sheets = [_sheet(export, values, True), *([_sheet(export, again, False)] if has_formulas else [])]
            for line, both in enumerate(_together(sheets), 1):
                if line > _LAST_ROW:
                    raise refused(
                        export, "unreadable_file", "has more rows than a sheet can have", f"{_LAST_ROW} rows", ""
                    )
                yield line, both[0], both[1] if has_formulas else ()
    except SourceError:
        raise
    except Exception as e:  # a parser of XML in a zip file, fed with anything: its errors have no common root
        raise unreadable(export, e) from e


def _together(sheets: list[Any]) -> Iterator[list[tuple[Any, ...]]]:
    several = [s.iter_rows(values_only=True) for s in sheets]
    while True:
        with warnings.catch_warnings():  # about styles and extensions, which nobody here needs
            warnings.simplefilter("ignore")
            batch = [list(islice(rows, 1000)) for rows in several]
        if not batch[0]:
            return
        yield from (list(rows) for rows in zip(*batch, strict=True))


def _sheet(export: Export, file: Any, stored_values: bool) -> Any:
    import openpyxl  # a fifth of a second: only where an Excel file is read

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        book = openpyxl.load_workbook(file, read_only=True, data_only=stored_values, keep_links=False)
    names = [s.title for s in book.worksheets]
    wish = export.source.sheet
    if wish is None:
        shown = [s for s in book.worksheets if s.sheet_state == "visible"] or book.worksheets
        if not shown:
            raise refused(export, "unknown_sheet", "has no sheet with cells", "a sheet with rows", "export it again")
        sheet = shown[0]
    elif wish in names:
        sheet = book[wish]
    else:
        raise refused(
            export,
            "unknown_sheet",
            f"has no sheet '{wish}'{did_you_mean(wish, names)}",
            listing(names),
            f"correct sources.{export.source_name}.sheet",
        )
    sheet.reset_dimensions()  # what the file says about its size is often wrong
    return sheet


def _check_zip(export: Export) -> bool:
    """Refuses what is no xlsx file or unpacks to too much, by its directory alone; whether a sheet holds a formula."""
    with export.file.open("rb") as f:
        if f.read(4) == _OLD:
            raise refused(
                export,
                "unreadable_file",
                "is an Excel file of the old kind (.xls), or protected by a password",
                ".xlsx or .xlsm without a password",
                "save it as .xlsx",
            )
    packed = export.file.stat().st_size
    with zipfile.ZipFile(export.file) as archive:
        members = archive.infolist()
        total = sum(m.file_size for m in members)  # zipfile never unpacks more of a member than this
        if total > MOST_UNPACKED or (total > HARMLESS and total > MOST_RATIO * packed):
            raise refused(
                export,
                "unpacks_too_far",
                f"unpacks to {total >> 20} MB from {packed} bytes",
                f"{HARMLESS >> 20} MB, or {MOST_RATIO} times its own size up to {MOST_UNPACKED >> 20} MB",
                "save it anew with only the rows and columns that are needed, or as CSV",
            )
        return any(_holds_formula(archive, m) for m in members if m.filename.startswith("xl/worksheets/"))


def _holds_formula(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bool:
    before = b""
    with archive.open(member) as f:
        while piece := f.read(1 << 20):
            if _FORMULA.search(before + piece):
                return True
            before = piece[-64:]
    return False
