"""Rows that were put aside: from which file, in which load, and until when.

The quarantine holds what the files, as last read, left over. Data versions before a load keep theirs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pyarrow as pa

from plant.mapping import QUARANTINE_COLUMNS
from plant.tables import Table

CLASH = "stands twice in this load with different content"
PLACE = ["table", "source", "file", "line"]  # where a row that was put aside stands


def with_source(clashes: pd.DataFrame, sources: Mapping[str, Any]) -> pd.DataFrame:
    """Clashes with the name of their source, counted for the file they stand in."""
    names = {key.partition(":")[2]: key for key in sources}
    for table, file in clashes[["table", "file"]].itertuples(index=False):
        counts = sources.get(names.get(file, ""), {}).get("tables", {})
        if table in counts:
            counts[table]["quarantined"] += 1
    return clashes.assign(source=[names.get(f, "").partition(":")[0] for f in clashes["file"]])


def not_read_again(
    before: pd.DataFrame,
    fresh: pd.DataFrame,
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    released: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Quarantined rows of earlier loads that this one has not replaced.

    An export that was read anew from its start has replaced all of its own. released: rows read again one by one.
    """
    if not len(before):
        return before
    read = {
        k
        for k, s in now.items()
        if k in then and (s.get("mark") != then[k].get("mark") or s.get("volatile") or s.get("sha256") is None)
    }
    same = {k for k in read if now[k].get("sha256") == then[k].get("sha256") and now[k].get("whole", True)}
    file = before["source"] + ":" + before["file"]
    words = ["table", "source", "file", "row"]
    repeated = pd.MultiIndex.from_frame(before[words]).isin(pd.MultiIndex.from_frame(fresh[words]))
    gone = file.isin(same) | (file.isin(read) & repeated)
    if released is not None and len(released):
        gone |= pd.MultiIndex.from_frame(before[PLACE]).isin(pd.MultiIndex.from_frame(released[PLACE]))
    return before[~gone]


def same_rows(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two quarantines hold the same rows, in whatever order and since whatever load."""
    words = [c for c in one.columns if c != "load"]
    if len(one) != len(other):
        return False
    return bool(
        (pd.util.hash_pandas_object(one[words].astype(str), index=False).sort_values().to_numpy()
        == pd.util.hash_pandas_object(other[words].astype(str), index=False).sort_values().to_numpy()).all()
    )


def text_table(quarantine: pd.DataFrame) -> pa.Table:
    """As it is stored: text, but for the two numbers."""
    numbers = {"load", "line"}
    schema = pa.schema([pa.field(c, pa.float64() if c in numbers else pa.string()) for c in quarantine.columns])
    return pa.Table.from_pandas(quarantine, schema=schema, preserve_index=False)


def clashing(table: Table, clashes: pd.DataFrame) -> pd.DataFrame:
    """Canonical rows that contradict an earlier row of the same load, as quarantine rows (without their source)."""
    records = [
        {
            "table": table.name,
            "source": "",
            "file": row["source_file"],
            "line": row["source_line"],
            "column": ", ".join(table.key),
            "reason": f"key '{'/'.join(str(row[k]) for k in table.key)}' {CLASH}; the first row was kept",
            "row": json.dumps({k: row[k] for k in table.names}, default=str, ensure_ascii=False),
        }
        for row in clashes.to_dict("records")
    ]
    return pd.DataFrame(records, columns=QUARANTINE_COLUMNS)
