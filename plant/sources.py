"""Where rows come from: one source of a `site.yaml`, and the exports that it consists of.

docs/reference/site-yaml.md explains each key.
"""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from plant.errors import did_you_mean

_ZONES = zoneinfo.available_timezones()
# Those that exports of plants are in; Python knows many more under many names.
_ENCODINGS = (
    "ascii", "cp850", "cp852", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1257", "iso-8859-1", "iso-8859-2",
    "iso-8859-15", "latin-1", "mac-roman", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "windows-1252",
)  # fmt: skip
WHITESPACE = "whitespace"
_TEXT = ("csv", "jsonl")
# Keys that mean something to some formats only: anywhere else they would do nothing, unseen.
_ONLY_FOR: dict[str, tuple[str, ...]] = {
    "delimiter": ("csv",),
    "encoding": _TEXT,
    "header": ("csv", "excel", "jsonl"),
    "header_line": ("csv", "excel"),
    "sheet": ("excel",),
    "url": ("sql",),
    "query": ("sql",),
    "since": ("sql", "parquet", "delta"),
    "path": ("csv", "parquet", "excel", "jsonl", "delta"),
}
_URL = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|sqlite:///[^/].*")
_NO_CODE = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[A-Za-z_][^\[\]]*\]", re.DOTALL)
# Words that change data or structure, or run something else, wherever they stand in a statement.
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|drop|alter|create|truncate|grant|revoke|into|call|exec|execute|attach|detach"
    r"|pragma|vacuum|copy|lock)\b",
    re.IGNORECASE,
)
SINCE = re.compile(r"(?<![:\w\\]):since\b")
_NULL_SINCE = re.compile(r":since\s+is\s+(?:not\s+)?null|(?:coalesce|ifnull|nvl|isnull)\s*\(\s*:since", re.IGNORECASE)


def leaves_folder(path: str) -> bool:
    """Whether the words of a path lead out of the data folder, links left aside."""
    return Path(path).is_absolute() or ".." in Path(path).parts


def time_zone(value: str | None) -> str | None:
    """The name of a time zone, or a ValueError that says what is allowed."""
    if value is not None and value not in _ZONES:
        raise ValueError(
            f"'{value}' is no time zone; allowed: IANA names such as Europe/Dublin or UTC{did_you_mean(value, _ZONES)}"
        )
    return value


