"""`extends:`: a site that states only what differs from another one.

`read_layers(folder)` gives the site's own `site.yaml` and those it extends, `Merged` lays the first over the others.
What comes out still knows in which file each key stands, so that a mistake is told where it can be mended.

Mappings are merged key by key, null removes a key, everything else (a list too) replaces. A table is a list of items;
an extending site may give it as a mapping instead: item name -> what differs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plant.errors import SiteError, did_you_mean, listing
from plant.yaml_text import read_yaml

SITE_FILE = "site.yaml"
SECTIONS = ("sources", "crosswalks", "tables")
# What gives a value its raw text: one of them in the extending site takes the place of another one in the base.
RAW_KEYS = ("column", "constant", "template", "lookup", "expression")
_MOST_BASES = 10


@dataclass(frozen=True, eq=False)
class Layer:
    """One `site.yaml`. label: its name in messages, seen from the site's own folder."""

    folder: Path
    label: str
    raw: dict[str, Any]
    content: bytes


@dataclass(frozen=True, eq=False)
class Given:
    """A value of the merged mapping and the file that gave it last.

    value: plain, or for a mapping its keys with what is Given for each. written: for an item of a table, where it
    stands in each file that says something about it. name: what an item is called.
    """

    value: Any
    layer: Layer
    written: dict[Layer, str] = field(default_factory=dict)
    name: str = ""

    @property
    def keys(self) -> dict[Any, Given]:
        return self.value if isinstance(self.value, dict) else {}

    def child(self, key: object) -> Given | None:
        return next((given for k, given in self.keys.items() if word(k) == word(key)), None)

    def plain(self) -> Any:
        return {k: v.plain() for k, v in self.keys.items()} if isinstance(self.value, dict) else self.value


def word(value: object) -> str:
    """A YAML scalar as text; nothing is an empty cell."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return str(value)


def given(value: Any, layer: Layer) -> Given:
    """A value of one file."""
    return Given({k: given(v, layer) for k, v in value.items()} if isinstance(value, dict) else value, layer)


class Place:
    """A key path of the merged mapping. As text: the file in which its deepest given key stands, and the path there."""

    def __init__(self, root: Given, *keys: str):
        self._root, self._keys = root, keys

    def __truediv__(self, key: object) -> Place:
        return Place(self._root, *self._keys, word(key))

    def _walk(self) -> tuple[Given, str]:
        deepest, start, written = self._root, 0, {}
        for n, key in enumerate(self._keys):
            found = deepest.child(key)
            if found is None:
                break
            deepest = found
            if found.written:
                start, written = n + 1, found.written
        item = written.get(deepest.layer) or next(iter(written.values()), "")
        return deepest, ".".join([*([item] if item else []), *self._keys[start:]])

    @property
    def layer(self) -> Layer:
        return self._walk()[0].layer

    def has(self, key: object) -> bool:
        """Whether the mapping at this place gives the key."""
        found: Given | None = self._root
        for one in (*self._keys, word(key)):
            found = found.child(one) if found is not None else None
        return found is not None

    def __str__(self) -> str:
        deepest, path = self._walk()
        return f"{deepest.layer.label}: {path}"


def is_below(path: Path, folder: Path) -> bool:
    """Whether a path stays in a folder, links followed; what is no path (a NUL, links in a circle) does not."""
    try:
        return path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def site_folders(folder: Path) -> tuple[Path, ...]:
    """The site's own folder, then those it extends. A folder without a `site.yaml` stands for itself."""
    path = folder / SITE_FILE
    if not path.is_file() or b"extends" not in path.read_bytes():
        return (folder,)
    return tuple(layer.folder for layer in read_layers(folder))


def model_files(folders: Iterable[Path]) -> list[Path]:
    """The model files of a site in order of their names: its own, and the inherited ones of other names.

    A file of the site that holds nothing but remarks takes away the inherited one of its name.
    """
    found: dict[str, Path] = {}
    removed: set[str] = set()
    every = list(folders)
    for number, folder in enumerate(every):
        for path in sorted((folder / "models").glob("*.yaml")):
            inherited = any((base / "models" / path.name).is_file() for base in every[number + 1 :])
            if path.name not in found and inherited and _only_remarks(path):
                removed.add(path.name)
            if path.name not in removed:
                found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def _only_remarks(path: Path) -> bool:
    lines = (line.strip() for line in path.read_bytes().splitlines())
    return all(not line or line.startswith(b"#") or line in (b"null", b"---") for line in lines)


