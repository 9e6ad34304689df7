"""Readiness: what the connected data can and cannot carry, each finding with what it harms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from plant.site import Site
from plant.store import Count, Snapshot
from plant.tables import TABLES

Severity = Literal["high", "medium", "low", "info"]
_ORDER = {"high": 0, "medium": 1, "low": 2, "info": 3}
_FAILURE, _QUALITY = "failure risk", "quality risk"
_HARMS = {
    "equipment": [_FAILURE],
    "signals": [_FAILURE],
    "readings": [_FAILURE, _QUALITY],
    "events": [_FAILURE],
    "downtime": [_FAILURE],
    "work_orders": [_FAILURE],
    "batches": [_QUALITY],
    "batch_steps": [_QUALITY],
    "genealogy": [_QUALITY],
    "lab_results": [_QUALITY],
    "deviations": ["review by exception"],
    "dispositions": ["review by exception"],
    "spare_parts": ["recommended actions"],
}
_STUCK = 200  # equal readings in a row before a sensor counts as stuck


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit. `harms` names the predictions it weakens."""

    code: str
    severity: Severity
    table: str
    count: int
    text: str
    examples: list[str] = field(default_factory=list)
    harms: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def findings(site: Site, snapshot: Snapshot, counts: dict[str, Count], files: dict[str, list[str]]) -> list[Finding]:
    """Every finding of the connected site, the worst first."""
    found = [
        *_coverage(site, snapshot, files),
        *_quarantine(snapshot),
        *_orphans(snapshot),
        *_readings(snapshot),
        *_batches(snapshot),
        *_orders(snapshot),
    ]
    return sorted(found, key=lambda f: (_ORDER[f.severity], -f.count))


def _coverage(site: Site, snapshot: Snapshot, files: dict[str, list[str]]) -> list[Finding]:
    out = []
    for name, source in site.sources.items():
        if not files[name]:
            out.append(
                Finding(
                    "source_missing",
                    "high",
                    "",
                    1,
                    f"no file of source '{name}' ({source.system}) was there",
                    [source.path],
                )
            )
    for name in TABLES:
        mapped = name in site.tables
        if mapped and snapshot.manifest["tables"].get(name) is None:
            out.append(Finding("table_empty", "high", name, 0, f"{name} is mapped but holds no row", [], _HARMS[name]))
        elif not mapped:
            out.append(Finding("table_not_connected", "info", name, 0, f"no source feeds {name}", [], _HARMS[name]))
    return out


def _quarantine(snapshot: Snapshot) -> list[Finding]:
    aside = snapshot.quarantine()
    out = []
    for (table, reason), rows in aside.assign(
        kind=aside["reason"].str.replace(r"'[^']*'", "'…'", n=1, regex=True)
    ).groupby(["table", "kind"], sort=True):
        unknown = "not in the crosswalk" in str(reason)
        examples = [f"{r.file} line {int(r.line)}: {r.reason}" for r in rows.head(3).itertuples()]
        out.append(
            Finding(
                "unmapped_code" if unknown else "quarantined",
                "medium",
                str(table),
                len(rows),
                f"{len(rows)} row(s) put aside: {reason}",
                examples,
                _HARMS[str(table)],
            )
        )
    return out


def _orphans(snapshot: Snapshot) -> list[Finding]:
    out = []
    for name, table in TABLES.items():
        frame = snapshot.table(name)
        for column, other in table.references.items():
            there = snapshot.table(other)
            if not len(frame) or not len(there):
                continue
            used = pd.Series(frame[column].dropna().unique()).astype(str)
            lost = sorted(set(used) - set(there[TABLES[other].key[0]].astype(str)))
            if lost:
                count = int(frame[column].isin(lost).sum())
                out.append(
                    Finding(
                        "orphans",
                        "medium",
                        name,
                        count,
                        f"{count} row(s) of {name} name {column} that {other} does not hold",
                        lost[:5],
                        _HARMS[name],
                    )
                )
    return out


