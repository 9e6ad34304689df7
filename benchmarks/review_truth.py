"""What the virtual plant says was planted, held against the exceptions that reviews raise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from serving.review import Review
from serving.review_finding import Raised
from serving.review_kinds import SEVERITIES

# Kind in the truth -> the kinds of exception that tell of it; the truth's other kinds name no batch
KINDS = {
    "out_of_spec": ("lab_out_of_spec",), "environment_excursion": ("environment_excursion",),
    "overdue_maintenance": ("maintenance_overdue", "calibration_overdue", "inspection_overdue"),
    "missing_entry": ("lab_missing", "material_missing", "step_value_missing"),
    "deviation": ("open_deviation", "closed_deviation"),
    "breakdown": ("breakdown", "downtime"),  # a stop that carries no reason is one all the same
    "corrected_entry": ("lab_corrected",),
}


@dataclass
class Told:
    """Counts of planted exceptions by "severity kind". as_severe: found with their own severity or a graver one.

    missed: (severity, kind, record, batch); unknowable: those of which the records did not tell at the reviews' time.
    """

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    as_severe: Counter[str] = field(default_factory=Counter)
    unknowable: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str, str, str]] = field(default_factory=list)

    def recall(self, severity: str = "") -> float | None:
        """Share of the planted exceptions of a severity that was found; of all of them without one."""
        names = [n for n in self.planted if not severity or n.startswith(f"{severity} ")]
        planted = sum(self.planted[n] for n in names)
        return sum(self.found[n] for n in names) / planted if planted else None


def knowable(row: Any, one: Review) -> bool:
    """Whether the records known at the review's time tell of it; a minor deviation that is closed is none any more."""
    if row.kind == "deviation":
        found = one.case.known.rows("deviations", "deviation_id", row.record)
        return len(found) > 0 and (bool(found["closed_at"].isna().all()) or row.severity != "minor")
    if row.kind == "environment_excursion" and not _read_outside(row, one):
        return False
    return bool(row.started_at < one.case.t) and (row.kind != "breakdown" or bool(row.ended_at < one.case.t))


def _read_outside(row: Any, one: Review) -> bool:
    """Whether a reading shows the room outside its limits during a step there: sensors have noise, the truth none."""
    limits = one.case.known.rows("signals", "equipment_id", row.entity).set_index("signal")[["low", "high"]]
    for step in one.case.rooms.get(row.entity, ()):
        begin, end = max(row.started_at, step.start), min(row.ended_at, step.end)
        for signal, read in one.case.readings(row.entity, begin, end).items() if begin < end else ():
            if signal in row.record.split("+") and signal in limits.index:
                low, high = (float(v) for v in limits.loc[signal])
                value = read.value[read.usable]
                if bool(((value < low) | (value > high)).any()):
                    return True
    return False


def hits(row: Any, one: Review) -> list[Raised]:
    """Exceptions of the row's batch that tell of a row of the truth."""
    told = [e for e in one.exceptions if e.found.kind in KINDS.get(row.kind, ())]
    # a name that the truth has for what is not there stands at the end of the record
    name = row.entity if row.kind in ("environment_excursion", "breakdown") else row.record.rsplit("/", 1)[-1]
    told = [e for e in told if any(name in k for k in (*e.found.keys, e.found.equipment_id, *e.found.rows))]
    return [e for e in told if row.kind != "breakdown" or e.found.at == row.started_at]


def held(truth: pd.DataFrame, made: Mapping[str, Review]) -> Told:
    """The rows of the truth that concern a reviewed batch, and what the reviews say of them."""
    out = Told()
    for row in truth[truth["batch_id"].isin(made)].itertuples():
        one, name = made[str(row.batch_id)], f"{row.severity} {row.kind}"
        if row.kind not in KINDS:
            continue
        if not knowable(row, one):
            out.unknowable[name] += 1
            continue
        out.planted[name] += 1
        found = hits(row, one)
        out.found[name] += bool(found)
        rank = SEVERITIES.index(str(row.severity))  # type: ignore[arg-type]
        out.as_severe[name] += any(SEVERITIES.index(e.severity) <= rank for e in found)
        if not found:
            out.missed.append((str(row.severity), str(row.kind), str(row.record), str(row.batch_id)))
    return out


@dataclass
class Clean:
    """Entries that were looked at, those of them that were cleared, and how those in no planted exception fared.

    clean, clean_cleared: approximated, to the reviews' disadvantage. An exception is of a planted one when it tells of
    a row of the truth of its batch, or rests on the record of any row; its entries are no clean ones. What the truth
    does not list (long stops, alarms, unusual values) counts as clean, whether or not it is worth a look. Entries of
    a planted exception that was missed count as clean and cleared; `Told.missed` says how many those can be.
    """

    entries: int = 0
    cleared: int = 0
    clean: int = 0
    clean_cleared: int = 0
    raised: Counter[str] = field(default_factory=Counter)  # exceptions of nothing planted, by "severity kind"


def cleared(truth: pd.DataFrame, made: Mapping[str, Review]) -> Clean:
    """Entries of all reviews, against the truth."""
    out = Clean()
    records = set(truth.loc[truth["record"] != truth["entity"], "record"].astype(str))
    of = {str(b): list(rows.itertuples()) for b, rows in truth.groupby("batch_id")}
    for batch_id, one in made.items():
        told = {e.id for row in of.get(batch_id, ()) for e in hits(row, one)}
        false = 0
        for e in one.exceptions:
            parts = {part for key in (*e.found.keys, *e.found.rows) for part in key.split("/")}
            if e.id not in told and not parts & records:
                false += e.entries
                out.raised[f"{e.severity} {e.found.kind}"] += 1
        counts = one.counts
        out.entries += counts["entries"]
        out.cleared += counts["cleared"]
        out.clean += counts["cleared"] + false
        out.clean_cleared += counts["cleared"]
    return out
