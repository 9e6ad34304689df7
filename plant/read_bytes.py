"""The bytes of a text export, a piece at a time: unpacked where the file is compressed, and as UTF-8.

Nothing is ever unpacked as a whole. A piece may end anywhere, in the middle of a character too: only line ends cut.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from plant.read_files import refused, unreadable
from plant.sources import Export

BLOCK = 16 << 20  # bytes of a piece: a third faster than twice as much, which the allocator gives back each time
_HEAD = 64 << 10  # bytes of the first piece: enough for the header, so that asking for it costs nothing
_SLICE = 1 << 20  # bytes decoded at once: stays in the processor's cache, whatever the width of a character
# Logs and historian exports shrink to a tenth, the most monotonous ones to a hundredth of their size. What unpacks to
# more than 250 times its size is no export of a plant but a bomb; small files are let through, they can do no harm.
MOST_RATIO, HARMLESS = 250, 256 << 20
_XZ_MEMORY = 256 << 20  # bytes; `xz -9` needs 65 MB to unpack, a hostile file may name any number
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
BOM = b"\xef\xbb\xbf"


class _Unxz(io.RawIOBase):
    """An .xz (or .lzma) file, like lzma.LZMAFile, but with a limit on the memory that the file asks for."""

    def __init__(self, path: Path):
        self._file, self._unpack = path.open("rb"), _unpacker()

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while True:
            packed = b""
            if self._unpack.eof:  # another stream may follow, zeros between them
                packed = self._unpack.unused_data.lstrip(b"\0")
                while not packed:
                    more = self._file.read(_HEAD)
                    if not more:
                        return 0
                    packed = more.lstrip(b"\0")
                self._unpack = _unpacker()
            elif self._unpack.needs_input:
                packed = self._file.read(_HEAD)
                if not packed:
                    raise EOFError("the compressed data end before their end mark")
            out = self._unpack.decompress(packed, len(buffer))
            if out:
                buffer[: len(out)] = out
                return len(out)


def _unpacker() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


def _open(export: Export) -> IO[bytes]:
    path = export.file
    match path.suffix.lower():
        case ".gz":
            return gzip.open(path, "rb")  # type: ignore[return-value]
        case ".bz2":
            return bz2.open(path, "rb")
        case ".xz":
            return io.BufferedReader(_Unxz(path), _HEAD)
        case ".zst":
            return pa.input_stream(str(path), compression="zstd")
    return path.open("rb", buffering=0)


def _pieces(export: Export, block: int) -> Iterator[bytes]:
    packed = export.file.stat().st_size if export.file.suffix.lower() in COMPRESSED else None
    with _open(export) as f:
        total, size = 0, min(_HEAD, block)
        while piece := f.read(size):
            total, size = total + len(piece), block
            if packed is not None and total > HARMLESS and total > MOST_RATIO * packed:
                raise refused(
                    export,
                    "unpacks_too_far",
                    f"unpacks to more than {total >> 20} MB from {packed} bytes",
                    f"{HARMLESS >> 20} MB, or {MOST_RATIO} times the size of the compressed file",
                    "unpack it yourself and look at it; if it is an export, connect the unpacked file",
                )
            yield piece


def utf8_pieces(export: Export, most: int = BLOCK) -> Generator[bytes, None, None]:
    """The text of a file as UTF-8 without its byte order mark, in pieces of BLOCK bytes (at most `most`).

    Raises SourceError when the file is truncated, is not in the source's encoding, or unpacks to too much.
    """
    try:
        yield from _decoded(export, min(most, BLOCK))
    except EOFError as e:
        raise refused(
            export,
            "truncated_file",
            f"is cut off: {str(e)[:1].lower()}{str(e)[1:]}",
            "a whole compressed file",
            "copy or export it again",
        ) from e
    except (UnicodeError, OSError, zlib.error, lzma.LZMAError, pa.ArrowException) as e:
        raise unreadable(export, e) from e


def _decoded(export: Export, block: int) -> Iterator[bytes]:
    encoding = codecs.lookup(export.source.encoding).name
    decoder = codecs.getincrementaldecoder("utf-8" if encoding == "utf-8-sig" else encoding)()
    utf8, ascii_inside = encoding in ("utf-8", "utf-8-sig"), _has_ascii(encoding)
    seen, pending, first = 0, False, b""  # first: what may be the beginning of a byte order mark
    begun = False
    for piece in _pieces(export, block):
        plain = ascii_inside and not pending and piece.isascii()
        parts = [piece] if plain else []
        seen += len(piece) if plain else 0
        for at in range(0, 0 if plain else len(piece), _SLICE):
            part = piece if len(piece) <= _SLICE else piece[at : at + _SLICE]
            if ascii_inside and not pending and part.isascii():
                parts.append(part)
            else:
                text = _decode(decoder, part, seen, export.source.encoding)
                parts.append(part if utf8 else text.encode("utf-8"))
                pending = bool(decoder.getstate()[0])
            seen += len(part)
        whole = parts[0] if len(parts) == 1 else b"".join(parts)
        if not begun:
            first += whole
            if len(first) < len(BOM) and BOM.startswith(first):
                continue
            whole, begun = first.removeprefix(BOM), True
        if whole:
            yield whole
    if not begun and first:
        yield first
    _decode(decoder, b"", seen, export.source.encoding, final=True)


def _decode(decoder: codecs.IncrementalDecoder, part: bytes, seen: int, encoding: str, final: bool = False) -> str:
    """Raises UnicodeError that names the place in the whole file."""
    try:
        return decoder.decode(part, final)
    except UnicodeDecodeError as e:
        byte = e.object[e.start : e.start + 1].hex()
        raise UnicodeError(f"byte 0x{byte} near position {seen + e.start} is no {encoding}: {e.reason}") from e


def _has_ascii(encoding: str) -> bool:
    """Whether the first 128 bytes are ASCII in that encoding, each by itself."""
    plain = bytes(range(128))
    try:
        return plain.decode(encoding) == plain.decode("ascii")
    except UnicodeError:
        return False
