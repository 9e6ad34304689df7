"""What a model's YAML asks of the features, and the words that a plan fixes from the data.

`FeatureSpec` is the `features:` block of a model YAML and `LabelSpec` its `labels:` block; both forbid keys that they
do not know. `Vocabulary` holds the words (signals, codes, steps, lots' attributes) that were seen before the end of the
training period, so that a matrix made next year has the columns of today.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from features.text import TextModel
from features.text import from_json as text_model_of

_WINDOW = re.compile(r"^(\d+)(min|h|d)$")
_UNIT_US = {"min": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}

HOUR_US = 3_600_000_000
DAY_US = 86_400_000_000

Statistic = Literal[
    "count", "mean", "std", "min", "max", "first", "last", "slope", "out_of_limits", "gap", "share_good", "hours_out",
    "excursions", "level", "median", "iqr",
]
RegimeStatistic = Literal["mean", "std", "min", "max", "first", "last", "slope", "median", "iqr"]
WorkKind = Literal["corrective", "preventive", "inspection", "calibration"]
EventKind = Literal["alarm", "error", "state"]


def window_us(text: str) -> int:
    """Length in microseconds of a look-back such as `30min`, `24h` or `7d`. Raises ValueError on anything else."""
    match = _WINDOW.match(text)
    if not match:
        raise ValueError(f"'{text}' is no look-back; write a whole number and min, h or d, such as 30min, 24h or 7d")
    return int(match[1]) * _UNIT_US[match[2]]


def _look_back(text: str) -> str:
    if window_us(text) <= 0:
        raise ValueError("a look-back is longer than nothing")
    return text


def _ascending(windows: tuple[str, ...]) -> tuple[str, ...]:
    lengths = [window_us(w) for w in windows]
    if len(set(lengths)) != len(lengths):
        raise ValueError(f"the same look-back twice in {list(windows)}")
    return tuple(sorted(windows, key=window_us))


def _switch(value: Any) -> Any:
    """`true` is the block with its defaults, `false` leaves it out."""
    if value is True:
        return {}
    if value is False:
        return None
    return value


Windows = Annotated[
    tuple[Annotated[str, AfterValidator(_look_back)], ...], Field(min_length=1, max_length=32),
    AfterValidator(_ascending),
]


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a confidence: a number above 0, at most 1, such as 0.8")
    return value


Confidence = Annotated[float, BeforeValidator(_number), Field(gt=0, le=1)]


class _Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SensorSpec(_Block):
    """Windowed statistics of readings."""

    windows: Windows = ("1h", "24h", "7d")
    signals: Literal["all"] | tuple[str, ...] = "all"
    statistics: tuple[Statistic, ...] = (
        "mean", "std", "min", "max", "last", "slope", "count", "out_of_limits", "gap", "share_good"
    )
    change: bool = True  # mean of the shortest window against the longest, in its standard deviations
    baseline: Annotated[str, AfterValidator(_look_back)] | None = None  # how far back the equipment's usual level reads
    fleet: bool = False  # against the other equipment of its class
    since_maintenance: bool = False  # trend and change since work on the equipment was last closed

    @model_validator(mode="after")
    def _baseline_is_longer(self) -> SensorSpec:
        if self.baseline is not None and window_us(self.baseline) <= window_us(self.windows[-1]):
            raise ValueError(f"a baseline of {self.baseline}; longer than the longest window, {self.windows[-1]}")
        return self


class RegimeSpec(_Block):
    """Readings against what is usual in the operating regime that the equipment ran in.

    settings: the signals that say how the equipment is run (speed, load, set points). count: how many regimes they fall
    into. signals: what is standardised within its regime; never a setting. first: how many of the first readings within
    the last `within` are the level of the beginning that later ones are held against; 0: none.
    """

    settings: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)] = ()
    count: Annotated[int, Field(ge=1, le=64)] = 6
    signals: Literal["all"] | tuple[str, ...] = "all"
    windows: Windows = ("1h", "24h", "7d")
    statistics: tuple[RegimeStatistic, ...] = ("mean", "slope")
    first: Annotated[int, Field(ge=0, le=1000)] = 0
    within: Annotated[str, AfterValidator(_look_back)] = "365d"

    @model_validator(mode="after")
    def _settings_are_no_signals(self) -> RegimeSpec:
        both = [s for s in self.settings if s in self.signals] if self.signals != "all" else []
        if both:
            raise ValueError(f"signals {both} are settings too; a setting is what a regime is made of")
        if self.first and window_us(self.within) <= window_us(self.windows[-1]):
            raise ValueError(f"within {self.within}; longer than the longest window, {self.windows[-1]}")
        return self


class SpectraSpec(_Block):
    """Spectra of signals that are recorded at a high rate.

    signals: named one by one, none by default; window: what a spectrum is made of; bands: from, to, in Hz.
    """

    signals: tuple[str, ...] = ()
    window: Annotated[str, AfterValidator(_look_back)] = "10min"
    bands: tuple[tuple[float, float], ...] = ()

    @model_validator(mode="after")
    def _bands_ascend(self) -> SpectraSpec:
        wrong = [list(b) for b in self.bands if not 0 <= b[0] < b[1]]
        if wrong:
            raise ValueError(f"bands {wrong}; write [from, to] in Hz, from less than to")
        return self


class MaintenanceSpec(_Block):
    """What the work orders tell.

    fill_codes: orders without a coded failure mode count by that of their text, where it is told with this confidence.
    """

    windows: Windows = ("30d", "90d")
    modes: bool = True
    most: Annotated[int, Field(ge=0)] = 40  # modes with features of their own: the most frequent ones
    fill_codes: Confidence | None = None


class RateSpec(_Block):
    """How often work was needed. half_lives: what "lately" means; an order so long ago counts half."""

    half_lives: Windows = ("90d", "365d")


class MachineSpec(_Block):
    """What the work orders of the whole machine tell: of the equipment that this one is part of, and all its parts."""

    windows: Windows = ("30d", "90d")


class TextSpec(_Block):
    """What the short texts of the work orders tell, read by a text model that is fitted with the plan.

    min_confidence: how sure the model has to be for an order to tell a mode.
    """

    windows: Windows = ("30d", "90d")
    most: Annotated[int, Field(ge=0)] = 40  # modes with features of their own: those that texts tell most often
    min_confidence: Confidence = 0.5


class EventSpec(_Block):
    """Alarms, errors and state changes."""

    windows: Windows = ("24h", "72h", "7d")
    most: Annotated[int, Field(ge=0)] = 40  # codes with features of their own: the most frequent ones


class DowntimeSpec(_Block):
    """Stops."""

    windows: Windows = ("24h", "7d")


class OwnSpec(_Block):
    """Features of your own (`features/own.py`). only: names or patterns of those that are taken; empty takes all."""

    windows: Windows = ("7d", "30d")
    only: tuple[str, ...] = ()


class StepReadingSpec(_Block):
    """Statistics of the readings of a step's equipment while the step ran."""

    signals: Literal["all"] | tuple[str, ...] = "all"
    statistics: tuple[Statistic, ...] = ("mean", "std", "min", "max")


