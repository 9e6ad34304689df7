"""Reading a YAML file and telling everything that is wrong with it in a user's words.

A problem is one line: file, key path, what was found, what is allowed, nearest match.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, GetCoreSchemaHandler, ValidationError
from pydantic_core import ErrorDetails, core_schema

from plant.errors import SteadylineError, listing, nearest

_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Duration(str):
    """A length of time as it was written: "24h", "7d", "30min"; positive.

    It stays the text it was written as, because horizons are named by it in every answer.
    """

    def __new__(cls, text: object) -> Duration:
        number = str(text).strip()
        unit = number.lstrip("0123456789.")
        number = number[: len(number) - len(unit)]
        try:
            delta = pd.Timedelta(seconds=float(number) * _SECONDS[unit.strip()])
        except (KeyError, ValueError, OverflowError):
            raise ValueError("a duration: a number and one of s, min, h, d, w, for example 24h or 7d") from None
        if delta <= pd.Timedelta(0):
            raise ValueError("a duration longer than nothing, for example 24h")
        self = super().__new__(cls, f"{number}{unit.strip()}")
        self.delta = delta
        return self

    delta: pd.Timedelta

    @property
    def hours(self) -> float:
        """Length in hours."""
        return float(self.delta / pd.Timedelta(hours=1))

    def __getnewargs__(self) -> tuple[str]:
        return (str(self),)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )


def utc_time(value: Any) -> pd.Timestamp:
    """A time with its zone, as UTC. A naive time (or a bare date) is refused: nobody knows which day it means."""
    allowed = "a time with its zone, for example 2015-09-01T00:00:00Z"
    if not isinstance(value, (str, date, datetime, pd.Timestamp)):
        raise ValueError(allowed)
    try:
        time = pd.Timestamp(value)
    except ValueError:
        raise ValueError(allowed) from None
    if time is pd.NaT or time.tzinfo is None:
        raise ValueError(allowed)
    return time.tz_convert("UTC").as_unit("us")


def problems(path: Path, error: ValidationError, model: type[BaseModel]) -> list[str]:
    """Every error of a pydantic validation, one line each."""
    lines: dict[str, None] = {}  # a dict keeps the order and drops repeats (unions report once per branch)
    for item in error.errors():
        lines[_line(path, item, model)] = None
    return list(lines)


def _line(path: Path, item: ErrorDetails, model: type[BaseModel]) -> str:
    loc = [part for part in item["loc"] if not _is_branch(part)]
    key = _dotted(loc) or "keys"
    kind = item["type"]
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        names = allowed_keys(model, loc[:-1])
        hint = nearest(str(loc[-1]), names)
        return f"{path}: {key}: is not a key here, allowed: {listing(names, 30)}" + (f"; {hint}" if hint else "")
    if kind in ("missing", "missing_argument"):
        inside = allowed_keys(model, loc)
        return f"{path}: {key}: is missing" + (f"; write its keys: {listing(inside, 30)}" if inside else "")
    found = f"{path}: {key}: found {_shown(item['input'])}"
    if kind in ("literal_error", "enum"):
        expected = item.get("ctx", {}).get("expected", "")
        words = [w.strip().strip("'") for w in expected.replace(" or ", ", ").split(",")]
        hint = nearest(str(item["input"]), words)
        return f"{found}, allowed: {listing(words, 30)}" + (f"; {hint}" if hint else "")
    cause = item.get("ctx", {}).get("error")
    message = "; ".join(cause.details) if isinstance(cause, SteadylineError) and cause.details else item["msg"]
    for prefix in ("Value error, ", "Input should be "):
        message = message.removeprefix(prefix)
    if kind in ("too_short", "string_too_short"):
        message = "a text that is not empty" if kind == "string_too_short" else "a list that is not empty"
    if kind != "value_error":
        return f"{found}, allowed: {message}"
    message = "; ".join(line.strip(" -") for line in message.splitlines())
    # a check across keys, or one that says itself what was found
    return f"{path}: {key}: {message}" if "found " in message else f"{found}, allowed: {message}"


def _is_branch(part: int | str) -> bool:
    """Parts that pydantic adds to a path for the branch of a union, which no user wrote."""
    return isinstance(part, str) and (part.endswith("]") or part.startswith(("function-", "literal")))


def _dotted(loc: Iterable[int | str]) -> str:
    out = ""
    for part in loc:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else str(part)
    return out


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def allowed_keys(model: type[Any], loc: Iterable[int | str]) -> list[str]:
    """Keys allowed at `loc` inside a model: follows fields through lists, mappings and optional values."""
    here: list[Any] = [model]
    for part in loc:
        step: list[Any] = []
        for kind in here:
            if isinstance(part, int):
                step += list(typing.get_args(kind)) or [kind]
            elif part in _fields(kind):
                step += _classes(_fields(kind)[part])
            elif typing.get_origin(kind) is dict:
                step += _classes(typing.get_args(kind)[1])
        here = [c for kind in step for c in _classes(kind)]
    return [name for kind in here for name in _fields(kind)]


def _fields(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {info.alias or name: info.annotation for name, info in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        hints = typing.get_type_hints(kind)
        return {f.name: hints[f.name] for f in dataclasses.fields(kind)}
    return {}


def _classes(annotation: Any) -> list[Any]:
    """The branches of a union, without None and without what Annotated adds."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _classes(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [c for arg in typing.get_args(annotation) if arg is not type(None) for c in _classes(arg)]
    return [annotation]
