"""Readings of a few equipment over a stretch of time, without holding all of a historian in memory."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant.snapshot import SnapshotLike
from plant.tables import TABLES, empty_frame

_COLUMNS = ["equipment_id", "signal", "ts", "value", "quality", "recorded_at"]


def readings_between(
    snapshot: SnapshotLike, equipment: set[str], start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    """Readings of `equipment` with start <= ts < end, every version of them."""
    scan = getattr(snapshot, "scan", None)
    if scan is None:
        frame = snapshot.table("readings")
        return frame[frame["equipment_id"].isin(equipment) & (frame["ts"] >= start) & (frame["ts"] < end)]
    wanted = pa.array(sorted(equipment))
    low, high = (pa.scalar(x.to_pydatetime(), pa.timestamp("us", tz="UTC")) for x in (start, end))
    parts = []
    for part in scan("readings", _COLUMNS):
        keep = pc.and_(pc.greater_equal(part["ts"], low), pc.less(part["ts"], high))
        part = part.filter(keep)
        part = part.filter(pc.is_in(part["equipment_id"].cast(pa.string()), wanted))
        if part.num_rows:
            parts.append(part)
    if not parts:
        return empty_frame(TABLES["readings"])
    return pd.concat([p.to_pandas() for p in parts], ignore_index=True).astype(
        {"equipment_id": object, "signal": object, "quality": object}
    )
