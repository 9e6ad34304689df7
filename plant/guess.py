"""Guessing what strange exports are: format, delimiter, encoding, marks, header, and what each column holds.

`guess(paths)` looks at files and folders and gives one `Guess` for each source: a file, or several files of one shape
under a pattern. Only a bounded sample of each file is read. Every guess says why and how sure it is; what only a person
can decide is its `doubt`. Nothing here knows the canonical tables: that is `plant.starter`.
"""

from __future__ import annotations

import fnmatch
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from plant.errors import SourceError, listing
from plant.guess_cells import Sure, Verdict, fit_number, missing_marks, number_marks
from plant.guess_files import Peek, peek
from plant.guess_times import Times, clock_only, times_of

Kind = Literal["time", "clock", "number", "bool", "code", "id", "text", "empty"]
_MOST_WORDS, _LOOKED_AT, _MOST_FILES = 400, 5, 5000


@dataclass(frozen=True)
class ColumnGuess:
    """What a column holds. words: its words and how often each stood in the sample, where they may be codes.

    cells, filled, distinct and unfit are counted in the sample; unfit: filled cells that do not fit the kind.
    """

    name: str
    kind: Kind
    why: str
    sure: Sure
    cells: int
    filled: int
    distinct: int
    unfit: int = 0
    whole: bool = False
    typed: bool = False
    zoned: bool = False
    times: Times | None = None
    clock: str = ""
    words: dict[str, int] = field(default_factory=dict)

    @property
    def doubt(self) -> str:
        return self.times.doubt if self.times else ""

    def as_dict(self) -> dict[str, Any]:
        out: dict[str, Any] = {"name": self.name, "kind": self.kind, "why": self.why, "sure": self.sure}
        if self.times and self.times.formats:
            out["format"] = list(self.times.formats)
        return out | ({"doubt": self.doubt} if self.doubt else {})


@dataclass(frozen=True)
class Guess:
    """One source. path: file or pattern below the root; keys: what site.yaml needs beside path and format.

    verdicts: the guesses about the file as a whole, by name; rows: how many there are about (exact where `whole`).
    """

    name: str
    path: str
    files: tuple[Path, ...]
    format: str
    keys: dict[str, Any]
    verdicts: dict[str, Verdict]
    columns: tuple[ColumnGuess, ...]
    rows: int
    whole: bool
    unfit: tuple[tuple[int, int], ...] = ()
    label: str = ""

    @property
    def shape(self) -> str:
        """`wide`: one time column, mostly number columns; `long`: few columns, one of them a number; else `table`."""
        times = [c for c in self.columns if c.kind == "time"]
        numbers = [c for c in self.columns if c.kind == "number"]
        if len(times) == 1 and len(numbers) >= 2 and len(numbers) >= 0.5 * (len(self.columns) - 1):
            return "wide"
        return "long" if len(times) == 1 and len(numbers) == 1 and len(self.columns) <= 5 else "table"

    @property
    def doubts(self) -> list[str]:
        """What a person has to decide."""
        found = [f"{what}: {v.doubt}" for what, v in self.verdicts.items() if v.doubt]
        return found + [f"column {c.name}: {c.doubt}" for c in self.columns if c.doubt]

    def as_dict(self) -> dict[str, Any]:
        verdicts = {
            what: {"value": v.value, "why": v.why, "sure": v.sure, **({"doubt": v.doubt} if v.doubt else {})}
            for what, v in self.verdicts.items()
        }
        return {
            "source": self.name, "path": self.path, "files": len(self.files), "format": self.format,
            "keys": self.keys, "rows": self.rows, "rows_exact": self.whole, "shape": self.shape,
            "guessed": verdicts, "columns": [c.as_dict() for c in self.columns], "doubts": self.doubts,
        }  # fmt: skip


@dataclass(frozen=True)
class Guesses:
    """root: the folder that the paths are below (the data folder); left_out: file -> why it is no source."""

    root: Path
    sources: tuple[Guess, ...]
    left_out: dict[str, str]


