"""YAML as people mean it: plain text stays text, a key that stands twice is an error.

YAML 1.1 reads `on` as true, `07:30` as 450 and `2015-01-01` as a date; in a mapping these are words and codes.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from plant.errors import SiteError

_MOST_VALUES = 200_000


class _Loader(yaml.SafeLoader):
    pass


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"),
    list("-.0123456789"),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])


def _mapping(loader: _Loader, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
    own: set[str] = set()
    for key_node, _ in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
            if key_node.value in own:
                what = f"the key '{key_node.value}' stands twice"
                raise yaml.constructor.ConstructorError(None, None, what, key_node.start_mark)
            own.add(key_node.value)
    loader.flatten_mapping(node)  # what `<<` merges in comes first, and a key of the mapping itself replaces it
    out: dict[Hashable, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key is not plain text", key_node.start_mark)
        out[key] = loader.construct_object(value_node, deep=True)
    return out


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _size(value: Any, sizes: dict[int, int]) -> int:
    """Values below `value` with every alias written out. (That none holds itself, the loader has seen to.)

    sizes: what was counted, by id, so that a bomb of aliases is counted without being written out.
    """
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in sizes:
        inner = [*value.values()] if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(_size(v, sizes) for v in inner)
    return sizes[id(value)]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in `path`. Raises SiteError when the file is missing, no YAML, or no mapping."""
    if not path.is_file():
        raise SiteError(
            "missing_file", f"{path} does not exist", hint="check the path, or see docs/reference/site-yaml.md"
        )
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 (a SafeLoader)
        if _size(content, {}) > _MOST_VALUES:
            raise ValueError(f"holds more than {_MOST_VALUES:,} values once its aliases are written out")
    except UnicodeDecodeError as e:
        raise SiteError(
            "bad_yaml", f"{path} is not UTF-8 text: {e.reason} at byte {e.start}", hint="save it as UTF-8"
        ) from e
    except RecursionError as e:
        raise SiteError("bad_yaml", f"{path} is nested too deeply", hint="write it flatter") from e
    except (yaml.YAMLError, ValueError) as e:  # ValueError: `!!int x`, and our own
        mark = getattr(e, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(e, "problem", None) or str(e)
        raise SiteError("bad_yaml", f"{path}{where}: {problem}", hint="mend the YAML there") from e
    if not isinstance(content, dict):
        raise SiteError(
            "bad_yaml",
            f"{path} holds {type(content).__name__}",
            "a mapping (key: value)",
            "see the reference of site.yaml",
        )
    return content
