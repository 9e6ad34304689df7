"""Which batches wait for a disposition."""

from __future__ import annotations

import pandas as pd

from plant.snapshot import Frames
from plant.tables import TABLES, conform
from serving.review_case import Known
from serving.review_queue import waiting


def test_what_gets_no_disposition_waits_for_none() -> None:
    at = pd.Timestamp("2026-01-01T00:00Z")
    batches = pd.DataFrame({
        "batch_id": ["A1", "A2", "A3", "A4", "G1"], "product": ["A", "A", "A", "A", "granulate"],
        "started_at": [at, at, at, pd.NaT, at], "ended_at": [at + pd.Timedelta("1d")] * 2 + [pd.NaT] * 3,
    })
    decided = pd.DataFrame({"batch_id": ["A1", "A2"], "record_complete_at": at + pd.Timedelta("30h"),
                            "disposed_at": [at + pd.Timedelta("2d"), pd.NaT]})
    tables = {"batches": conform(TABLES["batches"], batches), "dispositions": conform(TABLES["dispositions"], decided)}
    known = Known(Frames(tables), at + pd.Timedelta("5d"))
    assert list(waiting(known)["batch_id"]) == ["A3", "A2"], "the running one first; an intermediate is never released"
    early = Known(Frames(tables), at + pd.Timedelta("36h"))
    assert set(waiting(early)["batch_id"]) == {"A1", "A2", "A3", "G1"}, "nothing is known of any disposition yet"
