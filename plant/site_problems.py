"""What is wrong with a site, collected: `file: key path: what was found; what is allowed; the nearest match`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from plant.errors import did_you_mean, listing
from plant.site_inheritance import Place
from plant.sources import Part

P = TypeVar("P", bound=Part)


class Problems:
    """Lines for the user, each once, in the order in which they were found."""

    def __init__(self, lines: Sequence[str] = ()):
        self.lines = list(lines)

    def add(self, place: Place, what: str) -> None:
        line = f"{place}: {what}".rstrip()
        if line not in self.lines:
            self.lines.append(line)

    def choice(self, place: Place, found: object, allowed: Sequence[str], most: int = 12) -> None:
        """A word that is none of the allowed ones."""
        near = did_you_mean(str(found), allowed)
        self.add(place, f"found '{found}'; allowed: {listing(allowed, most) or 'none'}{near}")

    def parse(self, model: type[P], value: Any, place: Place, beside: Sequence[str] = ()) -> P | None:
        """`value` as `model`, or None with every problem noted. beside: further keys that are allowed there."""
        if not isinstance(value, dict | str):
            self.add(place, f"found {value!r}; allowed: a mapping (key: value)")
            return None
        try:
            return model.model_validate(value)
        except ValidationError as e:
            for one in _telling(e):
                self._note(model, one, place, beside)
            return None

    def _note(self, model: type[Part], one: Any, place: Place, beside: Sequence[str]) -> None:
        path, models = _located(model, one["loc"], place)
        found = one.get("input")
        if one["type"] == "extra_forbidden":
            name = str(one["loc"][-1])
            fields = [*dict.fromkeys(k for m in models for k in field_names(m)), *(beside if model in models else ())]
            self.add(path, f"unknown key '{name}'; allowed: {listing(fields, 40)}{did_you_mean(name, fields)}")
        elif one["type"] == "missing":
            self.add(path, "is missing")
        elif one["type"] == "literal_error":
            options = re.findall(r"'([^']*)'", str(one.get("ctx", {}).get("expected", "")))
            self.choice(path, found, options)
        elif one["type"] == "string_type" and isinstance(found, bool | int | float):
            self.add(path, f"found {found!r}; allowed: text; write it in quotes")
        elif one["type"] == "value_error":
            self.add(path, str(one["msg"]).removeprefix("Value error, "))
        else:
            self.add(path, f"found {found!r}; {one['msg'][:1].lower()}{one['msg'][1:]}")


def field_names(model: type[BaseModel]) -> list[str]:
    """The keys of a part as they are written in the file."""
    return [info.alias or name for name, info in model.model_fields.items()]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The parts that a value of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _telling(error: ValidationError) -> list[Any]:
    """The errors without those of a union's other branches: a wrong mapping need not be told that it is no text."""
    every = error.errors()

    def beside_the_point(one: Any) -> bool:
        shape = "string_type" if isinstance(one.get("input"), dict | list) else ""
        if one["type"] not in (shape, "model_type", "model_attributes_type", "dict_type", "tuple_type"):
            return False
        above = one["loc"][:-1]
        return any(o is not one and o["loc"][: len(above)] == above and _is_branch(one["loc"][-1]) for o in every)

    return [one for one in every if not beside_the_point(one)] or every


def _located(model: type[Part], loc: tuple[Any, ...], place: Place) -> tuple[Place, list[type[BaseModel]]]:
    """Where an error stands, without pydantic's names for the branches of a union, and the parts it may be in."""
    inside: list[type[BaseModel]] = [model]
    own_keys = False  # the next key is not a field but one of a mapping's own: `columns: {unit: ...}`
    for key in loc:
        if any(m.__name__ == key for m in inside) or (not place.has(key) and _is_branch(key)):
            continue
        fields = [info for m in inside for name, info in m.model_fields.items() if key in (name, info.alias)]
        place = place / key
        if own_keys or not fields:
            own_keys = False
        elif deeper := [m for info in fields for m in models_in(info.annotation)]:
            inside = deeper
            own_keys = any(dict in _origins(info.annotation) for info in fields)
    return place, inside


def _origins(annotation: Any) -> set[Any]:
    return {get_origin(annotation), *(o for inner in get_args(annotation) for o in _origins(inner))}


def _is_branch(key: object) -> bool:
    """`str`, `tuple[str, ...]`, `function-before[...]`: names of types, which nobody wrote."""
    return isinstance(key, str) and (key in ("str", "int", "float", "bool", "none") or "[" in key or key[:1].isupper())
