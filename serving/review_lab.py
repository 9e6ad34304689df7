"""Results of the laboratory on the batch: specification, trend, invalidations, corrections, what is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from serving.review_case import Case
from serving.review_finding import Found, Outcome, number, word
from serving.review_habits import Habit, lab_habits, sample_due
from serving.review_trend import Limits, distance, limits_of, limits_of_product, outside, results_of_product

Row = Mapping[str, Any]


def check(case: Case) -> Outcome:
    """Entries: results of the batch, and attributes that its peers have and it has not."""
    rows = case.known.rows("lab_results", "batch_id", case.batch_id)
    rows = rows[rows["material_lot"].isna() | (rows["material_lot"] == case.batch_id)]
    rows = rows.sort_values(["sampled_at", "result_id"], kind="stable")
    results = rows.to_dict("records")
    habits = lab_habits(case)
    expected = {a for a, h in habits.items() if h.usual is not None}
    missing = sorted(expected - {str(r["attribute"]) for r in results})
    found: list[Found] = []
    for row in results:
        if pd.notna(row["approved_at"]):
            found += _approved(case, row, results, habits)
    found += _pending(case, [r for r in results if pd.isna(r["approved_at"])])
    found += _not_sampled(case, missing, habits)
    notes = () if case.enough_peers else (_few(case),)
    nothing = not results and not expected and bool(len(case.known.table("lab_results")))
    if nothing:
        found.append(_nothing(case))
    return Outcome(
        "laboratory", len(results) + len(missing) + nothing, found, notes, done=bool(results or expected or nothing)
    )


def _nothing(case: Case) -> Found:
    """No sample at all, where the product's batches do not say what ought to be there: they are few, or have none."""
    key = (f"lab_results/{case.batch_id}/any",)
    others = f"; none of the last {len(case.peers)} batches of {case.product} has any" if case.enough_peers else ""
    if case.ended is None:
        return Found("lab_to_come", key, f"no sample of this batch yet{others}", case.t, {"limit": "a result"})
    return Found(
        "lab_missing",
        key,
        f"the batch has ended, and there is no result and no sample of it at all{others}",
        case.ended,
        {"limit": "a result"},
        measure=1.0,
    )


def _few(case: Case) -> str:
    return f"only {len(case.peers)} other batches of {case.product}: what results it ought to have is hardly known"


def _approved(case: Case, row: Row, results: list[Row], habits: Mapping[str, Habit]) -> Iterator[Found]:
    """At most one exception by value of each result, and what happened to its entry."""
    changed = _other_limits(case, row)
    judged = _by_value(case, row, results, changed)
    if judged is not None and judged.kind == "lab_without_value":
        how_usual = _has_values(case, row, habits)
        judged = None if how_usual is None else replace(judged, measure=how_usual)
    if judged is not None:
        yield judged
    if changed is not None:
        yield _found(
            "lab_limits_changed",
            row,
            f"is held against {_told(limits_of(row))}, the product's other results against {_told(changed)}",
            {"usual_unit": changed[0] or None, "usual_lower_spec": changed[1], "usual_upper_spec": changed[2]},
            entries=0 if judged else 1,
        )
    yield from _corrected(case, row, 0 if judged or changed else 1)
    slow = habits[str(row["attribute"])].slow if str(row["attribute"]) in habits else float("nan")
    took = float((row["approved_at"] - row["sampled_at"]) / pd.Timedelta(hours=1))
    if slow > 0:
        yield _found(
            "lab_approved_late",
            row,
            f"was approved {took / 24:.1f} d after its sample",
            {"approval_h": took, "sampled_at": row["sampled_at"]},
            measure=took / slow,
            entries=0 if judged or changed else 1,
        )


def _has_values(case: Case, row: Row, habits: Mapping[str, Habit]) -> float | None:
    """How usual a value is (`Usual.measure`) for the attribute of the product, where it has none of it, of anything."""
    attribute = str(row["attribute"])
    if attribute in habits:
        valued = habits[attribute].valued
        return None if valued is None else valued.measure
    return 1.0 if case.known.rows("lab_results", "attribute", attribute)["value"].notna().any() else None


def _other_limits(case: Case, row: Row) -> Limits | None:
    """Unit and specification of the product's results before this one, where its own are others."""
    settings = case.rules.settings
    line = limits_of_product(case.known, case.product, str(row["attribute"]))
    usual = line.usual(
        row["approved_at"], case.batch_id, settings.trend_results, settings.least_peers, settings.peers_share
    )
    return None if usual is None or usual == limits_of(row) else usual


