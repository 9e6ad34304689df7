"""One model of a site, as its YAML says: what is predicted, for whom, from what, judged how.

Two tasks: `failure` (equipment, a curve over horizons) and `quality` (batches, numeric attributes at stage gates).
`load_models(site_dir)` reads `<site_dir>/models/*.yaml` and those of the sites it extends. Whatever is wrong is told at
once, as one `plant.errors.SiteError`: file, key, what was found, what is allowed, nearest match.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from features.spec import HOUR_US, FeatureSpec, LabelSpec, window_us
from features.text_plan import asks_for_texts
from models.decision import Costs, Terms
from models.split import Names, Share, Split, Strict, Time
from models.yaml_problems import Duration, problems
from plant.errors import SiteError, UnknownId, listing, nearest
from plant.site_inheritance import model_files, site_folders
from plant.yaml_text import read_yaml

Words = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]

_GATE = re.compile(r"before_start|after:\S.*")


def _gate(value: Any) -> str:
    if not isinstance(value, str) or not _GATE.fullmatch(value):
        raise ValueError("before_start or after:<step>, for example after:compression")
    return value


Gate = Annotated[str, BeforeValidator(_gate)]


class EquipmentPopulation(Strict):
    """Whom a failure model is for."""

    equipment_class: Names = "all"
    area: Names = "all"
    line: Names = "all"

    def covers(self, equipment_class: str, area: str = "", line: str = "") -> bool:
        """Whether an equipment of this class, area and line belongs to the population."""
        asked = ((self.equipment_class, equipment_class), (self.area, area), (self.line, line))
        return all(names == "all" or found in names for names, found in asked)


class BatchPopulation(Strict):
    """Which batches a quality model is for."""

    product: Names = "all"

    def covers(self, product: str) -> bool:
        """Whether a batch of this product belongs to the population."""
        return self.product == "all" or product in self.product


class Cutoffs(Strict):
    """When rows are cut: every so often, from `start` to before `end` (empty: what the data holds).

    offset: how long after the full interval; where records come at full hours or days, a row that is cut just after
    them knows them.
    """

    every: Duration = Duration("6h")
    offset: Duration | None = None
    start: Time | None = None
    end: Time | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Cutoffs:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError("a start before the end")
        if self.offset is not None and self.offset.delta >= self.every.delta:
            raise ValueError(f"an offset shorter than the interval, {self.every}")
        return self

    @property
    def shift(self) -> pd.Timedelta:
        """`offset` as a length of time."""
        return self.offset.delta if self.offset is not None else pd.Timedelta(0)


class Tune(Strict):
    """Search of LightGBM settings inside the training window: so many trials, and no longer than that."""

    trials: Annotated[int, Field(ge=1, le=1000)] = 20
    seconds: Annotated[float, Field(gt=0)] | None = None


class Boosting(Strict):
    """LightGBM settings; what is not given is the model's default for its task. Threads are not a model's property."""

    rounds: Annotated[int, Field(ge=1, le=20000)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    num_leaves: Annotated[int, Field(ge=2, le=4096)] | None = None
    max_depth: Annotated[int, Field(ge=-1)] | None = None
    min_data_in_leaf: Annotated[int, Field(ge=1)] | None = None
    feature_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    bagging_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    bagging_freq: Annotated[int, Field(ge=0)] | None = None
    lambda_l1: Annotated[float, Field(ge=0)] | None = None
    lambda_l2: Annotated[float, Field(ge=0)] | None = None
    min_gain_to_split: Annotated[float, Field(ge=0)] | None = None
    extra_trees: bool | None = None
    objective: Literal["regression", "l1", "huber"] | None = None
    tune: Tune | None = None  # models of failures; the settings given are where the search starts

    def params(self) -> dict[str, Any]:
        """What was given, without `rounds` and `tune`, under LightGBM's own names."""
        return self.model_dump(exclude={"rounds", "tune"}, exclude_none=True)


def _some_orders(value: float) -> float:
    if not 0 < value < float("inf"):
        raise ValueError("more than 0; leave it out where the crew has no limit")
    return value


class RemainingLife(Strict):
    """How remaining life is judged. cap: predicted and true lives beyond count as this long; none: as they are."""

    cap: Duration | None = None


class Capacity(Strict):
    """What the crew can carry out; empty: no limit is set."""

    orders_per_week: Annotated[float, AfterValidator(_some_orders)] | None = None


