"""What has to hold between the parts of a `site.yaml`: sources, crosswalks, items and the contracts of the tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import suppress
from typing import Any

import pandas as pd
from pydantic import ValidationError

from plant.crosswalks import SiteFiles, accepted
from plant.errors import did_you_mean, listing
from plant.forms import Form, Item, Lookup
from plant.site_inheritance import Given, Merged, Place, word
from plant.site_problems import Problems
from plant.site_words import Words
from plant.sources import Part
from plant.tables import TABLES, Column

RECORDED_AT = "recorded_at"  # when the source recorded this version of a row; a column of every table

_ONLY_FOR = {
    "time": ("format", "months", "offset", "time_zone"),
    "float": ("scale", "add", "unit", "round", "expression"),
}
_FIXED_UNITS = ("h", "d", "kg", "%")  # units of the contract that are not the site's to choose
_VALUE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


class Checks:
    """Makes items out of what is given, and checks each against what the site names elsewhere."""

    def __init__(self, merged: Merged, problems: Problems, files: SiteFiles, walks: dict[str, pd.DataFrame]):
        self._merged, self._problems, self._files, self._walks = merged, problems, files, walks
        self._words = Words(merged, problems, files, walks)
        sources = merged.root.child("sources")
        self._sources = [word(k) for k in sources.keys] if sources is not None else []

    def tables(self) -> dict[str, tuple[Item, ...]]:
        section = self._merged.root.child("tables")
        out = {word(k): self._table(word(k), g) for k, g in section.keys.items()} if section is not None else {}
        self._words.check()
        return out

    def _table(self, table: str, given: Given) -> tuple[Item, ...]:
        place = Place(self._merged.root, "tables", table)
        if table not in TABLES:
            what = f"unknown table '{table}'; allowed: {listing(TABLES, 20)}{did_you_mean(table, TABLES)}"
            self._problems.add(place, what)
            return ()
        if not given.keys or not all(item.written for item in given.keys.values()):
            what = "allowed: a list of mapping items (- source: ...)"
            if given.keys:
                what += "; only a site that extends another one may give a mapping of items by their names"
            self._problems.add(place, what)
            return ()
        names = Counter(item.name for item in given.keys.values() if "name" in item.keys)
        out: list[Item] = []
        for key, item in given.keys.items():
            at = place / key
            if names[item.name] > 1:
                what = f"found '{item.name}', which another item of {table} has; allowed: a name of its own"
                self._problems.add(at / "name", what)
            out += self._item(table, item, at)
        return tuple(out)

    def _item(self, table: str, given: Given, at: Place) -> Iterator[Item]:
        raw = given.plain()
        if not isinstance(raw, dict):
            self._problems.add(at, f"found {raw!r}; allowed: a mapping with source and columns")
            return
        body = {k: v for k, v in raw.items() if k != "each"}
        if given.name != word(raw.get("source")) and "source" in raw:  # an item that an extending site adds by name
            body.setdefault("name", given.name)
        for words in self._each(raw.get("each", [{}]), at / "each"):
            filled = self._filled(body, words, at) if words else body
            item = self._problems.parse(Item, filled, at, ["each"])
            columns = filled.get("columns")
            written = columns if isinstance(columns, dict) else {}
            self._check(table, item or _what_can_be_read(filled), at, written)
            if item is not None:
                yield item

    def _each(self, each: Any, at: Place) -> list[dict[str, Any]]:
        if isinstance(each, dict):
            for extra in set(each) - {"file"}:
                near = did_you_mean(word(extra), ["file"])
                self._problems.add(at / extra, f"unknown key '{extra}'; allowed: file{near}")
            return accepted(self._files.rows((at / "file").layer, each.get("file"), at))
        if not isinstance(each, list) or not all(isinstance(words, dict) for words in each):
            self._problems.add(at, "allowed: a list of {name: value} or {file: FILE}")
            return []
        return each

    def _filled(self, value: Any, words: dict[str, Any], at: Place) -> Any:
        """`value` with every ${name} replaced; a cell that is only ${name} keeps the type of the word."""
        if isinstance(value, dict):
            return {k: self._filled(v, words, at / k) for k, v in value.items()}
        if isinstance(value, list):
            return [self._filled(v, words, at) for v in value]
        if not isinstance(value, str):
            return value
        for name in re.findall(r"\$\{([^{}]*)\}", value):
            if name not in words:
                near = did_you_mean(name, map(str, words))
                self._problems.add(at, f"'${{{name}}}' is not filled; allowed: {listing(words)}{near}")
                continue
            if value == f"${{{name}}}":
                return words[name]
            value = value.replace(f"${{{name}}}", str(words[name]))
        return value

    def _check(self, table: str, item: Item, at: Place, written: Container[str]) -> None:
        """written: the columns that the file gives, those included that could not be read."""
        contract = TABLES[table]
        if item.source:
            self._source(item.source, at / "source")
        for name, form in item.columns.items():
            spot = at / "columns" / name
            if name not in (*contract.names, RECORDED_AT) and not contract.open_values:
                what = f"{table} has no such column; allowed: {listing(contract.names, 20)}"
                self._problems.add(spot, what + did_you_mean(name, contract.names))
            elif contract.open_values and not _VALUE_NAME.fullmatch(name):
                self._problems.add(spot, "allowed: names of letters, digits, dots and _")
            else:
                column = Column(name, "time", "") if name == RECORDED_AT else contract.column(name)
                self._kind(column, form, spot)
                self._words.used(form, spot, f"{table}.{name}", column)
            self._form(form, spot)
        for column in contract.columns:
            if column.required and column.name not in written:
                self._problems.add(at / "columns", f"the required column '{column.name}' is missing")
        if contract.one_of and not any(name in written for name in contract.one_of):
            self._problems.add(at / "columns", f"one of these is required: {', '.join(contract.one_of)}")
        for name in item.model_fields_set - {"columns"}:
            for spot, part in _parts(getattr(item, name), at / name):
                if isinstance(part, Form):
                    self._words.used(part, spot)
                    self._form(part, spot)

    def _source(self, name: str, at: Place) -> None:
        if name not in self._sources:
            gone = self._merged.removed.get(("sources", name))
            hint = f" (taken away in {gone.label}; take this item away there too)" if gone is not None else ""
            near = hint or did_you_mean(name, self._sources)
            self._problems.add(at, f"found '{name}'; allowed: {listing(self._sources, 40)}{near}")

    def _kind(self, column: Column, form: Form, at: Place) -> None:
        """Keys that would do nothing to a column of this kind, and numbers in another unit than the contract's."""
        for kind, keys in _ONLY_FOR.items():
            for key in sorted(form.model_fields_set & set(keys)) if column.kind != kind else []:
                self._problems.add(at / key, f"belongs to a {kind} column; {column.name} is a {column.kind}")
        aim = form.unit.target if form.unit is not None else None
        if column.unit in _FIXED_UNITS and isinstance(aim, str) and aim != column.unit:
            self._problems.add(at / "unit" / "to", f"found '{aim}'; allowed: {column.unit}, the unit of {column.name}")

    def _form(self, form: Form, at: Place) -> None:
        if form.crosswalk is not None:
            self._crosswalk(form, at)
        if form.unit is not None and isinstance(form.unit.source, str) and isinstance(form.unit.target, str):
            from plant.units import problem  # pint takes a quarter of a second: only for sites that convert

            if what := problem(form.unit.source, form.unit.target):
                self._problems.add(at / "unit", what)
        for name in form.model_fields_set:
            for spot, part in _parts(getattr(form, name), at / name):
                if isinstance(part, Form):
                    self._words.used(part, spot)
                    self._form(part, spot)
                elif isinstance(part, Lookup):
                    self._source(part.source, spot / "source")

    def _crosswalk(self, form: Form, at: Place) -> None:
        name = str(form.crosswalk)
        walk = self._walks.get(name)
        if walk is None:
            gone = self._merged.removed.get(("crosswalks", name))
            near = f" (taken away in {gone.label})" if gone is not None else did_you_mean(name, self._walks)
            what = f"found '{name}'; allowed: {listing(self._walks, 40) or 'none'}{near}"
            self._problems.add(at / "crosswalk", what)
        elif form.take is not None and form.take not in walk.columns:
            self._problems.choice(at / "take", form.take, [str(c) for c in walk.columns])
        elif form.take is None and len(walk.columns) > 1:
            what = f"crosswalk '{name}' has several columns; say which with take: {listing(walk.columns)}"
            self._problems.add(at, what)


def _what_can_be_read(body: dict[str, Any]) -> Item:
    """The source and the columns of an item that is wrong, as far as they are right."""
    forms, columns = {}, body.get("columns")
    for name, value in columns.items() if isinstance(columns, dict) else ():
        with suppress(ValidationError):
            forms[str(name)] = Form.model_validate(value)
    source = body.get("source")
    return Item.model_construct(source=source if isinstance(source, str) else "", columns=forms)


def _parts(value: Any, at: Place) -> Iterator[tuple[Place, Part]]:
    """The parts right below a value, each with its place; what is below a Form is that form's own business."""
    if isinstance(value, Part):
        yield at, value
        if not isinstance(value, Form):
            for name, info in type(value).model_fields.items():
                yield from _parts(getattr(value, name), at / (info.alias or name))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield from _parts(one, at / key)
    elif isinstance(value, tuple | list):
        for number, one in enumerate(value):
            yield from _parts(one, at / number)
