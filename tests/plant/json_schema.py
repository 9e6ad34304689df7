"""JSON Schema 2020-12, as much of it as our schema uses: an independent reading of the standard for the tests.

A keyword that is not known here is an error: nothing may go unchecked because the checker does not know it.
"""

from __future__ import annotations

import re
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,), "array": (list,), "string": (str,), "null": (type(None),), "boolean": (bool,),
    "integer": (int,), "number": (int, float),
}  # fmt: skip
_SILENT = {"$schema", "$defs", "title", "description", "default", "examples", "then", "else"}


def errors(schema: Any, value: Any, root: Any = None, path: str = "$") -> list[str]:
    """What is wrong with `value`, one line each; a ValueError where the schema itself is wrong."""
    root = schema if root is None else root
    if isinstance(schema, bool):
        return [] if schema else [f"{path}: is not allowed"]
    out: list[str] = []
    for key, rule in schema.items():
        if key not in _SILENT:
            out += _CHECKS[key](rule, value, root, path, schema)
    return out


def _ref(rule: str, value: Any, root: Any, path: str, _: Any) -> list[str]:
    found = root
    for part in rule.removeprefix("#/").split("/"):
        found = found[part]
    return errors(found, value, root, path)


def _type(rule: Any, value: Any, _root: Any, path: str, _: Any) -> list[str]:
    for name in [rule] if isinstance(rule, str) else rule:
        plain = isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))
        if plain or (name == "integer" and isinstance(value, float) and value.is_integer()):
            return []
    return [f"{path}: {value!r} is no {rule}"]


def _properties(rule: Any, value: Any, root: Any, path: str, _: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    return [e for k, v in value.items() if k in rule for e in errors(rule[k], v, root, f"{path}.{k}")]


def _additional(rule: Any, value: Any, root: Any, path: str, schema: Any) -> list[str]:
    if not isinstance(value, dict):
        return []
    known = schema.get("properties", {})
    return [e for k, v in value.items() if k not in known for e in errors(rule, v, root, f"{path}.{k}")]


def _names(rule: Any, value: Any, root: Any, path: str, _: Any) -> list[str]:
    return [e for k in value for e in errors(rule, k, root, f"{path}.{k}")] if isinstance(value, dict) else []


def _required(rule: list[str], value: Any, _root: Any, path: str, _: Any) -> list[str]:
    return [f"{path}.{k}: is missing" for k in rule if k not in value] if isinstance(value, dict) else []


def _items(rule: Any, value: Any, root: Any, path: str, _: Any) -> list[str]:
    several = enumerate(value) if isinstance(value, list) else ()
    return [e for i, v in several for e in errors(rule, v, root, f"{path}[{i}]")]


def _count(least: int, most: int) -> Any:
    def check(rule: list[Any], value: Any, root: Any, path: str, _: Any) -> list[str]:
        found = [errors(one, value, root, path) for one in rule]
        good = sum(not f for f in found)
        return [] if least <= good <= most else [f"{path}: {good} of {len(rule)} fit", *(e for f in found for e in f)]

    return check


def _if(rule: Any, value: Any, root: Any, path: str, schema: Any) -> list[str]:
    return errors(schema.get("else" if errors(rule, value, root, path) else "then", True), value, root, path)


def _plain(kind: Any, holds: Any) -> Any:
    def check(rule: Any, value: Any, _root: Any, path: str, _: Any) -> list[str]:
        applies = isinstance(value, kind) and not (kind == (int, float) and isinstance(value, bool))
        return [f"{path}: {value!r} breaks {rule!r}"] if applies and not holds(rule, value) else []

    return check


_CHECKS: dict[str, Any] = {
    "$ref": _ref,
    "type": _type,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "required": _required,
    "items": _items,
    "anyOf": _count(1, 10**6),
    "oneOf": _count(1, 1),
    "allOf": lambda rule, value, root, path, _: [e for one in rule for e in errors(one, value, root, path)],
    "not": lambda rule, value, root, path, _: [] if errors(rule, value, root, path) else [f"{path}: is refused"],
    "if": _if,
    "enum": _plain(object, lambda rule, v: any(v == one and type(v) is type(one) for one in rule)),
    "const": _plain(object, lambda rule, v: v == rule),
    "pattern": _plain(str, lambda rule, v: re.search(rule, v)),
    "minLength": _plain(str, lambda rule, v: len(v) >= rule),
    "maxLength": _plain(str, lambda rule, v: len(v) <= rule),
    "minItems": _plain(list, lambda rule, v: len(v) >= rule),
    "maxItems": _plain(list, lambda rule, v: len(v) <= rule),
    "minProperties": _plain(dict, lambda rule, v: len(v) >= rule),
    "minimum": _plain((int, float), lambda rule, v: v >= rule),
    "maximum": _plain((int, float), lambda rule, v: v <= rule),
    "exclusiveMinimum": _plain((int, float), lambda rule, v: v > rule),
    "exclusiveMaximum": _plain((int, float), lambda rule, v: v < rule),
}  # fmt: skip
