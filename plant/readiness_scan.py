"""One pass over the readings: a small summary of each series, whatever the number of readings.

A summary holds time buckets of 2^32 µs (71.6 min; doubled for all series when there are too many), the longest runs of
equal values, the moments at which a series began and stopped to move, and the readings in each batch step. Buckets
are merged, so stretches may come in any order; runs are continued over stretches that follow each other in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa

from plant.readiness_levels import Levels, levels_of
from plant.readiness_pieces import Pieces, quantiles
from plant.readiness_records import MINUTE
from plant.readiness_runs import StepLevels

COLUMNS = ["equipment_id", "signal", "ts", "value", "quality", "source_file", "source_line"]
_SHIFT = 32
_MOST_BUCKETS, _MOST_RUNS, _MOST_MOVES = 400_000, 100_000, 200_000
_RUNS_OF_SERIES, _SHORTEST_RUN = 48, 8
_BUCKET = {
    "series": "i8", "start": "i8", "n": "i8", "good": "i8", "first": "i8", "last": "i8",
    "sum": "f8", "squares": "f8", "min": "f8", "max": "f8",
}  # fmt: skip
_ADDED = ("n", "good", "sum", "squares")


@dataclass
class Steps:
    """Batch steps with an equipment: [start, end) in µs, row i belongs to step i of `readings_of_steps`."""

    equipment: np.ndarray
    start: np.ndarray
    end: np.ndarray
    first: np.ndarray = field(init=False)  # first and last reading within, per step
    last: np.ndarray = field(init=False)
    levels: StepLevels = field(init=False)

    def __post_init__(self) -> None:
        self.first = np.full(len(self.start), np.iinfo(np.int64).max)
        self.last = np.full(len(self.start), np.iinfo(np.int64).min)
        self.of: dict[str, np.ndarray] = {
            str(k): np.asarray(v) for k, v in pd.Series(self.equipment).groupby(self.equipment).indices.items()
        }
        self.levels = StepLevels(self.of, self.start, self.end)

    def see(self, equipment: str, ts: np.ndarray) -> None:
        """Note which steps of the equipment these (sorted) times lie in."""
        which = self.of.get(equipment)
        if which is None or not len(ts):
            return
        which = which[(self.start[which] <= ts[-1]) & (self.end[which] >= ts[0])]
        a = np.searchsorted(ts, self.start[which], "left")
        b = np.searchsorted(ts, self.end[which], "right") - 1
        some = b >= a
        which, a, b = which[some], a[some], b[some]
        self.first[which] = np.minimum(self.first[which], ts[a])
        self.last[which] = np.maximum(self.last[which], ts[b])


@dataclass(frozen=True)
class Stretch:
    """The arrays of one stretch of readings; slice k of `starts` is one series."""

    ts: np.ndarray
    value: np.ndarray  # NaN where the reading is bad or empty
    starts: np.ndarray
    series: np.ndarray  # of each slice
    file: np.ndarray
    line: np.ndarray
    files: list[str]


class ReadingsScan:
    """Takes stretches, keeps little. After the last one call `finish`."""

    def __init__(self, steps: Steps, limits: dict[str, tuple[float, float]], units: dict[tuple[str, str], str]):
        """limits: unit -> (lowest, highest) value that physics allows; units: (equipment, signal) -> unit."""
        self.steps, self._limits, self._units = steps, limits, units
        self.names: list[tuple[str, str]] = []
        self._ids: dict[tuple[str, str], int] = {}
        self.count = np.zeros(0, dtype=np.int64)
        self.bad = np.zeros(0, dtype=np.int64)
        self.runs = np.zeros(0, dtype=np.int64)
        self.impossible = np.zeros(0, dtype=np.int64)
        self.usual = np.zeros(0)  # µs between readings, of the first stretch of the series
        self._lowest, self._highest = np.zeros(0), np.zeros(0)
        self._open = np.zeros((0, 4))  # the run that each series is in: value, start, last, count
        self.shift = _SHIFT
        self._buckets: list[dict[str, np.ndarray]] = []
        self._held = 0
        self._long: list[np.ndarray] = []
        self._moves: list[np.ndarray] = []
        self._held_runs = self._held_moves = 0
        self._probes: dict[str, list[int]] = {}
        self.by_file: dict[str, int] = {}

    # -- taking in ---------------------------------------------------------------------------------------------------

    def take(self, part: pa.Table) -> Stretch | None:
        """One stretch, sorted by equipment_id, signal and ts. Gives its arrays for checks that need single rows."""
        if not part.num_rows:
            return None
        equipment, equipments = _words(part, "equipment_id")
        signal, signals = _words(part, "signal")
        ts = part["ts"].combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
        value = part["value"].combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
        fresh = np.empty(len(ts), dtype=bool)
        fresh[0] = True
        np.not_equal(equipment[1:], equipment[:-1], out=fresh[1:])
        fresh[1:] |= signal[1:] != signal[:-1]
        starts = np.flatnonzero(fresh)
        series = self._numbers(
            [(equipments[e], signals[s]) for e, s in zip(equipment[starts], signal[starts], strict=True)]
        )
        lengths = np.diff(np.append(starts, len(ts)))
        self.count[series] += lengths
        quality, qualities = _words(part, "quality")
        if "bad" in qualities:
            bad = quality == qualities.index("bad")
            self.bad[series] += np.add.reduceat(bad.astype(np.int64), starts)
            value = np.where(bad, np.nan, value)
        file, files = _words(part, "source_file")
        for word, n in zip(files, np.bincount(file + 1, minlength=len(files) + 1)[1:], strict=True):
            self.by_file[word] = self.by_file.get(word, 0) + int(n)
        line = part["source_line"].combine_chunks().to_numpy(zero_copy_only=False)
        self._physics(value, starts, lengths, series)
        self._summarise(ts, value, fresh, starts, series)
        self._move(ts, value, fresh, starts, lengths, series)
        self._run(ts, value, fresh, starts, series)
        for k, s in enumerate(series.tolist()):
            name, signal = self.names[s]
            if name not in self.steps.of:
                continue
            rows = slice(starts[k], starts[k] + lengths[k])
            self.steps.levels.see(name, signal, ts[rows], value[rows])
            probes = self._probes.setdefault(name, [])
            if len(probes) < 3 and s not in probes:
                probes.append(s)
            if s in probes:
                self.steps.see(name, ts[rows])
        return Stretch(ts, value, starts, series, file, line, files)

    def _numbers(self, names: list[tuple[str, str]]) -> np.ndarray:
        """The number of each series; what is kept of the series grows with the names that are new."""
        numbers = np.array([self._ids.setdefault(name, len(self._ids)) for name in names])
        fresh = list(self._ids)[len(self.names) :]
        if fresh:
            self.names += fresh
            bounds = [self._limits.get(self._units.get(name, ""), (-np.inf, np.inf)) for name in fresh]
            self._lowest = np.append(self._lowest, [low for low, _ in bounds])
            self._highest = np.append(self._highest, [high for _, high in bounds])
            for name in ("count", "bad", "runs", "impossible"):
                setattr(self, name, np.append(getattr(self, name), np.zeros(len(fresh), dtype=np.int64)))
            self.usual = np.append(self.usual, np.full(len(fresh), np.nan))
            self._open = np.vstack([self._open, np.tile([np.nan, 0, 0, 0], (len(fresh), 1))])
        return numbers

    def _physics(self, value: np.ndarray, starts: np.ndarray, lengths: np.ndarray, series: np.ndarray) -> None:
        if np.isinf(self._lowest[series]).all() and np.isinf(self._highest[series]).all():
            return
        out = value < np.repeat(self._lowest[series], lengths)
        out |= value > np.repeat(self._highest[series], lengths)
        if out.any():
            self.impossible[series] += np.add.reduceat(out.astype(np.int64), starts)

    def _summarise(
        self, ts: np.ndarray, value: np.ndarray, fresh: np.ndarray, starts: np.ndarray, series: np.ndarray
    ) -> None:
        bucket = ts >> self.shift
        new = fresh.copy()
        new[1:] |= bucket[1:] != bucket[:-1]
        at = np.flatnonzero(new)
        ends = np.append(at[1:], len(ts)) - 1
        seen = value == value
        every = bool(seen.all())
        zero = value if every else np.where(seen, value, 0.0)
        self._buckets.append(
            {
                "series": series[np.searchsorted(starts, at, "right") - 1],
                "start": bucket[at],
                "n": ends - at + 1,
                "good": ends - at + 1 if every else np.add.reduceat(seen.astype(np.int64), at),
                "first": ts[at],
                "last": ts[ends],
                "sum": np.add.reduceat(zero, at),
                "squares": np.add.reduceat(zero * zero, at),
                "min": np.minimum.reduceat(value if every else np.where(seen, value, np.inf), at),
                "max": np.maximum.reduceat(value if every else np.where(seen, value, -np.inf), at),
            }
        )
        self._held += len(at)
        if self._held > 2 * _MOST_BUCKETS:
            self._merge()

    def _merge(self) -> None:
        together = {name: np.concatenate([b[name] for b in self._buckets]) for name in _BUCKET}
        series, start = together["series"], together["start"]
        begin = int(start.min())
        key = series * (int(start.max()) - begin + 1) + (start - begin)
        order = np.argsort(key, kind="stable")  # stretches are sorted: little is left to do
        series, start = series[order], start[order]
        while True:
            new = np.ones(len(order), dtype=bool)
            new[1:] = (series[1:] != series[:-1]) | (start[1:] != start[:-1])
            at = np.flatnonzero(new)
            if len(at) <= _MOST_BUCKETS:
                break
            # Wider buckets, for all series: the same end whatever the order of the stretches.
            self.shift, start = self.shift + 1, start >> 1
        merged = {"series": series[at], "start": start[at]}
        for names, what in ((_ADDED, np.add), (("first", "min"), np.minimum), (("last", "max"), np.maximum)):
            merged |= {name: what.reduceat(together[name][order], at) for name in names}
        self._buckets, self._held = [merged], len(at)

    def _move(
        self,
        ts: np.ndarray,
        value: np.ndarray,
        fresh: np.ndarray,
        starts: np.ndarray,
        lengths: np.ndarray,
        series: np.ndarray,
    ) -> None:
        """Moments at which a series began (1) or stopped (-1): around a pause, and from or to zero."""
        step = np.diff(ts)
        new = np.flatnonzero(np.isnan(self.usual[series]) & (lengths > 4))
        steps = Pieces(starts[new], starts[new] + np.minimum(lengths[new] - 1, 2000))
        self.usual[series[new]] = quantiles(step, steps, 0.5)
        within = ~fresh[1:]
        limit = np.repeat(np.maximum(4 * np.nan_to_num(self.usual[series], nan=np.inf), 3 * MINUTE), lengths)[1:]
        pause = np.flatnonzero((step > limit) & within)
        zero = value == 0
        up = np.flatnonzero(zero[:-1] & ~zero[1:] & within)
        down = np.flatnonzero(~zero[:-1] & zero[1:] & within)
        at = np.concatenate([pause + 1, pause, up + 1, down])
        what = np.repeat([1, -1, 1, -1], [len(pause), len(pause), len(up), len(down)])
        if not len(at):
            return
        owner = series[np.searchsorted(starts, at, "right") - 1]
        self._moves.append(np.stack([owner, ts[at], what]).astype(np.int64))
        self._held_moves += len(at)
        if self._held_moves > 2 * _MOST_MOVES:  # a share of all series, evenly: the latest are as good as the first
            every = np.concatenate(self._moves, axis=1)
            self._moves = [every[:, :: len(every[0]) // _MOST_MOVES + 1]]
            self._held_moves = len(self._moves[0][0])

    def _run(
        self, ts: np.ndarray, value: np.ndarray, fresh: np.ndarray, starts: np.ndarray, series: np.ndarray
    ) -> None:
        new = fresh.copy()
        new[1:] |= value[1:] != value[:-1]
        at = np.append(np.flatnonzero(new), len(ts))
        count = np.diff(at)
        first = np.searchsorted(at, starts)
        last = np.append(first[1:], len(count)) - 1
        self.runs[series] += last - first + 1
        open_ = self._open[series]
        start, length = ts[at[first]], count[first]
        goes_on = (open_[:, 3] > 0) & (open_[:, 0] == value[at[first]]) & (open_[:, 2] <= start)
        closed = (open_[:, 3] >= _SHORTEST_RUN) & ~goes_on
        parts = [np.column_stack([series[closed], open_[closed]])] if closed.any() else []
        self.runs[series[goes_on]] -= 1
        # The first run of a series may go on from the stretch before.
        begun = np.where(goes_on, open_[:, 1], start)
        count[first] = np.where(goes_on, length + open_[:, 3], length).astype(np.int64)
        which = np.flatnonzero(count >= _SHORTEST_RUN)
        which = which[~np.isin(which, last)]  # the last one is still open
        if len(which):
            slot = np.searchsorted(first, which, "right") - 1
            since = np.where(which == first[slot], begun[slot], ts[at[which]])
            until = ts[at[which + 1] - 1]
            parts.append(np.column_stack([series[slot], value[at[which]], since, until, count[which]]))
        since = np.where(first == last, begun, ts[at[last]])
        self._open[series] = np.column_stack([value[at[last]], since, ts[at[last + 1] - 1], count[last]])
        for p in parts:
            self._long.append(p)
            self._held_runs += len(p)
        if self._held_runs > 2 * _MOST_RUNS:
            self._keep_longest()

    def _keep_longest(self) -> None:
        every = np.concatenate(self._long)
        order = np.lexsort((-every[:, 4], every[:, 0]))
        every = every[order]
        rank = np.arange(len(every)) - np.searchsorted(every[:, 0], every[:, 0])
        self._long = [every[rank < _RUNS_OF_SERIES]]
        self._held_runs = len(self._long[0])

    # -- what is left ------------------------------------------------------------------------------------------------

    def finish(self) -> Series:
        """The summaries of all series seen."""
        open_ = np.flatnonzero(self._open[:, 3] >= _SHORTEST_RUN)
        if len(open_):
            self._long.append(np.column_stack([open_, self._open[open_]]))
        if self._long:
            self._keep_longest()
        long = self._long[0] if self._long else np.zeros((0, 5))
        if self._buckets:
            self._merge()
        empty = {name: np.zeros(0, dtype=kind) for name, kind in _BUCKET.items()}
        buckets = pd.DataFrame(self._buckets[0] if self._buckets else empty)
        moves = np.concatenate(self._moves, axis=1) if self._moves else np.zeros((3, 0), dtype=np.int64)
        # In the order of the names, whatever stretch they came in first.
        order = sorted(range(len(self.names)), key=lambda i: self.names[i])
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))

        def ordered(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
            placed = frame.assign(series=place[frame["series"].to_numpy(dtype=np.int64)]) if len(frame) else frame
            return placed.sort_values(["series", *by], kind="stable", ignore_index=True)

        runs = pd.DataFrame(long, columns=["series", "value", "start", "end", "count"])
        stirred = pd.DataFrame({"series": moves[0], "ts": moves[1], "what": moves[2]})
        return Series(
            [self.names[i][0] for i in order],
            [self.names[i][1] for i in order],
            self.count[order], self.bad[order], self.runs[order], self.impossible[order], self.usual[order],
            ordered(buckets, ["start"]), float(1 << self.shift),
            ordered(runs, ["start"]), ordered(stirred, ["ts", "what"]),
            self.steps, dict(sorted(self.by_file.items())),
        )  # fmt: skip


@dataclass(frozen=True)
class Series:
    """Summaries of all series of readings; arrays have one entry a series.

    buckets: one row a series and time bucket (`start` counts buckets of `width` µs since 1970; n rows, of them `good`;
    first, last in µs; sum, squares, min, max of the good values). long_runs: equal values in a row, eight or more.
    moves: moments (µs) at which a series began (1) or stopped (-1).
    """

    equipment: list[str]
    signal: list[str]
    count: np.ndarray
    bad: np.ndarray
    runs: np.ndarray
    impossible: np.ndarray
    usual: np.ndarray
    buckets: pd.DataFrame
    width: float
    long_runs: pd.DataFrame
    moves: pd.DataFrame
    steps: Steps
    by_file: dict[str, int]

    def __len__(self) -> int:
        return len(self.equipment)

    def names(self, series: int) -> tuple[str, str]:
        return self.equipment[series], self.signal[series]

    def name(self, series: float) -> str:
        return " ".join(self.names(int(series)))

    @cached_property
    def levels(self) -> Levels:
        """The buckets with good values."""
        return levels_of(self.buckets)


def scan(stretches: Iterable[pa.Table], into: ReadingsScan) -> Iterator[Stretch]:
    """Every stretch, taken into the summaries."""
    for part in stretches:
        taken = into.take(part)
        if taken is not None:
            yield taken


def _words(part: pa.Table, name: str) -> tuple[np.ndarray, list[str]]:
    """(codes, words) of a dictionary-encoded column; code -1 where it is empty."""
    column = part[name].combine_chunks()
    if isinstance(column, pa.ChunkedArray):  # no chunk at all
        column = pa.concat_arrays(column.chunks)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    codes = column.indices
    if codes.null_count:
        codes = codes.fill_null(-1)
    return codes.to_numpy(zero_copy_only=False), [str(w) for w in column.dictionary.to_pylist()]
