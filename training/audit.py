"""The leakage audit, which runs inside every training and blocks it: what feature would know the future, and why.

Five questions, each of its own module:

future      does a feature at t move when everything known at or after t is changed? (`audit_future`, exact)
rows        is a row the same alone as among the others?
countdown   does a feature tell how long a life will be before anything can? (`audit_countdown`)
label echo  does a feature change exactly when the label does? (`audit_label`); target echo: or repeat the result that
            is to be predicted? (`audit_target`)
overlap, embargo, serving   groups on both sides, labels that look too far, features gone at the end (`audit_groups`)

How much each feature tells alone (`audit_power`) is told, and warned of, but is no proof: an honest precursor may be
strong. Every check looks only at rows that a model may learn from, but that for features which are gone at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.asof import last_versions
from features.assemble import Matrix
from features.catalogue import Feature
from features.spec import window_us
from models.spec import FailureSpec
from plant.snapshot import SnapshotLike
from training import audit_countdown, audit_label, audit_power
from training.audit_countdown import countdowns
from training.audit_finding import WARNS, Audit, Finding, concluded
from training.audit_future import Make, differs, moved_features
from training.audit_groups import KNOWN, embargo, gone_features
from training.audit_label import label_echoes
from training.audit_lives import Event, events_of, lives
from training.audit_readings import readings_between
from training.splits import Fold

Progress = Callable[[str], None]

MOST_ROWS = 20_000
SAMPLES = (0.3, 0.65, 0.97)  # where along the training rows the future is changed
_SUBJECTS = 4
_LONGEST, _SHORTEST = pd.Timedelta(days=120), pd.Timedelta(days=7)


def audit_failure(
    snapshot: SnapshotLike, spec: FailureSpec, make: Make, matrix: Matrix, known: pd.DataFrame, fold: Fold
) -> Audit:
    """Audit the features of a failure model.

    make(snapshot, rows) computes a matrix exactly as the training does. matrix: all rows. known: the labels that the
    version learns from (duration_h, observed, mode), one for each row before `fold.origin`. Deterministic.
    """
    rows = matrix.rows
    times = pd.DatetimeIndex(rows["t"])
    before = np.asarray(times < fold.origin)
    names = [f.name for f in matrix.features]
    findings, checks = future_checks(snapshot, make, matrix, before, "equipment_id", spec.seed)

    at = spread(np.flatnonzero(before), MOST_ROWS)
    ids, t = rows["equipment_id"].to_numpy(dtype=object).astype(str)[at], micros_of(times)[at]
    look_back = look_backs(matrix.features)
    failures = seen_failures(rows[before], known)
    began = service_begun(snapshot)
    kinds = list(events_of(snapshot, set(ids), fold.origin, failures))
    grid = spec.cutoffs.every.hours
    found, looked = countdowns(matrix.values[at], ids, t, look_back, kinds, began, grid)
    findings += [countdown_finding(names[c.column], c) for c in found]
    checks.append({"check": "countdown", "rows": len(at), "events": [k.name for k in kinds[:looked]],
                   "limits": {"hours left explained": audit_countdown.EXPLAINED,
                              "length of life known": audit_countdown.LENGTH_KNOWN}})

    strip = audit_label.SHIFT_H + coming(snapshot, matrix.features, set(ids), fold.origin)
    findings += _echoes(spec, matrix, rows[before], np.flatnonzero(before), known, kinds, began, look_back, strip)
    checks.append({"check": "label echo", "rows": int(before.sum()), "horizons": [str(h) for h in spec.horizons],
                   "limits": {"AUC at the horizon": audit_label.SEPARATES}})
    findings += embargo(times[before], known, fold.origin)
    checks.append({"check": "embargo", "rows": int(before.sum()), "origin": fold.origin.isoformat()})
    subjects = rows["equipment_id"].to_numpy(dtype=object)
    findings += gone_features(matrix.values, matrix.features, subjects, times, before)
    checks.append({"check": "serving", "features": len(names), "limits": {"known in training": KNOWN}})

    strongest: list[dict[str, Any]] = []
    duration, observed = known["duration_h"].to_numpy(), known["observed"].to_numpy(dtype=bool)
    for name, h in zip(spec.horizons, spec.horizons_h, strict=True):
        event = np.where(observed & (duration < h), 1.0, np.where(duration >= h, 0.0, np.nan))
        power = audit_power.powers(matrix.values[before], event)
        strongest += audit_power.strongest(names, power, f"failure within {name}", "AUC")
        findings += [too_good(names[j], float(power[j]), f"a failure within {name}")
                     for j in np.flatnonzero(power >= audit_power.TOO_GOOD)]
    checks.append({"check": "power", "features": len(names), "limits": {"AUC": audit_power.TOO_GOOD}})
    return concluded(strictest(findings), spec.audit.accept, checks, strongest, len(names), int(before.sum()))


def future_checks(
    snapshot: SnapshotLike, make: Make, matrix: Matrix, before: np.ndarray, subject: str, seed: int,
    samples: tuple[float, ...] = SAMPLES,
) -> tuple[list[Finding], list[dict[str, Any]]]:
    """Findings of the checks `future` and `rows`, and what they looked at."""
    parts = sampled(matrix, before, samples)
    moved, asked = moved_features(snapshot, make, [matrix.rows.iloc[p] for p in parts], subject,
                                  longest_look_back(matrix.features), seed)
    findings = [
        Finding("future", m.feature, 1.0, 0.0, f"changes when only the future does: at {m.t:%Y-%m-%d %H:%M} for "
                f"{m.subject} it is {m.before:.6g} or {m.after:.6g}, depending on what became known later")
        for m in moved
    ]
    chosen = np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)
    if len(chosen):
        alone = make(snapshot, matrix.rows.iloc[chosen].reset_index(drop=True))
        wrong = np.flatnonzero(differs(matrix.values[chosen], alone.values).any(axis=0))
        findings += [Finding("rows", matrix.features[j].name, 1.0, 0.0,
                             "has another value where fewer rows are asked for: it reads the other rows of the matrix, "
                             "later ones among them") for j in wrong]
    return findings, [{"check": "future", "rows": asked, "features": len(matrix.features)},
                      {"check": "rows", "rows": len(chosen)}]


def sampled(matrix: Matrix, before: np.ndarray, samples: tuple[float, ...]) -> list[np.ndarray]:
    """Row numbers to change the future of, each group of one t: at a few moments, rows that know much and differ."""
    at = np.flatnonzero(before)
    times = matrix.rows["t"].to_numpy()[at]
    moments = np.unique(times)
    out = []
    for share in samples if len(moments) else ():
        there = at[times == moments[int(share * (len(moments) - 1))]]
        known = np.isfinite(matrix.values[there])
        there = there[np.argsort(-known.sum(axis=1), kind="stable")]
        _, first = np.unique(np.isfinite(matrix.values[there]), axis=0, return_index=True)
        chosen = there[np.sort(first)][:_SUBJECTS]
        out.append(chosen)
    return out


def _echoes(
    spec: FailureSpec, matrix: Matrix, rows: pd.DataFrame, at: np.ndarray, known: pd.DataFrame, kinds: Sequence[Event],
    began: dict[str, int], look_back: np.ndarray, strip: np.ndarray,
) -> list[Finding]:
    ids = rows["equipment_id"].to_numpy(dtype=object).astype(str)
    t = micros_of(pd.DatetimeIndex(rows["t"]))
    grid = spec.cutoffs.every.hours
    duration, observed = known["duration_h"].to_numpy(), known["observed"].to_numpy(dtype=bool)
    near = np.flatnonzero(duration <= 4 * max(spec.horizons_h) + 96)
    far = spread(np.flatnonzero(duration > 4 * max(spec.horizons_h) + 96), MOST_ROWS)
    chosen = np.sort(np.concatenate([spread(near, 3 * MOST_ROWS), far]))
    raw = matrix.values[at[chosen]]
    gaps = np.flatnonzero(np.isnan(raw).any(axis=0))  # whether a value is there may be the copy
    both = audit_countdown.varying(np.column_stack([raw, np.isfinite(raw[:, gaps])]), ids[chosen])
    columns = np.concatenate([np.arange(raw.shape[1]), gaps])
    rates = np.array([f.unit.endswith("/d") for f in matrix.features])
    out = []
    for event in (k for k in kinds if k.name.startswith("failure")):
        mode = event.name.removeprefix("failure by ") if event.name != "failure" else None
        mine = observed & (known["mode"].to_numpy() == mode) if mode is not None else observed
        laid = lives(event, ids, t, began, 2 * grid)
        left = np.where(mine, duration, np.nan)
        found = label_echoes(both, left[chosen], duration[chosen], np.where(laid.whole, laid.age, np.nan)[chosen],
                             laid.life[chosen], look_back[columns], strip[columns], rates[columns],
                             dict(zip(map(str, spec.horizons), spec.horizons_h, strict=True)), grid, event.name)
        out += [Finding("label echo", matrix.features[columns[e.column]].name, e.separates, audit_label.SEPARATES,
                        e.reason) for e in found]
    return out


def countdown_finding(name: str, c: audit_countdown.Countdown) -> Finding:
    limit = audit_countdown.EXPLAINED if c.length_known is not None else audit_countdown.CERTAIN
    return Finding("countdown", name, c.explained, limit, c.reason)


def too_good(name: str, power: float, of: str) -> Finding:
    reason = f"alone it tells {of} with {power:.3f}; it may be honest, but a reviewer should know why"
    return Finding("power", name, power, audit_power.TOO_GOOD, reason, WARNS)


def strictest(findings: Sequence[Finding]) -> list[Finding]:
    """One finding a feature and check: that which measured most."""
    best: dict[tuple[str, str, str], Finding] = {}
    for f in findings:
        key = (f.check, f.feature, f.reason if not f.feature else "")
        if key not in best or f.measured > best[key].measured:
            best[key] = f
    return list(best.values())


def seen_failures(rows: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Failures that the labels saw: equipment_id, at, mode."""
    seen = known["observed"].to_numpy(dtype=bool)
    hours = pd.to_timedelta(known["duration_h"].to_numpy()[seen], unit="h")
    at = (pd.DatetimeIndex(rows["t"])[seen] + hours).round("s")
    made = pd.DataFrame({"equipment_id": rows["equipment_id"].to_numpy(dtype=object)[seen], "at": at,
                         "mode": known["mode"].to_numpy(dtype=object)[seen]})
    return made.drop_duplicates().reset_index(drop=True)


