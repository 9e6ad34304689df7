"""A site as configuration: `site.yaml` read, expanded and checked, every problem reported at once.

`load_site(folder) -> Site`. Nothing of the data is touched here; what can only be checked against the
files (do the columns exist?) is checked by `plant.connect` before the first row is mapped.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError, field_validator

from plant.errors import SiteError, listing, nearest
from plant.forms import Form, Item, Lookup, Offset
from plant.sources import Part, Source, time_zone
from plant.tables import TABLES, Column
from plant.yaml_text import read_yaml

RECORDED_AT = "recorded_at"
_KEYS = {
    "form": list(Form.model_fields),
    "lookup": list(Lookup.model_fields),
    "offset": list(Offset.model_fields),
    "unit": ["from", "to"],
}
_ONLY_FOR = {"time": ("format", "months", "offset", "time_zone"), "float": ("scale", "add", "unit", "round")}
_FIXED_UNITS = ("h", "d", "kg", "%")  # units of the contract that are not the site's to choose
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]*$")


@dataclass(frozen=True)
class Site:
    """A checked site. `crosswalks[name]` is a frame of strings indexed by the source code."""

    name: str
    folder: Path
    title: str
    simulated: bool
    time_zone: str
    currency: str
    assumptions: tuple[str, ...]
    sources: dict[str, Source]
    crosswalks: dict[str, pd.DataFrame]
    tables: dict[str, tuple[Item, ...]]
    digest: str


class _Head(Part):
    site: str
    title: str
    simulated: bool = False
    time_zone: str = "UTC"
    currency: str = "EUR"
    assumptions: tuple[str, ...] = ()

    @field_validator("site")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError(f"found '{value}'; allowed: letters, digits, - and _, such as dublin_2")
        return value

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return time_zone(value) or "UTC"


class _Problems:
    """Collects `file: key path: what` lines."""

    def __init__(self, file: Path):
        self.file, self.lines = file, []  # type: ignore[var-annotated]

    def add(self, path: str, what: str) -> None:
        line = f"{self.file.name}: {path}: {what}"
        if line not in self.lines:
            self.lines.append(line)

    def parse(self, model: type[Part], value: Any, path: str, beside: Sequence[str] = ()) -> Any:
        """`value` as `model`, or None with every problem noted."""
        if not isinstance(value, dict | str):
            self.add(path, f"found {value!r}; allowed: a mapping (key: value)")
            return None
        try:
            return model.model_validate(value)
        except ValidationError as e:
            self.add_all(path, e, [*model.model_fields, *beside])
            return None

    def add_all(self, path: str, error: ValidationError, allowed: list[str]) -> None:
        for one in error.errors():
            # Without the names that pydantic gives to the branches of a union.
            spot = ".".join([path, *(str(p) for p in one["loc"] if "[" not in str(p) and p != "Form")]).strip(".")
            found = one.get("input")
            if one["type"] == "extra_forbidden":
                word = str(one["loc"][-1])
                parents = [p for p in one["loc"][:-1] if p in _KEYS]
                fields = allowed if len(one["loc"]) == 1 else _KEYS[str(parents[-1])] if parents else _KEYS["form"]
                self.add(spot, f"unknown key '{word}'; allowed: {listing(fields, 30)} {nearest(word, fields)}".rstrip())
            elif one["type"] == "missing":
                self.add(spot, "is missing")
            elif one["type"] == "literal_error":
                options = re.findall(r"'([^']*)'", str(one.get("ctx", {}).get("expected", "")))
                self.add(spot, f"found {found!r}; allowed: {listing(options)} {nearest(str(found), options)}".rstrip())
            elif one["type"] == "string_type" and isinstance(found, bool | int | float):
                self.add(spot, f"found {found!r}; allowed: text; write it in quotes")
            elif one["type"] == "value_error":
                self.add(spot, str(one["msg"]).removeprefix("Value error, "))
            else:
                self.add(spot, f"found {found!r}; {one['msg'][:1].lower()}{one['msg'][1:]}")


def load_site(folder: str | Path) -> Site:
    """The site in `folder`. Raises SiteError naming the file, the key, what was found and what is allowed."""
    folder = Path(folder)
    if not folder.is_dir():
        siblings = sorted(p.parent.name for p in folder.parent.glob("*/site.yaml")) if folder.parent.is_dir() else []
        allowed = (
            f"a folder with a site.yaml; beside it are: {listing(siblings)}"
            if siblings
            else "a folder with a site.yaml"
        )
        raise SiteError("unknown_site", f"no site folder {folder} {nearest(folder.name, siblings)}".rstrip(), allowed)
    path = folder / "site.yaml"
    raw = read_yaml(path)
    problems = _Problems(path)
    sections = ["sources", "crosswalks", "tables"]
    head = problems.parse(_Head, {k: v for k, v in raw.items() if k not in sections}, "", sections)
    for section in sections:
        if not isinstance(raw.get(section, {}), dict):
            problems.add(section, f"found {type(raw[section]).__name__}; allowed: a mapping of names")
            raw[section] = {}
    for section in ("sources", "tables"):
        if not raw.get(section):
            problems.add(section, "is missing or empty")
    digest = hashlib.sha256(path.read_bytes())
    sources = {
        name: problems.parse(Source, value, f"sources.{name}") for name, value in (raw.get("sources") or {}).items()
    }
    crosswalks = {
        str(name): _crosswalk(folder, value, f"crosswalks.{name}", problems, digest)
        for name, value in (raw.get("crosswalks") or {}).items()
    }
    tables = {
        name: _items(folder, name, value, problems, list(sources), crosswalks, digest)
        for name, value in (raw.get("tables") or {}).items()
    }
    if problems.lines or head is None:
        raise SiteError(
            "bad_site",
            f"{path} has {len(problems.lines)} problem(s)",
            hint="mend them in the file; docs/reference/site-yaml.md explains each key",
            details=problems.lines,
        )
    return Site(
        head.site,
        folder,
        head.title,
        head.simulated,
        head.time_zone,
        head.currency,
        head.assumptions,
        sources,
        crosswalks,
        tables,
        digest.hexdigest(),
    )


def _read_csv_rows(folder: Path, name: str, where: str, problems: _Problems, digest: Any) -> list[dict[str, str]]:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        problems.add(where, f"'{name}' lies outside the site folder; allowed: a file below it")
        return []
    if not path.is_file():
        there = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.csv"))
        beside = listing(there) or "no CSV files in the site folder"
        problems.add(where, f"file '{name}' does not exist; there are: {beside} {nearest(name, there)}".rstrip())
        return []
    content = path.read_bytes()
    digest.update(content)
    try:
        reader = csv.DictReader(content.decode("utf-8-sig").splitlines())
        rows = []
        for row in reader:
            if None in row or None in row.values():
                problems.add(where, f"file '{name}', line {reader.line_num}: has not as many fields as its header")
                return []
            rows.append({str(k).strip(): str(v).strip() for k, v in row.items()})
    except (UnicodeDecodeError, csv.Error) as e:
        problems.add(where, f"file '{name}' cannot be read as UTF-8 CSV: {e}")
        return []
    if not rows:
        problems.add(where, f"file '{name}' has no rows")
    return rows


def _crosswalk(folder: Path, value: Any, where: str, problems: _Problems, digest: Any) -> pd.DataFrame:
    """Frame of strings, index = source code; an inline crosswalk has the one column `value`."""
    empty = pd.DataFrame({"value": pd.Series(dtype=object)})
    if not isinstance(value, dict) or not value:
        problems.add(where, f"found {value!r}; allowed: code: word pairs, or {{file: FILE, key: COLUMN}}")
        return empty
    if "file" not in value:
        for code, word in value.items():
            if isinstance(word, dict | list):
                problems.add(f"{where}.{code}", f"found {word!r}; allowed: one word")
        return pd.DataFrame({"value": [_word(v) for v in value.values()]}, index=[_word(k) for k in value])
    for extra in set(value) - {"file", "key"}:
        problems.add(
            where, f"unknown key '{extra}'; allowed: file, key {nearest(str(extra), ['file', 'key'])}".rstrip()
        )
    rows = _read_csv_rows(folder, str(value["file"]), f"{where}.file", problems, digest)
    if not rows:
        return empty
    key = str(value.get("key") or next(iter(rows[0])))
    if key not in rows[0]:
        problems.add(f"{where}.key", f"found '{key}'; allowed: {listing(rows[0])} {nearest(key, rows[0])}".rstrip())
        return empty
    frame = pd.DataFrame(rows).set_index(key)
    twice = frame.index[frame.index.duplicated()].unique()
    if len(twice):
        problems.add(where, f"file '{value['file']}' lists these codes twice: {listing(twice)}")
        return empty
    return frame


def _word(value: Any) -> str:
    """A YAML scalar as text; nothing is an empty cell."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return str(value)


