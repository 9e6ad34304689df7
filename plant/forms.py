"""The parts of a `site.yaml` that map: column forms, mapping items. docs/reference/site-yaml.md explains each key."""

from __future__ import annotations

import functools
import re
from typing import Annotated, Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from plant import expressions
from plant.months import month_names
from plant.sources import Part, duration, time_zone

# Columns that no source has: where the row stands, and the ends of an interval.
PLACE = ("@file", "@line", "@content")
ENDS = ("@start", "@end")
PSEUDO = frozenset((*PLACE, *ENDS))


class Lookup(Part):
    """Equal values in another source: a column of one of its rows, or whether there is one at all."""

    source: str
    on: dict[str, str] = Field(min_length=1)
    take: str | None = None
    which: Literal["first", "last", "min", "max"] = "first"
    found: str | None = None
    otherwise: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Lookup:
        if (self.take is None) == (self.found is None):
            raise ValueError("give one of take (a column of the other source) and found (with otherwise)")
        if self.take is None and "which" in self.model_fields_set:
            raise ValueError("which belongs to take")
        if self.take is not None and self.otherwise is not None:
            raise ValueError("otherwise belongs to found")
        return self

    def columns(self) -> set[str]:
        """Columns of the other source that are needed."""
        return {*self.on.values(), *([self.take] if self.take else [])}


class Split(Part):
    """The n-th part of a text that is cut at `at`; counted from 1, negative from the end."""

    at: str = Field(min_length=1)
    part: int

    @field_validator("part")
    @classmethod
    def _not_zero(cls, value: int) -> int:
        if value == 0:
            raise ValueError("found 0; allowed: 1 for the first part, -1 for the last")
        return value


class Offset(Part):
    """A shift of (number × factor + constant) units; the number is a column, an expression or looked up."""

    column: str | None = None
    expression: str | None = None
    lookup: Lookup | None = None
    factor: float = 1.0
    constant: float = 0.0
    unit: Literal["s", "min", "h", "d"]

    @model_validator(mode="after")
    def _one(self) -> Offset:
        given = [k for k in ("column", "expression", "lookup") if getattr(self, k) is not None]
        if len(given) > 1:
            raise ValueError(f"give at most one of column, expression, lookup (found: {', '.join(given)})")
        if self.expression is not None:
            expression(self.expression)
        return self

    @property
    def number(self) -> Form | None:
        """The form of the number; None where the shift is constant."""
        if self.column is None and self.expression is None and self.lookup is None:
            return None
        return Form.model_validate({"column": self.column, "expression": self.expression, "lookup": self.lookup})


class Unit(Part):
    source: str | Form = Field(alias="from")
    target: str | Form = Field(alias="to")