def read_layers(folder: Path) -> list[Layer]:
    """The site's own layer first, then what it extends, one after the other. Raises SiteError."""
    layers = [_layer(folder, SITE_FILE)]
    seen = [_lexical(folder)]
    while "extends" in layers[-1].raw:
        last = layers[-1]
        base = _base(seen[0], last)
        if base in seen:
            chain = " -> ".join(os.path.relpath(p, seen[0].parent) for p in [*seen, base])
            raise _refused(last, f"found '{last.raw['extends']}', which leads back to itself: {chain}")
        if len(layers) > _MOST_BASES:
            raise _refused(last, f"more than {_MOST_BASES} sites extend each other; allowed: {_MOST_BASES}")
        seen.append(base)
        layers.append(_layer(base, os.path.relpath(base / SITE_FILE, seen[0])))
    return layers


def _layer(folder: Path, label: str) -> Layer:
    path = folder / SITE_FILE
    return Layer(folder, Path(label).as_posix(), read_yaml(path), path.read_bytes())


def _lexical(folder: Path) -> Path:
    # Not resolved: `..` of a folder that is a link is where the link stands, as it is written.
    return Path(os.path.normpath(folder.absolute()))


def _base(own: Path, layer: Layer) -> Path:
    """The folder that a layer extends; never outside the folder that holds the site."""
    value, sites = layer.raw["extends"], own.parent
    there = sorted(
        os.path.relpath(p.parent, _lexical(layer.folder))
        for p in sites.glob("*/site.yaml")
        if p.parent.name != own.name and not p.parent.name.startswith("_")
    )
    allowed = f"allowed: {listing(there)}" if there else f"there is no other site in {sites}"
    if not isinstance(value, str) or not value.strip():
        raise _refused(layer, f"found {value!r}; allowed: the folder of another site, such as ../dublin")
    if Path(value).is_absolute() or "\\" in value:
        raise _refused(layer, f"found '{value}'; allowed: a path relative to this folder, with /; {allowed}")
    base = _lexical(_lexical(layer.folder) / value)
    if not is_below(base, sites) or base == sites:
        raise _refused(layer, f"'{value}' lies outside the folder that holds the sites; {allowed}")
    if not is_file(base / SITE_FILE):
        raise _refused(layer, f"no site in '{value}'; {allowed}{did_you_mean(Path(value).as_posix(), there)}")
    return base


def _refused(layer: Layer, what: str) -> SiteError:
    return SiteError(
        "bad_site",
        f"{layer.folder / SITE_FILE} extends what it cannot",
        hint="name the folder of the site that this one differs from, relative to this folder",
        details=[f"{layer.label}: extends: {what}"],
    )


