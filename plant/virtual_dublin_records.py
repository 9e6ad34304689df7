"""Dialect of the simulated Dublin site: its MES, laboratory and quality records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from plant.virtual_batches import STEP_VALUES
from plant.virtual_dublin_words import (
    ASSETS,
    CATEGORIES,
    DECISIONS,
    LAB,
    LINES,
    MATERIALS,
    MINUTE,
    PLANNED,
    PRODUCTS,
    QMS,
    REASONS,
    SEVERITY,
    STATUS,
    STEPS,
    TESTS,
    UNITS,
    ZONE,
)
from plant.virtual_export import converted, digits, local, number, text, with_broken, words, write_csv


def minute(stamps: pd.Series, layout: str = MINUTE) -> np.ndarray:
    """Local times to the minute."""
    return local(stamps, ZONE, layout)


def write_mes(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["downtime"]
    planned = ["" if pd.isna(p) else PLANNED[bool(p)] for p in t["planned"]]
    write_csv(
        out / "downtime.csv",
        with_broken(
            pd.DataFrame(
                {
                    "STOP_ID": t["downtime_id"],
                    "ASSET": words(t["equipment_id"], ASSETS),
                    "START": minute(t["started_at"]),
                    "END": minute(t["ended_at"]),
                    "REASON": words(t["reason"], REASONS),
                    "PLANNED": planned,
                }
            ),
            [
                {"STOP_ID": "590001", "END": "2015-02-03 07:00"},
                {"STOP_ID": "590002", "REASON": "??"},
                {"STOP_ID": "590003", "ASSET": ""},
            ],
        ),
    )
    t = tables["batches"]
    write_csv(
        out / "batches.csv",
        with_broken(
            pd.DataFrame(
                {
                    "BATCH": t["batch_id"],
                    "ITEM": words(t["product"], PRODUCTS),
                    "RECIPE": t["recipe"],
                    "QTY": number(t["size"], 0),
                    "LINE": words(t["line"], LINES),
                    "START": minute(t["started_at"]),
                    "END": minute(t["ended_at"]),
                    "YIELD": number(t["yield_pct"], 1),
                }
            ),
            [{"BATCH": "TEST-1", "ITEM": "FG-TRIAL"}],
        ),
    )
    t = tables["batch_steps"]
    columns = {
        "BATCH": t["batch_id"],
        "STEP": words(t["step"], STEPS),
        "ASSET": words(t["equipment_id"], ASSETS),
        "START": minute(t["started_at"]),
        "END": minute(t["ended_at"]),
    }
    for v in STEP_VALUES:
        other = UNITS.get(v.unit, v.unit) if v.unit == "degC" else v.unit
        columns[v.name.upper()] = number(
            converted(t[v.name].to_numpy(), v.unit, other, v.decimals), digits(v.unit, other, v.decimals)
        )
    write_csv(
        out / "steps.csv",
        with_broken(
            pd.DataFrame(columns),
            [
                {"BATCH": "TEST-1", "MAIN_FORCE_MEAN": "see attached"},
                {"BATCH": "TEST-1", "START": ""},
            ],
        ),
    )
    t = tables["genealogy"]
    write_csv(
        out / "materials.csv",
        with_broken(
            pd.DataFrame(
                {
                    "BATCH": t["batch_id"],
                    "LOT": t["material_lot"],
                    "ITEM": words(t["material"], MATERIALS),
                    "SUPPLIER": t["supplier"],
                    "QTY_KG": number(t["quantity"], 2),
                    "ISSUED": minute(t["used_at"]),
                }
            ),
            [{"LOT": ""}],
        ),
    )


def write_lims(t: pd.DataFrame, path: Path) -> None:
    hard = (t["attribute"] == "hardness").to_numpy()
    cells: dict[str, np.ndarray] = {}
    for name in ("value", "lower_spec", "upper_spec"):
        values = t[name].to_numpy(dtype=np.float64)
        cells[name] = np.array(number(values, 3), dtype=object)
        cells[name][hard] = number(converted(values[hard], "N", "kgf", 1), digits("N", "kgf", 1))
    write_csv(
        path,
        with_broken(
            pd.DataFrame(
                {
                    "RESULT_ID": t["result_id"],
                    "BATCH": text(t["batch_id"]),
                    "LOT": text(t["material_lot"]),
                    "TEST": words(t["attribute"], TESTS),
                    "RESULT": cells["value"],
                    "UOM": np.where(hard, "kgf", t["unit"]),
                    "LSL": cells["lower_spec"],
                    "USL": cells["upper_spec"],
                    "SAMPLED": minute(t["sampled_at"], LAB),
                    "APPROVED": minute(t["approved_at"], LAB),
                    "STATUS": words(t["status"], STATUS),
                    "CORRECTED": minute(t["recorded_at"], LAB),
                }
            ),
            [
                {"RESULT_ID": "R990001", "RESULT": "<LOQ"},
                {"RESULT_ID": "R990002", "STATUS": "HOLD"},
                {"RESULT_ID": "R990003", "BATCH": "", "LOT": ""},
            ],
        ),
    )


def write_qms(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["deviations"]
    write_csv(
        out / "deviations.csv",
        with_broken(
            pd.DataFrame(
                {
                    "DEV": t["deviation_id"],
                    "BATCH": t["batch_id"],
                    "ASSET": words(t["equipment_id"], ASSETS),
                    "STEP": words(t["step"], STEPS),
                    "SEVERITY": words(t["severity"], SEVERITY),
                    "CATEGORY": words(t["category"], CATEGORIES),
                    "OPENED": minute(t["opened_at"], QMS),
                    "CLOSED": minute(t["closed_at"], QMS),
                }
            ),
            [{"DEV": "D90001", "SEVERITY": "MEDIUM"}],
        ),
    )
    t = tables["dispositions"]
    write_csv(
        out / "dispositions.csv",
        with_broken(
            pd.DataFrame(
                {
                    "BATCH": t["batch_id"],
                    "RECORD_COMPLETE": minute(t["record_complete_at"], QMS),
                    "REVIEWED": minute(t["reviewed_at"], QMS),
                    "DISPOSED": minute(t["disposed_at"], QMS),
                    "DECISION": words(t["decision"], DECISIONS),
                }
            ),
            [{"BATCH": "TEST-1", "DECISION": "QUARANTINE?"}],
        ),
    )
