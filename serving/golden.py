"""A batch against the golden batch: each signal of each step in the envelope of good batches of the same product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from features import golden
from features.golden import Envelope, Floats, References, Run
from features.reading_ranges import readings_in
from plant.errors import UnknownId, listing, nearest
from serving.review_case import Case, Known, Step
from serving.review_readings import limits_of

ALIGNMENT = (
    f"by the share of the step's own duration, in {golden.SLOTS} slots of {100 // golden.SLOTS} %: each the mean of "
    "its usable readings, or between neighbouring readings; where readings are missing there is a gap"
)
_TABLES = ("batches", "batch_steps", "lab_results", "dispositions")
Limits = tuple[float | None, float | None, str]


def golden_batch(case: Case, step: str | None = None, signal: str | None = None) -> dict[str, Any]:
    """The batch against its envelopes, as JSON values, with what was known strictly before the case's time.

    step: one of the batch's; None for all. signal: one of the step's; None for all. Within a step the signals that are
    unusual come first. A slot where nothing is known is null. Raises UnknownId (`unknown_step`, `unknown_signal`).
    """
    steps = _steps(case, step)
    tables = {name: case.known.table(name) for name in _TABLES}
    found = [golden.references(tables, case.batch_id, s.name, case.t) for s in steps]
    runs = [_own(case, s, r) for s, r in zip(steps, found, strict=True)]
    curves = _curves(case.known, [r for own, of in zip(runs, found, strict=True) for r in (own, *of.runs)])
    told = [_step(case, s, own, of, curves, signal) for s, own, of in zip(steps, runs, found, strict=True)]
    if signal is not None and not any(s["signals"] for s in told):
        names = sorted({n for own, of in zip(runs, found, strict=True) for n in _names(case, own, of, curves)})
        raise UnknownId(
            "unknown_signal", f"the equipment of batch '{case.batch_id}' has no signal '{signal}'", listing(names),
            nearest(signal, names),
        )
    return {
        "site": case.plant.site, "simulated": case.plant.simulated, "batch_id": case.batch_id, "product": case.product,
        "as_of": case.t.isoformat(), "data_version": case.known.snapshot.data_version,
        "time_zone": case.plant.time_zone, "reference_rule": golden.RULE, "alignment": ALIGNMENT,
        "least_references": golden.LEAST, "most_references": golden.LATEST, "quantiles": list(golden.SHARES),
        "steps": told,
    }


def _steps(case: Case, step: str | None) -> list[Step]:
    chosen = [s for s in case.steps if step is None or s.name == step]
    if step is not None and not chosen:
        names = [s.name for s in case.steps]
        raise UnknownId(
            "unknown_step", f"batch '{case.batch_id}' had no step '{step}' by {case.t.isoformat()}", listing(names),
            nearest(step, names),
        )
    return chosen


def _own(case: Case, step: Step, of: References) -> Run:
    end = step.end if step.ended else golden.expected_end(step.start, of.runs, case.t)
    return Run(case.batch_id, step.equipment_id, step.start, end, step.ended)


def _curves(known: Known, runs: Sequence[Run]) -> dict[Run, dict[str, Floats]]:
    """Run -> signal -> its resampled readings. What was read once at this cut-off is kept with it."""
    kept: dict[Run, dict[str, Floats]] = known.keep("golden curves", dict)
    missing = [r for r in dict.fromkeys(runs) if r not in kept]
    read = readings_in(known.snapshot, known.t, [(r.equipment_id, r.start, r.end) for r in missing if r.equipment_id])
    by: dict[str, list[str]] = {}
    for equipment, signal in read:
        by.setdefault(equipment, []).append(signal)
    for run in missing:
        resampled = {
            s: golden.resample(read[run.equipment_id, s].between(run.start, run.end), run.start, run.end)
            for s in by.get(run.equipment_id, ())
        }
        kept[run] = {s: c for s, c in resampled.items() if np.isfinite(c).any()}
    return {r: kept[r] for r in runs}


def _names(case: Case, own: Run, of: References, curves: dict[Run, dict[str, Floats]]) -> list[str]:
    configured = limits_of(case, own.equipment_id) if own.equipment_id else {}
    return sorted({*configured, *(s for r in (own, *of.runs) for s in curves[r])})


def _step(
    case: Case, step: Step, own: Run, of: References, curves: dict[Run, dict[str, Floats]], signal: str | None
) -> dict[str, Any]:
    limits = limits_of(case, own.equipment_id) if own.equipment_id else {}
    for equipment in {r.equipment_id for r in of.runs}:  # where only another machine has the signal
        limits = limits_of(case, equipment) | limits
    names = [n for n in _names(case, own, of, curves) if signal in (None, n)]
    empty = np.full(golden.SLOTS, np.nan)
    signals = []
    for name in names:
        many = np.array([curves[r].get(name, empty) for r in of.runs]).reshape(len(of.runs), golden.SLOTS)
        signals.append(_signal(case, name, own, curves[own].get(name, empty), many, limits.get(name, (None, None, ""))))
    signals.sort(key=lambda s: (not s["unusual"], -(s["share_outside"] or 0.0), s["signal"]))
    notes = _notes(case, own, of, signals)
    if not _is_read(signals):
        notes.append(_why_nothing(case, own, signals, signal))
    hours = [(r.end - r.start) / pd.Timedelta(hours=1) for r in of.runs]
    return {
        "step": step.name, "equipment_id": own.equipment_id or None, "started_at": _time(own.start, case),
        "ended_at": _time(own.end, case) if own.ended else None,
        "expected_end": None if own.ended else _time(own.end, case),
        "hours": step.hours, "usual_hours": float(np.median(hours)) if hours else None,
        "references": {
            "count": len(of.runs), "enough": of.enough, "earlier": of.earlier,
            "same_equipment": sum(r.equipment_id == own.equipment_id for r in of.runs),
            "left_out": dict(of.left_out), "batch_ids": [r.batch_id for r in of.runs],
        },
        "notes": notes, "read": _is_read(signals), "signals": signals,
    }


def _signal(case: Case, name: str, own: Run, curve: Floats, many: Floats, limits: Limits) -> dict[str, Any]:
    usual = golden.envelope(many)
    seen = golden.against(curve, usual)
    most = golden.usual_outside(many)
    low, high, unit = limits
    return {
        "signal": name, "unit": unit, "low": low, "high": high, "compared": seen.compared,
        "known": int(np.isfinite(curve).sum()), "share_outside": seen.share_outside, "usual_outside": most,
        "unusual": seen.share_outside is not None and most is not None and seen.share_outside > most,
        "longest_outside": None if seen.longest is None else _stretch(case, own, seen.longest, curve, usual),
        "curve": _plain(curve), "batches": usual.known.tolist(),
        "envelope": {_label(q): _plain(usual.quantiles[k]) for k, q in enumerate(golden.SHARES)},
    }


def _stretch(case: Case, own: Run, slots: tuple[int, int], curve: Floats, usual: Envelope) -> dict[str, Any]:
    edges = golden.slot_times(own.start, own.end)
    begin, end = edges[slots[0]], min(edges[slots[1] + 1], case.t)
    of = slice(slots[0], slots[1] + 1)
    above, below = curve[of] - usual.quantiles[-1, of], usual.quantiles[0, of] - curve[of]
    sides = [side for side, beyond in (("above", above), ("below", below)) if (beyond > 0).any()]
    return {
        "from": _time(begin, case), "until": _time(end, case), "hours": float((end - begin) / pd.Timedelta(hours=1)),
        "from_percent": 100 * slots[0] / golden.SLOTS, "to_percent": 100 * (slots[1] + 1) / golden.SLOTS,
        "side": " and ".join(sides), "farthest": float(np.nanmax(np.maximum(above, below))),
    }


def _notes(case: Case, own: Run, of: References, signals: list[dict[str, Any]]) -> list[str]:
    notes = []
    if not own.equipment_id:
        notes.append("the record names no equipment of this step")
    if not of.enough:
        others = ", ".join(f"{n} {why}" for why, n in of.left_out.items())
        notes.append(
            f"no envelope: {len(of.runs)} reference batches, at least {golden.LEAST} are needed"
            + (f" (left out: {others})" if others else "")
        )
    if of.runs and not of.earlier:
        notes.append(f"fewer than {golden.LEAST} references had ended before the batch began: later ones count too")
    if not own.ended:
        notes.append("the step was still running: drawn along the usual duration of its references")
    if own.equipment_id and _is_read(signals) and (silent := [s["signal"] for s in signals if not s["known"]]):
        notes.append(f"no usable reading in this step: {', '.join(silent)}")
    elsewhere = sum(r.equipment_id != own.equipment_id for r in of.runs)
    if elsewhere and own.equipment_id:
        notes.append(f"{elsewhere} of {len(of.runs)} references ran on other equipment than {own.equipment_id}")
    return notes


def _is_read(signals: list[dict[str, Any]]) -> bool:
    """Whether any signal has a reading, in this batch or in a reference."""
    return any(s["known"] or any(s["batches"]) for s in signals)


def _why_nothing(case: Case, own: Run, signals: list[dict[str, Any]], signal: str | None) -> str:
    """Why there is no reading to compare."""
    if (declared := case.rules.not_expected.get("readings")) is not None:
        return f"no readings, as the site declares: {declared}"
    if "readings" not in case.plant.systems:
        return "no readings: the site connects none"
    if signal is not None and not signals:
        return f"this step has no signal '{signal}'"
    return f"no readings of {own.equipment_id or 'this step'}, nor of its references: there is nothing to compare"


def _label(share: float) -> str:
    return f"p{round(100 * share)}"


def _plain(values: Floats) -> list[float | None]:
    return [float(v) if math.isfinite(v) else None for v in values]


def _time(t: pd.Timestamp, case: Case) -> dict[str, str]:
    return {"utc": t.isoformat(), "local": t.tz_convert(ZoneInfo(case.plant.time_zone)).isoformat()}
