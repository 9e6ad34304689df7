"""What the scoring routes take and give, as they stand in the service's OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from plant.errors import SteadylineError

Names = Annotated[list[str], Field(min_length=1, max_length=5000)]
AsOf = Annotated[
    str | None,
    Field(
        description="Score with what was known strictly before this time; ISO 8601 with an offset, "
        "for example 2026-03-01T06:00:00Z. Empty: the end of the data.",
        json_schema_extra={"format": "date-time"},
    ),
]
SiteName = Annotated[str, Field(min_length=1, description="Name of the site, as in its site.yaml.")]
ModelName = Annotated[str | None, Field(description="Model of the site; empty: the site's only model of this kind.")]


class EquipmentRequest(BaseModel):
    """Which equipment to score, with what was known when."""

    model_config = ConfigDict(extra="forbid")

    site: SiteName
    equipment_ids: Annotated[Names | None, Field(description="Empty: all equipment of the model.")] = None
    model: ModelName = None
    as_of: AsOf = None


class BatchesRequest(BaseModel):
    """Which batches to score, with what was known when."""

    model_config = ConfigDict(extra="forbid")

    site: SiteName
    batch_ids: Annotated[Names | None, Field(description="Empty: all batches with a result outstanding.")] = None
    model: ModelName = None
    as_of: AsOf = None


class Scores(BaseModel):
    """The answer: one score for each subject, each with the model and data it was made from."""

    scores: list[dict[str, Any]]


def parse_time(text: str | None) -> pd.Timestamp | None:
    """An ISO 8601 time with an offset, in UTC; None stays None.

    Raises SteadylineError: `naive_time` without an offset, `bad_time` for what is no time, `future_time` for a moment
    that has not come: nothing is known about it.
    """
    if text is None or not text.strip():
        return None
    try:
        t = pd.Timestamp(text)
    except (ValueError, TypeError):
        t = pd.NaT
    if t is pd.NaT:
        raise SteadylineError(
            "bad_time", f"'{text}' is no time", "ISO 8601 with an offset", "write it like 2026-03-01T06:00:00Z"
        )
    if t.tzinfo is None:
        raise SteadylineError(
            "naive_time", f"'{text}' does not say in which time zone", "ISO 8601 with an offset",
            f"for UTC write {t.isoformat()}Z",
        )
    if not 1970 <= t.year < 2262:  # outside, not even the arithmetic of times holds
        raise SteadylineError("bad_time", f"'{text}' lies outside every record", "a time from 1970 to now")
    if t > pd.Timestamp.now(tz="UTC") + pd.Timedelta(days=1):
        raise SteadylineError(
            "future_time", f"'{text}' has not come yet", "a time up to now", "leave it out for the end of the data"
        )
    return t.tz_convert("UTC").as_unit("us")