def _by_value(case: Case, row: Row, results: list[Row], changed: Limits | None) -> Found | None:
    """What is to be said of the value. changed: the product's usual limits, which count where the row has none."""
    value, status, unit = number(row["value"]), word(row["status"]), word(row["unit"])
    _, low, high = limits_of(row)
    if changed is not None and low is None and high is None and unit == changed[0]:
        _, low, high = changed
    out = outside(value, low, high)
    if status == "invalidated":
        again = [
            r
            for r in results
            if r["attribute"] == row["attribute"]
            and r["sampled_at"] >= row["sampled_at"]
            and r is not row
            and word(r["status"]) != "invalidated"
            and (pd.isna(r["approved_at"]) or pd.notna(r["value"]) or word(r["status"]))
        ]
        if not again:
            return _found("lab_not_repeated", row, "was invalidated, and no valid result follows it", {"value": value})
        told = [f"{r['value']:g} {unit}".rstrip() if pd.notna(r["value"]) else word(r["status"]) for r in again]
        kept = ", ".join(t.replace("_", " ") for t in told if t)
        return _found(
            "lab_invalidated",
            row,
            f"{_shown(value, unit)} was invalidated; the repeat {f'says {kept}' if kept else 'is in the laboratory'}",
            {"value": value, "repeat": [number(r["value"]) for r in again]},
            measure=float(out),
            rows=tuple(f"lab_results/{r['result_id']}" for r in again),
        )
    if out or status == "out_of_spec":
        text = f"{_shown(value, unit)} {_beyond(value, low, high)}" if out else ""
        if not out:
            text = f"{_shown(value, unit)} is out of specification by the laboratory's verdict, not by its limits"
            text = "failed, by the laboratory's verdict: out of specification" if value is None else text
        elif status in ("in_spec", "out_of_trend"):
            text += f", although the laboratory's verdict is {status.replace('_', ' ')}"
        return _found("lab_out_of_spec", row, text, {"value": value, "status": status or None})
    if status == "out_of_trend":
        return _found(
            "lab_out_of_trend",
            row,
            f"{_shown(value, unit)} is out of trend by the laboratory's verdict",
            {"value": value},
        )
    if value is None:
        return _found("lab_without_value", row, "is approved and carries no value", {})
    settings = case.rules.settings
    line = results_of_product(case.known, case.product, str(row["attribute"]))
    earlier = line.before(row["approved_at"], case.batch_id, settings.trend_results)
    far = distance(value, earlier) if len(earlier) >= settings.trend_least else None
    if far is None:
        return None
    return _found(
        "lab_unusual",
        row,
        f"{_shown(value, unit)} lies beyond the last {len(earlier)} of {case.product} ({far[1]})",
        {"value": value},
        measure=far[0],
    )


def _corrected(case: Case, row: Row, entries: int) -> Iterator[Found]:
    versions = case.known.versions("lab_results", str(row["result_id"]))
    if len(versions) < 2:
        return
    values = [number(v) for v in versions["value"]]
    low, high = number(row["lower_spec"]), number(row["upper_spec"])
    verdicts = {outside(v, low, high) for v in values if v is not None}
    if len(set(values)) < 2:
        return
    told = " to ".join("nothing" if v is None else f"{v:g}" for v in values)
    at = versions["recorded_at"].iloc[-1]
    yield _found(
        "lab_corrected",
        row,
        f"was changed from {told} {word(row['unit'])}".rstrip(),
        {"versions": values},
        measure=float(len(verdicts) > 1),
        entries=entries,
        at=at,
    )


def _pending(case: Case, rows: list[Row]) -> Iterator[Found]:
    if not rows:
        return
    names = sorted({str(r["attribute"]) for r in rows})
    first = min(r["sampled_at"] for r in rows)
    keys = tuple(f"lab_results/{r['result_id']}" for r in rows)
    plural = "results are" if len(rows) > 1 else "result is"
    yield Found(
        "lab_pending",
        (f"lab_results/{case.batch_id}/pending",),
        f"{len(rows)} {plural} still in the laboratory: {', '.join(n.replace('_', ' ') for n in names)}",
        first,
        {"attributes": names},
        entries=len(rows),
        rows=keys,
    )


def _not_sampled(case: Case, attributes: list[str], habits: Mapping[str, Habit]) -> Iterator[Found]:
    """Attributes without a sample: those that are overdue one by one, those to come together."""
    to_come = []
    for attribute in attributes:
        due, usual = sample_due(case, habits[attribute]), habits[attribute].usual
        if case.t <= due:
            to_come.append(attribute)
            continue
        yield Found(
            "lab_missing",
            (f"lab_results/{case.batch_id}/{attribute}",),
            f"there is no result and no sample for {attribute.replace('_', ' ')}"
            + (f"; {usual.told(case.product)}" if usual else ""),
            due,
            {"attribute": attribute, "limit": "a result"},
            measure=usual.measure if usual else 1.0,
        )
    if to_come:
        yield Found(
            "lab_to_come",
            (f"lab_results/{case.batch_id}/to_come",),
            f"no sample yet for {', '.join(a.replace('_', ' ') for a in to_come)}; the product's batches have them",
            case.t,
            {"attributes": to_come},
            entries=len(to_come),
        )


def _found(
    kind: str,
    row: Row,
    text: str,
    evidence: Mapping[str, Any],
    measure: float | None = None,
    entries: int = 1,
    at: pd.Timestamp | None = None,
    rows: tuple[str, ...] = (),
) -> Found:
    attribute = str(row["attribute"])
    about = {
        "attribute": attribute,
        "unit": word(row["unit"]) or None,
        "lower_spec": number(row["lower_spec"]),
        "upper_spec": number(row["upper_spec"]),
    }
    return Found(
        kind,
        (f"lab_results/{row['result_id']}",),
        f"{attribute.replace('_', ' ')}: {text}",
        at if at is not None else row["approved_at"],
        {**about, **evidence},
        measure=measure,
        entries=entries,
        rows=rows,
    )


def _shown(value: float | None, unit: str) -> str:
    return "no value" if value is None else f"{value:g} {unit}".rstrip()


def _beyond(value: float | None, low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"is outside {low:g} to {high:g}"
    return f"is below {low:g}" if low is not None else f"is above {high:g}"


def _told(limits: Limits) -> str:
    unit, low, high = limits
    if low is None and high is None:
        return f"no limits ({unit})" if unit else "no limits"
    if low is None:
        return f"at most {high:g} {unit}".rstrip()
    return f"at least {low:g} {unit}".rstrip() if high is None else f"{low:g} to {high:g} {unit}".rstrip()
