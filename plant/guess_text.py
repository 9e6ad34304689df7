"""What an unknown text file is made of: compression, encoding, delimiter, header, from a bounded sample of it."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from plant.errors import listing
from plant.guess_cells import Sure, Verdict, like_number
from plant.guess_times import like_time
from plant.guess_words import WORDS, fold

_HEAD, _PIECE = 1 << 18, 1 << 16  # bytes looked at: the beginning, and a piece of the middle and of the end
_ROWS, _PIECE_ROWS = 1000, 300
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
_DELIMITERS = (",", ";", "\t", "|", "^", "~")
_MOST_JUNK = 40  # lines above the header


@dataclass(frozen=True)
class Sample:
    """Bytes of a file: its beginning and, where it is larger and not compressed, pieces of the middle and the end."""

    head: bytes
    pieces: tuple[bytes, ...]
    size: int
    whole: bool
    compression: str


@dataclass(frozen=True)
class TextTable:
    """Rows of the sample. columns[i][j]: cell of row j, stripped; unfit: (line or 0, number of fields) of odd lines."""

    names: list[str]
    columns: list[list[str]]
    encoding: Verdict
    delimiter: Verdict
    header: Verdict  # names to be given where the file has none; else []
    header_line: Verdict
    unfit: list[tuple[int, int]]
    rows: int
    whole: bool


def take_sample(path: Path) -> Sample:
    """The bounded sample. Raises OSError where the file cannot be read, EOFError and the like where it is damaged."""
    size = path.stat().st_size
    with path.open("rb") as f:
        start = f.read(6)
        kind = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")
        f.seek(0)
        if kind:
            head = _unpacked(path, kind)
            return Sample(head, (), size, len(head) < _HEAD, kind)
        head = f.read(_HEAD)
        if size <= _HEAD:
            return Sample(head, (), size, True, "")
        pieces = []
        for at in (max(_HEAD, size // 2), max(_HEAD, size - _PIECE)):
            f.seek(at - at % 2)  # a character of UTF-16 starts at an even byte
            pieces.append(f.read(_PIECE))
    return Sample(head, tuple(pieces), size, False, "")


def _unpacked(path: Path, kind: str) -> bytes:
    """The beginning of a compressed file; what can be read of a damaged one."""
    out = io.BytesIO()
    opened: dict[str, Callable[[str], Any]] = {
        "gzip": gzip.open, "bz2": bz2.open, "xz": lzma.open, "zstd": lambda p: pa.input_stream(p, compression="zstd"),
    }  # fmt: skip
    try:
        with opened[kind](str(path)) as f:
            while out.tell() < _HEAD and (block := f.read(min(_PIECE, _HEAD - out.tell()))):
                out.write(block)
    except (EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, OSError):
        pass
    return out.getvalue()


def guess_encoding(sample: Sample) -> Verdict:
    """The encoding under which the bytes read as text; value None where they are no text."""
    head = sample.head
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    ):  # fmt: skip
        if head.startswith(mark):
            return Verdict(name, "the file begins with a byte order mark")
    if head[:4000].count(0) > 0.2 * len(head[:4000]):
        odd, even = head[1:4000:2].count(0), head[:4000:2].count(0)
        name = "utf-16-le" if odd > even else "utf-16-be"
        text = head[: len(head) // 2 * 2].decode(name, errors="replace")
        if _is_text(text):
            return Verdict(name, "every second byte is zero", "likely")
        return Verdict(None, "the file holds zero bytes: it is no text")
    if head.count(0) or not _is_text(head.decode("latin-1")):
        return Verdict(None, "the file holds control characters: it is no text")
    blocks = [_whole_lines(head, not sample.whole, False), *(_whole_lines(p, True, True) for p in sample.pieces)]
    high = b"".join(re.findall(rb"[\x80-\xff]", b"".join(blocks)))
    if not high:
        return Verdict("utf-8", "plain ASCII in the sample: any encoding fits", "likely")
    try:
        for block in blocks:
            block.decode("utf-8")
    except UnicodeDecodeError:
        return _eight_bits(blocks, high)
    return Verdict("utf-8", f"{len(high):,} bytes beyond ASCII, all of them valid UTF-8")


def _is_text(text: str) -> bool:
    odd = sum(1 for c in text if ord(c) < 32 and c not in "\t\r\n\f\x1a")
    return odd <= 0.001 * len(text)


def _whole_lines(block: bytes, cut_end: bool, cut_start: bool) -> bytes:
    if cut_start:
        block = block.partition(b"\n")[2]
    return block.rpartition(b"\n")[0] if cut_end and b"\n" in block else block


# Letters of German, French, Italian and Spanish, and those of Slovene, Croatian, Polish, Czech and Hungarian.
_WEST = set("äöüßÄÖÜéèàùçêâîôûëïñóíáúÉÀÊÇœåÅøæ°µ²³€–±§’„“")
_EAST = set("äöüßÄÖÜšžčćđŠŽČĆĐłŁąęśźżńóáéíýěřůťďňőűŚŻĄĘ°µ€–±§’„“")
_DOS = set("äöüßÄÖÜéèàçêâø°µ²")


def _eight_bits(blocks: list[bytes], high: bytes) -> Verdict:
    """One of the old one-byte encodings: the one that makes words of the bytes."""
    scores = {name: _reads(blocks, name, known) for name, known in
              (("cp1252", _WEST), ("cp1250", _EAST), ("cp850", _DOS))}  # fmt: skip
    best = max(scores, key=lambda name: scores[name])
    again = {n: b"".join(blocks).decode(n, errors="replace") for n in scores}
    shown = listing(_odd_words(again[best]), 3)
    equal = [n for n, s in scores.items() if n != best and s >= scores[best] - 0.02]
    if equal and listing(_odd_words(again[equal[0]]), 3) == shown:
        return Verdict(best, f"not UTF-8; reads as {shown} ({' and '.join(equal)} reads the same)", "likely")
    if equal:
        doubt = f"{best} reads {shown}, {equal[0]} reads {listing(_odd_words(again[equal[0]]), 3)}"
        return Verdict(best, f"not UTF-8; {doubt}", "unsure", doubt)
    return Verdict(best, f"not UTF-8; {len(high):,} bytes beyond ASCII read as {shown}", "likely")


def _odd_words(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\w*[^\x00-\x7f]\w*", text)))[:3]


def _reads(blocks: list[bytes], encoding: str, known: set[str]) -> float:
    """How well the characters beyond ASCII fit where they stand, from 0 to 1, and more where words are known."""
    good = total = 0.0
    for block in blocks:
        text = block.decode(encoding, errors="replace")
        for m in re.finditer(r"[^\x00-\x7f]", text):
            char, before, after = m.group(), text[m.start() - 1 : m.start()], text[m.end() : m.end() + 1]
            total += 1
            if char not in known:
                continue
            inside = before.isalpha() and after.isalpha()
            if char.isalpha() and char.isupper() and before.isalpha() and before.islower():
                good += 0.2  # a capital after a small letter
            elif not char.isalpha() and inside:
                good += 0.0  # a sign in the middle of a word
            elif char in "èÈæêù" and not before.isalpha() and after.isalpha():
                good += 0.5  # few words of the West begin so; many Slavic ones begin with č
            else:
                good += 1.0
        words = {fold(w) for w in _odd_words(text)} if total else set()
        good += 0.5 * len(words & WORDS) if encoding != "cp850" else 0.0
    if encoding == "cp1250" and any(c in "šžŠŽ" for b in blocks for c in b.decode(encoding, errors="replace")):
        good += 0.05 * total  # cp1252 has š and ž too, but its languages do not
    return good / total if total else 0.0


def _lines(sample: Sample, encoding: str) -> tuple[list[str], list[list[str]]]:
    """Lines of the beginning and of each piece, only whole ones."""
    plain = {"utf-16": "utf-16-le" if sample.head.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"}
    text = sample.head.decode(encoding, errors="replace")
    head = text.splitlines(keepends=True) if "\r" not in text.replace("\r\n", "") else io.StringIO(text).readlines()
    pieces = [p.decode(plain.get(encoding, encoding), errors="replace").splitlines(True)[1:-1] for p in sample.pieces]
    return head if sample.whole else head[:-1], pieces


def _records(lines: Sequence[str], delimiter: str, most: int) -> list[tuple[int, list[str]]]:
    """(line, cells) of at most `most` records that are not blank."""
    if delimiter == "whitespace":
        return [(i, line.split()) for i, line in enumerate(lines[:most], 1) if line.strip()]
    reader = csv.reader(iter(lines), delimiter=delimiter)
    out: list[tuple[int, list[str]]] = []
    at = 0
    while len(out) < most:
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error:  # a huge field, a zero byte
            at = reader.line_num
            continue
        if any(cell.strip() for cell in row):
            out.append((at + 1, [cell.strip() for cell in row]))
        at = reader.line_num
    return out


def _clean(cell: str, delimiter: str) -> bool:
    others = [d for d in _DELIMITERS if d != delimiter]
    return not any(d in cell for d in others) or like_number(cell) or like_time(cell)


def guess_delimiter(lines: Sequence[str]) -> Verdict:
    """The character that cuts most lines into equally many plain cells; `whitespace` for any run of blanks."""
    tried: dict[str, tuple[float, int, float]] = {}
    for delimiter in (*_DELIMITERS, "whitespace"):
        records = [row for _, row in _records(lines, delimiter, 240)]
        counts = Counter(len(row) for row in records)
        width, hits = max(((w, n) for w, n in counts.items() if w > 1), key=lambda p: p[1], default=(1, 0))
        if width == 1:
            continue
        rows = [row for row in records if len(row) == width][:80]
        cells = [cell for row in rows for cell in row if cell]
        clean = sum(_clean(c, delimiter) for c in cells) / len(cells) if cells else 0.5
        share = hits / len(records)
        tried[delimiter] = (share * (0.3 + 0.7 * clean) * (0.9 if delimiter == "whitespace" else 1.0), width, share)
    best = max(tried, key=lambda d: tried[d][0], default="")
    if not best or tried[best][0] < 0.45:
        lone = [line.strip() for line in lines[:240] if line.strip()]
        if lone and sum(" " not in line for line in lone) >= 0.9 * len(lone):
            return Verdict(",", "one cell a line: nothing parts the lines", "likely")
        return Verdict(None, "no character parts the lines into equally many cells", "unsure")
    _, width, share = tried[best]
    close = [d for d in tried if d != best and tried[d][0] > 0.9 * tried[best][0]]
    doubt = f"{listing(map(repr, close))} parts the lines as well" if close else ""
    sure: Sure = "unsure" if close else "sure" if share > 0.9 else "likely"
    return Verdict(best, f"{share:.0%} of the lines have {width} cells", sure, doubt)


def _header_vote(first: list[str], rows: list[list[str]]) -> float:
    """Above 0 where the first row names what stands below it, below 0 where it is a row like the others."""
    vote = 0.0
    for i, name in enumerate(first):
        below = [row[i] for row in rows if row[i]]
        number = like_number(name) or like_time(name)
        if not name:
            vote -= 0.5
        elif number:
            vote -= 2.0
        elif fold(name) in WORDS:
            vote += 1.5
        elif below and sum(like_number(c) or like_time(c) for c in below) > 0.8 * len(below):
            vote += 2.0
        elif name in below:
            vote -= 1.5
        elif below:
            shapes = {re.sub(r"\d", "0", c) for c in below}
            vote += -0.5 if re.sub(r"\d", "0", name) in shapes else 0.3 if len(set(map(len, below))) == 1 else 0.1
    return vote if len(set(first)) == len(first) else vote - 2.0


def _find_header(records: list[tuple[int, list[str]]], width: int) -> tuple[int, list[str], Verdict, Verdict]:
    """(first data record, names, header given, header line)."""
    for at, (line, row) in enumerate(records[:_MOST_JUNK]):
        if len(row) != width or sum(map(bool, row)) <= 0.5 * width:
            continue
        below = [r for _, r in records[at + 1 : at + 121] if len(r) == width]
        vote = _header_vote(row, below)
        if vote > 0 or (vote == 0 and not any(map(like_number, row))):
            sure: Sure = "sure" if vote >= 1 else "unsure"
            why = f"line {line} holds names" + ("" if vote >= 1 else ": its words do not stand again below")
            above = f"; {at} line(s) above it are no rows" if at else ""
            doubt = "" if vote >= 1 else f"is line {line} a header? it reads {listing(row, 4)}"
            return at + 1, row, Verdict([], why, sure), Verdict(line, why + above, sure, doubt)
        names = [f"column_{i}" for i in range(1, width + 1)]
        why = f"line {line} is a row like the others: the file names no columns"
        # Lines above would be put aside as broken ones.
        return at, names, Verdict(names, why, "likely" if vote < -1 else "unsure"), Verdict(1, why, "likely")
    names = [f"column_{i}" for i in range(1, width + 1)]
    return 0, names, Verdict(names, "no line holds names", "unsure"), Verdict(1, "", "unsure")


def read_text(sample: Sample) -> TextTable | str:
    """The sample as a table, or in words why it is none."""
    encoding = guess_encoding(sample)
    if encoding.value is None:
        return encoding.why
    head, pieces = _lines(sample, encoding.value)
    head = [head[0].lstrip("\ufeff"), *head[1:]] if head else []
    if not any(line.strip() for line in head):
        return "the file is empty" if sample.whole else "its first line does not end"
    delimiter = guess_delimiter(head)
    if delimiter.value is None:
        return delimiter.why
    records = _records(head, delimiter.value, _ROWS)
    if not records:
        return "no line can be read"
    width = Counter(len(row) for _, row in records[:240]).most_common(1)[0][0]
    start, names, header, header_line = _find_header(records, width)
    body = records[start:]
    more = [(0, row) for piece in pieces for _, row in _records(piece, delimiter.value, _PIECE_ROWS)]
    rows = [row for _, row in (*body, *more) if len(row) == width]
    unfit = [(line, len(row)) for line, row in (*body, *more) if len(row) != width]
    whole = sample.whole and len(records) < _ROWS
    size = len(sample.head) if sample.compression else sample.size
    length = sum(map(len, head)) / len(head)
    total = len(body) if whole else max(len(body), int(size / max(length, 1.0)))
    columns = [[row[i] for row in rows] for i in range(width)]
    return TextTable(names, columns, encoding, delimiter, header, header_line, unfit, total, whole)