def _fill(value: Any, words: dict[str, Any], where: str, problems: _Problems) -> Any:
    """`value` with every ${name} replaced; a cell that is only ${name} keeps the type of the word."""
    if isinstance(value, dict):
        return {k: _fill(v, words, where, problems) for k, v in value.items()}
    if isinstance(value, list):
        return [_fill(v, words, where, problems) for v in value]
    if not isinstance(value, str):
        return value
    for name in re.findall(r"\$\{([^{}]*)\}", value):
        if name not in words:
            problems.add(
                where,
                f"'${{{name}}}' is not filled; allowed: {listing(words)} {nearest(name, map(str, words))}".rstrip(),
            )
            continue
        if value == f"${{{name}}}":
            return words[name]
        value = value.replace(f"${{{name}}}", str(words[name]))
    return value


def _items(
    folder: Path,
    table: str,
    value: Any,
    problems: _Problems,
    sources: list[str],
    crosswalks: dict[str, pd.DataFrame],
    digest: Any,
) -> tuple[Item, ...]:
    where = f"tables.{table}"
    if table not in TABLES:
        problems.add(
            where, f"unknown table '{table}'; allowed: {listing(TABLES, 20)} {nearest(str(table), TABLES)}".rstrip()
        )
        return ()
    if not isinstance(value, list) or not value:
        problems.add(where, "allowed: a list of mapping items (- source: ...)")
        return ()
    out: list[Item] = []
    for number, raw in enumerate(value):
        spot = f"{where}[{number}]"
        if not isinstance(raw, dict):
            problems.add(spot, f"found {raw!r}; allowed: a mapping with source and columns")
            continue
        each = raw.get("each", [{}])
        if isinstance(each, dict):
            each = _read_csv_rows(folder, str(each.get("file", "")), f"{spot}.each", problems, digest)
        if not isinstance(each, list) or not all(isinstance(w, dict) for w in each):
            problems.add(f"{spot}.each", "allowed: a list of {name: value} or {file: FILE}")
            continue
        body = {k: v for k, v in raw.items() if k != "each"}
        for words in each:
            item = problems.parse(Item, _fill(body, words, spot, problems) if words else body, spot)
            if item is not None:
                _check_item(table, item, spot, problems, sources, crosswalks)
                out.append(item)
    return tuple(out)