def guess(paths: Sequence[Path]) -> Guesses:
    """The sources in files and folders (read with what lies below). Raises SourceError when a path does not exist."""
    for path in paths:
        if not path.exists():
            raise SourceError("missing_file", f"{path} does not exist", "files, or folders of exports")
    if not paths:
        raise SourceError("missing_file", "no file was named", "files, or folders of exports")
    files: list[Path] = []
    for path in paths:
        files += [p for p in _walk(path.resolve()) if p not in files]
    if not files:
        raise SourceError("missing_file", f"{listing(paths)}: there is no file", "a folder that holds exports")
    if len(files) > _MOST_FILES:
        raise SourceError(
            "too_many_files",
            f"{listing(paths)}: {len(files):,} files",
            f"at most {_MOST_FILES:,}",
            "name the folder or the files of one system",
        )
    root = _root([p.resolve() for p in paths])
    peeks: dict[tuple[Path, str, str], list[tuple[Path, list[Peek]]]] = {}
    left_out: dict[str, str] = {}
    for (folder, key), several in _families(files).items():
        looked = several if len(several) <= _LOOKED_AT else _spread(several)
        found = {path: peek(path, root) for path in looked}
        for path in several:
            seen = found.get(path) or next(iter(found.values()))  # of one family: as those that were looked at
            if isinstance(seen, str):
                left_out[path.relative_to(root).as_posix()] = seen
                continue
            shape = repr([(p.format, p.label, p.names, p.keys.get("delimiter")) for p in seen])
            peeks.setdefault((folder, key, shape), []).append((path, seen if path in found else []))
    sources: list[Guess] = []
    for (_, key, _), family in peeks.items():
        here = [path for path, _ in family]
        looked_into = [one for _, one in family if one]
        pattern = _pattern(here, key, files, root)
        for number in range(len(looked_into[0])):
            sources.append(_source(pattern, here, [s[number] for s in looked_into], sources))
    return Guesses(root, tuple(_one_encoding(sources)), left_out)


def guess_file(path: Path) -> Guess:
    """The (first) source in one file. Raises SourceError where it holds no table."""
    found = guess([path])
    if not found.sources:
        raise SourceError("not_a_table", f"{path.name}: {next(iter(found.left_out.values()), 'nothing in it')}")
    return found.sources[0]


def _walk(path: Path) -> list[Path]:
    """Files, and Delta tables as folders, below a path; hidden ones and links that lead elsewhere are left out."""
    if path.is_file() or (path / "_delta_log").is_dir():
        return [path]
    out: list[Path] = []
    for below in sorted(path.iterdir()) if path.is_dir() else []:
        if not below.name.startswith(".") and not below.is_symlink():
            out += _walk(below)
    return out


def _root(paths: list[Path]) -> Path:
    folders = [p if p.is_dir() and not (p / "_delta_log").is_dir() else p.parent for p in paths]
    root = folders[0]
    while not all(f.is_relative_to(root) for f in folders):
        root = root.parent
    return root


def _families(files: list[Path]) -> dict[tuple[Path, str], list[Path]]:
    """Files of a folder whose names differ in numbers only."""
    out: dict[tuple[Path, str], list[Path]] = {}
    for path in files:
        out.setdefault((path.parent, re.sub(r"[0-9]+(?:[-_.T][0-9]+)*", "*", path.name)), []).append(path)
    return out


def _spread(files: list[Path]) -> list[Path]:
    return [files[round(i * (len(files) - 1) / (_LOOKED_AT - 1))] for i in range(_LOOKED_AT)]


def _pattern(here: list[Path], key: str, files: list[Path], root: Path) -> str:
    """Path below the root; for several files the narrowest pattern that takes them and none of the others."""
    if len(here) == 1:
        return here[0].relative_to(root).as_posix()
    folder = here[0].parent
    others = [p.name for p in files if p.parent == folder and p not in here]
    for pattern in (key, key.replace("*", "[0-9]*")):
        if not any(fnmatch.fnmatchcase(name, pattern) for name in others):
            break
    return (folder.relative_to(root) / pattern).as_posix()


def _source(path: str, files: list[Path], peeks: list[Peek], before: list[Guess]) -> Guess:
    first = peeks[0]
    cells = [[c for p in peeks for c in p.columns[i]] for i in range(len(first.names))]
    verdicts = dict(first.verdicts)
    if len(files) > 1:
        why = f"{len(files):,} files of one shape, {len(peeks)} of them looked at"
        verdicts["files"] = Verdict(path, why, "likely")
    elif re.search(r"[0-9]{6,8}|[0-9]{4}[-_][0-9]{2}", files[0].name):
        why = "its name holds a date: if more such files come, put * for the date"
        verdicts["files"] = Verdict(path, why, "likely")
    columns, marks = guess_columns(first.names, cells, first.types)
    keys = dict(first.keys)
    for what, plain in (("decimal", "."), ("thousands", ""), ("missing", [""])):
        if marks[what].value != plain:
            keys[what] = marks[what].value
    if first.format == "csv" or any(k in keys for k in marks):
        verdicts |= marks
    rows = sum(p.rows for p in peeks) * len(files) // len(peeks)
    whole = all(p.whole for p in peeks) and len(peeks) == len(files)
    unfit = tuple(u for p in peeks[:1] for u in p.unfit)
    name = _name(path, first.label, files[0], {g.name for g in before})
    held = tuple(columns)
    return Guess(name, path, tuple(files), first.format, keys, verdicts, held, rows, whole, unfit, first.label)


