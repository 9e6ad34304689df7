"""JSON lines: one object a line. Numbers, text, true and false keep their meaning; a missing key is an empty cell."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from typing import Any

import numpy as np

from plant.forms import PSEUDO
from plant.raw_rows import Malformed, RawRows
from plant.read_bytes import utf8_pieces
from plant.read_cells import is_nested, table
from plant.read_files import refused
from plant.read_records import KEPT, Block, blocks, line_ends
from plant.sources import Export

_BLOCK = 4 << 20  # bytes of a stretch: as Python values they take ten times as much


_SPACED = re.compile(r'"\s+:')


class _Twice(ValueError):
    """A key that stands twice in one object."""


def header(export: Export) -> list[str]:
    """Keys of the rows at the beginning (4 MB), in the order in which they appear; those of `header` first.

    A key that is rarer than that has to be named in `header`. Raises SourceError.
    """
    names = dict.fromkeys(export.source.header)
    pieces = utf8_pieces(export, _BLOCK)
    seen = 0
    try:
        for block in blocks(pieces, b""):
            for _, row, _ in _rows(block):
                names.update(dict.fromkeys(row or ()))
            seen += len(block.data)
            if seen >= _BLOCK:
                break
    finally:
        pieces.close()
    if not names:
        raise refused(
            export,
            "empty_file",
            "holds no JSON object",
            'lines such as {"id": 7, "text": "belt torn"}',
            f"export it again, or name the keys in sources.{export.source_name}.header if it may be empty",
        )
    return list(names)


def read(export: Export, columns: set[str]) -> Generator[RawRows, None, None]:
    """The rows in stretches. Raises SourceError."""
    names = header(export) if "@content" in columns else sorted(columns - PSEUDO)
    names = names or header(export)[:1]
    pieces = utf8_pieces(export, _BLOCK)
    try:
        for block in blocks(pieces, b""):
            lines: list[int] = []
            rows: list[dict[str, Any]] = []
            malformed = list(block.malformed)
            for line, row, what in _rows(block):
                reason = what if row is None else _unfit(row, names)
                if row is None or reason:
                    text = block_line(block, line)
                    malformed.append(Malformed(line, text, reason))
                else:
                    lines.append(line)
                    rows.append(row)
            cells = ([row.get(n) for n in names] for row in rows)
            malformed.sort(key=lambda m: m.line)
            yield RawRows(
                export.label, table(names, cells, export.source, len(rows)), np.array(lines, dtype=np.int64), malformed
            )
    finally:
        pieces.close()


def block_line(block: Block, line: int) -> str:
    """The text of one line of a block, cut to what is kept."""
    ends = line_ends(block.data, True)
    begin = int(ends[line - block.line - 1]) + 1 if line > block.line else 0
    text = block.data[begin : int(ends[line - block.line]) + 1]
    return text[: 4 * KEPT].decode("utf-8", "replace").strip()[:KEPT]


def _rows(block: Block) -> Generator[tuple[int, dict[str, Any] | None, str], None, None]:
    """(line, the object or None, why it is none) of every line that is not blank."""
    begin = 0
    for i, end in enumerate(line_ends(block.data, True).tolist()):
        raw = block.data[begin : end + 1].strip()
        begin = end + 1
        if raw:
            row, what = _object(raw)
            yield block.line + i, row, what


def _object(raw: bytes) -> tuple[dict[str, Any] | None, str]:
    try:
        text = raw.decode("utf-8")
        value = json.loads(text)
        # Looking at each pair takes as long as the parsing: only where a key may stand twice. Without backslashes and
        # blanks before colons there are as many pairs as there are `":`.
        if isinstance(value, dict) and ("\\" in text or _SPACED.search(text) or text.count('":') != len(value)):
            json.loads(text, object_pairs_hook=_pairs)
    except _Twice as e:
        return None, f"the key '{str(e)[:80]}' stands twice in the object"
    except RecursionError:
        return None, "the line is nested too deeply"
    except ValueError as e:
        return None, f"the line is no JSON: {str(e)[:120]}"
    if not isinstance(value, dict):
        return None, f"the line holds {_kind(value)}, not an object"
    return value, ""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        names = [k for k, _ in pairs]
        raise _Twice(next(k for k in names if names.count(k) > 1))
    return out


def _unfit(row: dict[str, Any], names: list[str]) -> str:
    """Why the row is none for these columns; empty where it is one."""
    for name in names:
        value = row.get(name)
        if is_nested(value):
            return f"'{name}' holds {_kind(value)}; allowed: one number, text, true, false or null"
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                return f"'{name}' holds half a character (a lone surrogate)"
    return ""


def _kind(value: Any) -> str:
    words = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return words.get(type(value), "a number")
