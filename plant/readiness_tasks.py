"""What each predicted task can and cannot use: usable, limited or not possible, with the reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from plant.readiness_records import ACTIONS, FAILURE, QUALITY, REVIEW, TASKS, Finding, Records
from plant.readiness_scan import Series

_FEW_FAILURES, _FEW_RESULTS = 20, 50


def tasks(records: Records, series: Series, found: Iterable[Finding]) -> dict[str, dict[str, Any]]:
    """For each task `status` (usable, limited, not possible), `reasons`, `weakened_by`, tables it `uses`, `lacks`."""
    judged = {
        FAILURE: _failure(records, series),
        QUALITY: _quality(records, series),
        REVIEW: _review(records),
        ACTIONS: _actions(records),
    }
    found = list(found)
    out: dict[str, dict[str, Any]] = {}
    for task in TASKS:
        blocking, limiting, uses, lacks = judged[task]
        worst = [f for f in found if task in f.harms and f.severity == "high"]
        covered = {"table_empty", "source_missing", "no_failures", "never_approved"}
        limiting = limiting + [f.text for f in worst if f.code not in covered]
        status = "not possible" if blocking else "limited" if limiting else "usable"
        weaker = [f.text for f in found if task in f.harms and f.severity == "medium"]
        reasons = blocking + limiting
        out[task] = {"status": status, "reasons": reasons, "weakened_by": weaker, "uses": uses, "lacks": lacks}
    return out


def _has(records: Records, series: Series | None, names: Iterable[str]) -> tuple[list[str], list[str]]:
    uses: list[str] = []
    lacks: list[str] = []
    for name in names:
        there = bool(len(series)) if name == "readings" and series is not None else bool(len(records.rows(name)))
        (uses if there else lacks).append(name)
    return uses, lacks


Judged = tuple[list[str], list[str], list[str], list[str]]  # blocking, limiting, uses, lacks


def _failure(records: Records, series: Series) -> Judged:
    uses, lacks = _has(records, series, ("equipment", "work_orders", "readings", "events", "downtime", "batch_steps"))
    orders = records.rows("work_orders")
    failures = int((orders["kind"] == "corrective").sum())
    blocking, limiting = [], []
    if "equipment" in lacks:
        blocking.append("there is no list of equipment: nothing to score")
    if not failures:
        blocking.append("no corrective work order is there: no failure to learn from")
    elif failures < _FEW_FAILURES:
        limiting.append(f"only {failures} failures in all: risks will be wide and hard to tell from the average")
    if "readings" in lacks and "events" in lacks:
        limiting.append("neither readings nor events: only the age since the last repair can tell anything")
    elif "readings" in lacks:
        limiting.append("no readings: wear that only shows in signals is not seen")
    else:
        silent = set(records.rows("equipment")["equipment_id"]) - set(series.equipment)
        listed = len(records.rows("equipment"))
        if listed and 0 < len(silent) and len(silent) > 0.2 * listed:
            limiting.append(f"{len(silent)} of {listed} equipment send no readings")
    if failures and orders.loc[orders["kind"] == "corrective", "failure_mode"].isna().all():
        limiting.append("no order has a failure mode: the risk of any failure can be told, not of which")
    if failures and orders["closed_at"].isna().all():
        limiting.append("orders carry no end: repair times and what was found are unknown")
    return blocking, limiting, uses, lacks


def _quality(records: Records, series: Series) -> Judged:
    uses, lacks = _has(records, series, ("batches", "batch_steps", "lab_results", "genealogy", "readings"))
    results = records.rows("lab_results")
    usable = int((results["approved_at"].notna() & results["value"].notna()).sum())
    blocking, limiting = [], []
    if "batches" in lacks:
        blocking.append("there are no batches")
    if not usable:
        blocking.append("no laboratory result is approved: nothing to learn from")
    elif usable < _FEW_RESULTS:
        limiting.append(f"only {usable} approved results in all")
    if len(results) and results[["lower_spec", "upper_spec"]].isna().all(axis=None):
        limiting.append("no specification limits: values are predicted, not the risk to leave the specification")
    elif usable and not (results["status"] == "out_of_spec").any():
        limiting.append("no result was ever out of specification: the risk rests on the spread of the values alone")
    if "batch_steps" in lacks:
        limiting.append("no batch steps: no equipment and no recorded value can be joined to a batch")
    if "genealogy" in lacks:
        limiting.append("no genealogy: effects of material lots are not seen")
    return blocking, limiting, uses, lacks


def _review(records: Records) -> Judged:
    uses, lacks = _has(
        records, None, ("batches", "lab_results", "batch_steps", "deviations", "dispositions", "genealogy", "events")
    )
    blocking = ["there are no batches"] if "batches" in lacks else []
    limiting = []
    if "lab_results" in lacks:
        limiting.append("no laboratory results: they have to be reviewed by hand")
    if "deviations" in lacks:
        limiting.append("no deviations: an open one would not be seen, so every batch stays an exception")
    if "dispositions" in lacks:
        limiting.append("no review and release times: how long reviews take is unknown")
    if "batch_steps" in lacks:
        limiting.append("no batch steps: alarms and stops cannot be joined to a batch")
    return blocking, limiting, uses, lacks


def _actions(records: Records) -> Judged:
    uses, lacks = _has(records, None, ("equipment", "work_orders", "spare_parts"))
    orders = records.rows("work_orders")
    corrective = orders[orders["kind"] == "corrective"]
    blocking, limiting = [], []
    if not len(corrective):
        blocking.append("no corrective work order is there: no action to recommend from")
    elif corrective["failure_mode"].isna().all():
        blocking.append("no order has a failure mode: which part to look at cannot be told")
    if "spare_parts" in lacks:
        limiting.append("no spare parts: stock and lead time stay unknown")
    elif len(corrective):
        mended = set(records.rows("spare_parts")["failure_mode"].dropna())
        without = sorted(set(corrective["failure_mode"].dropna()) - mended)
        if without:
            limiting.append(f"no part is listed for {len(without)} failure mode(s): {', '.join(without[:5])}")
    if len(corrective) and corrective["cost"].isna().all():
        limiting.append("orders carry no cost: actions are weighed by the costs in the model's YAML alone")
    return blocking, limiting, uses, lacks