def _name(path: str, label: str, file: Path, taken: set[str]) -> str:
    """A short name of small letters, unique in the site."""
    stem = path.rpartition("/")[2].replace("[0-9]*", "*").split(".")[0] if not label else label
    words = re.sub(r"[0-9]+\*|\*", " ", stem)
    folder = re.sub("[^a-z0-9]+", "_", fold_words(file.parent.name)).strip("_")
    name = re.sub("[^a-z0-9]+", "_", fold_words(words)).strip("_") or folder
    name = name if name[:1].isalpha() else f"source_{name}".strip("_")
    if name in taken:
        name = f"{folder or 'source'}_{name}"
    number, plain = 2, name
    while name in taken:
        name, number = f"{plain}_{number}", number + 1
    return name


def fold_words(text: str) -> str:
    """Small ASCII letters, words kept apart by blanks."""
    plain = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss").replace("đ", "d").replace("ł", "l"))
    return " ".join(re.findall("[a-z0-9]+", "".join(c for c in plain if c.isascii() or not unicodedata.combining(c))))


def _one_encoding(sources: list[Guess]) -> list[Guess]:
    """Files that hold ASCII only take the encoding of the others of their kind: one system writes one encoding."""
    known = Counter(g.keys["encoding"] for g in sources if g.keys.get("encoding", "").startswith("cp"))
    if not known:
        return sources
    best = known.most_common(1)[0][0]
    out = []
    for g in sources:
        one = g.verdicts.get("encoding")
        if g.format == "csv" and one is not None and one.value == "utf-8" and one.sure == "likely":
            why = f"plain ASCII in the sample: any encoding fits; {known[best]} other source(s) here are {best}"
            verdict = Verdict(best, why, "likely")
            g = replace(g, keys={"encoding": best} | g.keys, verdicts=g.verdicts | {"encoding": verdict})
        out.append(g)
    return out


def guess_columns(
    names: Sequence[str], columns: Sequence[Sequence[str]], types: Sequence[str]
) -> tuple[list[ColumnGuess], dict[str, Verdict]]:
    """What each column holds, and the marks (decimal, thousands, missing) of the file as a whole."""
    text = [i for i, kind in enumerate(types) if not kind]
    rough = [times_of(names[i], [c for c in columns[i] if c]) is not None for i in text]
    missing = missing_marks([columns[i] for i in text], rough)
    none = set(missing.value)
    filled = [[c for c in cells if c not in none] for cells in columns]
    times = {i: times_of(names[i], filled[i]) for i in text}
    clocks = {i: clock_only(filled[i]) for i in text if times[i] is None}
    decimal, thousands = number_marks([filled[i] for i in text if times[i] is None and not clocks.get(i)])
    out = [
        _column(name, len(columns[i]), filled[i], types[i], times.get(i), clocks.get(i, ""), decimal, thousands)
        for i, name in enumerate(names)
    ]
    return out, {"decimal": decimal, "thousands": thousands, "missing": missing}


def _column(
    name: str, cells: int, filled: list[str], type: str, times: Times | None, clock: str, decimal: Verdict,
    thousands: Verdict,
) -> ColumnGuess:  # fmt: skip
    counts = Counter(filled)
    distinct, n = len(counts), len(filled)
    words = dict(counts.most_common(_MOST_WORDS))
    whole = all(re.fullmatch("[+-]?[0-9]+", c) for c in counts)

    def made(kind: Kind, why: str, sure: Sure = "sure", unfit: int = 0, **more: Any) -> ColumnGuess:
        return ColumnGuess(name, kind, why, sure, cells, n, distinct, unfit, whole, bool(type), **more)

    if not n:
        return made("empty", "no cell of the sample is filled", "unsure")
    if type in ("time", "zoned"):
        return made("time", "the file says so", zoned=type == "zoned")
    if type == "bool":
        return made("bool", "the file says so", words=words)
    if times is not None:
        return made("time", times.why, times.sure, times.unfit, times=times, zoned=times.zoned)
    if clock:
        return made("clock", f"times of day such as {filled[0]}, without a date", "likely", clock=clock)
    fits = [True] * n if type == "number" else fit_number(filled, decimal.value, thousands.value)
    share = sum(fits) / n
    if share >= 0.8 and not any(re.fullmatch("0[0-9]+", c) for c in counts):  # 0010 is a code
        odd = listing(dict.fromkeys(c for c, ok in zip(filled, fits, strict=True) if not ok), 3)
        why = f"{sum(fits):,} of {n:,} cells are numbers" + (f", not: {odd}" if odd else "")
        few = words if whole and distinct <= max(60, 0.2 * n) else {}
        return made("number", why, "sure" if share == 1 else "likely", n - sum(fits), words=few)
    told = f"{distinct:,} different words in {n:,} cells, such as {listing(words, 3)[:60]}"
    long = sum(c.count(" ") for c in counts) / distinct
    if distinct <= max(3, min(1000, 0.5 * n)) and long < 4:
        return made("code", told, "likely", words=words)
    if distinct >= 0.9 * n and long < 1.5 and max(map(len, counts)) < 60:
        return made("id", told, "likely", words=words)
    return made("text", told, "likely", words=words if long < 3 else {})
