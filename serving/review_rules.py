"""The declared rules of a review: shipped defaults, overridden line by line by a site's `review.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from models.split import Strict
from models.yaml_problems import Duration, problems
from plant.errors import SiteError, did_you_mean, listing
from plant.yaml_text import read_yaml
from serving.review_kinds import KINDS, LOT_RESULTS, RECORDS, SEVERITIES, Severity

DEFAULTS = Path(__file__).with_name("review_rules.yaml")
REVIEW_FILE = "review.yaml"
AS_RECORDED = "as_recorded"
_Words = tuple[Annotated[str, Field(min_length=1)], ...]
_Count = Annotated[int, Field(ge=1)]


def _severity(value: Any) -> Any:
    if value in (*SEVERITIES, AS_RECORDED):
        return value
    raise ValueError("critical, major, minor, or the measure from which on each holds, such as {minor: 1, major: 3}")


class Steps(Strict):
    """The measure from which on each severity holds; below the lowest an entry is cleared."""

    minor: float | None = None
    major: float | None = None
    critical: float | None = None

    @model_validator(mode="after")
    def _rising(self) -> Steps:
        given = [v for v in (self.minor, self.major, self.critical) if v is not None]
        if not given or given != sorted(given):
            raise ValueError(f"found {given}, allowed: one measure or more that rise from minor to critical")
        return self


Rule = Annotated[str, BeforeValidator(_severity)] | Steps


class Settings(Strict):
    """What the checks themselves need to know."""

    setup: Duration = Field(description="readings of a step's first minutes are set-up: no excursion")
    short_stop: Duration = Field(description="stops up to this length are added up, longer ones are looked at alone")
    feeds: dict[str, Duration] = Field(description="longest silence of a table while a batch is made and tested")
    breakdown_reasons: _Words = Field(description="reasons of a stop that is a breakdown, however short")
    environment_classes: _Words = Field(description="classes of equipment that are rooms")
    peers: _Count = Field(description="earlier batches of the product that a batch is compared with, at most")
    least_peers: _Count = Field(description="of fewer, only what each of at least three has is expected")
    peers_share: Annotated[float, Field(gt=0.5, le=1)] = Field(description="what this share of them has is expected")
    trend_results: _Count = Field(description="earlier results that a result is compared with, at most")
    trend_least: _Count = Field(description="with fewer of them nothing is called unusual")


class _File(Strict):
    rules: dict[str, Rule]
    settings: Settings
    not_expected: dict[str, Annotated[str, Field(min_length=1)]]


@dataclass(frozen=True)
class Rules:
    """Rules in force. table: kind -> rule; not_expected: table -> why a site says that it has none of it."""

    table: Mapping[str, str | Steps]
    settings: Settings
    not_expected: Mapping[str, str]

    def severity(self, kind: str, measure: float | None = None, recorded: str | None = None) -> Severity | None:
        """How severe an exception is; None where it lies below the lowest measure.

        recorded: severity that the record carries; where it carries none of ours, it counts as major.
        """
        rule = self.table[kind]
        if isinstance(rule, Steps):
            held = [s for s in SEVERITIES if (least := getattr(rule, s)) is not None and (measure or 0.0) >= least]
            return held[0] if held else None
        if rule == AS_RECORDED:
            return next((s for s in SEVERITIES if s == recorded), "major")
        return next(s for s in SEVERITIES if s == rule)


def load_rules(folders: Sequence[Path]) -> Rules:
    """The rules of a site.

    folders: the site's own folder, then those it extends (`Site.folders`); the first of them that has a `review.yaml`
    gives it. Raises SiteError (`bad_review`) naming the file, the key, what was found and what is allowed.
    """
    own = next((f / REVIEW_FILE for f in folders if (f / REVIEW_FILE).is_file()), None)
    given = read_yaml(own) if own is not None else {}
    return merged(given or {}, own or DEFAULTS)


def merged(given: Any, path: Path) -> Rules:
    """The defaults with what a file gives in their place, line by line."""
    base = _defaults()
    if not isinstance(given, dict):
        given = {"rules": given}
    whole = dict(given)
    for block in ("rules", "settings"):
        own = given.get(block)
        if own is None or isinstance(own, dict):
            whole[block] = {**base[block], **(own or {})}
    if isinstance(whole.get("settings"), dict) and isinstance(whole["settings"].get("feeds"), dict):
        whole["settings"] = {**whole["settings"], "feeds": {**base["settings"]["feeds"], **whole["settings"]["feeds"]}}
    whole["not_expected"] = given.get("not_expected") or {}
    try:
        read = _File.model_validate(whole)
    except ValidationError as error:
        raise _refusal(path, problems(path, error, _File)) from error
    if lines := [f"{path}: {line}" for line in _misplaced(read)]:
        raise _refusal(path, lines)
    return Rules(read.rules, read.settings, read.not_expected)


def _refusal(path: Path, lines: list[str]) -> SiteError:
    hint = "mend them in the file; docs/reference/review-yaml.md explains each key"
    return SiteError("bad_review", f"{path} has {len(lines)} problem(s)", hint=hint, details=lines)


def _misplaced(read: _File) -> Iterator[str]:
    """Names that are not there, and rules that a kind cannot have."""
    for name, rule in read.rules.items():
        kind = KINDS.get(name)
        if kind is None:
            yield f"rules.{name}: is no kind of exception, allowed: {listing(KINDS, 60)}{did_you_mean(name, KINDS)}"
        elif isinstance(rule, Steps) and not kind.measure:
            yield f"rules.{name}: found measures, and this kind has none, allowed: critical, major or minor"
        elif rule == AS_RECORDED and not kind.recorded:
            yield f"rules.{name}: found {AS_RECORDED}, which its records do not carry, allowed: {listing(SEVERITIES)}"
    for block, names in (("settings.feeds", read.settings.feeds), ("not_expected", read.not_expected)):
        allowed = [*RECORDS, LOT_RESULTS] if block == "not_expected" else [*RECORDS]
        for name in names:
            if name not in allowed:
                near = did_you_mean(name, allowed)
                yield f"{block}.{name}: is no table of a review, allowed: {listing(allowed, 20)}{near}"


@cache
def _defaults() -> dict[str, Any]:
    read: dict[str, Any] = read_yaml(DEFAULTS)
    return read