class LagSpec(_Block):
    """Earlier results of the predicted attributes, known with the laboratory's real delay.

    by: `overall`, `product`, `recipe`, `lots` (every material), `lot:<material>`, `suppliers` (of every material that
    names them) or `supplier:<material>`. attributes: empty takes the targets.
    """

    by: tuple[str, ...] = ("overall", "product", "lots")
    attributes: tuple[str, ...] = ()
    most: Annotated[int, Field(ge=1, le=100)] = 5

    @model_validator(mode="after")
    def _known_groups(self) -> LagSpec:
        groups = ("overall", "product", "recipe", "lots", "suppliers")
        wrong = [b for b in self.by if b not in groups and not b.startswith(("lot:", "supplier:"))]
        if wrong:
            raise ValueError(f"lags by {wrong}; allowed: {', '.join(groups)}, lot:<material>, supplier:<material>")
        return self


class BatchSpec(_Block):
    """Context of a batch at a stage gate.

    targets: the attributes that are predicted; a batch's own results of them are never features. Where none are named,
    every attribute counts as predicted.
    """

    targets: tuple[str, ...] = ()
    step_values: bool = True
    step_readings: Annotated[StepReadingSpec | None, BeforeValidator(_switch)] = StepReadingSpec()
    materials: bool = True
    lots: bool = True
    results: bool = True
    lags: Annotated[LagSpec | None, BeforeValidator(_switch)] = LagSpec()
    equipment_state: bool = True
    calendar: bool = False


class FeatureSpec(_Block):
    """The `features:` block of a model YAML. `{}` is a good start; a block may be `true`, `false` or its settings.

    exclude: names, or patterns such as `*.gap.*`, of features that the model leaves out.
    """

    sensors: Annotated[SensorSpec | None, BeforeValidator(_switch)] = SensorSpec()
    regimes: Annotated[RegimeSpec | None, BeforeValidator(_switch)] = None
    spectra: Annotated[SpectraSpec | None, BeforeValidator(_switch)] = None
    maintenance: Annotated[MaintenanceSpec | None, BeforeValidator(_switch)] = MaintenanceSpec()
    rates: Annotated[RateSpec | None, BeforeValidator(_switch)] = None
    machine: Annotated[MachineSpec | None, BeforeValidator(_switch)] = None
    texts: Annotated[TextSpec | None, BeforeValidator(_switch)] = None
    events: Annotated[EventSpec | None, BeforeValidator(_switch)] = EventSpec()
    downtime: Annotated[DowntimeSpec | None, BeforeValidator(_switch)] = DowntimeSpec()
    static: bool = True
    calendar: bool = False
    own: Annotated[OwnSpec | None, BeforeValidator(_switch)] = None
    batches: Annotated[BatchSpec | None, BeforeValidator(_switch)] = BatchSpec()
    exclude: tuple[str, ...] = ()


