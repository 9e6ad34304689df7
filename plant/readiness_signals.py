"""What is wrong with single signals: stuck, drifting, bad, impossible, out of their limits, undeclared, silent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from plant.readiness_levels import Levels
from plant.readiness_pieces import Pieces, cuts, middles, pieces_of, quantiles
from plant.readiness_records import DAY, Finding, Records, finding, moment, share, span
from plant.readiness_scan import Series
from plant.readiness_units import beside_neighbours

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
    owner, pieces = pieces_of(runs["series"].to_numpy(dtype=np.int64))
    one = series.runs[owner] == 1
    constant = owner[one & (runs["value"].to_numpy()[pieces.start] != 0)].tolist()
    odd = np.flatnonzero(_unusual(runs, owner, pieces, series) & ~np.repeat(one, pieces.length))
    machines = {series.equipment[s] for s in runs["series"].to_numpy(dtype=np.int64)[odd]}
    of_equipment: dict[str, list[int]] = {name: [] for name in machines}
    for s, name in enumerate(series.equipment):
        if name in machines:
            of_equipment[name].append(s)
    place = dict(zip(owner.tolist(), zip(pieces.start, pieces.stop, strict=True), strict=True))
    columns = np.stack([runs[c].to_numpy(dtype=float) for c in ("start", "end", "value")])
    found: list[tuple[float, str]] = []
    for run in runs.iloc[odd].itertuples():
        s = int(run.series)
        others = {o: place.get(o, (0, 0)) for o in of_equipment[series.equipment[s]] if o != s}
        rows = {o: columns[:, a:b] for o, (a, b) in others.items()}
        if not _stands(rows, series, float(run.start), float(run.end)):
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


def _unusual(runs: pd.DataFrame, owner: np.ndarray, pieces: Pieces, series: Series) -> np.ndarray:
    """The runs that the other runs of their series do not explain. runs: those of eight readings and more."""
    lengths, value = runs["count"].to_numpy(), runs["value"].to_numpy()
    n, several = series.count[owner], series.runs[owner]
    rest, rest_runs = n - pieces.sums(lengths), several - pieces.length
    # Else a set-point, a counter of few steps: it stands as a habit.
    moves = (rest_runs >= 20) & (rest_runs >= 0.15 * rest)
    repeats = np.clip(1 - rest_runs / np.maximum(rest, 1), 1e-6, 1 - 1e-6)
    least = np.maximum(12.0, 2 * np.log(_SURE / n) / np.log(repeats) + 1)
    # Where several long runs hold one value, it rests there: zero, a limit, an idle level.
    codes, _ = pd.factorize(value)
    _, same, counts = np.unique(
        np.repeat(np.arange(len(owner)), pieces.length) * (len(runs) + 1) + codes,
        return_inverse=True,
        return_counts=True,
    )
    resting = (counts[same] >= 3) | (value == 0)
    usual, awake = pieces_of(np.repeat(np.arange(len(owner)), pieces.length)[~resting])
    many = awake.length >= 20
    longer = 4 * quantiles(lengths[~resting], awake.take(many), 0.9)
    least[usual[many]] = np.maximum(least[usual[many]], longer)
    return np.asarray(~resting & np.repeat(moves, pieces.length) & (lengths >= np.repeat(least, pieces.length)))


def _stands(others: Mapping[int, np.ndarray], series: Series, begin: float, behind: float) -> bool:
    """Whether the machine stood: most of its other signals that were there did not move either, or one was at zero.

    others: start, end and value of the long runs of each.
    """
    still = 0
    for o, (start, end, value) in others.items():
        covered = np.minimum(end, behind) - np.maximum(start, begin)
        long = covered >= 0.6 * (behind - begin)
        if long.any() and series.runs[o] > 1:
            if (value[long] == 0).any():
                return True
            still += 1
    return still >= max(1, 0.5 * len(others))


def drifting(records: Records, series: Series) -> Iterator[Finding]:
    """Signals that move slowly one way over the whole record, far beyond their scatter, while their class does not."""
    rows = records.rows("equipment")
    classes = dict(zip(rows["equipment_id"], rows["equipment_class"], strict=True))
    trends: dict[int, tuple[float, float]] = {}
    moved: dict[tuple[object, str], list[float]] = {}
    for s, change, steady, strength in slow_trends(series.levels):
        kind = classes.get(series.equipment[s], series.equipment[s])
        moved.setdefault((kind, series.signal[s]), []).append(strength)
        if steady >= 0.95 and abs(strength) >= 6:
            trends[s] = (change, strength)
    found = []
    for s, (change, strength) in trends.items():
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


def slow_trends(levels: Levels, parts: int = 12) -> Iterator[tuple[int, float, float, float]]:
    """(series, change, steadiness, change in units of scatter) of the medians of twelve parts of equal time.

    Steadiness is the rank correlation of the medians with time, 0 to 1. Series of too short a record are left out.
    """
    levels = levels.longer(4 * parts)
    pieces = levels.pieces
    begin = levels.first[pieces.start]
    length = (levels.first[pieces.stop - 1] - begin).astype(float)
    k = np.repeat(np.arange(len(pieces)), pieces.length)
    part = np.minimum(((levels.first - begin[k]) / np.maximum(length, 1.0)[k] * parts).astype(int), parts - 1)
    count = np.bincount(k * parts + part, minlength=len(pieces) * parts)
    stop = np.cumsum(count)
    middle, scatter = (x.reshape(-1, parts) for x in middles(levels.mean, Pieces(stop - count, stop)))
    usual = np.median(scatter, axis=1) * 1.4826
    ranks = np.argsort(np.argsort(middle, axis=1), axis=1) - (parts - 1) / 2
    steady = np.abs(ranks @ (np.arange(parts) - (parts - 1) / 2)) * 12 / (parts * (parts**2 - 1))
    change = middle[:, -2:].mean(axis=1) - middle[:, :2].mean(axis=1)
    judged = (length >= 10 * DAY) & (count.reshape(-1, parts).min(axis=1) >= 3) & (usual != 0)
    for i in np.flatnonzero(judged):
        yield int(levels.series[i]), float(change[i]), float(steady[i]), float(change[i] / usual[i])


def limits(records: Records, series: Series) -> Iterator[Finding]:
    """Limits that are always violated, limits that mean nothing, undeclared signals, bad and impossible values."""
    yield from _quality(records, series)
    declared = records.rows("signals").drop_duplicates(["equipment_id", "signal"])
    if not len(declared):
        return
    index = dict(zip(zip(declared["equipment_id"], declared["signal"], strict=True), range(len(declared)), strict=True))
    row = np.array([index.get(name, -1) for name in zip(series.equipment, series.signal, strict=True)], dtype=np.int64)
    unknown = np.flatnonzero(row < 0)
    if len(unknown):
        yield finding(
            "undeclared_signal",
            "low",
            "readings",
            int(series.count[unknown].sum()),
            f"readings of {len(unknown)} series are of signals that `signals` does not hold: no unit, no limits",
            [series.name(s) for s in unknown[:5]],
        )
    yield from _limits(series, row, declared["low"].to_numpy(), declared["high"].to_numpy())


def _limits(series: Series, row: np.ndarray, low: np.ndarray, high: np.ndarray) -> Iterator[Finding]:
    """row: place of the limits of each series in `low` and `high`, -1 for none."""
    levels = series.levels
    with_limits = (row >= 0) & ~(np.isnan(low[row]) & np.isnan(high[row]))
    levels = levels.where(np.repeat((levels.pieces.length >= 5) & with_limits[levels.series], levels.pieces.length))
    pieces = levels.pieces
    under, over = (np.repeat(limit[row[levels.series]], pieces.length) for limit in (low, high))
    outside = pieces.sums(((levels.mean < under) | (levels.mean > over)).astype(np.int64)) / pieces.length > 0.9
    ever = pieces.sums(((levels.min < under) | (levels.max > over)).astype(np.int64)) > 0
    judged = len(pieces)
    always = [
        f"{series.name(s)}: limits {low[row[s]]:g} to {high[row[s]]:g}, "
        f"usual value {np.median(levels.of(int(k)).mean):.4g}"
        for k, s in zip(np.flatnonzero(outside), levels.series[outside], strict=True)
    ]
    never = [series.name(s) for s in levels.series[~outside & ~ever]]
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
    yield from _spikes(series)


def _spikes(series: Series) -> Iterator[Finding]:
    levels = series.levels.longer(20)
    spikes = []
    for k in np.flatnonzero(_over_decades(levels.max, levels.pieces) | _over_decades(levels.min, levels.pieces)):
        own = levels.of(int(k))
        top, bottom = own.max, own.min
        odd = beside_neighbours(top, 3) & (np.abs(top) > np.median(np.abs(top)))
        low = beside_neighbours(bottom, 3) & (np.abs(bottom) < np.median(np.abs(bottom)))
        if 0 < (odd | low).mean() < 0.05:
            i = int(np.flatnonzero(odd | low)[0])
            value, usual = (top[i], np.median(top)) if odd[i] else (bottom[i], np.median(bottom))
            spikes.append(f"{series.name(levels.series[k])}: {value:g} on {moment(own.first[i])}, usual {usual:.4g}")
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


def _over_decades(values: np.ndarray, pieces: Pieces) -> np.ndarray:
    """Pieces whose values of one sign spread over a factor 30: in others none is 100 times beside the usual."""
    out = np.zeros(len(pieces), dtype=bool)
    for x in (values, -values):
        least, most = pieces.least(np.where(x > 0, x, np.inf)), pieces.most(np.where(x > 0, x, 0.0))
        out |= most > 30 * least
    return out


def sampling(series: Series) -> Iterator[Finding]:
    """Machines whose readings come at another rate from some moment on."""
    levels = series.levels.where((series.levels.n >= 4) & (series.levels.step > 0)).longer(12)
    pieces, rate = levels.pieces, np.log2(levels.step)
    at = cuts(rate, pieces, 5)
    sides = Pieces(pieces.start, at), Pieces(at, pieces.stop)
    before, after = (middles(rate, side)[0] for side in sides)
    change = np.abs(after - before)
    some = np.flatnonzero(change >= 0.75)
    rough = [
        quantiles(np.abs(rate - np.repeat(middle, pieces.length)), side.take(some), 0.8)
        for middle, side in ((before, sides[0]), (after, sides[1]))
    ]
    found: dict[str, str] = {}
    for k in some[np.maximum(*rough) <= 0.2 * change[some]]:
        s = int(levels.series[k])
        told = (
            f"{series.name(s)}: every {span(2 ** before[k])} before {moment(levels.first[at[k]])}, "
            f"every {span(2 ** after[k])} after"
        )
        found.setdefault(series.equipment[s], told)
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