class Part(BaseModel):
    """A part of a configuration file: unknown keys are refused, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Since(Part):
    """The high-water mark of a source: only rows above the largest value seen so far, less the overlap, are asked for.

    The column holds times, numbers that only grow, or ISO times as text. A row that arrives later than the overlap
    allows (its value lies at or below mark - overlap) is not read, and is not counted: choose the overlap longer than
    the longest delay between the time in the column and the row's appearance, or leave `since` out. Rows without a
    value in the column are always read, and what is read twice is recognised as known.

    overlap: a duration for times (2h), a number for numbers. start: the mark of the first load.
    """

    column: str = Field(min_length=1)
    overlap: str | int | float = 0
    start: str | int | float | None = None

    @field_validator("overlap")
    @classmethod
    def _overlap(cls, value: str | int | float) -> str | int | float:
        below = duration(value) < pd.Timedelta(0) if isinstance(value, str) else not 0 <= value < float("inf")
        if below:
            raise ValueError(f"'{value}' is negative; allowed: how far back to read again, such as 2h, or a number")
        return value


class Source(Part):
    """One export (or several files of one shape) of one of the plant's systems."""

    system: str
    path: str = ""
    format: Literal["csv", "parquet", "excel", "jsonl", "delta", "sql"]
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", " ", "'", ""] = ""
    missing: tuple[str, ...] = ("",)
    header: tuple[str, ...] = ()
    header_line: int | None = Field(None, ge=1, le=100_000)
    sheet: str | None = None
    url: str | None = None
    query: str | None = None
    since: Since | None = None
    time_zone: str | None = None
    ambiguous: Literal["quarantine", "first", "second"] = "quarantine"
    clock_offset: str | None = None
    optional: bool = False

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        return time_zone(value)

    @field_validator("path")
    @classmethod
    def _path(cls, value: str) -> str:
        if not value.strip() or "\0" in value:
            raise ValueError(f"found {value!r}; allowed: a path below the data folder such as cmms/orders_*.csv")
        return value

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        value = "\t" if value == "\\t" else value
        if value != WHITESPACE and (len(value) != 1 or not value.isascii() or value in '"\r\n\0'):
            raise ValueError(f"found {value!r}; allowed: one plain character such as ; or a tab, or {WHITESPACE}")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except (LookupError, UnicodeError, ValueError) as e:
            near = did_you_mean(value, _ENCODINGS)
            raise ValueError(f"'{value}' is no encoding; allowed: utf-8, utf-16, cp1252, latin-1, ...{near}") from e
        return value

    @field_validator("header")
    @classmethod
    def _header(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({n for n in value if value.count(n) > 1})
        if twice or "" in value:
            raise ValueError(f"names {twice[0] if twice else 'nothing'!r} twice or not at all; allowed: each name once")
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value is not None and not _URL.fullmatch(value):  # what was found is not shown: it may hold a password
            raise ValueError(
                "is no address that a site.yaml may hold; allowed: env:NAME, the environment variable that holds the "
                "URL (with the password), or sqlite:///FILE with a file below the data folder"
            )
        return value

    @field_validator("query")
    @classmethod
    def _query(cls, value: str | None) -> str | None:
        if value is not None:
            one_select(value)
        return value

    @field_validator("clock_offset")
    @classmethod
    def _offset(cls, value: str | None) -> str | None:
        if value is not None:
            duration(value)
        return value

    @model_validator(mode="after")
    def _together(self) -> Source:
        problems = []
        if self.decimal == self.thousands:
            problems.append(f"decimal and thousands are both '{self.decimal}'; allowed: two different marks")
        needed = {"sql": ("url", "query")}.get(self.format, ("path",))
        problems += [f"`{k}` is missing: format {self.format} needs it" for k in needed if not getattr(self, k)]
        problems += [
            f"`{key}` does nothing here; allowed only with format {' | '.join(formats)} (found: {self.format})"
            for key, formats in _ONLY_FOR.items()
            if key in self.model_fields_set and getattr(self, key) is not None and self.format not in formats
        ]
        problems += self._since_problems()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _since_problems(self) -> list[str]:
        asks = self.query is not None and SINCE.search(_plain_sql(self.query)) is not None
        if asks and self.since is None:
            return ["the query holds :since, but the source has no `since: {column: ..., start: ...}` that fills it"]
        if asks and self.since and self.since.start is None and not _NULL_SINCE.search(_plain_sql(str(self.query))):
            # Compared with NULL no row is ever found, so that the first load would find nothing, and so on for ever.
            return [
                "the query compares with :since, which is NULL at the first load: no row would ever be read; give "
                "since.start, or write (:since is null or COLUMN > :since)"
            ]
        return []

    @property
    def clock_shift(self) -> pd.Timedelta:
        return duration(self.clock_offset) if self.clock_offset else pd.Timedelta(0)


def duration(text: str) -> pd.Timedelta:
    """`-7min`, `2h`, `1d`; a ValueError that says what is allowed otherwise."""
    try:
        value = pd.Timedelta(text) if re.search("[a-zA-Z:]", text) else pd.NaT  # a bare number would be nanoseconds
    except ValueError:
        value = pd.NaT
    if value is pd.NaT:
        raise ValueError(f"'{text}' is no duration; allowed: -7min, 2h, 1d")
    return value


def _plain_sql(query: str) -> str:
    """The statement without its comments and quoted texts."""
    return _NO_CODE.sub(lambda m: " " if m.group()[:2] in ("--", "/*") else "''", query)


def one_select(query: str) -> None:
    """A ValueError when the statement is anything but one SELECT (or WITH ... SELECT)."""
    plain = _plain_sql(query).strip().rstrip(";").strip()
    first = re.match(r"[A-Za-z]*", plain.lstrip("("))
    word = first.group().lower() if first else ""
    if word not in ("select", "with"):
        raise ValueError(f"begins with '{word}'; allowed: one SELECT (or WITH ... SELECT) statement")
    if ";" in plain:
        raise ValueError("holds more than one statement; allowed: one SELECT (or WITH ... SELECT) statement")
    if found := _WRITES.search(plain):
        raise ValueError(
            f"holds the word {found.group().upper()}; allowed: a SELECT that only reads (put a column of that name in "
            "quotation marks)"
        )


@dataclass(frozen=True)
class Export:
    """label: its name in lineage and messages, e.g. `cmms/orders.csv`, unique in the source. path: None for a query.

    after: the source's high-water mark; rows at or below it, less the overlap, are not asked for where the format
    can leave them out. data: the data folder. version: of a Delta table, fixed when the export was found.
    """

    source_name: str
    source: Source
    label: str
    path: Path | None
    after: str | None = None
    data: Path | None = None
    version: int | None = None

    @property
    def file(self) -> Path:
        """The path of an export that has one."""
        if self.path is None:
            raise ValueError(f"{self.label} is no file")
        return self.path

    @property
    def name(self) -> str:
        """How messages call it: the file's name, or the label of a query."""
        return self.path.name if self.path is not None else self.label