def _length(text: str) -> str:
    if not _WINDOW.match(text):
        raise ValueError("a length of time: a whole number and min, h or d, such as 30min, 4h or 90d")
    return text


def _positive(text: str) -> str:
    if window_us(_length(text)) <= 0:
        raise ValueError("a length of time longer than nothing, such as 90d")
    return text


def _stops(value: Any) -> Any:
    if isinstance(value, bool) or value == "planned":
        return value
    raise ValueError("true, false or planned")


Length = Annotated[str, AfterValidator(_length)]
Names = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


class EventFailureSpec(_Block):
    """Which events are failures, where a site keeps a list of failures and no orders; the code is the failure mode."""

    kind: EventKind = "error"
    codes: Literal["all"] | Names = "all"


class FailureSpec(_Block):
    """What counts as a failure: orders, events and the end of life, each where it is asked for.

    kinds: kinds of work orders that are failures. modes: of these orders only the ones with such a failure mode.
    events: such events too. retirement: `retired_at` is the failure itself (mode "end_of_life"), for equipment that is
    run until it fails. fill_codes: an order without a mode has that of its text, told with at least this confidence.
    """

    kinds: tuple[WorkKind, ...] = ("corrective",)
    modes: Literal["all"] | tuple[str, ...] = "all"
    events: Annotated[EventFailureSpec | None, BeforeValidator(_switch)] = None
    retirement: bool = False
    fill_codes: Confidence | None = None

    @model_validator(mode="after")
    def _something_fails(self) -> FailureSpec:
        if not self.kinds and self.events is None and not self.retirement:
            raise ValueError("found no kinds, no events and no retirement, allowed: at least one of them is a failure")
        return self


class LabelSpec(_Block):
    """What is predicted for an equipment: the time to its next failure. Exact rules: `features.labels`.

    censor_at: kinds of orders that end the life without a failure (a preventive replacement).
    censor_by: `equipment`: any such order does; `mode`: only one whose failure mode is predicted, or that names none.
    unobserved_after: an equipment of which nothing is recorded for longer is no longer observed.
    unobserved_by: whose records count: the equipment's own, or those of the whole machine (its parent, all its parts).
    exclude_downtime: cut-offs at which the equipment stood carry no exposure (`planned`: in planned stops only).
    episode_gap: records of a failure within this time of the one before are the same failure.
    episode_by: `mode`: only those of the same mode; `equipment`: any, and also while an order of it is still open.
    exclude_episodes: cut-offs at which the equipment was already failed and under repair carry no exposure.
    lead: a failure sooner than this after the cut-off comes too soon to act on; such a row carries no exposure.
    """

    failure: FailureSpec = FailureSpec()
    censor_at: tuple[WorkKind, ...] = ()
    censor_by: Literal["equipment", "mode"] = "equipment"
    unobserved_after: Annotated[str, AfterValidator(_positive)] | None = None
    unobserved_by: Literal["equipment", "machine"] = "equipment"
    exclude_downtime: Annotated[bool | Literal["planned"], BeforeValidator(_stops)] = False
    episode_gap: Length = "0h"
    episode_by: Literal["mode", "equipment"] = "mode"
    exclude_episodes: bool = False
    lead: Length = "0h"


class Regimes(_Block):
    """Operating regimes as fixed before the end of the training period.

    spread (settings,): what distances are measured in. centres (regimes, settings). levels: of each signal, the mean
    and standard deviation in each regime; a deviation of 0: it never varied there, or was never read.
    """

    spread: tuple[float, ...] = ()
    centres: tuple[tuple[float, ...], ...] = ()
    levels: dict[str, tuple[tuple[float, float], ...]] = {}
    units: dict[str, str] = {}


class Vocabulary(_Block):
    """Words known before the end of the training period; together with the spec they fix the columns.

    texts: the fitted text model as JSON (`TextModel.to_json`), empty where the spec asks for none.
    """

    signals: tuple[str, ...] = ()
    units: dict[str, str] = {}
    regimes: Regimes = Regimes()
    spectra: tuple[str, ...] = ()
    spectra_units: dict[str, str] = {}
    kinds: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    text_modes: tuple[str, ...] = ()
    texts: dict[str, Any] = {}
    event_kinds: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    stops: bool = False
    classes: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    recipes: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    step_values: tuple[tuple[str, str], ...] = ()
    step_signals: tuple[tuple[str, str], ...] = ()
    materials: tuple[str, ...] = ()
    suppliers: dict[str, tuple[str, ...]] = {}
    lot_results: tuple[tuple[str, str], ...] = ()
    own_results: tuple[str, ...] = ()
    lagged: tuple[str, ...] = ()
    orders: bool = False
    alarms: bool = False
    own: dict[str, tuple[str, ...]] = {}

    @cached_property
    def text_model(self) -> TextModel | None:
        """What reads the texts; None where the plan has no such model. Raises SteadylineError (bad_text_model)."""
        return text_model_of(self.texts) if self.texts else None
