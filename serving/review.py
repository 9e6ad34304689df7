"""Review by exception: what of a batch a person has to look at, from all systems at once, and what was cleared.

`review(case, ...)` is a pure function of what was known at a time, the declared rules and what the models predict. It
never sets a disposition: that stays with a person.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from serving import (
    review_deviations,
    review_entries,
    review_equipment,
    review_feeds,
    review_lab,
    review_lots,
    review_readings,
    review_records,
)
from serving.review_case import Case
from serving.review_finding import Outcome, Raised, entries_of, evidence_hash, exception_id, plain_json
from serving.review_kinds import CHECKS, KINDS, SEVERITIES, STEADYLINE

PLANT_CHECKS: dict[str, Callable[[Case], Outcome]] = {
    "laboratory": review_lab.check,
    "materials": review_lots.check,
    "genealogy": review_lots.check_genealogy,
    "record": review_records.check,
    "release record": review_records.check_release,
    "entries": review_entries.check,
    "maintenance": review_equipment.check_orders,
    "downtime": review_equipment.check_downtime,
    "alarms": review_equipment.check_alarms,
    "signals": review_readings.check,
    "environment": review_readings.check_environment,
    "deviations": review_deviations.check_deviations,
    "feeds": review_feeds.check,
}


@dataclass(frozen=True)
class Checked:
    """What one check did: entries looked at, and cleared: those no exception is about. done: False if it could not."""

    name: str
    system: str
    what: str
    entry: str
    entries: int
    cleared: int
    done: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Review:
    """Exceptions of a batch, the most severe first, what was checked, and what results to come are expected to be."""

    case: Case
    exceptions: tuple[Raised, ...]
    checked: tuple[Checked, ...]
    models: Mapping[str, Any]
    expected: Sequence[Mapping[str, Any]] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Exceptions by severity, entries that were looked at, and of those the cleared ones."""
        by: dict[str, int] = {s: sum(e.severity == s for e in self.exceptions) for s in SEVERITIES}
        return {**by, "entries": sum(c.entries for c in self.checked), "cleared": sum(c.cleared for c in self.checked)}

    def as_dict(self) -> dict[str, Any]:
        """The answer as JSON values."""
        case = self.case
        return {
            "site": case.plant.site,
            "simulated": case.plant.simulated,
            "batch_id": case.batch_id,
            "product": case.product,
            "started_at": _iso(case.started),
            "ended_at": _iso(case.ended),
            "as_of": _iso(case.t),
            "data_version": case.known.snapshot.data_version,
            "time_zone": case.plant.time_zone,
            "models": dict(self.models),
            "counts": self.counts,
            "predicted": [dict(e) for e in self.expected],
            "exceptions": [_exception(e, case.plant.time_zone) for e in self.exceptions],
            "checked": [
                {
                    "check": c.name,
                    "system": c.system,
                    "what": c.what,
                    "entry": c.entry,
                    "entries": c.entries,
                    "cleared": c.cleared,
                    "done": c.done,
                    "notes": list(c.notes),
                }
                for c in self.checked
            ],
            "disposition": review_records.disposition(case),
        }


def review(
    case: Case,
    predicted: Sequence[Outcome] = (),
    models: Mapping[str, Any] | None = None,
    expected: Sequence[Mapping[str, Any]] = (),
) -> Review:
    """Every check of a batch.

    predicted: what the models say, each of the checks `predicted results` and `predicted failures`; one that is not
    given is told as not done. models: versions that they come from. expected: of each result to come.
    """
    outcomes = [_not_done(case, name) or check(case) for name, check in PLANT_CHECKS.items()]
    given = {o.check for o in predicted}
    outcomes += predicted
    outcomes += [
        Outcome(name, 0, (), ("no model was asked",), done=False)
        for name, check in CHECKS.items()
        if check.table == STEADYLINE and name not in given
    ]
    raised: list[Raised] = []
    checked = []
    for outcome in outcomes:
        own = _count(sorted((r for f in outcome.found if (r := _raise(case, outcome, f)) is not None), key=_rank))
        raised += own
        check = CHECKS[outcome.check]
        system = _system(case, check.table)
        cleared = max(0, outcome.entries - sum(r.entries for r in own))
        checked.append(
            Checked(check.name, system, check.what, check.entry, outcome.entries, cleared, outcome.done, outcome.notes)
        )
    order = {name: i for i, name in enumerate(CHECKS)}
    checked.sort(key=lambda c: order[c.name])
    return Review(case, tuple(sorted(raised, key=_rank)), tuple(checked), models or {}, tuple(expected))


def _not_done(case: Case, name: str) -> Outcome | None:
    """Why a check cannot be done; the check of the feeds raises it."""
    table = CHECKS[name].table
    if table in case.rules.not_expected:
        return Outcome(name, 0, (), (f"the site declares: {case.rules.not_expected[table]}",), done=False)
    if table and table not in case.plant.systems:
        return Outcome(name, 0, (), (f"the site connects no {table.replace('_', ' ')}",), done=False)
    return None


def _raise(case: Case, outcome: Outcome, found: Any) -> Raised | None:
    severity = case.rules.severity(found.kind, found.measure, found.recorded)
    if severity is None:
        return None
    system = _system(case, found.table or CHECKS[outcome.check].table)
    return Raised(
        found, severity, system, exception_id(case.plant.site, case.batch_id, found), evidence_hash(found, severity)
    )


def _count(raised: Sequence[Raised]) -> list[Raised]:
    """Exceptions of one check, each with the number of entries that none before it is about."""
    seen: set[str] = set()
    out = []
    for one in raised:
        new = set(entries_of(one.found)) - seen
        seen |= new
        out.append(replace(one, entries=len(new)))
    return out


def _system(case: Case, table: str) -> str:
    if table == STEADYLINE:
        return STEADYLINE
    return case.plant.system(table) if table else "all"


def _rank(raised: Raised) -> tuple[Any, ...]:
    """Severity, then kind in the order of the checks, then size, then time."""
    found = raised.found
    kinds = list(KINDS)
    at = found.at if found.at is not None and pd.notna(found.at) else pd.Timestamp.max.tz_localize("UTC")
    return (SEVERITIES.index(raised.severity), kinds.index(found.kind), -(found.measure or 0.0), at, raised.id)


def _exception(raised: Raised, time_zone: str) -> dict[str, Any]:
    found = raised.found
    return {
        "exception_id": raised.id,
        "severity": raised.severity,
        "system": raised.system,
        "check": KINDS[found.kind].check,
        "kind": found.kind,
        "meaning": KINDS[found.kind].meaning,
        "text": found.text,
        "at": _time(found.at, time_zone),
        "until": _time(found.until, time_zone),
        "step": found.step or None,
        "equipment_id": found.equipment_id or None,
        "evidence": plain_json(found.evidence),
        "measure": plain_json(found.measure),
        "measured": KINDS[found.kind].measure or None,
        "rows": sorted({*found.keys, *found.rows}),
        "evidence_hash": raised.evidence_hash,
    }


def _time(t: pd.Timestamp | None, time_zone: str) -> dict[str, str] | None:
    """A moment in UTC and on the site's clock."""
    if t is None or pd.isna(t):
        return None
    return {"utc": t.isoformat(), "local": t.tz_convert(ZoneInfo(time_zone)).isoformat()}


def _iso(t: Any) -> str | None:
    return None if t is None or pd.isna(t) else t.isoformat()
