"""Windowed statistics of readings by other libraries, each as an expert of it would write it.

A formulation takes `Data` and what is `Asked` and returns two functions: `run`, which is timed, and `read`, which turns
what `run` returned into an array (series, cut-offs, windows, statistics). What a library needs in a form of its own
(frames, tables, indices, cut-offs) is made before, off the clock. Windows are [t - w, t); the standard deviation is the
sample's; quantiles are exact, by linear interpolation; a window without readings is NaN.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
from tsflex.features import FeatureCollection, FeatureDescriptor, FuncWrapper

HOUR_US = 3_600_000_000
PLAIN = ("mean", "std", "min", "max", "last")
ROBUST = (*PLAIN, "median", "iqr")
Formulation = Callable[["Data", "Asked"], tuple[Callable[[], Any], Callable[[Any], np.ndarray]]]


@dataclass(frozen=True)
class Data:
    """Readings sorted by series and time. ts: microseconds; series i holds the rows starts[i]:starts[i + 1]."""

    ts: np.ndarray
    value: np.ndarray
    starts: np.ndarray

    @property
    def series(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))

    def first(self, many: int) -> Data:
        """The first series only."""
        starts = self.starts[: many + 1]
        return Data(self.ts[: starts[-1]], self.value[: starts[-1]], starts)


@dataclass(frozen=True)
class Asked:
    """Cut-offs (microseconds, ascending, the same for every series), windows (microseconds, ascending), statistics."""

    cutoffs: np.ndarray
    windows: tuple[int, ...]
    statistics: tuple[str, ...] = PLAIN

    def of(self, **changes: Any) -> Asked:
        return replace(self, **changes)

    @property
    def robust(self) -> bool:
        return "median" in self.statistics


def _placed(asked: Asked, many: int, window: int, columns: dict[str, Any], out: np.ndarray) -> None:
    """Put the rows of one window (series, t, statistics) where they belong in `out`."""
    series, t = columns["series"].astype(np.int64), columns["t"].astype(np.int64)
    at = np.minimum(np.searchsorted(asked.cutoffs, t), len(asked.cutoffs) - 1)
    there = (asked.cutoffs[at] == t) & (series < many)
    for k, name in enumerate(asked.statistics):
        out[series[there], at[there], window, k] = columns[name][there]


def _empty(data: Data, asked: Asked) -> np.ndarray:
    return np.full((len(data.starts) - 1, len(asked.cutoffs), len(asked.windows), len(asked.statistics)), np.nan)


# --- Polars ---------------------------------------------------------------------------------------------------------
# A range join (join_where) makes a row for each reading of each window, 690 million at the default size, and was ten
# times slower than the slower of these two.


def _polars_frames(data: Data, asked: Asked) -> tuple[pl.DataFrame, pl.DataFrame]:
    time, many = pl.Datetime("us"), len(data.starts) - 1
    readings = pl.DataFrame({"series": data.series, "ts": pl.Series(data.ts).cast(time), "value": data.value})
    cutoffs = pl.DataFrame({
        "series": np.repeat(np.arange(many, dtype=np.int32), len(asked.cutoffs)),
        "ts": pl.Series(np.tile(asked.cutoffs, many)).cast(time),
    })
    return readings, cutoffs


def _polars_columns(frame: pl.DataFrame, names: dict[str, str]) -> dict[str, np.ndarray]:
    return {
        to: frame[name].cast(pl.Int64 if to in ("series", "t") else pl.Float64).to_numpy() for to, name in names.items()
    }


def polars_dynamic(data: Data, asked: Asked) -> tuple[Callable[[], Any], Callable[[Any], np.ndarray]]:
    """group_by_dynamic with a period, one for each window, all at once: for equally spaced cut-offs only."""
    steps = np.unique(np.diff(asked.cutoffs))
    if len(steps) != 1 or (asked.cutoffs[0] % steps[0]) or any(w % steps[0] for w in asked.windows):
        raise ValueError("group_by_dynamic needs cut-offs on a grid")
    readings, _ = _polars_frames(data, asked)
    v = pl.col("value")
    every = {
        "mean": v.mean(), "std": v.std(), "min": v.min(), "max": v.max(), "last": v.last(), "median": v.median(),
        "iqr": v.quantile(0.75, "linear") - v.quantile(0.25, "linear"),
    }
    wanted = [every[s].alias(s) for s in asked.statistics]

    def run() -> list[pl.DataFrame]:
        return pl.collect_all([
            readings.lazy().group_by_dynamic(
                "ts", every=f"{steps[0]}us", period=f"{w}us", offset=f"-{w}us", group_by="series", closed="left"
            ).agg(wanted) for w in asked.windows
        ])

    def read(frames: list[pl.DataFrame]) -> np.ndarray:
        out = _empty(data, asked)
        for k, (w, frame) in enumerate(zip(asked.windows, frames, strict=True)):
            columns = _polars_columns(frame, {"series": "series", "t": "ts", **{s: s for s in asked.statistics}})
            columns["t"] = columns["t"] + w
            _placed(asked, len(data.starts) - 1, k, columns, out)
        return out

    return run, read


def polars_rolling(data: Data, asked: Asked) -> tuple[Callable[[], Any], Callable[[Any], np.ndarray]]:
    """Cut-offs among the readings as rows without a value, rolling_*_by over all rows: for any cut-offs."""
    readings, cutoffs = _polars_frames(data, asked)
    rows = pl.concat([
        readings.with_columns(cutoff=pl.lit(False)),
        cutoffs.select("series", "ts", value=pl.lit(None, pl.Float64), cutoff=pl.lit(True)),
    ])
    v, made = pl.col("value"), []
    for w in asked.windows:
        how: dict[str, Any] = {"window_size": f"{w}us", "closed": "left"}
        rolled = {
            "mean": v.rolling_mean_by("ts", **how), "std": v.rolling_std_by("ts", **how),
            "min": v.rolling_min_by("ts", **how), "max": v.rolling_max_by("ts", **how),
        }
        if asked.robust:
            low, middle, high = (
                v.rolling_quantile_by("ts", quantile=q, interpolation="linear", **how) for q in (0.25, 0.5, 0.75)
            )
            rolled |= {"median": middle, "iqr": high - low}
        made += [rolled[s].over("series").alias(f"{s}.{w}") for s in asked.statistics if s != "last"]
    # a cut-off comes before a reading of the same time, which is not yet known
    sighted = pl.when(~pl.col("cutoff")).then(pl.col("ts")).forward_fill().over("series").alias("seen")

    def run() -> pl.DataFrame:
        ordered = rows.lazy().sort("series", "ts", pl.col("cutoff").not_())
        return ordered.with_columns(*made, sighted, last=v.forward_fill().over("series")).filter("cutoff").with_columns(
            pl.when(pl.col("seen") >= pl.col("ts") - pl.duration(microseconds=w)).then("last").alias(f"last.{w}")
            for w in asked.windows
        ).collect()

    def read(frame: pl.DataFrame) -> np.ndarray:
        out = _empty(data, asked)
        for k, w in enumerate(asked.windows):
            names = {"series": "series", "t": "ts", **{s: f"{s}.{w}" for s in asked.statistics}}
            _placed(asked, len(data.starts) - 1, k, _polars_columns(frame, names), out)
        return out

    return run, read


_SUMS = ("n", "sum", "squares")


def polars_summaries(data: Data, asked: Asked) -> tuple[Callable[[], Any], Callable[[Any], np.ndarray]]:
    """Our own method written by hand in Polars: summaries between all ends of windows, then rolled up. No quantiles."""
    readings, cutoffs = _polars_frames(data, asked)
    ends = np.unique(np.concatenate([asked.cutoffs, *(asked.cutoffs - w for w in asked.windows)]))
    edges = pl.DataFrame({
        "series": np.repeat(np.arange(len(data.starts) - 1, dtype=np.int32), len(ends)),
        "edge": pl.Series(np.tile(ends, len(data.starts) - 1)).cast(pl.Datetime("us")),
    })
    v = pl.col("value")

    def rolled(w: int) -> list[pl.Expr]:
        how: dict[str, Any] = {"window_size": f"{w}us", "closed": "left"}
        sums = [pl.col(c).rolling_sum_by("edge", **how).over("series").alias(f"{c}.{w}") for c in _SUMS]
        return [
            *sums,
            pl.col("min").rolling_min_by("edge", **how).over("series").alias(f"min.{w}"),
            pl.col("max").rolling_max_by("edge", **how).over("series").alias(f"max.{w}"),
        ]

    def finished(w: int) -> list[pl.Expr]:
        n, total, squares = (pl.col(f"{c}.{w}") for c in _SUMS)
        spread = ((squares - total**2 / n) / (n - 1)).sqrt()
        within = pl.col("seen") >= pl.col("edge") - pl.duration(microseconds=w)
        return [
            (pl.col("middle") + total / n).alias(f"mean.{w}"), pl.when(n > 1).then(spread).alias(f"std.{w}"),
            pl.when(within).then("last").alias(f"last.{w}"),
        ]

    def run() -> pl.DataFrame:
        centred = readings.lazy().with_columns(middle=v.mean().over("series")).with_columns(d=v - pl.col("middle"))
        within = centred.join_asof(
            edges.lazy(), left_on="ts", right_on="edge", by="series", check_sortedness=False
        )
        pieces = within.group_by("series", "edge", maintain_order=True).agg(
            n=pl.len().cast(pl.Float64), sum=pl.col("d").sum(), squares=(pl.col("d") ** 2).sum(), min=v.min(),
            max=v.max(), last=v.last(), seen=pl.col("ts").last(), middle=pl.col("middle").first(),
        )
        both = pl.concat([pieces, cutoffs.lazy().rename({"ts": "edge"})], how="diagonal")
        # a cut-off without a piece of its own gets a row; where there is one, its rows are rolled to the same numbers
        rows = both.sort("series", "edge", "n", nulls_last=False)
        rows = rows.with_columns(*(e for w in asked.windows for e in rolled(w)))
        filled = [pl.col(c).forward_fill().over("series") for c in ("last", "seen", "middle")]
        rows = rows.with_columns(filled).filter(pl.col("n").is_null())
        return rows.with_columns(e for w in asked.windows for e in finished(w)).collect()

    def read(frame: pl.DataFrame) -> np.ndarray:
        out = _empty(data, asked)
        for k, w in enumerate(asked.windows):
            names = {"series": "series", "t": "edge", **{s: f"{s}.{w}" for s in asked.statistics}}
            _placed(asked, len(data.starts) - 1, k, _polars_columns(frame, names), out)
        return out

    return run, read


# --- DuckDB ---------------------------------------------------------------------------------------------------------
# Measured on two series and left out: a join on the range of times alone (3 times slower than by hours), all windows
# in one such join with FILTER (4 times), window frames RANGE BETWEEN over the union with the cut-offs (10 times), and
# slices of a list found by ASOF joins (25 times).


def duckdb_by_hours(data: Data, asked: Asked) -> tuple[Callable[[], Any], Callable[[Any], np.ndarray]]:
    """Join on the hours that a window touches, then on its ends: for any cut-offs."""
    many = len(data.starts) - 1
    connection = duckdb.connect()
    connection.register("readings", pl.DataFrame(
        {"series": data.series, "ts": data.ts, "hour": data.ts // HOUR_US, "value": data.value}
    ))
    connection.register("asked", pl.DataFrame({
        "series": np.repeat(np.arange(many, dtype=np.int32), len(asked.cutoffs)), "t": np.tile(asked.cutoffs, many),
    }))
    connection.execute("create table r as select * from readings order by series, ts")
    connection.execute("create table c as select * from asked order by series, t")
    every = {
        "mean": "avg(value)", "std": "stddev_samp(value)", "min": "min(value)", "max": "max(value)",
        "last": "arg_max(value, ts)", "median": "q[2]", "iqr": "q[3] - q[1]",
    }
    chosen = [f"{every[s]} as {s}" for s in asked.statistics if s not in ("median", "iqr")]
    if asked.robust:
        chosen.append("quantile_cont(value, [0.25, 0.5, 0.75]) as q")
    outer = [f"{every[s]} as {s}" if s in ("median", "iqr") else s for s in asked.statistics]

    def run() -> None:
        for k, w in enumerate(asked.windows):
            connection.execute(f"""
                create or replace table o{k} as
                with touched as (
                    select series, t, unnest(range((t - {w}) // {HOUR_US}, t // {HOUR_US} + 1)) as hour from c
                ), made as (
                    select touched.series, t, {", ".join(chosen)}
                    from touched join r on r.series = touched.series and r.hour = touched.hour
                    where r.ts >= t - {w} and r.ts < t group by touched.series, t
                )
                select series, t, {", ".join(outer)} from made""")

    def read(_: None) -> np.ndarray:
        out = _empty(data, asked)
        for k in range(len(asked.windows)):
            columns = connection.execute(f"select * from o{k}").fetchnumpy()
            plain = {n: np.ma.filled(c.astype(np.float64), np.nan) for n, c in columns.items() if n != "t"}
            _placed(asked, many, k, {**plain, "t": np.asarray(columns["t"])}, out)
        return out

    return run, read


# --- pandas ---------------------------------------------------------------------------------------------------------
# Measured and left out: a slice for each window (17 times slower); groupby().rolling() with merge_asof (7 times slower,
# and it looks back from the last reading, not from the cut-off); an indexer of one's own whose `step` is bent so that
# it gives as many rows as there are cut-offs (twice as fast, but the index of what comes back means nothing).


def pandas_rolling(data: Data, asked: Asked) -> tuple[Callable[[], Any], Callable[[Any], np.ndarray]]:
    """Cut-offs among the readings of each series, rolling over all rows: for any cut-offs."""
    cutoffs = pd.DatetimeIndex(asked.cutoffs.astype("datetime64[us]"))
    whole = [
        pd.Series(data.value[a:b], pd.DatetimeIndex(data.ts[a:b].astype("datetime64[us]")))
        for a, b in zip(data.starts[:-1], data.starts[1:], strict=True)
    ]
    lengths = [pd.Timedelta(w, "us") for w in asked.windows]

    def run() -> list[list[list[np.ndarray]]]:
        return [[_pandas_window(s, wide, cutoffs, w, asked.statistics) for w in lengths]
                for s, wide in ((s, _pandas_wide(s, cutoffs)) for s in whole)]

    def read(made: list[list[list[np.ndarray]]]) -> np.ndarray:
        return np.moveaxis(np.array(made), -1, 1)

    return run, read


def _pandas_wide(series: pd.Series, cutoffs: pd.DatetimeIndex) -> pd.Series:
    """With rows for the cut-offs; those that are times of readings too keep their value, which closed="left" skips."""
    return series.reindex(series.index.union(cutoffs))


def _pandas_window(
    series: pd.Series, wide: pd.Series, cutoffs: pd.DatetimeIndex, w: pd.Timedelta, statistics: tuple[str, ...]
) -> list[np.ndarray]:
    rolling, at, made = wide.rolling(w, closed="left"), wide.index.get_indexer(cutoffs), {}
    for name in ("mean", "std", "min", "max"):
        made[name] = getattr(rolling, name)().to_numpy()[at]
    before = series.index.searchsorted(cutoffs, "left") - 1
    found = (before >= 0) & (series.index[np.maximum(before, 0)] >= cutoffs - w)
    made["last"] = np.where(found, series.to_numpy()[np.maximum(before, 0)], np.nan)
    if "median" in statistics:
        low, made["median"], high = (rolling.quantile(q).to_numpy()[at] for q in (0.25, 0.5, 0.75))
        made["iqr"] = high - low
    return [made[s] for s in statistics]


# --- tsflex ---------------------------------------------------------------------------------------------------------
# One function with several outputs; a descriptor for each statistic was a tenth slower, without `last`.


def _of_slice(x: np.ndarray) -> tuple[float, ...]:
    n = len(x)
    if n == 0:
        return (np.nan,) * len(PLAIN)
    return x.mean(), x.std(ddof=1) if n > 1 else np.nan, x.min(), x.max(), x[-1]


def _robust_of_slice(x: np.ndarray) -> tuple[float, ...]:
    low, middle, high = np.quantile(x, (0.25, 0.5, 0.75)) if len(x) else (np.nan,) * 3
    return (*_of_slice(x), middle, high - low)


def tsflex_slices(data: Data, asked: Asked) -> tuple[Callable[[], Any], Callable[[Any], np.ndarray]]:
    """A function of a slice, at any cut-offs, on as many processes as tsflex takes by itself."""
    function = FuncWrapper(_robust_of_slice if asked.robust else _of_slice, output_names=list(asked.statistics))
    parts = [
        pd.Series(data.value[a:b], pd.DatetimeIndex(data.ts[a:b].astype("datetime64[us]").astype("datetime64[ns]")),
                  name=f"s{i}")
        for i, (a, b) in enumerate(zip(data.starts[:-1], data.starts[1:], strict=True))
    ]
    lengths = [pd.Timedelta(w, "us").as_unit("ns") for w in asked.windows]
    collection = FeatureCollection([FeatureDescriptor(function, s.name, window=w) for s in parts for w in lengths])
    ends = asked.cutoffs.astype("datetime64[us]").astype("datetime64[ns]")

    def run() -> list[pd.DataFrame]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # windows that begin before the first reading
            return collection.calculate(parts, segment_end_idxs=ends, approve_sparsity=True, bound_method="outer")

    def read(frames: list[pd.DataFrame]) -> np.ndarray:
        out = _empty(data, asked)
        for frame in frames:
            series, *_, window = str(frame.columns[0]).split("__")
            k = lengths.index(pd.Timedelta(window.removeprefix("w=")))
            named = {str(c).split("__")[1]: c for c in frame.columns}
            for j, s in enumerate(asked.statistics):
                out[int(series[1:]), :, k, j] = frame[named[s]].reindex(pd.DatetimeIndex(ends)).to_numpy()
        return out

    return run, read


@dataclass(frozen=True)
class Peer:
    """A library. formulations: the fastest counts. series, robust_series: of slow ones only so many are computed."""

    formulations: tuple[Formulation, ...]
    series: int
    robust_series: int


PEERS = {
    "tsflex": Peer((tsflex_slices,), 6, 2),  # starts processes: before the threads of the others are there
    "pandas": Peer((pandas_rolling,), 6, 2),
    "duckdb": Peer((duckdb_by_hours,), 6, 2),
    "polars": Peer((polars_dynamic, polars_rolling), 1000, 4),
}
