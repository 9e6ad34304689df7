"""Where the exports of a source lie: below the data folder, never outside; and how a reader refuses one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from plant.errors import SourceError, did_you_mean, listing
from plant.sources import Export, Source, leaves_folder

DELTA_LOG = "_delta_log"


def find_files(name: str, source: Source, data: Path) -> list[Path]:
    """Files of a source (folders of Delta tables) in name order.

    Raises SourceError when there are none and the source is not optional, or when a path leaves the data folder.
    """
    check_folder(data)
    inside(name, source.path, data)
    try:
        matches = sorted(data.glob(source.path))
    except (ValueError, NotImplementedError, OSError) as e:
        raise SourceError(
            "bad_path",
            f"source '{name}': path '{source.path}' is no pattern: {e}",
            "a path such as cmms/orders_*.csv",
            f"correct sources.{name}.path in site.yaml",
        ) from e
    below_data(name, matches, data)
    found = [p for p in matches if ((p / DELTA_LOG).is_dir() if source.format == "delta" else p.is_file())]
    if not found and not source.optional:
        raise missing_file(name, source, source.path, data)
    return found


def check_folder(data: Path) -> None:
    """Raises SourceError when there is no such data folder, or none that can be read."""
    if data.is_file():
        raise SourceError(
            "missing_data",
            f"{data} is a file",
            "a folder that holds the site's exports",
            f"give the folder that it lies in: --data {data.parent}",
        )
    if not data.is_dir():
        raise SourceError(
            "missing_data",
            f"the data folder {data} does not exist",
            "a folder that holds the site's exports",
            "give it with --data DIR",
        )
    try:
        os.stat(os.path.join(data, "."))  # a Path would leave the dot out
        with os.scandir(data):
            pass
    except OSError as e:
        raise SourceError(
            "no_access",
            f"the data folder {data} cannot be read: {e.strerror or e}",
            "a folder that the account that runs Steadyline may list and enter",
            f"give that account the rights: chmod u+rx {data}",
        ) from e


def inside(name: str, path: str, data: Path) -> Path:
    """`data / path`; raises SourceError when the words of the path already lead out of the data folder."""
    if leaves_folder(path):
        raise SourceError(
            "path_outside",
            f"source '{name}': path '{path}' leaves the data folder",
            "a path below the data folder",
            "put the export below the folder given with --data",
        )
    return data / path


def below_data(name: str, paths: Iterable[Path], data: Path) -> None:
    """Raises SourceError when one of the paths leads out of the data folder through a link."""
    root = data.resolve()
    for path in paths:
        try:
            there = path.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # a link that leads to itself
            there = False
        if not there:
            raise SourceError(
                "path_outside",
                f"source '{name}': {path.name} is a link that leaves the data folder",
                "files below the data folder",
                "put the export itself below the folder given with --data",
            )


def missing_file(name: str, source: Source, path: str, data: Path) -> SourceError:
    what = "Delta table" if source.format == "delta" else "file"
    if source.format == "delta":
        there = sorted(str(p.parent.relative_to(data)) for p in data.rglob(DELTA_LOG))
    else:
        there = sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file())
    return SourceError(
        "missing_file",
        f"source '{name}' ({source.system}): no {what} matches '{path}' below {data}{did_you_mean(path, there)}",
        f"{what}s there: {listing(there)}" if there else f"there is no {what} in the folder",
        f"put the export there, correct sources.{name}.path in site.yaml, or mark the source as `optional: true`",
    )


def sha256(export: Export) -> str:
    """SHA-256 of a file's content. Raises SourceError when it cannot be read."""
    try:
        with export.file.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise unreadable(export, e) from e


def refused(export: Export, code: str, found: str, allowed: str, hint: str) -> SourceError:
    """A SourceError that names source and export."""
    return SourceError(code, f"source '{export.source_name}': {export.name} {found}", allowed, hint)


def unreadable(export: Export, e: BaseException) -> SourceError:
    """The export as a whole cannot be read in its format."""
    name, source = export.source_name, export.source
    text = (str(e).splitlines() or [type(e).__name__])[0][:300]
    if isinstance(e, UnicodeError):
        hint = f"correct sources.{name}.encoding (now {source.encoding})"
    elif isinstance(e, PermissionError):
        hint = "let the account that runs Steadyline read it"
    else:
        hint = f"export it again, or correct sources.{name}.format (now {source.format})"
    kind = f"a whole {source.format} file"
    allowed = f"{kind} in the encoding that site.yaml names" if source.format in ("csv", "jsonl") else kind
    return refused(export, "unreadable_file", f"cannot be read as {source.format}: {text}", allowed, hint)


def names_once(export: Export, names: list[str], hint: str = "export each name once") -> list[str]:
    """The names, when each stands once; raises SourceError otherwise."""
    twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) != len(names) else []
    if twice:
        raise refused(export, "bad_header", f"names these columns twice: {listing(twice)}", "each name once", hint)
    return names


def wanted(columns: set[str], names: list[str]) -> list[str]:
    """Columns to read, in the order of the export: those asked for; all for `@content`; at least one, which counts."""
    if "@content" in columns:
        return names
    return [n for n in names if n in columns] or names[:1]
