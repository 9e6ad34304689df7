"""Small plants in memory, on which training takes seconds: machines that wear, and batches that follow their steps."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from models.spec import FailureSpec, QualitySpec, parse_model_spec
from plant.snapshot import Frames

START = pd.Timestamp("2025-01-01", tz="UTC")
DAY = pd.Timedelta("1D")


def failure_spec(**changes: Any) -> FailureSpec:
    raw = {
        "name": "wear",
        "task": "failure",
        "title": "Wear",
        "intended_use": "tests",
        "cutoffs": {"every": "24h", "end": (START + 195 * DAY).isoformat()},
        "horizons": ["24h", "72h"],
        "decision_horizon": "72h",
        "features": {
            "sensors": {"windows": ["24h"], "statistics": ["mean"]},
            "maintenance": {"windows": ["30d"]},
            "events": False,
            "downtime": False,
        },
        "split": {"test_from": (START + 140 * DAY).isoformat(), "folds": 2},
        "lightgbm": {"rounds": 25, "num_leaves": 7, "min_data_in_leaf": 10},
        "costs": {"missed_failure": 1000, "planned_intervention": 200, "false_alarm": 50, "currency": "EUR"},
    }
    spec, problems = parse_model_spec(raw | changes)
    assert not problems
    assert isinstance(spec, FailureSpec)
    return spec


def quality_spec(**changes: Any) -> QualitySpec:
    raw = {
        "name": "tablets",
        "task": "quality",
        "title": "Tablets",
        "intended_use": "tests",
        "attributes": ["assay"],
        "gates": ["before_start", "after:mix"],
        "features": {"batches": {"step_readings": False, "equipment_state": False}},
        "split": {"test_share": 0.3, "folds": 1},
        "lightgbm": {"rounds": 40, "num_leaves": 4, "min_data_in_leaf": 5},
    }
    spec, problems = parse_model_spec(raw | changes)
    assert not problems
    assert isinstance(spec, QualitySpec)
    return spec


def machines(wears: bool = True, days: int = 200, count: int = 12, seed: int = 3) -> Frames:
    """Pumps that fail every few weeks; where they wear, their vibration rises for days before."""
    rng = np.random.default_rng(seed)
    orders: list[dict[str, Any]] = []
    readings: list[pd.DataFrame] = []
    every = pd.date_range(START, periods=days * 2, freq="12h")
    for machine in range(count):
        name, at = f"pump-{machine:02d}", 0.0
        left = np.full(len(every), 99.0)
        while (at := at + rng.uniform(12, 40)) < days:
            moment = START + pd.Timedelta(hours=round(at * 24))
            orders.append(
                {
                    "work_order_id": f"{name}/{len(orders)}",
                    "equipment_id": name,
                    "kind": "corrective",
                    "opened_at": moment,
                    "closed_at": moment + pd.Timedelta("2h"),
                    "failure_mode": "leak" if rng.random() < 0.5 else "bearing",
                }
            )
            ahead = (moment - every) / DAY
            left = np.where((ahead > 0) & (ahead < left), ahead, left)
        value = rng.normal(1, 0.1, len(every)) + (np.maximum(0, 6 - left) if wears else 0)
        readings.append(pd.DataFrame({"equipment_id": name, "signal": "vibration", "ts": every, "value": value}))
    equipment = pd.DataFrame({"equipment_id": [f"pump-{m:02d}" for m in range(count)], "equipment_class": "pump"})
    return Frames(
        {
            "equipment": equipment,
            "work_orders": pd.DataFrame(orders),
            "readings": pd.concat(readings, ignore_index=True),
        }
    )


def batches(noise: bool = False, count: int = 150, seed: int = 5) -> Frames:
    """One batch a day; its assay follows the force of its mixing, or nothing at all."""
    rng = np.random.default_rng(seed)
    start = pd.Series(START + DAY * np.arange(count))
    force = rng.normal(10, 1, count)
    assay = np.round(99 + (rng.normal(0, 1, count) if noise else 0.8 * (force - 10) + rng.normal(0, 0.1, count)), 2)
    names = [f"B{i:04d}" for i in range(count)]
    made = pd.DataFrame(
        {"batch_id": names, "product": "P1", "started_at": start, "ended_at": start + pd.Timedelta("8h")}
    )
    steps = pd.DataFrame(
        {
            "batch_id": names,
            "step": "mix",
            "started_at": start,
            "ended_at": start + pd.Timedelta("4h"),
            "force": force,
        }
    )
    lots = pd.DataFrame(
        {
            "batch_id": names,
            "material_lot": [f"L{i // 15}" for i in range(count)],
            "material": "api",
            "used_at": start,
        }
    )
    results = pd.DataFrame(
        {
            "result_id": names,
            "batch_id": names,
            "attribute": "assay",
            "value": assay,
            "unit": "%",
            "lower_spec": 95.0,
            "upper_spec": 105.0,
            "sampled_at": start + pd.Timedelta("8h"),
            "approved_at": start + 3 * DAY,
        }
    )
    return Frames({"batches": made, "batch_steps": steps, "genealogy": lots, "lab_results": results})


def fingerprint(folder: Path) -> str:
    """One hash over the names and contents of all files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