class Form(Part):
    """How one canonical value is made from a source row; see docs/reference/site-yaml.md."""

    column: str | None = None
    constant: str | int | float | bool | None = None
    template: str | None = None
    lookup: Lookup | None = None
    expression: str | None = None
    split: Split | None = None
    pattern: str | None = None
    no_match: Literal["quarantine", "empty", "keep"] = "quarantine"
    crosswalk: str | None = None
    take: str | None = None
    default: str | None = None
    format: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    months: str | dict[str, Annotated[int, Field(ge=1, le=12)]] = Field(default_factory=dict)
    replace: dict[str, str] = Field(default_factory=dict)
    scale: float = Field(1.0, allow_inf_nan=False)
    add: float = Field(0.0, allow_inf_nan=False)
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
    def _format(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        for layout in (value,) if isinstance(value, str) else value or ():
            _check_layout(layout)
        return value

    @field_validator("months")
    @classmethod
    def _months(cls, value: str | dict[str, int]) -> str | dict[str, int]:
        if isinstance(value, str):
            month_names(value)
        elif "" in value:
            raise ValueError("the name of a month is empty")
        return value

    @field_validator("expression")
    @classmethod
    def _expression(cls, value: str | None) -> str | None:
        if value is not None:
            expression(value)
        return value

    @field_validator("pattern")
    @classmethod
    def _pattern(cls, value: str | None) -> str | None:
        if value is not None:
            check_pattern(value)
        return value

    @model_validator(mode="after")
    def _one(self) -> Form:
        kinds = ("column", "constant", "template", "lookup", "expression")
        given = [k for k in kinds if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of {', '.join(kinds)} (found: {', '.join(given) or 'none'})")
        if (self.take or self.default) and not self.crosswalk:
            raise ValueError("take and default belong to a crosswalk")
        if "no_match" in self.model_fields_set and self.pattern is None and self.split is None:
            raise ValueError("no_match belongs to a pattern or a split")
        return self

    @property
    def layouts(self) -> tuple[str, ...]:
        """Layouts of times, in the order in which they are tried."""
        return (self.format,) if isinstance(self.format, str) else self.format or ("iso",)

    @property
    def worded(self) -> bool:
        """Whether the text of a cell is changed before it is read as a number or a time."""
        return bool(self.split or self.pattern or self.replace or self.crosswalk)

    def columns(self) -> set[str]:
        """Columns this form reads, pseudo-columns such as @line included."""
        out = {self.column} if self.column else set()
        out |= set(template_fields(self.template)) if self.template else set()
        out |= set(expression(self.expression).columns) if self.expression else set()
        out |= set(self.lookup.on) if self.lookup else set()
        return out.union(*(form.columns() for form in self._inner()))

    def lookups(self) -> list[Lookup]:
        """Lookups of this form and of the forms in it."""
        inner = [found for form in self._inner() for found in form.lookups()]
        return [*([self.lookup] if self.lookup else []), *inner]

    def _inner(self) -> list[Form]:
        sides = (self.unit.source, self.unit.target) if self.unit else ()
        number = self.offset.number if self.offset else None
        return [*(side for side in sides if isinstance(side, Form)), *([number] if number else [])]


Offset.model_rebuild()
Unit.model_rebuild()


@functools.lru_cache(maxsize=4096)
def expression(text: str) -> expressions.Expression:
    return expressions.parse(text)


def template_fields(template: str) -> list[str]:
    return re.findall(r"\{([^{}]+)\}", template)


def check_pattern(pattern: str) -> None:
    """Raises ValueError where `pattern` is none that can be searched in linear time (RE2)."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        what = str(e).removeprefix("Invalid regular expression: ")
        raise ValueError(
            f"'{pattern}' is no regular expression: {what}; allowed: RE2 (no look-around, no back-references)"
        ) from e


def _check_layout(value: str) -> None:
    if value == "iso":
        return
    try:
        pd.to_datetime(pd.Series(["?"]), format=value, errors="coerce")
    except ValueError as e:
        raise ValueError(f"'{value}' is no time format: {e}; allowed: iso, or such as %d.%m.%Y %H:%M") from e
    if not re.search("%[YyG]", value):
        raise ValueError(f"'{value}' holds no year; allowed: iso, or such as %d.%m.%Y %H:%M")


class Keep(Part):
    """Only one row of each group: the one whose number (or time, where a format is given) is largest or smallest."""

    last: Form | None = None
    first: Form | None = None
    by: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one(self) -> Keep:
        if (self.last is None) == (self.first is None):
            raise ValueError("give one of last and first, a column whose numbers (or times: with a format) order rows")
        return self

    @property
    def order(self) -> Form:
        form = self.last or self.first
        assert form is not None  # noqa: S101 (see _one)
        return form


class Condition(Part):
    """What a row has to hold for an interval to go on; every key that is given counts."""

    column: str
    below: float | None = None
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    equals: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _some(self) -> Condition:
        bounds = [b for b in (self.below, self.above, self.at_least, self.at_most) if b is not None]
        if bool(bounds) == bool(self.equals):
            raise ValueError("give bounds (below, above, at_least, at_most) or equals: [words]")
        return self


class Intervals(Part):
    """Rows that hold a condition become intervals."""

    at: Form
    condition: Condition = Field(alias="while")
    by: tuple[str, ...] = ()
    at_least: str | None = None
    gap: str | None = None

    @field_validator("at_least", "gap")
    @classmethod
    def _length(cls, value: str | None) -> str | None:
        if value is not None and duration(value) <= pd.Timedelta(0):
            raise ValueError(f"found '{value}'; allowed: a duration above zero such as 2min or 1h")
        return value


class Item(Part):
    """One mapping of one source into one canonical table."""

    source: str
    name: str | None = None
    where: dict[str, tuple[str, ...] | dict[Literal["not"], tuple[str, ...]]] = Field(default_factory=dict)
    keep: Keep | None = None
    intervals: Intervals | None = None
    columns: dict[str, Form]

    @model_validator(mode="after")
    def _fits(self) -> Item:
        if self.keep and self.intervals:
            raise ValueError("give keep or intervals, not both")
        used = sorted(set(ENDS) & self._columns())
        if used and not self.intervals:
            raise ValueError(f"{', '.join(used)}: belongs to an item with intervals")
        return self

    def _columns(self) -> set[str]:
        out = set(self.where).union(*(f.columns() for f in self.columns.values()))
        if self.keep:
            out |= self.keep.order.columns() | set(self.keep.by)
        if self.intervals:
            out |= self.intervals.at.columns() | {self.intervals.condition.column} | set(self.intervals.by)
        return out

    def source_columns(self) -> set[str]:
        """Columns of the source that are read; where `needs_all_columns`, every column of the export is needed."""
        return self._columns() - PSEUDO

    @property
    def pseudo_columns(self) -> set[str]:
        return self._columns() & PSEUDO

    @property
    def needs_all_columns(self) -> bool:
        """@content is a key made of every cell of the row."""
        return "@content" in self._columns()

    @property
    def needs_all_rows(self) -> bool:
        """What a row becomes depends on the other rows of its export: some of its lines alone cannot be mapped."""
        return self.needs_all_columns or self.keep is not None or self.intervals is not None

    def lookups(self) -> list[Lookup]:
        """Every lookup of the item."""
        forms = [*self.columns.values()]
        forms += [self.keep.order] if self.keep else []
        forms += [self.intervals.at] if self.intervals else []
        return [found for form in forms for found in form.lookups()]
