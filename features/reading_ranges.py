"""Readings of some equipment in some ranges of time, as they were known before a cut-off: no whole table is read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.asof import ALWAYS, Ints, Mask, micros, moment
from plant.parts import READINGS, stretches

_COLUMNS = ["equipment_id", "signal", "ts", "value", "quality", "recorded_at"]
Range = tuple[str, pd.Timestamp, pd.Timestamp]  # equipment, first and last moment, both included


@dataclass(frozen=True)
class Series:
    """Readings of one signal, known before a cut-off. ts: µs; usable: not marked bad, and with a value."""

    ts: np.ndarray
    value: np.ndarray
    usable: np.ndarray

    def between(self, begin: pd.Timestamp, end: pd.Timestamp) -> Series:
        """Those in [begin, end]."""
        low, high = moment(begin), moment(end)
        of = slice(int(np.searchsorted(self.ts, low)), int(np.searchsorted(self.ts, high, side="right")))
        return Series(self.ts[of], self.value[of], self.usable[of])


def readings_in(snapshot: Any, t: pd.Timestamp, ranges: Iterable[Range]) -> dict[tuple[str, str], Series]:
    """Readings in any of `ranges` that were known strictly before `t`, by (equipment, signal), in the order of time.

    Of a store only the row groups of this equipment and time are read, each once however many ranges it serves. Of the
    versions of a reading the one recorded last before `t` counts.
    """
    wanted = _joined(ranges, moment(t) - 1)
    if not wanted:
        return {}
    files = getattr(snapshot, "files", None)
    if files is None:
        frame = _within(snapshot.table(READINGS)[_COLUMNS], wanted)
    else:
        ends = [edge for spans in wanted.values() for edge in spans.ravel()]
        between = (int(min(ends)), int(max(ends)))
        parts = [
            _chosen(stretch, wanted)
            for stretch in stretches(files(READINGS), _COLUMNS, between=between, equipment=set(wanted))
        ]
        if hasattr(snapshot, "live"):  # what came after the load lies in no file
            parts.append(_within(snapshot.live(READINGS)[_COLUMNS], wanted))
        parts = [p.astype({"equipment_id": str, "signal": str, "quality": object}) for p in parts if len(p)]
        frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_COLUMNS)
    return _series(frame, t) if len(frame) else {}


def _joined(ranges: Iterable[Range], latest: int) -> dict[str, Ints]:
    """Equipment -> (n, 2) its ranges in µs, sorted and apart from each other; none goes beyond `latest`."""
    by: dict[str, list[tuple[int, int]]] = {}
    for equipment, begin, end in ranges:
        low, high = moment(begin), min(moment(end), latest)
        if low <= high:
            by.setdefault(equipment, []).append((low, high))
    out = {}
    for equipment, spans in by.items():
        apart: list[list[int]] = []
        for low, high in sorted(spans):
            if apart and low <= apart[-1][1] + 1:
                apart[-1][1] = max(apart[-1][1], high)
            else:
                apart.append([low, high])
        out[equipment] = np.array(apart, dtype=np.int64)
    return out


def _inside(at: Ints, spans: Ints) -> Mask:
    place = np.searchsorted(spans[:, 0], at, side="right") - 1
    return (place >= 0) & (at <= spans[np.maximum(place, 0), 1])


def _within(frame: pd.DataFrame, wanted: dict[str, Ints]) -> pd.DataFrame:
    names, at = frame["equipment_id"].astype(object).to_numpy(), micros(frame["ts"])
    keep = np.zeros(len(frame), dtype=bool)
    for equipment, spans in wanted.items():
        own = np.flatnonzero(names == equipment)
        keep[own] = _inside(at[own], spans)
    return frame[keep]


def _chosen(stretch: Any, wanted: dict[str, Ints]) -> pd.DataFrame:
    """Rows of a stretch of readings, without making words of the rest of it."""
    names = stretch["equipment_id"].combine_chunks()
    codes = np.asarray(names.indices.fill_null(len(names.dictionary)))
    at = stretch["ts"].cast("int64").to_numpy()
    keep = np.zeros(len(codes), dtype=bool)
    for code, equipment in enumerate(names.dictionary.to_pylist()):
        if equipment in wanted:
            own = np.flatnonzero(codes == code)
            keep[own] = _inside(at[own], wanted[equipment])
    out: pd.DataFrame = stretch.take(np.flatnonzero(keep)).to_pandas()
    return out


def _series(frame: pd.DataFrame, t: pd.Timestamp) -> dict[tuple[str, str], Series]:
    since = micros(frame["recorded_at"], ALWAYS)
    frame = frame.assign(_ts=micros(frame["ts"]), _since=since)[since < moment(t)]
    frame = frame.astype({"equipment_id": str, "signal": str})
    frame = frame.sort_values(["equipment_id", "signal", "_ts", "_since"], kind="stable")
    frame = frame.drop_duplicates(["equipment_id", "signal", "_ts"], keep="last")
    out = {}
    for (name, signal), rows in frame.groupby(["equipment_id", "signal"], sort=False, observed=True):
        value = rows["value"].to_numpy(np.float64)
        usable = ~np.isnan(value) & (rows["quality"].astype(object) != "bad").to_numpy()
        out[str(name), str(signal)] = Series(rows["_ts"].to_numpy(), value, usable)
    return out