class Intervention(Strict):
    """What an order does. lead: from the order to the work, empty: `labels.lead`; effectiveness: share of the failures
    that work in time prevents."""

    lead: Duration | None = None
    effectiveness: Annotated[float, Field(gt=0, le=1)] = 0.9


def _because(value: str) -> str:
    if len(value.split()) < 3:
        raise ValueError("a reason of three words or more, which a reviewer understands")
    return value


class AuditSpec(Strict):
    """What the leakage audit finds and a person has judged: feature, or pattern with `*` -> why it is honest."""

    accept: dict[Annotated[str, Field(min_length=1)], Annotated[str, AfterValidator(_because)]] = Field(
        default_factory=dict
    )


class ModelSpec(Strict):
    """What both tasks share. `risk_class: critical` touches testing or release and needs QA."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    task: Literal["failure", "quality"]
    title: Annotated[str, Field(min_length=1)]
    intended_use: Annotated[str, Field(min_length=1)]
    risk_class: Literal["critical", "non_critical"]
    features: FeatureSpec = Field(default_factory=FeatureSpec)
    labels: LabelSpec = Field(default_factory=LabelSpec)
    split: Split = Split()
    lightgbm: Boosting = Boosting()
    audit: AuditSpec = AuditSpec()
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 7

    def as_dict(self) -> dict[str, Any]:
        """JSON form with every default filled in, which `parse_model_spec` reads again."""
        return self.model_dump(mode="json")


class FailureSpec(ModelSpec):
    """Failure risk of equipment over strictly increasing horizons; orders are decided at `decision_horizon`."""

    task: Literal["failure"]
    risk_class: Literal["critical", "non_critical"] = "non_critical"
    population: EquipmentPopulation = EquipmentPopulation()
    cutoffs: Cutoffs = Cutoffs()
    horizons: Annotated[tuple[Duration, ...], Field(min_length=1)] = tuple(
        Duration(h) for h in ("24h", "72h", "7d", "14d", "30d"))
    decision_horizon: Duration = Duration("72h")
    costs: Costs
    capacity: Capacity = Capacity()
    remaining_life: RemainingLife = RemainingLife()
    intervention: Intervention = Intervention()
    what_if: tuple[Annotated[str, Field(min_length=1)], ...] = ()  # features that a person can change
    per_class: bool = True  # classes with enough failures also get trees of their own

    @property
    def terms(self) -> Terms:
        """What holds for every policy that is compared: costs, time that an order stands, lead, capacity."""
        lead = self.lead_h if self.intervention.lead is None else self.intervention.lead.hours
        return Terms(
            self.costs, self.decision_horizon.hours, lead, self.intervention.effectiveness,
            self.capacity.orders_per_week,
        )

    @property
    def horizons_h(self) -> tuple[float, ...]:
        """Horizons in hours."""
        return tuple(h.hours for h in self.horizons)

    @property
    def lead_h(self) -> float:
        """Hours after the cut-off in which a failure comes too soon to act on."""
        return window_us(self.labels.lead) / HOUR_US

    @model_validator(mode="after")
    def _consistent(self) -> FailureSpec:
        hours = self.horizons_h
        written = ", ".join(self.horizons)
        wrong = []
        if any(b <= a for a, b in itertools.pairwise(hours)):
            wrong.append(f"horizons: found [{written}], allowed: strictly increasing")
        if self.decision_horizon.hours not in hours:
            wrong.append(f"decision_horizon: found '{self.decision_horizon}', allowed: one of the horizons: {written}")
        if self.lead_h >= hours[0]:
            wrong.append(f"labels.lead: found '{self.labels.lead}', allowed: shorter than the shortest horizon, "
                         f"{self.horizons[0]}")
        lead = self.intervention.lead
        if lead is not None and lead.hours >= self.decision_horizon.hours:
            wrong.append(f"intervention.lead: found '{lead}', allowed: shorter than the decision horizon, "
                         f"{self.decision_horizon}; work would always come too late")
        reads = asks_for_texts(self.features) or self.labels.failure.fill_codes is not None
        if self.split.test_equipment is not None and reads:
            wrong.append("split.test_equipment: found with texts of work orders (features.texts, fill_codes), allowed: "
                         "without; a text model learns from the orders of all equipment, the tested ones too")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class QualitySpec(ModelSpec):
    """Numeric quality attributes of batches at stage gates, with intervals of the given coverage.

    target: `numeric`, or `pass_fail` where the laboratory's status is all there is: P(fail), calibrated. replicates:
    which of several numeric results of a batch counts; of statuses one failed result is a failure.
    """

    task: Literal["quality"]
    risk_class: Literal["critical", "non_critical"] = "critical"
    population: BatchPopulation = BatchPopulation()
    attributes: Names = "all"
    gates: Annotated[tuple[Gate, ...], Field(min_length=1)] = ("before_start",)
    coverage: Share = 0.9
    target: Literal["numeric", "pass_fail"] = "numeric"
    replicates: Literal["last", "mean", "min", "max"] = "last"

    @model_validator(mode="after")
    def _consistent(self) -> QualitySpec:
        if self.lightgbm.tune is not None:
            raise ValueError("lightgbm.tune: found in a model of quality, allowed: in models of failures")
        if len(set(self.gates)) < len(self.gates):
            raise ValueError(f"gates: found [{', '.join(self.gates)}], allowed: each gate once")
        return self


_TASKS: dict[str, type[FailureSpec] | type[QualitySpec]] = {"failure": FailureSpec, "quality": QualitySpec}


def parse_model_spec(raw: dict[str, Any], path: Path = Path("model.yaml")) -> tuple[ModelSpec | None, list[str]]:
    """The specification and no problem, or None and every problem of `raw` as one line each; reads no file."""
    task = raw.get("task")
    if task not in _TASKS:
        found = "is missing" if task is None else f"found {task!r}"
        hint = nearest(str(task), _TASKS) if task is not None else ""
        return None, [f"{path}: task: {found}, allowed: {listing(_TASKS)}" + (f"; {hint}" if hint else "")]
    try:
        return _TASKS[task].model_validate(raw), []
    except ValidationError as error:
        return None, problems(path, error, _TASKS[task])


def load_model_spec(path: Path | str) -> ModelSpec:
    """One model YAML. Raises SiteError (code `bad_model_yaml`) with all problems at once."""
    path = Path(path)
    spec, wrong = _load(path)
    if spec is None:
        raise _refusal(wrong)
    return spec


def load_models(site_dir: Path | str) -> dict[str, ModelSpec]:
    """Every `models/*.yaml` of a site and of those it extends by model name, in order of file name; none gives {}.

    Raises SiteError (code `bad_model_yaml`) with the problems of all files at once, a name used twice included.
    """
    folders = site_folders(Path(site_dir))
    specs: dict[str, ModelSpec] = {}
    origin: dict[str, Path] = {}
    wrong: list[str] = []
    for path in model_files(folders):
        spec, more = _load(path)
        wrong += more
        if spec is None:
            continue
        if spec.name in specs:
            wrong.append(f"{path}: name: found '{spec.name}', which {origin[spec.name].name} has already")
            continue
        specs[spec.name], origin[spec.name] = spec, path
    wrong += [f"{path}: found a file that is not read, allowed: names ending in .yaml"
              for folder in folders for path in sorted((folder / "models").glob("*.yml"))]
    if wrong:
        raise _refusal(wrong)
    return specs


def _load(path: Path) -> tuple[ModelSpec | None, list[str]]:
    try:
        raw = read_yaml(path)
    except SiteError as unreadable:
        return None, [unreadable.found]
    return parse_model_spec(raw, path)


def _refusal(wrong: list[str]) -> SiteError:
    count = "1 problem" if len(wrong) == 1 else f"{len(wrong)} problems"
    return SiteError("bad_model_yaml", f"The model configuration has {count}.", "",
                     "Correct the file; `docs/reference` lists every key.", wrong)


def the_model(site_dir: Path | str, task: str, model: str | None) -> str:
    """Name of a site's model of a task: the one that is named, or the only one. Raises UnknownId."""
    fitting = sorted(name for name, spec in load_models(site_dir).items() if spec.task == task)
    if model is None and len(fitting) == 1:
        return fitting[0]
    if model is not None and model in fitting:
        return model
    site = Path(site_dir).name
    several = f"site '{site}' has {len(fitting)} {task} models"
    found = f"site '{site}' has no {task} model '{model}'" if model else several
    none = f"none: {site_dir}/models holds no {task} model"
    hint = nearest(model, fitting) if model else "name one with --model"
    raise UnknownId("unknown_model", found, listing(fitting) or none, hint)
