"""What the scoring routes take and give, as they stand in the service's OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

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


Interval = Annotated[list[float | None], Field(min_length=2, max_length=2)]
_RESULT = (
    "Closed interval of the result; null: no bound. Of pass_fail [0, 0]: passes, [1, 1]: fails, [0, 1]: either may be."
)


class AttributeScore(BaseModel):
    """What the laboratory will find: a value (numeric), or whether the test fails (pass_fail: 1 failed, 0 passed)."""

    model_config = ConfigDict(extra="forbid")

    attribute: str
    target: Literal["numeric", "pass_fail"]
    unit: Annotated[str, Field(description="Of `expected`; of pass_fail `probability of failing`.")]
    expected: Annotated[float | None, Field(description="Expected value; of pass_fail the probability of failing.")]
    interval_50: Annotated[Interval, Field(description=_RESULT)]
    interval_80: Annotated[Interval, Field(description=_RESULT)]
    interval_90: Annotated[Interval, Field(description=_RESULT)]
    prob_out_of_spec: Annotated[
        float | None, Field(description="Of pass_fail the probability of failing; null: nothing is specified.")
    ]
    prob_bounds: Annotated[
        Interval | None,
        Field(description="Of pass_fail the two probabilities of Venn-Abers: the farther apart, the less sure."),
    ]
    lower_spec: Annotated[float | None, Field(description="Null: none; always of pass_fail.")]
    upper_spec: Annotated[float | None, Field(description="Null: none; always of pass_fail.")]
    prob_out_of_trend: Annotated[
        float | None, Field(description="Null: too few earlier results of the product; always of pass_fail.")
    ]
    lower_trend: float | None
    upper_trend: float | None
    verdict: Annotated[
        Literal["out_of_spec_expected", "at_risk", "in_spec_expected", "no_limits", "undecided"],
        Field(
            description="out_of_spec_expected: the expected value lies outside, of pass_fail failing is likelier than "
            "passing. at_risk: the 90 % interval reaches outside, of pass_fail failing has a probability above 5 %."
        ),
    ]
    reasons: list[dict[str, Any]]


class BatchScore(BaseModel):
    """A batch at the last stage gate it had passed, with the model and the data it was scored from."""

    model_config = ConfigDict(extra="allow")

    batch_id: str
    gate: str
    gate_time: str
    hindsight: Annotated[bool, Field(description="The model has learnt from times after the gate was passed.")]
    as_of: str
    model: str
    model_version: str
    data_version: str
    attributes: list[AttributeScore]
    results: Annotated[
        dict[str, dict[str, Any]],
        Field(description="By attribute: value, status, approved_at of the result approved before as_of, if there is "
              "one. The prediction, made at the gate, does not know it."),
    ]


class BatchScores(BaseModel):
    """The answer: one score for each batch."""

    scores: list[BatchScore]


class Scores(BaseModel):
    """The answer: one score for each subject, each with the model and data it was made from."""

    scores: list[dict[str, Any]]


def asked(query: Mapping[str, str], *others: str) -> dict[str, Any]:
    """`site` and `at` of a GET route's query; `as_of`, as the bodies call it, is the same as `at`.

    others: parameters that the route takes as well. Raises SteadylineError (`bad_parameter`, `two_times`): a time
    that is misspelled must not be answered with what is known now.
    """
    allowed = ("site", "at", "as_of", *others)
    unknown = sorted(set(query) - set(allowed))
    if unknown:
        raise SteadylineError("bad_parameter", f"the query has '{unknown[0][:40]}'", ", ".join(allowed))
    at, as_of = query.get("at"), query.get("as_of")
    if at and as_of and at != as_of:
        raise SteadylineError("two_times", f"the query says at={at[:40]} and as_of={as_of[:40]}", "one of them")
    return {"site": query.get("site") or None, "at": parse_time(at or as_of)}


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
