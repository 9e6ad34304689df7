"""Text cut into blocks of whole records, in bounded memory.

A record ends with its line, unless a quoted field goes on over the line end. Lines are those of an editor: they end
with LF, CR LF or a lone CR. A quotation mark opens a field only at its start (anywhere else it is text), closes it,
and stands for itself when doubled inside; this is how Python's csv and pyarrow read them too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from plant.raw_rows import Malformed

LONGEST = 16 << 20  # bytes of a record; no export of a plant has one, so it is not held in memory but put aside
KEPT = 2000  # characters of a line that is put aside
_LF, _CR, _QUOTE = 10, 13, 34


@dataclass(frozen=True)
class Block:
    """Whole records: UTF-8, the line the block begins with, how many lines it has, lines that are no rows.

    starts: first line of each record that is not blank; None where every record is one line (blank ones included).
    quotes: places of the quotation marks that open and close fields, in turn; None where there is none.
    """

    data: bytes
    line: int
    lines: int
    starts: np.ndarray | None = None
    quotes: np.ndarray | None = None
    malformed: list[Malformed] = field(default_factory=list)

    def record_lines(self) -> np.ndarray:
        """First line of each record that is not blank."""
        if self.starts is not None:
            return self.starts
        ends = line_ends(self.data, True)
        return self.line + _not_blank(self.data, ends, np.arange(len(ends)))


def line_ends(text: bytes, final: bool) -> np.ndarray:
    """Places of the last byte of each line end; with `final`, also of the last byte of a line that ends without one.

    A CR at the very end is no line end yet unless `final`: LF may follow.
    """
    codes = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(codes == _LF)
    if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
        alone = np.flatnonzero(codes == _CR)
        if alone[-1] == len(codes) - 1 and not final:
            alone = alone[:-1]
        after = np.append(codes[1:], 0)[alone]
        ends = np.sort(np.concatenate([ends, alone[after != _LF]]))
    if final and len(text) and (not len(ends) or ends[-1] != len(text) - 1):
        ends = np.append(ends, len(text) - 1)
    return ends


def quote_places(text: bytes, delimiters: bytes, inside: bool = False, before: int = _LF) -> np.ndarray:
    """Places of the quotation marks that open and close fields, in turn.

    inside: whether a field is open at the start. before: the byte before it (34 only where that one closed a field).
    """
    codes = np.frombuffer(text, np.uint8)
    places = np.flatnonzero(codes == _QUOTE)
    if not len(places):
        return places
    left = codes[np.maximum(places, 1) - 1]
    if places[0] == 0:
        left[0] = before
    allowed = np.zeros(256, dtype=bool)
    allowed[list(delimiters + b'\r\n"')] = True
    starts_field = allowed[left]
    if starts_field[int(inside) :: 2].all():  # every second one opens: no stray marks
        return places
    kept, closed = [], 0 if before == _QUOTE and not inside else -1
    starts_field &= left != _QUOTE
    for place, start in zip(places.tolist(), starts_field.tolist(), strict=True):
        if inside:
            inside, closed = False, place + 1
        elif start or place == closed:
            inside = True
        else:
            continue
        kept.append(place)
    return np.array(kept, dtype=np.int64)


def _not_blank(text: bytes, ends: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """`lines` (of the records that end at `ends`) without those of records that are only a line end."""
    codes = np.frombuffer(text, np.uint8)
    begins = np.append(0, ends[:-1] + 1)
    length = ends - begins + 1
    one = (length == 1) & ((codes[ends] == _LF) | (codes[ends] == _CR))
    two = (length == 2) & (codes[begins] == _CR) & (codes[ends] == _LF)
    return lines[~(one | two)]


class _Endless:
    """A record that is too long to be held: its beginning is kept, the rest read over until it ends."""

    def __init__(self, text: bytes, line: int, delimiters: bytes):
        self.line, self.lines, self.delimiters = line, 0, delimiters
        self.text = text[: 4 * KEPT].decode("utf-8", "ignore")[:KEPT]
        self.inside, self.before, self.held, self.partial = False, _LF, b"", False

    def skip(self, text: bytes, final: bool) -> bytes | None:
        """What follows the record, or None while it goes on; `held` is what the next piece has to begin with."""
        ends, self.held = line_ends(text, final), b""
        if text.endswith(b"\r") and not final:
            text, self.held = text[:-1], b"\r"
        if not text:
            self.lines += int(final and self.partial)
            return None
        places = quote_places(text, self.delimiters, self.inside, self.before) if self.delimiters else ends[:0]
        outside = np.flatnonzero((np.searchsorted(places, ends, "right") + self.inside) % 2 == 0)
        if len(outside):
            self.lines += int(outside[0]) + 1
            return text[ends[outside[0]] + 1 :] + self.held
        self.lines += len(ends)
        self.inside = bool((len(places) + self.inside) % 2)
        self.partial = not len(ends) or int(ends[-1]) != len(text) - 1
        closed = not self.inside and len(places) and places[-1] == len(text) - 1
        self.before = text[-1] if closed or text[-1] != _QUOTE else 0
        return None

    def aside(self, reason: str) -> Malformed:
        return Malformed(self.line, self.text, reason)


def blocks(pieces: Iterable[bytes], delimiters: bytes, line: int = 1) -> Iterator[Block]:
    """Blocks of whole records; `delimiters` are the bytes that end a field, empty where quotes mean nothing.

    A quotation mark that is never closed takes in the rest of the text: one malformed row, as is a record longer
    than LONGEST.
    """
    rest, endless, quotes = b"", None, bool(delimiters)
    for piece in chain(pieces, (None,)):
        final = piece is None
        malformed: list[Malformed] = []
        if piece and endless is None and _plain(piece, quotes) and _plain(rest, quotes):
            cut = piece.rfind(b"\n") + 1
            if cut:  # the usual case, without another copy
                data = b"".join((rest, memoryview(piece)[:cut]))
                block = Block(data, line, data.count(b"\n"))
                rest, line = piece[cut:], line + block.lines
                yield block
                del data, block
                continue
        text = rest + piece if piece else rest
        if endless is not None:
            after = endless.skip(text, final)
            if after is None and not final:
                rest = endless.held
                continue
            malformed.append(endless.aside(_unclosed(endless) if after is None else _too_long()))
            line, text, endless = endless.line + endless.lines, after or b"", None
        block, cut = _block(text, delimiters, line, final, malformed)
        rest, line = text[cut:], line + block.lines
        if final and rest:
            endless = _Endless(rest, line, delimiters)
            endless.skip(rest, True)
            malformed.append(endless.aside(_unclosed(endless)))
        if block.data or malformed:
            yield block
        del block
        if not final and len(rest) > LONGEST:
            endless = _Endless(rest, line, delimiters)
            endless.skip(rest, False)
            rest = endless.held


def _plain(text: bytes, quotes: bool) -> bool:
    """Whether each line of the text is a record, and ends with LF or CR LF."""
    return not (quotes and b'"' in text) and (b"\r" not in text or text.count(b"\r") == text.count(b"\r\n"))


def _block(text: bytes, delimiters: bytes, line: int, final: bool, malformed: list[Malformed]) -> tuple[Block, int]:
    """The whole records that `text` begins with, and where they end."""
    if _plain(text, bool(delimiters)):
        cut = len(text) if final else text.rfind(b"\n") + 1
        data = text if cut == len(text) else text[:cut]
        lines = data.count(b"\n") + (1 if final and data and not data.endswith(b"\n") else 0)
        return Block(data, line, lines, malformed=malformed), cut
    ends = line_ends(text, final)
    places = quote_places(text, delimiters) if delimiters else ends[:0]
    closing = np.flatnonzero(np.searchsorted(places, ends, "right") % 2 == 0)
    if not len(closing):
        return Block(b"", line, 0, malformed=malformed), 0
    cut = int(ends[closing[-1]]) + 1
    lines = int(closing[-1]) + 1
    starts = None
    if len(closing) != lines:  # a quoted field goes over a line end
        starts = line + _not_blank(text, ends[closing], np.append(0, closing[:-1] + 1))
    inner = places[places < cut]
    return Block(text[:cut], line, lines, starts, inner if len(inner) else None, malformed), cut


def _unclosed(record: _Endless) -> str:
    if not record.inside:
        return _too_long()
    last = record.line + record.lines - 1
    return f"a quotation mark in this row is never closed, and takes in every line up to line {last}"


def _too_long() -> str:
    return f"the row is longer than {LONGEST >> 20} MB: a quotation mark is closed too late, or line breaks are missing"