def service_begun(snapshot: SnapshotLike) -> dict[str, int]:
    """When each equipment entered service, where it is recorded (microseconds)."""
    frame = last_versions(snapshot, "equipment")
    frame = frame[frame["commissioned_at"].notna()]
    return dict(zip(frame["equipment_id"].astype(str), micros_of(pd.DatetimeIndex(frame["commissioned_at"])),
                    strict=True))


def look_backs(features: Sequence[Feature]) -> np.ndarray:
    """Hours that each feature reads back; 0 where that has no fixed length."""
    return np.array([_hours(f.look_back) for f in features])


def _hours(look_back: str) -> float:
    try:
        return window_us(look_back) / 3.6e9
    except ValueError:
        return 0.0


def coming(
    snapshot: SnapshotLike, features: Sequence[Feature], equipment: set[str], until: pd.Timestamp
) -> np.ndarray:
    """Hours from one reading to the next of the signal of each feature (the longer ones of them); 0 elsewhere."""
    if not any(f.source == "readings" for f in features):
        return np.zeros(len(features))
    some = set(sorted(equipment)[:: max(1, len(equipment) // 6)])
    frame = readings_between(snapshot, some, until - pd.Timedelta(days=21), until)
    frame = frame.sort_values(["equipment_id", "signal", "ts"])
    gaps = frame.groupby(["equipment_id", "signal"], observed=True)["ts"].diff().dt.total_seconds() / 3600
    usual = gaps.groupby(frame["signal"].astype(str)).quantile(0.8).to_dict()
    return np.array([usual.get(f.group, 0.0) if f.source == "readings" else 0.0 for f in features])


def longest_look_back(features: Sequence[Feature]) -> pd.Timedelta:
    """Length of readings that the two plants of the future check get before t."""
    hours = max(look_backs(features), default=0.0)
    return min(max(pd.Timedelta(hours=1.5 * float(hours)), _SHORTEST), _LONGEST)


def micros_of(times: pd.DatetimeIndex) -> np.ndarray:
    return np.asarray(times.as_unit("us").asi8)


def spread(at: np.ndarray, most: int) -> np.ndarray:
    """Up to `most` of the row numbers, evenly spread."""
    return at if len(at) <= most else at[np.linspace(0, len(at) - 1, most).astype(int)]


