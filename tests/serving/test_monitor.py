"""Drift is told when the plant moved, and only then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from governance.database import monitoring, reading
from plant.errors import NotReady, SteadylineError
from serving.monitor import monitor
from tests.serving.world import END, PRESSES, World


def shifted(days: int, offset: float) -> dict[str, pd.DataFrame]:
    """Further readings, `offset` above what was usual."""
    hours = pd.date_range(END, END + pd.Timedelta(days=days), freq="2h", inclusive="left")
    value = 2.5 + offset + np.random.default_rng(3).normal(0, 0.2, len(hours))
    frames = [
        pd.DataFrame({"equipment_id": p, "signal": "vibration", "ts": hours, "quality": "good", "value": value})
        for p in PRESSES
    ]
    return {"readings": pd.concat(frames, ignore_index=True)}


@pytest.mark.parametrize("model", ["press_failures", "tablet_quality"])
def test_an_unshifted_plant_has_no_drift(world: World, model: str) -> None:
    world.promote(model)
    result = monitor(world.home, world.site, model, "14d")
    assert not result["drifted"]
    assert result["share"] < 0.5
    assert any(c["column"].startswith("score: ") for c in result["columns"])


def test_a_shift_is_told_and_kept(world: World) -> None:
    world.promote("press_failures")
    world.load(shifted(10, 6.0))
    result = monitor(world.home, world.site, "press_failures", "10d")
    assert result["drifted"]
    assert {"vibration.mean.24h", "score: risk within 72h"} <= {c["column"] for c in result["columns"] if c["drifted"]}
    assert result["window"].startswith("2026-03-01T22")
    report = Path(result["report_path"])
    assert report.parent == world.home / "reports"
    assert report.stat().st_size > 100_000
    with reading(world.engine) as connection:
        row = connection.execute(sa.select(monitoring)).mappings().one()
    assert (row["drifted"], row["version"], row["report_path"]) == (True, "1", str(report))


def test_a_signal_that_falls_silent_is_drift(world: World) -> None:
    world.promote("press_failures")
    orders = pd.DataFrame({
        "work_order_id": ["W-late"], "equipment_id": ["press-1"], "kind": ["corrective"],
        "opened_at": [END + pd.Timedelta("10D")],
    })
    world.load({"work_orders": orders})
    silent = [c for c in monitor(world.home, world.site, "press_failures", "7d")["columns"] if c["note"]]
    assert ("vibration.mean.24h", "no value any more") in {(c["column"], c["note"]) for c in silent}


def test_refusals(world: World) -> None:
    with pytest.raises(NotReady, match="no champion"):
        monitor(world.home, world.site, "press_failures", "14d")
    world.promote("press_failures")
    with pytest.raises(SteadylineError, match="no length of time"):
        monitor(world.home, world.site, "press_failures", "soon")
    with pytest.raises(NotReady, match="can be compared"):
        monitor(world.home, world.site, "press_failures", "1min")