def _check_item(
    table: str, item: Item, spot: str, problems: _Problems, sources: list[str], crosswalks: dict[str, pd.DataFrame]
) -> None:
    contract = TABLES[table]
    if item.source not in sources:
        problems.add(
            f"{spot}.source",
            f"found '{item.source}'; allowed: {listing(sources)} {nearest(item.source, sources)}".rstrip(),
        )
    for name, form in item.columns.items():
        at = f"{spot}.columns.{name}"
        if name not in (*contract.names, RECORDED_AT) and not contract.open_values:
            problems.add(
                at,
                f"{table} has no such column; allowed: {listing(contract.names, 20)} "
                f"{nearest(name, contract.names)}".rstrip(),
            )
        elif contract.open_values and not re.match(r"^[A-Za-z_][A-Za-z0-9_.]*$", name):
            problems.add(at, "allowed: names of letters, digits, dots and _")
        else:
            known = Column(name, "time", "") if name == RECORDED_AT else contract.column(name)
            _check_kind(known, form, at, problems)
        _check_form(form, at, problems, sources, crosswalks)
    for column in contract.columns:
        if column.required and column.name not in item.columns:
            problems.add(f"{spot}.columns", f"the required column '{column.name}' is missing")
    if contract.one_of and not set(contract.one_of) & set(item.columns):
        problems.add(f"{spot}.columns", f"one of these is required: {', '.join(contract.one_of)}")


def _check_kind(column: Column, form: Form, at: str, problems: _Problems) -> None:
    """Keys that would do nothing to a column of this kind, and numbers in another unit than the contract's."""
    for kind, keys in _ONLY_FOR.items():
        for key in sorted(form.model_fields_set & set(keys)) if column.kind != kind else []:
            problems.add(f"{at}.{key}", f"belongs to a {kind} column; {column.name} is a {column.kind}")
    aim = form.unit.target if form.unit is not None else None
    if column.unit in _FIXED_UNITS and isinstance(aim, str) and aim != column.unit:
        problems.add(f"{at}.unit.to", f"found '{aim}'; allowed: {column.unit}, the unit of {column.name}")


def _check_form(
    form: Form, at: str, problems: _Problems, sources: list[str], crosswalks: dict[str, pd.DataFrame]
) -> None:
    if form.crosswalk is not None:
        walk = crosswalks.get(form.crosswalk)
        if walk is None:
            problems.add(
                f"{at}.crosswalk",
                f"found '{form.crosswalk}'; allowed: {listing(crosswalks)} "
                f"{nearest(form.crosswalk, crosswalks)}".rstrip(),
            )
        elif form.take is not None and form.take not in walk.columns:
            columns = [str(c) for c in walk.columns]
            problems.add(
                f"{at}.take", f"found '{form.take}'; allowed: {listing(columns)} {nearest(form.take, columns)}".rstrip()
            )
        elif form.take is None and len(walk.columns) > 1:
            problems.add(
                at, f"crosswalk '{form.crosswalk}' has several columns; say which with take: {listing(walk.columns)}"
            )
    if form.lookup is not None and form.lookup.source not in sources:
        problems.add(f"{at}.lookup.source", f"found '{form.lookup.source}'; allowed: {listing(sources)}")
    if form.unit is not None:
        sides = (form.unit.source, form.unit.target)
        for side in sides:
            if isinstance(side, Form):
                _check_form(side, f"{at}.unit", problems, sources, crosswalks)
        if isinstance(sides[0], str) and isinstance(sides[1], str):
            from plant.units import problem  # pint takes a quarter of a second: only for sites that convert

            what = problem(sides[0], sides[1])
            if what:
                problems.add(f"{at}.unit", what)
