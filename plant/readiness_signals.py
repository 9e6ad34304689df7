"""What is wrong with single signals: stuck, drifting, bad, impossible, out of their limits, undeclared, silent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from plant.readiness_records import DAY, Finding, Records, finding, moment, share, span
from plant.readiness_scan import Series
from plant.readiness_units import beside_neighbours, cut

# What physics allows, by the unit of the signal: lowest and highest.
LIMITS: dict[str, tuple[float, float]] = {
    "degC": (-273.15, np.inf), "°C": (-273.15, np.inf), "degF": (-459.67, np.inf), "°F": (-459.67, np.inf),
    "K": (0.0, np.inf), "kelvin": (0.0, np.inf), "%": (-100.0, 250.0), "percent": (-100.0, 250.0),
    "rpm": (-1e6, 1e6), "pH": (-2.0, 16.0),
}  # fmt: skip
_SURE = 1e-6  # how rarely chance may make as long a run of equal values


def stuck(series: Series) -> Iterator[Finding]:
    """Runs of equal values longer than the series ever shows, while other signals of the machine move."""
    runs = series.long_runs
    found: list[tuple[float, str]] = []
    of_equipment: dict[str, list[int]] = {}
    for s, name in enumerate(series.equipment):
        of_equipment.setdefault(name, []).append(s)
    by_series = {int(s): rows for s, rows in runs.groupby("series")}
    constant = []
    for s, rows in by_series.items():
        n = int(series.count[s])
        if series.runs[s] == 1:
            if rows["value"].iloc[0] != 0:
                constant.append(s)
            continue
        for run in _unusual(rows, n, int(series.runs[s])).itertuples():
            others = [o for o in of_equipment[series.equipment[s]] if o != s]
            if not _stands(others, by_series, series, float(run.start), float(run.end)):
                text = (
                    f"{series.name(s)} = {run.value:g} from {moment(run.start)} for {span(run.end - run.start)} "
                    f"({int(run.count)} readings)"
                )
                found.append((run.count, text))
    if found:
        found.sort(key=lambda f: -f[0])
        yield finding(
            "stuck_sensor",
            "medium",
            "readings",
            len(found),
            f"{len(found)} time(s) a signal did not move for far longer than it usually does: "
            "its trend and spread there are no sign of health",
            [t for _, t in found],
        )
    if constant:
        yield finding(
            "constant_signal",
            "info",
            "readings",
            len(constant),
            f"{len(constant)} signal(s) never change: a set-point or a dead sensor, of no use to a model",
            [series.name(s) for s in constant],
        )


def _unusual(rows: pd.DataFrame, n: int, runs: int) -> pd.DataFrame:
    """The runs of a series that its other runs do not explain. rows: its runs of eight readings and more."""
    nothing = rows.iloc[:0]
    lengths = rows["count"].to_numpy()
    rest, rest_runs = n - lengths.sum(), runs - len(rows)
    if rest_runs < 20 or rest_runs < 0.15 * rest:
        return nothing  # a set-point, a counter of few steps: it stands as a habit
    repeats = min(max(1 - rest_runs / rest, 1e-6), 1 - 1e-6)
    least = max(12.0, 2 * np.log(_SURE / n) / np.log(repeats) + 1)
    # Where several long runs hold one value, it rests there: zero, a limit, an idle level.
    values, counts = np.unique(rows["value"].to_numpy(), return_counts=True)
    resting = np.isin(rows["value"].to_numpy(), values[counts >= 3]) | (rows["value"].to_numpy() == 0)
    usual = lengths[~resting]
    if len(usual) >= 20:
        least = max(least, 4 * float(np.quantile(usual, 0.9)))
    return rows[~resting & (lengths >= least)]


def _stands(others: list[int], by_series: dict[int, pd.DataFrame], series: Series, start: float, end: float) -> bool:
    """Whether the machine stood: most of its other signals that were there did not move either, or one was at zero."""
    still = there = 0
    for o in others:
        rows = by_series.get(o)
        if rows is None:
            there += 1
            continue
        covered = np.minimum(rows["end"], end) - np.maximum(rows["start"], start)
        long = rows[covered >= 0.6 * (end - start)]
        if len(long) and series.runs[o] > 1:
            if (long["value"] == 0).any():
                return True
            still += 1
        there += 1
    return there > 0 and still >= max(1, 0.5 * there)


def drifting(records: Records, series: Series) -> Iterator[Finding]:
    """Signals that move slowly one way over the whole record, far beyond their scatter, while their class does not."""
    rows = records.rows("equipment")
    classes = dict(zip(rows["equipment_id"], rows["equipment_class"], strict=True))
    trends: dict[int, tuple[float, float, float]] = {}
    moved: dict[tuple[object, str], list[float]] = {}
    for s, levels in series.levels():
        trend = slow_trend(levels["first"].to_numpy(dtype=float), levels["mean"].to_numpy())
        if trend is not None:
            kind = classes.get(series.equipment[s], series.equipment[s])
            moved.setdefault((kind, series.signal[s]), []).append(trend[2])
            if trend[1] >= 0.95 and abs(trend[2]) >= 6:
                trends[s] = trend
    found = []
    for s, (change, _, strength) in trends.items():
        peers = moved[(classes.get(series.equipment[s], series.equipment[s]), series.signal[s])]
        alike = sum(1 for p in peers if p * strength > 0 and abs(p) > 0.3 * abs(strength)) - 1
        if alike < max(1, 0.5 * (len(peers) - 1)):  # all of a class together: the season, a change of process
            found.append(f"{series.name(s)}: {change:+.3g} over the record, {abs(strength):.0f} × its usual scatter")
    if found:
        yield finding(
            "drifting_sensor",
            "low",
            "readings",
            len(found),
            f"{len(found)} signal(s) moved one way all the time, unlike the others of their class: "
            "a sensor that drifts looks like wear to a model",
            found,
        )


def slow_trend(times: np.ndarray, x: np.ndarray, pieces: int = 12) -> tuple[float, float, float] | None:
    """(change, steadiness, change in units of scatter) of the medians of twelve pieces of equal time.

    Steadiness is the rank correlation of the medians with time, 0 to 1. None where the record is too short.
    """
    if len(x) < 4 * pieces or times[-1] - times[0] < 10 * DAY:
        return None
    piece = np.minimum(((times - times[0]) / (times[-1] - times[0]) * pieces).astype(int), pieces - 1)
    some = [x[piece == p] for p in range(pieces)]
    if min(len(p) for p in some) < 3:
        return None
    middle = np.array([np.median(p) for p in some])
    scatter = float(np.median([np.median(np.abs(p - m)) for p, m in zip(some, middle, strict=True)])) * 1.4826
    if scatter == 0:
        return None
    ranks = np.argsort(np.argsort(middle))
    steady = abs(float(np.corrcoef(ranks, np.arange(pieces))[0, 1]))
    change = float(middle[-2:].mean() - middle[:2].mean())
    return change, steady, change / scatter


def limits(records: Records, series: Series) -> Iterator[Finding]:
    """Limits that are always violated, limits that mean nothing, undeclared signals, bad and impossible values."""
    yield from _quality(records, series)
    declared = records.rows("signals").drop_duplicates(["equipment_id", "signal"])
    if not len(declared):
        return
    index = {(e, s): i for i, (e, s) in enumerate(zip(declared["equipment_id"], declared["signal"], strict=True))}
    unknown = [s for s in range(len(series)) if (series.equipment[s], series.signal[s]) not in index]
    if unknown:
        yield finding(
            "undeclared_signal",
            "low",
            "readings",
            int(series.count[unknown].sum()),
            f"readings of {len(unknown)} series are of signals that `signals` does not hold: no unit, no limits",
            [series.name(s) for s in unknown],
        )
    low, high = declared["low"].to_numpy(), declared["high"].to_numpy()
    always, never, judged = [], [], 0
    for s, levels in series.levels():
        i = index.get((series.equipment[s], series.signal[s]))
        if i is None or (np.isnan(low[i]) and np.isnan(high[i])) or len(levels) < 5:
            continue
        judged += 1
        mean = levels["mean"].to_numpy()
        outside = float(np.mean((mean < low[i]) | (mean > high[i])))
        if outside > 0.9:
            always.append(f"{series.name(s)}: limits {low[i]:g} to {high[i]:g}, usual value {np.median(mean):.4g}")
        elif not ((levels["min"] < low[i]) | (levels["max"] > high[i])).any():
            never.append(series.name(s))
    if always:
        yield finding(
            "limits_always_violated",
            "medium",
            "signals",
            len(always),
            f"{len(always)} signal(s) lie outside their limits nearly all the time: the limits or the unit are wrong",
            always,
        )
    if judged and len(never) > 0.5 * judged:
        yield finding(
            "limits_never_violated",
            "info",
            "signals",
            len(never),
            f"{len(never)} of {judged} signal(s) with limits never leave them: "
            "the time out of limits tells nothing there",
            never,
        )


def _quality(records: Records, series: Series) -> Iterator[Finding]:
    total, bad = int(series.count.sum()), int(series.bad.sum())
    if bad:
        worst = np.argsort(-series.bad / np.maximum(series.count, 1))[:5]
        yield finding(
            "bad_quality",
            "medium" if bad > 0.05 * total else "low",
            "readings",
            bad,
            f"{bad} reading(s) ({share(bad, total)}) are marked bad by the source",
            [f"{series.name(int(s))}: {share(series.bad[s], series.count[s])}" for s in worst if series.bad[s]],
        )
    wrong = np.flatnonzero(series.impossible)
    if len(wrong):
        yield finding(
            "impossible_value",
            "high" if (series.impossible > 0.01 * series.count).any() else "low",
            "readings",
            int(series.impossible.sum()),
            f"{int(series.impossible.sum())} reading(s) cannot be in the unit of their signal: "
            "a wrong unit or a broken sensor that says it is good",
            [f"{series.name(int(s))}: {int(series.impossible[s])} reading(s)" for s in wrong],
        )
    spikes = []
    for s, levels in series.levels():
        if len(levels) < 20:
            continue
        top, bottom = levels["max"].to_numpy(), levels["min"].to_numpy()
        odd = beside_neighbours(top, 3) & (np.abs(top) > np.median(np.abs(top)))
        low = beside_neighbours(bottom, 3) & (np.abs(bottom) < np.median(np.abs(bottom)))
        if 0 < (odd | low).mean() < 0.05:
            i = int(np.flatnonzero(odd | low)[0])
            value, usual = (top[i], np.median(top)) if odd[i] else (bottom[i], np.median(bottom))
            spikes.append(f"{series.name(s)}: {value:g} on {moment(levels['first'].iloc[i])}, usual {usual:.4g}")
    if spikes:
        yield finding(
            "mangled_numbers",
            "medium",
            "readings",
            len(spikes),
            f"{len(spikes)} signal(s) hold values 1000 or a million times beside their neighbours: "
            "a decimal or thousands mark was read the wrong way",
            spikes,
        )


def sampling(series: Series) -> Iterator[Finding]:
    """Machines whose readings come at another rate from some moment on."""
    found: dict[str, str] = {}
    for s, levels in series.levels():
        some = levels[(levels["n"] >= 4) & (levels["step"] > 0)]
        if len(some) < 12 or series.equipment[s] in found:
            continue
        rate = np.log2(some["step"].to_numpy(dtype=float))
        at = cut(rate, 5)
        if at is None:
            continue
        before, after = rate[:at], rate[at:]
        change = np.median(after) - np.median(before)
        if abs(change) < 0.75 or max(_rough(before), _rough(after)) > 0.2 * abs(change):
            continue
        found[series.equipment[s]] = (
            f"{series.name(s)}: every {span(2 ** np.median(before))} before {moment(some['first'].iloc[at])}, "
            f"every {span(2 ** np.median(after))} after"
        )
    if found:
        yield finding(
            "sampling_changed",
            "low",
            "readings",
            len(found),
            f"{len(found)} machine(s) send readings at another rate since some moment: counts and extremes of a window "
            "before and after cannot be compared",
            found.values(),
        )


def _rough(x: np.ndarray) -> float:
    return float(np.quantile(np.abs(x - np.median(x)), 0.8))