def _readings(snapshot: Snapshot) -> list[Finding]:
    frame = snapshot.table("readings")
    if not len(frame):
        return []
    out = []
    series = frame.sort_values(["equipment_id", "signal", "ts"], kind="stable")
    group = series.groupby(["equipment_id", "signal"], observed=True, sort=False).ngroup().to_numpy()
    value = series["value"].to_numpy()
    change = np.flatnonzero(np.concatenate(([True], (value[1:] != value[:-1]) | (group[1:] != group[:-1]))))
    run = np.diff(np.append(change, len(value)))
    stuck = change[(run >= _STUCK) & (value[change] != 0)]
    if len(stuck):
        at = series.iloc[stuck[:3]]
        examples = [f"{r.equipment_id} {r.signal} = {r.value} from {r.ts}" for r in at.itertuples()]
        out.append(
            Finding(
                "stuck_sensor",
                "medium",
                "readings",
                len(stuck),
                f"{len(stuck)} time(s) a signal did not move for {_STUCK} readings or more",
                examples,
                _HARMS["readings"],
            )
        )
    bad = int((frame["quality"] == "bad").sum())
    if bad:
        out.append(
            Finding(
                "bad_quality",
                "low",
                "readings",
                bad,
                f"{bad} reading(s) marked bad by the source",
                [],
                _HARMS["readings"],
            )
        )
    seconds = series["ts"].astype("int64").to_numpy() / 1e6
    step = np.diff(seconds)[group[1:] == group[:-1]]
    if len(step):
        usual = float(np.median(step))
        gaps = int((step > max(20 * usual, 86400)).sum())
        if gaps:
            out.append(
                Finding(
                    "gaps",
                    "low",
                    "readings",
                    gaps,
                    f"{gaps} gap(s) longer than a day and 20 × the usual step of {usual:.0f} s",
                    [],
                    _HARMS["readings"],
                )
            )
    return out


def _batches(snapshot: Snapshot) -> list[Finding]:
    out = []
    steps, batches = snapshot.table("batch_steps"), snapshot.table("batches")
    if len(steps) and len(batches):
        runs = batches.drop_duplicates("batch_id", keep="last").set_index("batch_id")
        start = steps["batch_id"].map(runs["started_at"])
        outside = steps[(steps["started_at"] < start) | (steps["ended_at"] > steps["batch_id"].map(runs["ended_at"]))]
        if len(outside):
            out.append(
                Finding(
                    "step_outside_batch",
                    "medium",
                    "batch_steps",
                    len(outside),
                    f"{len(outside)} step(s) lie outside the run of their batch",
                    list(outside["batch_id"].head(3).astype(str)),
                    _HARMS["batch_steps"],
                )
            )
    results = snapshot.table("lab_results")
    waiting = int(results["approved_at"].isna().sum())
    if waiting:
        out.append(
            Finding(
                "not_approved",
                "info",
                "lab_results",
                waiting,
                f"{waiting} result(s) are not approved yet; they are used once they are",
                [],
                _HARMS["lab_results"],
            )
        )
    if len(results) and results[["lower_spec", "upper_spec"]].isna().all(axis=None):
        out.append(
            Finding(
                "no_specification",
                "medium",
                "lab_results",
                len(results),
                "no result has a specification limit: values are predicted, "
                "a risk of leaving the specification cannot be",
                [],
                _HARMS["lab_results"],
            )
        )
    return out


def _orders(snapshot: Snapshot) -> list[Finding]:
    orders = snapshot.table("work_orders")
    corrective = orders[orders["kind"] == "corrective"]
    if not len(corrective):
        return []
    out = []
    uncoded = int(corrective["failure_mode"].isna().sum())
    if uncoded:
        out.append(
            Finding(
                "uncoded_failures",
                "medium",
                "work_orders",
                uncoded,
                f"{uncoded} corrective order(s) carry no failure mode",
                [],
                _HARMS["work_orders"],
            )
        )
    if corrective["closed_at"].isna().all():
        out.append(
            Finding(
                "no_closing_time",
                "medium",
                "work_orders",
                len(corrective),
                "no order has a closing time: repair times are unknown",
                [],
                _HARMS["work_orders"],
            )
        )
    return out
