"""Parts: the Parquet files that hold readings, laid out for being read back by series and time.

A part is a row of stretches of about a million readings, each sorted by equipment, signal and time and cut into row
groups, so that statistics of the row groups lead to a series. The footer says how many row groups each stretch has.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

READINGS = "readings"
STRETCH = 1 << 20  # rows that are sorted together
_GROUP = 1 << 17  # rows of a row group
_WORDS = ["equipment_id", "signal", "quality", "source_file"]
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("equipment_id", pa.string()),
        ("signal", pa.string()),
        ("ts", _TIME),
        ("value", pa.float64()),
        ("quality", pa.string()),
        ("recorded_at", _TIME),
        ("source_file", pa.string()),
        ("source_line", pa.int64()),
    ]
)
_WRITTEN = pa.schema([(f.name, pa.dictionary(pa.int32(), f.type) if f.name in _WORDS else f.type) for f in SCHEMA])
_STRETCHES = b"steadyline.row_groups"


class PartWriter:
    """Writes one part. `add` takes a sorted stretch; `close` returns what Delta has to know of the file."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.rows, self._groups = path, 0, []  # type: ignore[var-annotated]
        self.first, self.last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        self._writer = pq.ParquetWriter(
            path,
            _WRITTEN,
            compression="zstd",
            compression_level=1,
            use_dictionary=_WORDS,
            column_encoding={"ts": "DELTA_BINARY_PACKED", "source_line": "DELTA_BINARY_PACKED"},
            store_schema=False,
        )

    def add(self, stretch: pa.Table, first: int, last: int) -> None:
        """Write a sorted stretch whose times lie from `first` to `last` (µs since 1970)."""
        self._writer.write_table(stretch, row_group_size=_GROUP)
        self._groups.append(-(-stretch.num_rows // _GROUP))
        self.rows += stretch.num_rows
        self.first, self.last = min(self.first, first), max(self.last, last)

    def close(self) -> dict[str, Any]:
        """Finish the file: its name, size and statistics."""
        self._writer.add_key_value_metadata({_STRETCHES: json.dumps(self._groups)})
        self._writer.close()
        times = {"min": _iso(self.first), "max": _iso(self.last)}
        return {
            "path": self.path.name,
            "size": self.path.stat().st_size,
            "stats": json.dumps(
                {
                    "numRecords": self.rows,
                    "minValues": {"ts": times["min"]},
                    "maxValues": {"ts": times["max"]},
                    "nullCount": {},
                }
            ),
        }

    def abandon(self) -> None:
        """Forget the file."""
        self._writer.close()
        self.path.unlink(missing_ok=True)


def without(path: Path, target: Path, files: frozenset[str]) -> tuple[dict[str, Any] | None, int]:
    """A part written again without the rows of some files: what Delta has to know of it, and how many rows went.

    (None, 0): the part has no row of theirs. (None, n): it has no other.
    """
    gone, writer = 0, PartWriter(target)
    theirs = pa.array(sorted(files), pa.string())
    for stretch in stretches([path]):
        keep = pc.invert(pc.fill_null(pc.is_in(stretch["source_file"].cast(pa.string()), value_set=theirs), False))
        kept = stretch.filter(keep)
        gone += stretch.num_rows - kept.num_rows
        if kept.num_rows:
            times = pc.min_max(kept["ts"].cast(pa.int64()))
            writer.add(_as_written(kept), times["min"].as_py(), times["max"].as_py())
    if not gone or not writer.rows:
        writer.abandon()
        return None, gone
    return writer.close(), gone


def _as_written(stretch: pa.Table) -> pa.Table:
    return pa.table([_one(stretch[f.name], f.type) for f in _WRITTEN], schema=_WRITTEN)


def _one(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    made = column.unify_dictionaries() if pa.types.is_dictionary(kind) else column
    return made.cast(kind).combine_chunks()


def series_of(paths: Iterable[Path]) -> pd.DataFrame:
    """equipment_id, signal, rows, first_ts, last_ts of every series in some parts."""
    found = []
    for stretch in stretches(paths, ["equipment_id", "signal", "ts"]):
        plain = pa.table(
            {
                "equipment_id": stretch["equipment_id"].cast(pa.string()),
                "signal": stretch["signal"].cast(pa.string()),
                "ts": stretch["ts"],
            }
        )
        found.append(
            plain.group_by(["equipment_id", "signal"]).aggregate([("ts", "count"), ("ts", "min"), ("ts", "max")])
        )
    if not found:
        return pd.DataFrame(columns=["equipment_id", "signal", "rows", "first_ts", "last_ts"])
    every = pa.concat_tables(found).to_pandas()
    by = every.groupby(["equipment_id", "signal"], sort=False)
    told = by.agg(rows=("ts_count", "sum"), first_ts=("ts_min", "min"), last_ts=("ts_max", "max"))
    return told.reset_index()


def _iso(micros: int) -> str:
    return str(np.datetime64(micros, "us").astype("datetime64[ms]")) + "Z"


def stretches(
    paths: Iterable[Path],
    columns: list[str] | None = None,
    between: tuple[int, int] | None = None,
    equipment: Collection[str] | None = None,
) -> Iterator[pa.Table]:
    """The stretches of some parts, words dictionary-encoded, other columns as the contract of readings has them.

    between: leaves out the row groups without a time from the first to the second (µs since 1970). equipment: leaves
    out those without a reading of these. What is left may hold other rows too.
    """
    names = None if equipment is None else sorted(equipment)
    for path in paths:
        file = pq.ParquetFile(path, read_dictionary=_WORDS)
        wanted = columns or SCHEMA.names
        at, who = (file.schema_arrow.get_field_index(name) for name in ("ts", "equipment_id"))
        counts = json.loads((file.metadata.metadata or {}).get(_STRETCHES, b"null")) or [1] * file.num_row_groups
        start = 0
        for count in counts:
            groups = [
                g
                for g in range(start, start + count)
                if (between is None or _overlaps(file.metadata, g, at, between))
                and (names is None or _names(file.metadata, g, who, names))
            ]
            start += count
            if groups:
                yield _typed(file.read_row_groups(groups, columns=wanted, use_threads=False).select(wanted))


def _overlaps(metadata: Any, group: int, column: int, between: tuple[int, int]) -> bool:
    statistics = metadata.row_group(group).column(column).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    low, high = statistics.min_raw, statistics.max_raw
    return bool(high >= between[0] and low <= between[1])


def _names(metadata: Any, group: int, column: int, names: list[str]) -> bool:
    """Whether one of the sorted `names` lies between the lowest and the highest word of a row group."""
    statistics = metadata.row_group(group).column(column).statistics
    if statistics is None or not statistics.has_min_max:
        return True
    low, high = bisect_left(names, str(statistics.min)), bisect_right(names, str(statistics.max))
    return low < high


def empty_everywhere(paths: Iterable[Path], column: str) -> bool:
    """Whether the statistics of all row groups say that a column holds no value."""
    for path in paths:
        metadata = pq.read_metadata(path)
        at = metadata.schema.names.index(column)
        for g in range(metadata.num_row_groups):
            chunk = metadata.row_group(g).column(at)
            if chunk.statistics is None or chunk.statistics.null_count != chunk.num_values:
                return False
    return True


def _typed(table: pa.Table) -> pa.Table:
    """Times in UTC, as Parquet does not keep the zone's name, words as dictionaries."""
    for i, name in enumerate(table.column_names):
        kind = table.schema.field(name).type
        if pa.types.is_timestamp(kind) and kind != _TIME:
            table = table.set_column(i, name, table[name].cast(_TIME))
        elif pa.types.is_string(kind):  # an empty column comes without a dictionary
            table = table.set_column(i, name, table[name].dictionary_encode())
    return table
