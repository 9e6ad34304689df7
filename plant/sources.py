"""Where rows come from: one source of a `site.yaml`. docs/reference/site-yaml.md explains each key."""

from __future__ import annotations

import re
import zoneinfo
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from plant.errors import nearest

_ZONES = zoneinfo.available_timezones()


def time_zone(value: str | None) -> str | None:
    """The name of a time zone, or a ValueError that says what is allowed."""
    if value is not None and value not in _ZONES:
        raise ValueError(
            f"'{value}' is no time zone; allowed: IANA names such as Europe/Dublin or UTC "
            f"{nearest(value, _ZONES)}".strip()
        )
    return value


class Part(BaseModel):
    """A part of a configuration file: unknown keys are refused, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Source(Part):
    """One export (or several files of one shape) of one of the plant's systems."""

    system: str
    path: str = Field(min_length=1)
    format: Literal["csv", "parquet"]
    delimiter: str = ","
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    thousands: Literal[".", ",", " ", "'", ""] = ""
    missing: tuple[str, ...] = ("",)
    header: tuple[str, ...] = ()
    time_zone: str | None = None
    ambiguous: Literal["quarantine", "first", "second"] = "quarantine"
    clock_offset: str | None = None
    optional: bool = False

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        return time_zone(value)

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        if len(value) != 1 or not value.isascii() or value in '"\r\n':
            raise ValueError(f"found {value!r}; allowed: one plain character such as ; or a tab")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError as e:
            raise ValueError(f"'{value}' is no encoding; allowed: utf-8, utf-16, cp1252, latin-1, ...") from e
        return value

    @model_validator(mode="after")
    def _marks(self) -> Source:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both '{self.decimal}'; allowed: two different marks")
        return self

    @field_validator("clock_offset")
    @classmethod
    def _offset(cls, value: str | None) -> str | None:
        if value is not None:
            duration(value)
        return value

    @property
    def clock_shift(self) -> pd.Timedelta:
        return duration(self.clock_offset) if self.clock_offset else pd.Timedelta(0)


def duration(text: str) -> pd.Timedelta:
    """`-7min`, `2h`, `1d`; a ValueError that says what is allowed otherwise."""
    try:
        value = pd.Timedelta(text) if re.search("[a-zA-Z:]", text) else pd.NaT  # a bare number would be nanoseconds
    except ValueError:
        value = pd.NaT
    if value is pd.NaT:
        raise ValueError(f"'{text}' is no duration; allowed: -7min, 2h, 1d")
    return value
