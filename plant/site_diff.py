"""What differs between two sites: sources, codes of the crosswalks, and how each canonical column is made.

`diff(a, b)` compares what the sites come to after `extends:`, not their files. Items of a table are matched by their
names (the source, where an item has none); where several share a name, equal ones first, then those whose constants in
the table's key are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.markup import escape

from plant.forms import Form, Item
from plant.site import Site
from plant.tables import TABLES

_HEAD = ("title", "simulated", "time_zone", "currency")
_SECTIONS = {"site": "Site", "sources": "Sources", "crosswalks": "Crosswalks", "tables": "Tables"}
_MOST_CODES = 8


@dataclass(frozen=True)
class Difference:
    """One thing that the sites do not have in common.

    path: from the section down, such as ("tables", "work_orders", "orders", "columns.cost"). here, there: the value in
    either site as JSON; None: it is not there.
    """

    path: tuple[str, ...]
    here: Any = None
    there: Any = None

    @property
    def kind(self) -> str:
        """only_here, only_there or differs."""
        return "only_there" if self.here is None else "only_here" if self.there is None else "differs"

    def as_dict(self) -> dict[str, Any]:
        return {"path": list(self.path), "kind": self.kind, "here": self.here, "there": self.there}


@dataclass(frozen=True)
class SiteDiff:
    """The differences between the sites `here` and `there`, by name, in the order of the first one's file."""

    here: str
    there: str
    differences: tuple[Difference, ...]

    def of(self, section: str) -> list[Difference]:
        return [d for d in self.differences if d.path[0] == section]

    def as_dict(self) -> dict[str, Any]:
        kinds = ("only_here", "only_there", "differs")
        counts = {kind: sum(d.kind == kind for d in self.differences) for kind in kinds}
        sections = {section: [d.as_dict() for d in self.of(section)] for section in _SECTIONS}
        return {"here": self.here, "there": self.there, "counts": counts, **sections}


def diff(a: Site, b: Site) -> SiteDiff:
    """What `a` has and `b` has not, the other way round, and what both have differently."""
    found = [
        *_mappings(("site",), _head(a), _head(b)),
        *_nested(("sources",), _sources(a), _sources(b)),
        *_nested(("crosswalks",), _crosswalks(a), _crosswalks(b)),
    ]
    for table in TABLES:
        ours, theirs = a.tables.get(table, ()), b.tables.get(table, ())
        path = ("tables", table)
        if bool(ours) != bool(theirs):
            found.append(Difference(path, _labels(ours), _labels(theirs)))
            continue
        found += _nested(path, *_matched(table, ours, theirs))
    return SiteDiff(a.name, b.name, tuple(found))


def _head(site: Site) -> dict[str, Any]:
    return {**{key: getattr(site, key) for key in _HEAD}, "assumptions": list(site.assumptions)}


def _sources(site: Site) -> dict[str, dict[str, Any]]:
    return {name: source.model_dump(mode="json", exclude_defaults=True) for name, source in site.sources.items()}


def _crosswalks(site: Site) -> dict[str, dict[str, Any]]:
    """Codes by crosswalk: one word, or the words by column."""
    out = {}
    for name, walk in site.crosswalks.items():
        rows = walk.to_dict("index")
        out[name] = {str(code): one if len(one) > 1 else next(iter(one.values())) for code, one in rows.items()}
    return out


def _item(item: Item) -> dict[str, Any]:
    """An item key by key; its columns stand beside its other keys, as the words that the file would have."""
    rest = item.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"columns", "name"})
    return {**rest, **{f"columns.{name}": _form(form) for name, form in item.columns.items()}}


def _form(form: Form) -> Any:
    given = form.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return given["column"] if set(given) == {"column"} else given


