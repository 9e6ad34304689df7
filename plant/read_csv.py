"""CSV and its relatives: every cell is text; a line with another number of fields than the header is malformed.

Read in blocks of whole records. A block without quotation marks is split by pyarrow as it is; one with them is cut
with care for quoted line breaks first.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Generator, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from plant import read_records
from plant.raw_rows import Malformed, RawRows
from plant.read_bytes import BOM, utf8_pieces
from plant.read_cells import marks, stripped
from plant.read_files import names_once, refused, unreadable, wanted
from plant.read_records import KEPT, Block, blocks, line_ends, quote_places
from plant.sources import WHITESPACE, Export

HEADER_AGAIN = "the header stands here once more"


def header(export: Export) -> list[str]:
    """Column names, from the first bytes of the file. Raises SourceError."""
    if export.source.header and export.source.header_line is None:
        return list(export.source.header)
    pieces = utf8_pieces(export)
    try:
        return _names(export, _head(export, pieces)[0])
    finally:
        pieces.close()


def read(export: Export, columns: set[str]) -> Generator[RawRows, None, None]:
    """The rows in blocks. Raises SourceError when the file as a whole is unreadable, at the latest at its end."""
    pieces = utf8_pieces(export)
    try:
        if export.source.header and export.source.header_line is None:
            line, names, repeated, rest = 1, list(export.source.header), b"", b""
        else:
            head, line, rest = _head(export, pieces)
            names, repeated = _names(export, head), head.rstrip(b"\r\n")
        for block in blocks(chain((rest,), pieces), _delimiters(export), line):
            yield _rows(export, block, names, wanted(columns, names), repeated)
    except (pa.ArrowException, csv.Error) as e:
        raise unreadable(export, e) from e
    finally:
        pieces.close()


def _delimiters(export: Export) -> bytes:
    return b" \t" if export.source.delimiter == WHITESPACE else export.source.delimiter.encode()


def _delimiter(export: Export) -> str:
    return "\t" if export.source.delimiter == WHITESPACE else export.source.delimiter


def _head(export: Export, pieces: Iterator[bytes]) -> tuple[bytes, int, bytes]:
    """The record that holds the names, the line after it, and what was read beyond it.

    Lines above `header_line` are skipped as they are; of blank ones below it the record is the first that is none.
    """
    above = (export.source.header_line or 1) - 1
    text, final = b"", False
    while True:
        ends = line_ends(text, final)
        begin = 0 if not above else int(ends[above - 1]) + 1 if len(ends) >= above else None
        if begin is not None:
            places = quote_places(text[begin:], _delimiters(export))
            record = begin
            for i in np.flatnonzero(np.searchsorted(places, ends[above:] - begin, "right") % 2 == 0):
                end = int(ends[above + i]) + 1
                if text[record:end].strip(b"\r\n"):
                    return text[record:end], above + int(i) + 2, text[end:]
                record = end
        if final:
            break
        if len(text) > read_records.LONGEST:
            raise refused(
                export,
                "bad_header",
                f"has no header: its first {len(text) >> 20} MB hold no line end outside quotation marks",
                "a header line",
                f"correct sources.{export.source_name}.encoding, delimiter or header_line, or export it again",
            )
        piece = next(pieces, None)
        text, final = text + (piece or b""), piece is None
    if not text.strip():
        raise refused(export, "empty_file", "is empty", "a header line and rows", "export it again")
    found = f"has {len(ends)} lines, and its header should be line {above + 1}"
    if begin is not None and record < len(text) and text[record:].strip(b"\r\n"):
        found = "has a header in which a quotation mark is never closed"
    raise refused(
        export, "bad_header", found, "a header line and rows", f"correct sources.{export.source_name}.header_line"
    )


def _names(export: Export, head: bytes) -> list[str]:
    text = head.decode("utf-8")
    if not text.replace("\t", "").replace("\r", "").replace("\n", "").isprintable():
        raise refused(
            export,
            "not_text",
            f"is not text in {export.source.encoding}: its first line holds control characters",
            f"a {export.source.format} file in the encoding that site.yaml names",
            "is it compressed (then its name has to end with .gz, .bz2, .xz or .zst), or in another encoding (UTF-16)?",
        )
    if export.source.delimiter == WHITESPACE:
        text = _tabbed(head).decode("utf-8")
    try:
        cells = next(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(export)), [])
    except csv.Error as e:
        raise unreadable(export, e) from e
    return given_names(export, cells)


def given_names(export: Export, cells: list[str]) -> list[str]:
    """Names of the columns: those of site.yaml, or the cells of the header; one without a name is `column 3`."""
    if export.source.header:
        return list(export.source.header)
    names = [" ".join(c.split()) if "\n" in c or "\r" in c else c.strip() for c in cells]
    if not any(names):
        raise refused(export, "empty_file", "has an empty header", "a header line and rows", "export it again")
    return names_once(export, [n or f"column {i}" for i, n in enumerate(names, 1)])


def _rows(export: Export, block: Block, names: list[str], columns: list[str], repeated: bytes) -> RawRows:
    """The rows of a block."""
    refused_rows: list[tuple[int, Malformed]] = []

    def note(row: pacsv.InvalidRow) -> str:
        reason = f"the line has {row.actual_columns} fields, the header {row.expected_columns}"
        refused_rows.append((row.number - 1, Malformed(0, row.text[:KEPT], reason)))
        return "skip"

    data = _tabbed(block.data) if export.source.delimiter == WHITESPACE else block.data
    if data.startswith(BOM):  # one in the middle of the file is text
        data = b"\n" + data
    missing = marks(export.source)
    parsed = pa.table({n: pa.array([], pa.string()) for n in columns})
    if data and not (data[0] in b"\r\n" and not data.strip(b"\r\n")):
        parsed = pacsv.read_csv(
            pa.py_buffer(data),
            # One thread: only then does the handler learn the number of the row it refuses.
            read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(data) + 1),
            parse_options=pacsv.ParseOptions(
                delimiter=_delimiter(export),
                quote_char='"' if block.quotes is not None else False,
                double_quote=True,
                escape_char=False,
                newlines_in_values=block.quotes is not None,
                invalid_row_handler=note,
            ),
            convert_options=pacsv.ConvertOptions(
                column_types={n: pa.string() for n in names},
                include_columns=columns,
                strings_can_be_null=True,
                null_values=missing,
            ),
        )
    count = parsed.num_rows + len(refused_rows)
    # Rows are counted without blank lines, and a quoted text may span several: back to lines as an editor shows them.
    plain = block.starts is None and count == block.lines
    lines = block.line + np.arange(count, dtype=np.int64) if plain else block.record_lines()
    if len(lines) != count:
        raise pa.ArrowInvalid(f"{len(lines)} rows from line {block.line} on were split into {count}")
    malformed = [*block.malformed, *(Malformed(int(lines[i]), m.text, m.reason) for i, m in refused_rows)]
    if refused_rows:
        lines = np.delete(lines, [i for i, _ in refused_rows])
    table = pa.table({n: stripped(parsed[n], missing, looked_up=True) for n in parsed.column_names})
    again = _header_again(block.data, table, repeated)
    if len(again):
        malformed += [Malformed(int(lines[i]), repeated.decode("utf-8")[:KEPT], HEADER_AGAIN) for i in again]
        keep = np.ones(len(lines), dtype=bool)
        keep[again] = False
        table, lines = table.filter(pa.array(keep)), lines[keep]
    return RawRows(export.label, table, lines, sorted(malformed, key=lambda m: m.line))


def _header_again(data: bytes, table: pa.Table, repeated: bytes) -> np.ndarray:
    """Rows that repeat the header, as in files that were put together."""
    alike = np.arange(table.num_rows if repeated else 0)
    for exactly in (False, True):  # first by the length of the cells, which costs next to nothing
        for name in table.column_names:
            if not len(alike):
                return alike
            cells = table[name] if len(alike) == table.num_rows else table[name].take(alike)
            same = pc.equal(cells, name) if exactly else pc.equal(pc.binary_length(cells), len(name.encode()))
            alike = alike[np.asarray(pc.fill_null(same, False))]
    return alike if repeated in data else alike[:0]


def _tabbed(text: bytes) -> bytes:
    """Text with each run of blanks outside quotation marks as one tab, and none at the ends of lines."""
    codes = np.frombuffer(text, np.uint8)
    blank = (codes == 32) | (codes == 9)
    places = quote_places(text, b" \t")
    if len(places):
        turns = np.zeros(len(codes), dtype=np.int8)
        turns[places[0::2]] = 1
        turns[places[1::2]] = -1
        blank &= np.cumsum(turns, dtype=np.int8) == 0
    begins = np.flatnonzero(blank & ~np.append(False, blank[:-1]))
    ends = np.flatnonzero(blank & ~np.append(blank[1:], False))
    left = np.append(codes, 10)[begins - 1]  # -1: before the text, where a line begins too
    right = np.append(codes, 10)[ends + 1]
    inner = ~np.isin(left, (10, 13)) & ~np.isin(right, (10, 13))
    keep = ~blank
    keep[begins[inner]] = True
    out = codes.copy()
    out[begins[inner]] = 9
    return out[keep].tobytes()
