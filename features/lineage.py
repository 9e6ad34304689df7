"""What a feature's value was made of: the source rows, down to file and line.

Found on the as-of view by what the catalogue declares (`Definition`), independent of the code that computes the values:
a snapshot of nothing but these rows gives the same value, which the tests hold for every feature.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from features.asof import Snapshot, as_of
from features.assemble import FeaturePlan, batch_matrix, equipment_matrix
from features.catalogue import Feature, Part, look_back_of, matching
from features.definitions import Definition, Kind, Lines, Trace, Values
from features.rows import require_aware
from plant.tables import LINEAGE, TABLES

SUBJECT: dict[Kind, str] = {"equipment": "equipment_id", "batch": "batch_id"}
COLUMNS = ("feature", "value", "table", "key", "time", "row", "source_file", "source_line", "recorded_at")


@dataclass(frozen=True)
class _Some:
    """A snapshot of which only the rows with these words in their key are wanted: whole histories of few rows."""

    of: Snapshot
    name: str
    words: tuple[tuple[str, str], ...]

    @property
    def data_version(self) -> str:
        return self.of.data_version

    @property
    def data_end(self) -> pd.Timestamp:
        return self.of.data_end

    def table(self, name: str) -> pd.DataFrame:
        frame = self.of.table(name)
        for column, word in self.words:
            frame = frame[(frame[column] == word).to_numpy(dtype=bool)]
        return frame


@dataclass(frozen=True)
class _Known:
    """What was known strictly before `t`, a few rows at a time."""

    snapshot: Snapshot
    t: pd.Timestamp
    _kept: dict[tuple[str, tuple[tuple[str, str], ...]], pd.DataFrame] = field(default_factory=dict)

    def __call__(self, table: str, **words: str) -> pd.DataFrame:
        in_key = tuple(sorted((c, w) for c, w in words.items() if c in TABLES[table].key))
        if (table, in_key) not in self._kept:
            self._kept[table, in_key] = as_of(_Some(self.snapshot, table, in_key), self.t).table(table)
        rows = self._kept[table, in_key]
        for column, word in words.items():
            if column not in TABLES[table].key:
                rows = rows[(rows[column].isna() if word == "" else rows[column] == word).to_numpy(dtype=bool)]
        return rows


def source_rows(
    snapshot: Snapshot, plan: FeaturePlan, subject: str, t: pd.Timestamp, names: Iterable[str] = ()
) -> dict[str, tuple[Feature, Lines]]:
    """For each feature (all, or those that `names` are or match) the rows of each table that its value is made of.

    The rows are those that were known strictly before `t` (aware), with the columns not yet known blanked. Raises
    SteadylineError (unknown_feature, naive_time).
    """
    known = _Known(snapshot, require_aware(t, "t"))
    wanted = matching(names, "--feature", [f.name for f in plan.features]) or {f.name for f in plan.features}
    return {
        feature.name: (feature, _rows(part, feature, values, plan, subject, t, known))
        for part in plan.parts for feature, values in zip(part.features, part.values, strict=True)
        if feature.name in wanted
    }


def _rows(
    part: Part, feature: Feature, values: Values, plan: FeaturePlan, subject: str, t: pd.Timestamp, known: _Known
) -> Lines:
    d = part.definition
    trace = Trace(subject, t, plan.spec, plan.vocabulary, values, look_back_of(feature.look_back), known)
    return d.rows(trace) if d.rows is not None else _declared(d, trace, SUBJECT[plan.kind])


def _declared(d: Definition, trace: Trace, subject: str) -> Lines:
    if d.source not in TABLES:
        return {}
    rows = trace.known(d.source, **{subject: trace.subject}, **{c: w.format_map(trace.values) for c, w in d.where})
    if d.at:
        rows = rows[rows[d.at].notna()]
        if trace.start is not None:
            rows = rows[rows[d.at] >= trace.start]
        if d.last:
            rows = rows[rows[d.at] == rows[d.at].max()]
    return {d.source: rows}


def explain_row(
    snapshot: Snapshot, plan: FeaturePlan, subject: str, t: pd.Timestamp, names: Iterable[str] = ()
) -> pd.DataFrame:
    """One line for each source row that a feature of `subject` (equipment or batch) at `t` (aware) was made of.

    names: features, or patterns of them; none means all. Columns: feature, value (of the feature; NaN: not known),
    table, key (`column=word`, ...), time (what places the row; NaT for master data), row (what else it said, as text),
    source_file, source_line, recorded_at. A feature that no row speaks of has one line with an empty table. Sorted as
    the plan's features, then by table and time. Raises UnknownId and SteadylineError (naive_time, unknown_feature).
    """
    require_aware(t, "t")
    asked = pd.DataFrame({SUBJECT[plan.kind]: [subject], "gate": [""], "t": [t]})
    matrix = (equipment_matrix if plan.kind == "equipment" else batch_matrix)(snapshot, plan, asked)
    value = dict(zip((f.name for f in matrix.features), matrix.values[0], strict=True))
    parts = []
    for name, (_, tables) in source_rows(snapshot, plan, subject, t, names).items():
        told = [_told(table, rows) for table, rows in tables.items() if len(rows)]
        part = pd.concat(told, ignore_index=True) if told else pd.DataFrame({"table": [""]})
        parts.append(part.assign(feature=name, value=value[name]))
    out = pd.concat(parts, ignore_index=True).reindex(columns=list(COLUMNS)) if parts else pd.DataFrame(columns=COLUMNS)
    return out


def _told(table: str, rows: pd.DataFrame) -> pd.DataFrame:
    contract = TABLES[table]
    hidden = {*contract.key, *(c.name for c in LINEAGE)}
    time = contract.known_by if contract.known_by != "always" else None
    rows = rows.sort_values([time, *contract.key] if time else list(contract.key), kind="stable")
    return pd.DataFrame({
        "table": table,
        "key": [_text(row, contract.key) for row in rows.to_dict("records")],
        "time": rows[time].array if time else pd.NaT,
        "row": [_text(row, [c for c in rows.columns if c not in hidden and c != time])
                for row in rows.to_dict("records")],
        **{c: rows[c].array for c in ("source_file", "source_line", "recorded_at")},
    })


def _text(row: dict[str, object], columns: Iterable[str]) -> str:
    """`column=word, ...` of what is not empty."""
    said = {c: row[c] for c in columns if not pd.isna(row[c])}
    return ", ".join(f"{c}={_word(v)}" for c, v in said.items())


def _word(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)
