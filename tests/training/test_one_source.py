"""Plants that keep only one kind of record: orders without sensors, sensors with a list of failures; threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from features.labels import failure_labels
from plant.snapshot import Frames
from tests.training.small import DAY, START, failure_spec, fingerprint, machines
from training.failure import train_failure


def serviced(count: int = 15, days: int = 200, seed: int = 4) -> Frames:
    """Pumps that mostly fail three or four days after an inspection found something; nothing but orders is known."""
    rng, orders = np.random.default_rng(seed), []
    for machine in range(count):
        at = 0.0
        while (at := at + rng.uniform(14, 35)) < days:
            found = at - rng.uniform(3, 4)
            for kind, day in (("inspection", found), ("corrective", at)):
                opened = START + pd.Timedelta(hours=round(day * 24))
                orders.append({
                    "work_order_id": f"{machine}/{len(orders)}", "equipment_id": f"pump-{machine:02d}", "kind": kind,
                    "opened_at": opened, "closed_at": opened + pd.Timedelta("2h"),
                    "failure_mode": "leak" if kind == "corrective" else None,
                })
    equipment = pd.DataFrame({"equipment_id": [f"pump-{m:02d}" for m in range(count)], "equipment_class": "pump"})
    return Frames({"equipment": equipment, "work_orders": pd.DataFrame(orders)})


def test_orders_alone_train() -> None:
    spec = failure_spec(features={"sensors": False, "events": False, "downtime": False,
                                  "maintenance": {"windows": ["7d", "30d"]}})
    evidence = train_failure(serviced(), spec).evidence
    judged = evidence["horizons"]["72h"]
    assert judged["failures"] > 10
    assert judged["auc"] > 0.85
    assert judged["auc"] > judged["baselines"]["age"]["auc"]


def test_sensors_and_a_list_of_failures_train() -> None:
    plant = machines()
    orders = plant.table("work_orders")
    failures = pd.DataFrame({
        "event_id": orders["work_order_id"], "equipment_id": orders["equipment_id"], "ts": orders["opened_at"],
        "kind": "error", "code": orders["failure_mode"],
    })
    listed = Frames({"equipment": plant.table("equipment"), "readings": plant.table("readings"), "events": failures})
    spec = failure_spec(
        features={"sensors": {"windows": ["24h"], "statistics": ["mean"]}, "maintenance": False, "events": False,
                  "downtime": False},
        labels={"failure": {"kinds": [], "events": {"kind": "error"}}},
    )
    trained = train_failure(listed, spec)
    assert trained.modes == ("bearing", "leak")
    assert trained.evidence["horizons"]["72h"]["auc"] > 0.95


def test_threads_change_no_byte_of_the_model(tmp_path: Path) -> None:
    made = train_failure(machines(count=6, days=170), failure_spec(
        split={"test_from": (START + 120 * DAY).isoformat(), "folds": 1},
        cutoffs={"every": "24h", "end": (START + 165 * DAY).isoformat()},
    ))
    known = failure_labels(machines(count=6, days=170), failure_spec().labels, made.matrix.rows)
    prints = []
    for threads in (1, 2):
        model = made.last.model.set_params(num_threads=threads)
        model.fit(made.matrix.values, known["duration_h"], np.where(known["observed"], 0, -1))
        prints.append(fingerprint(_saved(model, tmp_path / str(threads))))
    assert prints[0] == prints[1]


def _saved(model: object, folder: Path) -> Path:
    model.save(folder)  # type: ignore[attr-defined]
    return folder
