"""Readiness: what the connected data can and cannot carry, each finding with what it harms.

    readiness(site, snapshot, counts, labels) -> Readiness      findings, coverage, clocks, what each task can use
    findings(site, snapshot, counts, labels) -> list[Finding]   the findings alone

The parts: readiness_records (findings, newest rows), readiness_scan (one pass over the readings), readiness_levels and
_pieces (all series at once), _conversions and _offsets (units, clocks), and by subject
readiness_coverage, _quarantine, _words, _dates, _batches, _clocks, _signals, _units, _gaps, _runs, _tasks.
readiness_page makes the report for people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from plant.readiness_batches import batches, downtime, late_entries, orders, results
from plant.readiness_clocks import clock_skew
from plant.readiness_coverage import coverage, silence, tables
from plant.readiness_dates import SwappedReadings, day_month
from plant.readiness_gaps import gaps, steps_and_readings
from plant.readiness_quarantine import crosswalk_reviews, put_aside
from plant.readiness_records import ORDER, CountLike, Finding, Records, Severity, SnapshotLike, micros
from plant.readiness_scan import COLUMNS, ReadingsScan, Series, Steps, scan
from plant.readiness_signals import LIMITS, drifting, limits, sampling, stuck
from plant.readiness_tasks import tasks
from plant.readiness_units import class_units, odd_numbers, unit_shifts
from plant.readiness_words import mangled_keys, new_words, orphans, spellings
from plant.site import Site

__all__ = ["Finding", "Readiness", "Severity", "findings", "readiness"]


@dataclass(frozen=True)
class Readiness:
    """The readiness report of a site.

    coverage: `tables` (per table rows, first, last, systems, rows per period), `readings_of_equipment`, `periods`.
    clocks: measured offsets between systems, minutes. tasks: per task status, reasons, tables used and lacking.
    """

    findings: list[Finding]
    coverage: dict[str, Any] = field(default_factory=dict)
    clocks: list[dict[str, Any]] = field(default_factory=list)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "findings": [f.as_dict() for f in self.findings],
            "coverage": self.coverage,
            "clocks": self.clocks,
            "tasks": self.tasks,
        }


def findings(
    site: Site, snapshot: SnapshotLike, counts: Mapping[str, CountLike], labels: Mapping[str, list[str]]
) -> list[Finding]:
    """Every finding of the connected site, the worst first. labels: source -> labels of its exports."""
    return readiness(site, snapshot, counts, labels).findings


def readiness(
    site: Site, snapshot: SnapshotLike, counts: Mapping[str, CountLike], labels: Mapping[str, list[str]]
) -> Readiness:
    """The whole report. Readings are read once, a stretch at a time; the other tables whole."""
    records = Records(site, snapshot, counts, labels)
    declared = records.rows("signals")
    units = {
        (str(e), str(s)): "" if pd.isna(u) else str(u)
        for e, s, u in zip(declared["equipment_id"], declared["signal"], declared["unit"], strict=True)
    }
    steps = records.rows("batch_steps")
    steps = steps[steps["equipment_id"].notna() & steps["ended_at"].notna()].reset_index(drop=True)
    series, swapped = _read(records, steps, units)
    skew, measured = clock_skew(records, series)
    found = [
        *tables(records, series),
        *put_aside(records),
        *crosswalk_reviews(records),
        *spellings(records, series.equipment),
        *orphans(records, series.equipment),
        *mangled_keys(records),
        *new_words(records),
        *day_month(records),
        *swapped.findings(),
        *skew,
        *_signals(records, series, units),
        *steps_and_readings(records, series, steps),
        *odd_numbers(records),
        *batches(records),
        *downtime(records),
        *results(records),
        *orders(records),
        *late_entries(records),
        *silence(records, series),
    ]
    found = sorted(found, key=lambda f: (ORDER[f.severity], -f.count, f.code, f.table))
    return Readiness(found, coverage(records, series), [o.as_dict() for o in measured], tasks(records, series, found))


def _read(records: Records, steps: pd.DataFrame, units: dict[tuple[str, str], str]) -> tuple[Series, SwappedReadings]:
    """The one pass over the readings."""
    within = Steps(steps["equipment_id"].to_numpy(), micros(steps["started_at"]), micros(steps["ended_at"]))
    taking, swapped = ReadingsScan(within, LIMITS, units), SwappedReadings(records)
    for part in scan(records.snapshot.scan("readings", COLUMNS), taking):
        swapped.see(part, taking.names)
    return taking.finish(), swapped


def _signals(records: Records, series: Series, units: dict[tuple[str, str], str]) -> Iterator[Finding]:
    # A series may hold extreme values on purpose of a test; numpy need not warn of them.
    with np.errstate(all="ignore"):
        yield from stuck(series)
        yield from drifting(records, series)
        yield from limits(records, series)
        yield from sampling(series)
        yield from unit_shifts(series, units)
        yield from class_units(records, series, units)
        yield from gaps(records, series)
