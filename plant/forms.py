"""The parts of a `site.yaml` that map: column forms, mapping items. docs/reference/site-yaml.md explains each key."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import Field, field_validator, model_validator

from plant.sources import Part, time_zone


class Lookup(Part):
    """Equal values in another source: a column of its (first) row, or whether there is one at all."""

    source: str
    on: dict[str, str] = Field(min_length=1)
    take: str | None = None
    found: str | None = None
    otherwise: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Lookup:
        if (self.take is None) == (self.found is None):
            raise ValueError("give one of take (a column of the other source) and found (with otherwise)")
        return self

    def columns(self) -> set[str]:
        """Columns of the other source that are needed."""
        return {*self.on.values(), *([self.take] if self.take else [])}


class Offset(Part):
    """A shift of (column × factor + constant) units."""

    column: str | None = None
    factor: float = 1.0
    constant: float = 0.0
    unit: Literal["s", "min", "h", "d"]


class Unit(Part):
    source: str | Form = Field(alias="from")
    target: str | Form = Field(alias="to")


class Form(Part):
    """How one canonical value is made from a source row; see docs/reference/site-yaml.md."""

    column: str | None = None
    constant: str | int | float | bool | None = None
    template: str | None = None
    lookup: Lookup | None = None
    crosswalk: str | None = None
    take: str | None = None
    default: str | None = None
    format: str | None = None
    months: dict[str, Annotated[int, Field(ge=1, le=12)]] = Field(default_factory=dict)
    replace: dict[str, str] = Field(default_factory=dict)
    scale: float = 1.0
    add: float = 0.0
    unit: Unit | None = None
    offset: Offset | None = None
    round: int | None = Field(None, ge=0, le=12)
    time_zone: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"column": value} if isinstance(value, str) else value

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        return time_zone(value)

    @field_validator("format")
    @classmethod
    def _format(cls, value: str | None) -> str | None:
        if value is not None and value != "iso":
            try:
                pd.to_datetime(pd.Series(["?"]), format=value, errors="coerce")
            except ValueError as e:
                raise ValueError(f"'{value}' is no time format: {e}; allowed: iso, or such as %d.%m.%Y %H:%M") from e
            if not re.search("%[YyG]", value):
                raise ValueError(f"'{value}' holds no year; allowed: iso, or such as %d.%m.%Y %H:%M")
        return value

    @model_validator(mode="after")
    def _one(self) -> Form:
        given = [k for k in ("column", "constant", "template", "lookup") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of column, constant, template, lookup (found: {', '.join(given) or 'none'})"
            )
        if (self.take or self.default) and not self.crosswalk:
            raise ValueError("take and default belong to a crosswalk")
        return self

    def columns(self) -> set[str]:
        """Source columns this form reads."""
        out = {self.column} if self.column else set()
        out |= set(template_fields(self.template)) if self.template else set()
        out |= set(self.lookup.on) if self.lookup else set()
        out |= {self.offset.column} if self.offset and self.offset.column else set()
        if self.unit:
            for side in (self.unit.source, self.unit.target):
                out |= side.columns() if isinstance(side, Form) else set()
        return out


    def lookups(self) -> list[Lookup]:
        """Lookups of this form and of the forms in it."""
        sides = (self.unit.source, self.unit.target) if self.unit else ()
        inner = [found for side in sides if isinstance(side, Form) for found in side.lookups()]
        return [*([self.lookup] if self.lookup else []), *inner]


Unit.model_rebuild()


def template_fields(template: str) -> list[str]:
    return re.findall(r"\{([^{}]+)\}", template)


class Item(Part):
    """One mapping of one source into one canonical table."""

    source: str
    where: dict[str, tuple[str, ...] | dict[Literal["not"], tuple[str, ...]]] = Field(default_factory=dict)
    columns: dict[str, Form]

    def source_columns(self) -> set[str]:
        return set(self.where).union(*(f.columns() for f in self.columns.values()))
