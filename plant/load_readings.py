"""Loading readings: written as they come, in bounded memory, each reading once.

A reading that lies after everything its series has is new, and nothing has to be looked up. Whatever else comes (late
rows, overlapping exports, corrections) waits until a quarter of a million are there, and is then compared with the
stored readings of the same times, by the rules of `row_versions`. The parts are committed to Delta at the end, or
removed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant.parts import READINGS, SCHEMA, STRETCH, PartWriter, series_of, stretches, without
from plant.row_versions import HASHES, KEY, ROW, STAGED, Age, new_rows, no_hashes, with_hashes
from plant.tables import TABLES, conform

_PART_ROWS = 16 * STRETCH
_WAITING_ROWS = STRETCH // 4  # a comparison takes several times the memory of the rows themselves
_NONE = np.iinfo(np.int64).min  # no time
_TABLE = TABLES[READINGS]
Noted = Callable[[int, int, pd.DataFrame], None]  # rows loaded, rows known, clashes


class _Words:
    """Words and their codes, in the order in which they came."""

    def __init__(self) -> None:
        self.code: dict[str, int] = {}

    def codes(self, cells: pd.Categorical) -> np.ndarray:
        """Codes of cells; -1 where one is missing."""
        own = np.array([self.code.setdefault(str(w), len(self.code)) for w in cells.categories] + [-1], dtype=np.int32)
        return own[cells.codes]

    def ranks(self) -> np.ndarray:
        """Position of each code in alphabetical order."""
        return np.argsort(np.argsort(np.array(list(self.code), dtype=object))) if self.code else np.array([], np.int64)

    def column(self, codes: np.ndarray) -> pa.Array:
        indices = pa.array(codes, mask=codes < 0)
        return pa.DictionaryArray.from_arrays(indices, pa.array(list(self.code), pa.string()))


class ReadingsLoad:
    """The readings of one load.

    stored: the parts that the last load left. series: what `Snapshot.series` says of them. age: see `row_versions`.
    """

    def __init__(
        self, folder: Path, stored: list[Path], series: pd.DataFrame, number: int, now: pd.Timestamp, age: Age
    ):
        self.folder, self.stored, self.now, self.age = folder, stored, now, age
        self.prefix = f"part-{number:06d}-{uuid.uuid4().hex[:8]}"
        self.words = {name: _Words() for name in ("equipment_id", "signal", "quality", "source_file")}
        self.index: dict[tuple[int, int], int] = {}  # codes of equipment and signal -> number of the series
        self.rows, self.first, self.last = (np.empty(0, dtype=np.int64) for _ in range(3))
        self.loaded = self.known = 0
        self.clashes: list[pd.DataFrame] = []
        self.actions: list[dict[str, Any]] = []
        self._buffer: list[dict[str, np.ndarray]] = []
        self._buffered = self._waiting_rows = 0
        self._waiting: list[pd.DataFrame] = []
        self._writer: PartWriter | None = None
        self._pool = ThreadPoolExecutor(1, "parts")
        self._written: Future[None] | None = None
        self.removed: list[Path] = []
        self.rewritten: list[dict[str, Any]] = []
        self._start(series)

    def _start(self, series: pd.DataFrame) -> None:
        """Begin with what is stored of each series."""
        self.index, empty = {}, np.empty(0, dtype=np.int64)
        self.rows, self.first, self.last = empty, empty, empty
        if len(series):
            codes = [self.words[c].codes(pd.Categorical(series[c])) for c in ("equipment_id", "signal")]
            self.index = {pair: i for i, pair in enumerate(zip(*(c.tolist() for c in codes), strict=True))}
            self.rows = series["rows"].to_numpy(dtype=np.int64)
            self.first, self.last = (_micros(series[c]) for c in ("first_ts", "last_ts"))

    def drop(self, files: frozenset[str]) -> int:
        """Take out the readings that came from some files, before anything is added; returns how many.

        The parts that hold some are written again without them.
        """
        left, gone = [], 0
        for number, path in enumerate(self.stored):
            action, rows = without(path, self.folder / f"{self.prefix}-kept-{number:04d}.parquet", files)
            gone += rows
            if not rows:
                left.append(path)
                continue
            self.removed.append(path)
            if action is not None:
                self.rewritten.append(action)
                left.append(self.folder / action["path"])
        if gone:
            self.stored = left
            self._start(series_of(left))
        return gone

    def add(self, frame: pd.DataFrame) -> None:
        """Readings as a mapping item gives them (words as categories), in the order of their export."""
        if not len(frame):
            return
        if "recorded_at" in frame and frame["recorded_at"].notna().any():
            self._wait(frame)
            return
        series, ts = self._series_of(frame), _micros(frame["ts"])
        ahead = _ahead(series, ts, self.last)
        if ahead.all():
            self._take(frame, series, ts)
            return
        self._take(frame[ahead], series[ahead], ts[ahead])
        self._wait(frame[~ahead])  # after those that it may repeat

    def finish(self) -> None:
        """Compare what is still waiting and write what is still in memory."""
        self._settle()
        self._flush()
        self._done()
        self._close()
        self._pool.shutdown()

    def abandon(self) -> None:
        """Remove what was written."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._writer is not None:
            self._writer.abandon()
        for action in [*self.actions, *self.rewritten]:
            (self.folder / action["path"]).unlink(missing_ok=True)

    def series(self) -> pd.DataFrame:
        """equipment_id, signal, rows, first_ts, last_ts of every series, those of earlier loads included."""
        equipment, signal = (list(self.words[c].code) for c in ("equipment_id", "signal"))
        return pd.DataFrame(
            {
                "equipment_id": [equipment[e] for e, _ in self.index],
                "signal": [signal[s] for _, s in self.index],
                "rows": self.rows[: len(self.index)],
                "first_ts": _times(self.first[: len(self.index)]),
                "last_ts": _times(self.last[: len(self.index)]),
            }
        )

    def _series_of(self, frame: pd.DataFrame) -> np.ndarray:
        equipment, signal = (self._codes(frame, c) for c in ("equipment_id", "signal"))
        wide = int(signal.max()) + 1
        pairs, inverse = _distinct(equipment.astype(np.int64) * wide + signal)
        numbers = []
        for pair in pairs.tolist():
            numbers.append(self.index.setdefault(divmod(pair, wide), len(self.index)))
        while len(self.last) < len(self.index):
            more = max(64, len(self.index))
            self.rows = np.append(self.rows, np.zeros(more, np.int64))
            self.first = np.append(self.first, np.full(more, np.iinfo(np.int64).max))
            self.last = np.append(self.last, np.full(more, _NONE))
        return np.array(numbers, dtype=np.int64)[inverse]

    def _codes(self, frame: pd.DataFrame, name: str) -> np.ndarray:
        if name not in frame:
            return np.full(len(frame), -1, dtype=np.int32)
        cells = frame[name]
        made = cells.array if isinstance(cells.dtype, pd.CategoricalDtype) else pd.Categorical(cells)
        return self.words[name].codes(made)

    def _take(self, frame: pd.DataFrame, series: np.ndarray, ts: np.ndarray) -> None:
        """Into the next stretch."""
        if not len(frame):
            return
        value = frame["value"].to_numpy(dtype=np.float64) if "value" in frame else np.full(len(frame), np.nan)
        dated = "recorded_at" in frame and bool(frame["recorded_at"].notna().any())
        self._buffer.append(
            {
                "series": series,
                "ts": ts,
                "value": value,
                "recorded_at": _micros(frame["recorded_at"]) if dated else np.full(len(frame), _NONE),
                "source_line": _lines(frame),
                **{c: self._codes(frame, c) for c in self.words},
            }
        )
        self._buffered += len(frame)
        many = len(self.index)
        if len(ts) and series[0] == series[-1] and (series == series[0]).all():
            self.rows[series[0]] += len(ts)
            self.first[series[0]] = min(self.first[series[0]], ts.min())
            self.last[series[0]] = max(self.last[series[0]], ts.max())
        else:
            self.rows[:many] += np.bincount(series, minlength=many)
            np.minimum.at(self.first, series, ts)
            np.maximum.at(self.last, series, ts)
        self.loaded += len(frame)
        if self._buffered >= STRETCH:
            self._flush()

    def _flush(self) -> None:
        """Hand the next stretch to the writing thread, which has room for one."""
        if not self._buffered:
            return
        pieces, self._buffer, self._buffered = self._buffer, [], 0
        ranks = {c: self.words[c].ranks() for c in ("equipment_id", "signal")}
        dictionaries = {c: pa.array(list(w.code), pa.string()) for c, w in self.words.items()}
        self._done()
        self._written = self._pool.submit(self._write, pieces, ranks, dictionaries)

    def _done(self) -> None:
        if self._written is not None:
            self._written.result()
            self._written = None

    def _write(
        self, pieces: list[dict[str, np.ndarray]], ranks: dict[str, np.ndarray], words: dict[str, pa.Array]
    ) -> None:
        """In the writing thread: one sorted stretch into the part."""
        one = len(pieces) == 1
        made = {n: pieces[0][n] if one else np.concatenate([piece[n] for piece in pieces]) for n in pieces[0]}
        many = len(ranks["signal"]) + 1
        rank = ranks["equipment_id"][made["equipment_id"]] * many + ranks["signal"][made["signal"]]
        order = _sorted(rank, made["ts"])
        columns = []
        for field in SCHEMA:
            values = made[field.name][order]
            if field.name in words:
                codes = pa.array(values, mask=values < 0)
                columns.append(pa.DictionaryArray.from_arrays(codes, words[field.name]))
            elif pa.types.is_timestamp(field.type):
                columns.append(pa.array(values, pa.int64(), mask=values == _NONE).cast(field.type))
            elif field.name == "value":
                columns.append(pa.array(values, from_pandas=True))
            else:
                columns.append(pa.array(values, mask=values < 0))
        if self._writer is None:
            self._writer = PartWriter(self.folder / f"{self.prefix}-{len(self.actions):04d}.parquet")
        self._writer.add(pa.table(columns, names=SCHEMA.names), int(made["ts"].min()), int(made["ts"].max()))
        if self._writer.rows >= _PART_ROWS:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            self.actions.append(writer.close())

    def _wait(self, frame: pd.DataFrame) -> None:
        self._waiting.append(frame)
        self._waiting_rows += len(frame)
        if self._waiting_rows >= _WAITING_ROWS:
            self._settle()

    def _settle(self) -> None:
        """Compare the waiting readings with what is stored, in this load too."""
        if not self._waiting_rows:
            return
        frame = pd.concat([conform(_TABLE, f) for f in self._waiting], ignore_index=True)
        self._waiting, self._waiting_rows = [], 0
        self._flush()
        self._done()
        self._close()
        before = self._candidates(frame)
        by_key = before.sort_values("recorded_at", na_position="first", kind="stable").drop_duplicates(KEY, keep="last")
        by_key = by_key.drop(columns=[STAGED, ROW], errors="ignore")
        news = new_rows(
            _TABLE, frame, before[HASHES], self.now, self.age, lambda keys: by_key[by_key[KEY].isin(keys)]
        )
        self.known += news.known
        if len(news.clashes):
            self.clashes.append(news.clashes)
        rows = news.rows
        if len(rows):
            self._take(rows, self._series_of(rows), _micros(rows["ts"]))

    def _candidates(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Stored readings with the keys of `frame`, hashed; STAGED tells those of this load."""
        ts = _micros(frame["ts"])
        wanted = pa.array(np.unique(ts))
        mine = {c: pa.array(frame[c].astype(str).unique(), pa.string()) for c in ("equipment_id", "signal")}
        found = []
        own = [self.folder / action["path"] for action in self.actions]
        for paths, staged in ((self.stored, False), (own, True)):
            for table in stretches(paths, None, (int(ts.min()), int(ts.max()))):
                near = table.filter(pc.is_in(table["ts"].cast(pa.int64()), value_set=wanted))
                for name, words in mine.items():
                    near = near.filter(pc.is_in(near[name].cast(pa.string()), value_set=words))
                if near.num_rows:
                    found.append(near.to_pandas().assign(**{STAGED: staged}))
        if not found:
            return no_hashes().assign(**{n: pd.Series(dtype=object) for n in ("equipment_id", "signal")})
        staged_rows = np.concatenate([f[STAGED].to_numpy() for f in found])
        together = pd.concat([conform(_TABLE, f.drop(columns=STAGED)) for f in found], ignore_index=True)
        hashes = with_hashes(_TABLE, together)
        hashes[STAGED] = staged_rows
        return hashes[hashes[KEY].isin(with_hashes(_TABLE, frame)[KEY])]


def _micros(times: pd.Series) -> np.ndarray:
    """Microseconds since 1970, _NONE where there is no time."""
    return pd.DatetimeIndex(times).as_unit("us").asi8


def _lines(frame: pd.DataFrame) -> np.ndarray:
    """Lines as integers, -1 where none is told."""
    if "source_line" not in frame:
        return np.full(len(frame), -1, dtype=np.int64)
    lines = frame["source_line"].to_numpy(dtype=np.float64)
    return np.where(np.isnan(lines), -1.0, lines).astype(np.int64)


def _times(micros: np.ndarray) -> pd.Series:
    return pd.Series(micros.view("datetime64[us]")).dt.tz_localize("UTC")


def _distinct(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As np.unique with inverse, without sorting where the numbers are small."""
    if codes[0] == codes[-1] and (codes == codes[0]).all():
        return codes[:1], np.zeros(len(codes), dtype=np.int64)
    top = int(codes.max()) + 1
    if top > 1 << 22:
        return np.unique(codes, return_inverse=True)
    there = np.zeros(top, dtype=bool)
    there[codes] = True
    distinct = np.flatnonzero(there)
    place = np.zeros(top, dtype=np.int64)
    place[distinct] = np.arange(len(distinct))
    return distinct, place[codes]


def _ahead(series: np.ndarray, ts: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Rows that lie after everything that their series had before them."""
    if (series == series[0]).all():
        if ts[0] > last[series[0]] and (np.diff(ts) > 0).all():
            return np.ones(len(ts), dtype=bool)
        before = np.maximum.accumulate(np.concatenate(([last[series[0]]], ts[:-1])))
        return ts > before
    order = np.argsort(series.astype(np.uint16) if series.max() < 1 << 16 else series, kind="stable")
    s, t = series[order], ts[order]
    starts = np.flatnonzero(np.concatenate(([True], s[1:] != s[:-1])))
    before = np.concatenate(([_NONE], t[:-1]))
    before[starts] = last[s[starts]]
    good = t > before
    if not good.all():  # the latest so far, not only the one before
        for a, b in zip(starts, np.append(starts[1:], len(s)), strict=True):
            if not good[a:b].all():
                good[a:b] = t[a:b] > np.maximum.accumulate(before[a:b])
    out = np.empty(len(ts), dtype=bool)
    out[order] = good
    return out


def _sorted(rank: np.ndarray, ts: np.ndarray) -> np.ndarray:
    """Order by series, then time. Series mostly come in the order of time: then one pass over small numbers does."""
    order = np.argsort(rank.astype(np.uint16) if rank.max() < 1 << 16 else rank, kind="stable")
    t, r = ts[order], rank[order]
    if ((t[1:] >= t[:-1]) | (r[1:] != r[:-1])).all():
        return order
    return np.lexsort((ts, rank))
