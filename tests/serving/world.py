"""A small plant of our own: six presses whose vibration rises before they fail, and batches that follow a moisture.

Its models are trained here, without the backtest of `training`: what is tested is serving.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sqlalchemy.engine import Engine

from features.assemble import batch_matrix, equipment_matrix, plan
from features.labels import cutoff_grid, failure_labels, gate_times
from governance import versions
from governance.database import connect
from models import bundle as bundles
from models.calibration import Calibration
from models.decision import Threshold
from models.explain import Reference
from models.hazard import HazardModel, edges_from_horizons
from models.quality import AttributeModel
from models.spec import FailureSpec, QualitySpec, load_models
from plant.site import Site, load_site
from plant.store import Load, Store

START = pd.Timestamp("2026-01-01", tz="UTC")
DAYS = 60
END = START + pd.Timedelta(days=DAYS)
TRAIN_END = START + pd.Timedelta(days=45)
GATE = "after:compression"
PRESSES = [f"press-{i}" for i in range(1, 7)]

SITE = {
    "site": "dublin", "title": "Dublin <tablets>", "simulated": True, "time_zone": "Europe/Dublin", "currency": "EUR",
    "sources": {"assets": {"system": "CMMS", "path": "assets.csv", "format": "csv"}},
    "tables": {"equipment": [{"source": "assets", "columns": {"equipment_id": "id", "equipment_class": "class"}}]},
}
FAILURE = {
    "name": "press_failures", "task": "failure", "title": "Press failures", "intended_use": "tests",
    "population": {"equipment_class": ["tablet_press"]}, "cutoffs": {"every": "12h"}, "horizons": ["24h", "72h"],
    "decision_horizon": "72h", "features": {"sensors": {"windows": ["6h", "24h"], "statistics": ["mean", "max"]}},
    "costs": {"missed_failure": 10000, "planned_intervention": 2000, "false_alarm": 500},
    "capacity": {"orders_per_week": 3}, "lightgbm": {"rounds": 20, "num_leaves": 7, "min_data_in_leaf": 5},
}
EVIDENCE = {
    "decision_horizon": "72h", "horizons": {"72h": {"auc": 0.912, "baselines": {"base_rate": {"auc": 0.5}}}},
    "events": {"caught": 7, "failures": 9, "false_alarms": 2},
}
QUALITY = {
    "name": "tablet_quality", "task": "quality", "title": "Tablet quality", "intended_use": "tests",
    "attributes": ["dissolution"], "gates": [GATE], "lightgbm": {"rounds": 20, "min_data_in_leaf": 5},
    "features": {"batches": {"targets": ["dissolution"], "step_readings": False}},
}


@dataclass(frozen=True)
class World:
    """A home with data, versions that are registered but not promoted, and the site's folder."""

    home: Path
    folder: Path
    site: Site
    engine: Engine

    def promote(self, model: str, version: str = "1") -> None:
        with self.engine.begin() as connection:
            versions.promote(connection, "dublin", model, version, "ann", "for the tests")

    def load(self, tables: dict[str, pd.DataFrame]) -> None:
        """Commit further rows: the next data version."""
        store = Store(self.home / "store", "dublin")
        with store.lock():
            store.commit(Load(tables=tables), pd.Timestamp.now("UTC"), {})


def build(root: Path) -> World:
    folder, home = root / "sites" / "dublin", root / "home"
    (folder / "models").mkdir(parents=True)
    (folder / "site.yaml").write_text(yaml.safe_dump(SITE))
    for spec in (FAILURE, QUALITY):
        (folder / "models" / f"{spec['name']}.yaml").write_text(yaml.safe_dump(spec))
    world = World(home, folder, load_site(folder), connect(home))
    world.load(tables())
    snapshot = Store(home / "store", "dublin").snapshot()
    specs = load_models(folder)
    failure, quality = specs["press_failures"], specs["tablet_quality"]
    assert isinstance(failure, FailureSpec)
    assert isinstance(quality, QualitySpec)
    made = {
        "press_failures": train_presses(snapshot, failure, root / "bundles" / "press"),
        "tablet_quality": train_tablets(snapshot, quality, root / "bundles" / "tablets"),
    }
    with world.engine.begin() as connection:
        for name, bundle in made.items():
            versions.register_version(connection, versions.ModelVersion(
                "dublin", name, "1", bundle.sha256, specs[name].task, str(bundle.folder), snapshot.data_version,
                datetime(2026, 3, 2, tzinfo=UTC), True, EVIDENCE,
            ), "trainer", "for the tests")
    return world


def tables() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(7)
    hours = pd.date_range(START, END, freq="2h", inclusive="left")
    readings, orders = [], []
    for p, press in enumerate(PRESSES):
        period = 10 + 2 * p
        day = (np.arange(len(hours)) / 12 + 1.7 * p) % period
        wear = np.clip(day - (period - 5), 0, None)
        readings.append(pd.DataFrame({
            "equipment_id": press, "signal": "vibration", "ts": hours, "quality": "good",
            "value": 2 + wear + rng.normal(0, 0.2, len(hours)),
        }))
        for n, at in enumerate(hours[1:][np.diff(day) < 0]):
            mode = "bearing" if n % 2 else "seal"
            orders.append((f"W-{press}-{n}", press, "corrective", at, at + pd.Timedelta("6h"), mode))
    names = ["work_order_id", "equipment_id", "kind", "opened_at", "closed_at", "failure_mode"]
    return {
        "equipment": pd.DataFrame({
            "equipment_id": [*PRESSES, "room-1"], "equipment_class": ["tablet_press"] * 6 + ["room"], "line": "L1",
        }),
        "signals": pd.DataFrame({
            "equipment_id": PRESSES, "signal": "vibration", "unit": "mm/s", "low": 0.0, "high": 6.0,
        }),
        "readings": pd.concat(readings, ignore_index=True),
        "work_orders": pd.DataFrame(orders, columns=names), **batch_tables(rng),
    }