def _matched(table: str, ours: Iterable[Item], theirs: Iterable[Item]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides' items under the same labels where they belong together."""
    groups: dict[str, tuple[list[Item], list[Item]]] = {}
    for side, several in enumerate((ours, theirs)):
        for item in several:
            groups.setdefault(_name(item), ([], []))[side].append(item)
    here: dict[str, Any] = {}
    there: dict[str, Any] = {}
    for name, (mine, others) in groups.items():
        alone = len(mine) <= 1 and len(others) <= 1
        for number, (one, other) in enumerate(_pairs(table, mine, others)):
            known = one or other
            marks = _constants(table, known) if known is not None else ""
            label = name if alone else f"{name}[{marks or number}]"
            if label in here or label in there:
                label = f"{name}[{marks} #{number}]"
            if one is not None:
                here[label] = _item(one)
            if other is not None:
                there[label] = _item(other)
    return here, there


def _pairs(table: str, mine: list[Item], others: list[Item]) -> list[tuple[Item | None, Item | None]]:
    left = list(others)
    pairs: list[tuple[Item | None, Item | None]] = [(one, None) for one in mine]
    if len(mine) == len(others) == 1:
        return [(mine[0], others[0])]
    for same in (_item, lambda item: _constants(table, item)):
        for n, (one, other) in enumerate(pairs):
            found = next((o for o in left if one is not None and same(o) == same(one)), None) if other is None else None
            if found is not None:
                pairs[n] = (one, found)
                left.remove(found)
    return [*pairs, *((None, o) for o in left)]


def _constants(table: str, item: Item) -> str:
    """What tells items of one source apart: the constants in the table's key."""
    forms = [item.columns[name] for name in TABLES[table].key if name in item.columns]
    return "/".join(str(f.constant) for f in forms if f.constant is not None)


def _name(item: Item) -> str:
    return item.name or item.source


def _labels(items: Iterable[Item]) -> list[str] | None:
    return list(dict.fromkeys(_name(item) for item in items)) or None


def _nested(
    path: tuple[str, ...], here: Mapping[str, Mapping[str, Any]], there: Mapping[str, Mapping[str, Any]]
) -> list[Difference]:
    """Mappings by name: a name that only one side has is one difference, else key by key."""
    out = []
    for name in dict.fromkeys([*here, *there]):
        if name in here and name in there:
            out += _mappings((*path, name), here[name], there[name])
        else:
            out.append(Difference((*path, name), here.get(name), there.get(name)))
    return out


def _mappings(path: tuple[str, ...], here: Mapping[str, Any], there: Mapping[str, Any]) -> list[Difference]:
    keys = dict.fromkeys([*here, *there])
    return [Difference((*path, key), here.get(key), there.get(key)) for key in keys if here.get(key) != there.get(key)]


def render_diff(console: Console, found: SiteDiff) -> None:
    """The differences by section, with both values, for people at a terminal."""
    here, there = escape(found.here), escape(found.there)
    console.print(f"\n[bold]{here}[/] and [bold]{there}[/]: {len(found.differences)} difference(s)")
    if not found.differences:
        return
    console.print(f"  [red]-[/] only in {here}   [green]+[/] only in {there}   [yellow]~[/] in both, but not the same")
    for section, title in _SECTIONS.items():
        several = found.of(section)
        if not several:
            continue
        console.print(f"\n[bold]{title}[/] ({len(several)})")
        above: tuple[str, ...] = ()
        for one in several:
            names = one.path[1:]
            if names[:-1] != above:
                above = names[:-1]
                if above:
                    console.print(f"  {escape(' / '.join(above))}", highlight=False)
            _render(console, one, "    " if above else "  ")


def _render(console: Console, one: Difference, indent: str) -> None:
    name = escape(one.path[-1].removeprefix("columns."))
    if one.kind == "differs":
        values = f"{_short(one.here)} [dim]→[/] {_short(one.there)}"
        console.print(f"{indent}[yellow]~[/] {name}: {values}", highlight=False, soft_wrap=True)
    else:
        mark = "[red]-[/]" if one.kind == "only_here" else "[green]+[/]"
        value = one.here if one.kind == "only_here" else one.there
        console.print(f"{indent}{mark} {name}: {_short(value)}", highlight=False, soft_wrap=True)


def _short(value: Any) -> str:
    """A value on one line: `{column: A, scale: 2}`; long mappings cut."""
    if isinstance(value, Mapping):
        shown = ", ".join(f"{k.removeprefix('columns.')}: {_plain(v)}" for k, v in list(value.items())[:_MOST_CODES])
        more = f", and {len(value) - _MOST_CODES} more" if len(value) > _MOST_CODES else ""
        return escape(f"{{{shown}{more}}}")
    return escape(_plain(value))


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {_plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_plain(v) for v in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