class Merged:
    """The layers of a site, merged. problems: `file: key path: what` lines. removed: where a name was taken away."""

    def __init__(self, layers: list[Layer]):
        self.layers = layers
        self.problems: list[str] = []
        self.removed: dict[tuple[str, str], Layer] = {}
        out: dict[Any, Given] = {}
        for layer in reversed(layers):
            extending = layer is not layers[-1]
            out.pop("site", None)  # each site says its own name
            for key, value in layer.raw.items():
                if key == "extends":
                    continue
                here = given(value, layer)
                before = out.get(key)
                if key in SECTIONS and isinstance(value, dict):
                    out[key] = self._section(str(key), before or Given({}, layer), here, extending)
                elif value is None and extending:
                    out.pop(key, None)
                else:
                    out[key] = here
        self.root = Given(out, layers[0])

    def _note(self, layer: Layer, path: str, what: str) -> None:
        self.problems.append(f"{layer.label}: {path}: {what}".rstrip())

    def _section(self, section: str, base: Given, own: Given, extending: bool) -> Given:
        out = dict(base.keys)
        for key, value in own.keys.items():
            path = f"{section}.{word(key)}"
            before = base.child(key)
            if value.value is None and extending:
                self._remove(out, key, own.layer, path)
                self.removed[section, word(key)] = own.layer
            elif section == "tables":
                _put(out, key, self._table(path, before, value, extending))
            elif before is None:
                _put(out, key, value)
            elif section == "crosswalks":
                _put(out, key, self._crosswalk(before, value, path))
            else:
                _put(out, key, self._over(before, value, path))
        return Given(out, own.layer)

    def _remove(self, out: dict[Any, Given], key: object, layer: Layer, path: str) -> None:
        found = next((k for k in out if word(k) == word(key)), None)
        if found is None:
            names = [word(k) for k in out]
            self._note(layer, path, f"null removes nothing: allowed: {listing(names)}{did_you_mean(word(key), names)}")
        else:
            del out[found]

    def _over(self, base: Given, own: Given, path: str) -> Given:
        """`own` laid over `base`."""
        if not isinstance(base.value, dict) or not isinstance(own.value, dict):
            return own
        out = dict(base.keys)
        for key, value in own.keys.items():
            if value.value is None:
                self._remove(out, key, own.layer, f"{path}.{word(key)}")
                continue
            before = base.child(key)
            _put(out, key, value if before is None else self._over(before, value, f"{path}.{word(key)}"))
        return Given(out, own.layer, base.written | own.written, base.name or own.name)

    def _crosswalk(self, base: Given, own: Given, path: str) -> Given:
        """Codes are merged with codes; a file takes the place of codes; codes beside a file are laid over its words."""
        if "file" in own.keys:
            chosen = {k: v for k, v in base.keys.items() if k in ("file", "key")} if "file" in base.keys else {}
            return self._over(Given(chosen, base.layer), own, path)
        if "file" in base.keys and isinstance(own.value, dict) and not {"file", "key"} & set(own.keys):
            return Given({**base.keys, **own.keys}, own.layer)
        return self._over(base, own, path)

    def _table(self, path: str, base: Given | None, own: Given, extending: bool) -> Given:
        if isinstance(own.value, list):
            return _listed(own, path)
        if not isinstance(own.value, dict) or not extending:
            return own
        out = dict(base.keys) if base is not None else {}
        for key, value in own.keys.items():
            spot = f"{path}.{word(key)}"
            called = [k for k, item in out.items() if item.name == word(key)]
            if len(called) > 1:
                what = f"{len(called)} items are called '{word(key)}': allowed: one; give each a name: where they stand"
                self._note(own.layer, spot, what)
            elif value.value is None:
                if not called:
                    names = [item.name for item in out.values()]
                    what = f"null removes nothing: allowed: {listing(names)}{did_you_mean(word(key), names)}"
                    self._note(own.layer, spot, what)
                out = {k: item for k, item in out.items() if k not in called}
            else:
                item = Given(value.value, value.layer, {own.layer: spot}, word(key))
                if called:
                    out[called[0]] = self._over(_in_full(out[called[0]], item), item, spot)
                else:
                    out[word(key)] = item
        return Given(out, own.layer)


def _put(out: dict[Any, Given], key: object, value: Given) -> None:
    out[next((k for k in out if word(k) == word(key)), key)] = value


def _listed(table: Given, path: str) -> Given:
    """A list of items as a mapping by their names (a number is added where several have one name)."""
    out: dict[Any, Given] = {}
    for number, raw in enumerate(table.value):
        name = word(raw.get("name") or raw.get("source") or number) if isinstance(raw, dict) else str(number)
        key = name if name not in out else f"{name}#{number}"
        out[key] = Given(given(raw, table.layer).value, table.layer, {table.layer: f"{path}[{number}]"}, name)
    return Given(out, table.layer)


def _in_full(base: Given, own: Given) -> Given:
    """`base` written so that `own` can be laid over it.

    `{unit: ...}` over the short form `cost: PRICE` is laid over `{column: PRICE}`; `{constant: 5}` takes the place of a
    column.
    """
    ours, theirs = base.child("columns"), own.child("columns")
    if ours is None or theirs is None:
        return base
    forms = dict(ours.keys)
    for name, form in theirs.keys.items():
        before = ours.child(name)
        if before is None or not isinstance(form.value, dict):
            continue
        full = before.keys or ({"column": before} if isinstance(before.value, str) else {})
        if set(RAW_KEYS) & set(form.keys):
            full = {k: v for k, v in full.items() if k not in RAW_KEYS or k in form.keys}
        _put(forms, name, Given(full, before.layer))
    columns = Given(forms, ours.layer)
    return Given({k: columns if v is ours else v for k, v in base.keys.items()}, base.layer, base.written, base.name)