def batch_tables(rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    n = 150
    names = [f"B-{i:03d}" for i in range(n)]
    start = START + pd.to_timedelta(np.arange(n) * 9.5, unit="h")
    end = start + pd.Timedelta("5h")
    moisture = rng.normal(3, 0.5, n)
    approved = pd.Series(end + pd.Timedelta("5D"))
    value = 90 - 4 * (moisture - 3) + rng.normal(0, 0.3, n)
    approved[approved > END] = pd.NaT  # still in the laboratory
    return {
        "batches": pd.DataFrame({"batch_id": names, "product": "P10", "started_at": start, "ended_at": end}),
        "batch_steps": pd.DataFrame({
            "batch_id": names, "step": "compression", "equipment_id": "press-1", "started_at": start, "ended_at": end,
            "moisture": moisture,
        }),
        "lab_results": pd.DataFrame({
            "result_id": [f"R-{i}" for i in names], "batch_id": names, "attribute": "dissolution", "unit": "%",
            "value": np.where(approved.isna(), np.nan, value), "lower_spec": 86.0, "upper_spec": np.nan,
            "sampled_at": end, "approved_at": approved, "status": np.where(approved.isna(), None, "in_spec"),
        }),
    }


def train_presses(snapshot: Any, spec: FailureSpec, folder: Path) -> bundles.Bundle:
    cutoffs = cutoff_grid(snapshot, pd.Timedelta("12h"), START + pd.Timedelta("2D"), TRAIN_END, PRESSES)
    labels = failure_labels(snapshot, spec.labels, cutoffs)
    features = plan(snapshot, spec.features, "equipment", TRAIN_END, PRESSES)
    matrix = equipment_matrix(snapshot, features, cutoffs)
    modes = sorted(set(labels["mode"]) - {""})
    number = {mode: i for i, mode in enumerate(modes)}
    codes = np.array([number.get(m, -1) if o else -1 for m, o in zip(labels["mode"], labels["observed"], strict=True)])
    model = HazardModel(edges_from_horizons(spec.horizons_h), spec.lightgbm.params(), 20, 7)
    model.fit(matrix.values, labels["duration_h"], codes, n_modes=len(modes))
    total = model.predict_risk(matrix.values, spec.horizons_h).sum(axis=1)
    soon = labels["duration_h"].to_numpy()[:, None] < np.array(spec.horizons_h)
    within = labels["observed"].to_numpy()[:, None] & soon
    calibration = Calibration.fit(spec.horizons_h, total, within.astype(float))
    threshold = Threshold(0.3, 0.1, 1.0, 2.0, 3.0, len(cutoffs), int(within[:, 1].sum()))
    scoring = {"modes": modes, "calibration": calibration.as_dict(), "threshold": threshold.as_dict()}
    return _write(folder, spec, features, {"hazard": model}, scoring, {"": Reference.of(matrix.values)}, snapshot)


def train_tablets(snapshot: Any, spec: QualitySpec, folder: Path) -> bundles.Bundle:
    rows = gate_times(snapshot, [GATE])
    rows = rows[rows["t"] < TRAIN_END].reset_index(drop=True)
    features = plan(snapshot, spec.features, "batch", TRAIN_END, None)
    matrix = batch_matrix(snapshot, features, rows)
    results = snapshot.table("lab_results").set_index("batch_id")
    value = rows["batch_id"].map(results["value"]).to_numpy(float)
    approved = pd.DatetimeIndex(rows["batch_id"].map(results["approved_at"]))
    known = np.asarray(approved < TRAIN_END)
    model = AttributeModel(spec.lightgbm.params(), 20, 7)
    model.fit(matrix.values[known], value[known], rows["t"][known], approved[known])
    part = f"{GATE}/dissolution"
    listed = [{"attribute": "dissolution", "gate": GATE, "part": part, "unit": "%", "verdict": "skilled"}]
    reference = {GATE: Reference.of(matrix.values)}
    return _write(folder, spec, features, {part: model}, {"attributes": listed}, reference, snapshot)


def _write(
    folder: Path, spec: Any, features: Any, parts: dict[str, Any], scoring: dict[str, Any],
    reference: dict[str, Reference], snapshot: Any,
) -> bundles.Bundle:
    data = {"version": snapshot.data_version, "train_start": START.isoformat(), "train_end": TRAIN_END.isoformat()}
    return bundles.write(
        folder, name=spec.name, task=spec.task, spec=spec.as_dict(), plan=features.to_json(), parts=parts,
        evidence={"scoring": scoring}, data=data, golden={}, reference=reference,
    )
