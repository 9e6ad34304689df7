"""Dialect of the simulated Dublin site: a Maximo-shaped CMMS, a long Parquet historian in US units, UTF-8, English."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from plant.virtual_batches import STEP_VALUES
from plant.virtual_dublin_words import (
    AREAS,
    ASSETS,
    CATEGORIES,
    CAUSES,
    CLASSES,
    CRITICALITY,
    DECISIONS,
    EVENT_KINDS,
    EVENTS,
    HISTORIAN_ROUND,
    KINDS,
    LAB,
    LINES,
    MATERIALS,
    MINUTE,
    PLANNED,
    PROBLEMS,
    PRODUCTS,
    QMS,
    QUALITY,
    REASONS,
    SEVERITY,
    STATUS,
    STEPS,
    TESTS,
    UNITS,
    ZONE,
    crosswalks,
    tag,
)
from plant.virtual_export import converted, digits, local, number, text, with_broken, words, write_csv
from plant.virtual_machines import SIGNALS

__all__ = ["crosswalks", "write"]


def write(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """All exports of one history below `out`."""
    _cmms(tables, out / "cmms")
    _historian(tables, out / "historian")
    _mes(tables, out / "mes")
    _lims(tables["lab_results"], out / "lims" / "results.csv")
    _qms(tables, out / "qms")


def _minute(stamps: pd.Series, layout: str = MINUTE) -> np.ndarray:
    return local(stamps, ZONE, layout)


def _cmms(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["equipment"]
    write_csv(
        out / "assets.csv",
        with_broken(
            pd.DataFrame(
                {
                    "ASSETNUM": words(t["equipment_id"], ASSETS),
                    "CLASSSTRUCTURE": words(t["equipment_class"], CLASSES),
                    "AREA": words(t["area"], AREAS),
                    "LINE": words(t["line"], LINES),
                    "PRIORITY": words(t["criticality"], CRITICALITY),
                    "INSTALLDATE": local(t["commissioned_at"], "UTC", "%Y-%m-%d"),
                    "PARENT": words(t["parent_id"], ASSETS),
                }
            ),
            [{"ASSETNUM": "TP-999", "PARENT": ""}],
        ),
    )
    t = tables["work_orders"]
    write_csv(
        out / "workorders.csv",
        with_broken(
            pd.DataFrame(
                {
                    "WONUM": t["work_order_id"],
                    "ASSETNUM": words(t["equipment_id"], ASSETS),
                    "WORKTYPE": words(t["kind"], KINDS),
                    "STATUS": np.where(t["closed_at"].notna(), "CLOSE", "INPRG"),
                    "DESCRIPTION": text(t["text"]),
                    "REPORTDATE": _minute(t["opened_at"]),
                    "ACTSTART": _minute(t["started_at"]),
                    "ACTFINISH": _minute(t["closed_at"]),
                    "FAILURECODE": [p[:2] for p in words(t["failure_mode"], PROBLEMS)],
                    "PROBLEMCODE": words(t["failure_mode"], PROBLEMS),
                    "CAUSECODE": words(t["cause"], CAUSES),
                    "ITEMNUM": text(t["parts"]),
                    "LABORHRS": number(t["labour_hours"], 1),
                    "TOTALCOST": number(t["cost"], 2),
                    "CHANGEDATE": _minute(t["recorded_at"]),
                }
            ),
            [
                {"WONUM": "190001", "WORKTYPE": "EM2"},
                {"WONUM": ""},
                {"WONUM": "190002", "REPORTDATE": "2025-13-02 08:15"},
                {"WONUM": "190003", "ASSETNUM": "TP-999"},
                {"WONUM": "190004", "TOTALCOST": "approx 400"},
                {"WONUM": "190005", "ACTFINISH": "2015-01-07 10:00"},
                {"WONUM": "190006", "PROBLEMCODE": "TP1"},
                {"WONUM": "190007", "REPORTDATE": "2024-10-27 01:30"},
            ],
        ),
    )
    t = tables["spare_parts"]
    write_csv(
        out / "inventory.csv",
        pd.DataFrame(
            {
                "ITEMNUM": t["part_id"],
                "CLASSSTRUCTURE": words(t["equipment_class"], CLASSES),
                "PROBLEMCODE": words(t["failure_mode"], PROBLEMS),
                "CURBAL": number(t["on_hand"], 0),
                "LEADTIME": number(t["lead_time_days"], 0),
            }
        ),
    )


def _historian(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["signals"]
    unit = {name: (s.unit, UNITS.get(s.unit, s.unit)) for name, s in SIGNALS.items()}
    low, high = (
        [
            f"{converted(np.array([v]), *unit[s], HISTORIAN_ROUND)[0]:.{digits(*unit[s], HISTORIAN_ROUND)}f}"
            for v, s in zip(t[side], t["signal"], strict=True)
        ]
        for side in ("low", "high")
    )
    write_csv(
        out / "tags.csv",
        pd.DataFrame(
            {
                "TAG": [tag(e, s) for e, s in zip(t["equipment_id"], t["signal"], strict=True)],
                "ENGUNITS": [unit[s][1] for s in t["signal"]],
                "LOLIM": low,
                "HILIM": high,
            }
        ),
    )
    _readings(tables["readings"], unit, out)
    t = tables["events"]
    write_csv(
        out / "alarms.csv",
        with_broken(
            pd.DataFrame(
                {
                    "EventID": t["event_id"],
                    "Source": words(t["equipment_id"], ASSETS),
                    "Time": local(t["ts"], "UTC", "%Y-%m-%dT%H:%M:%SZ"),
                    "Type": words(t["kind"], EVENT_KINDS),
                    "Code": words(t["code"], EVENTS),
                    "Value": number(t["value"], 1),
                }
            ),
            [{"EventID": "E9000001", "Time": "0000-00-00T00:00:00Z"}, {"EventID": "E9000002", "Code": "TEST_ALARM"}],
        ),
    )


def _readings(readings: pd.DataFrame, unit: dict[str, tuple[str, str]], out: Path) -> None:
    """One Parquet file a month: tag, time (UTC), value, quality. A tag under test is nobody's equipment."""
    values = readings["value"].to_numpy().copy()
    signal = readings["signal"].cat
    for code, name in enumerate(signal.categories):
        rows = signal.codes.to_numpy() == code
        values[rows] = converted(values[rows], *unit[name], HISTORIAN_ROUND)
    equipment = readings["equipment_id"].cat
    pairs = equipment.codes.to_numpy().astype(np.int64) * len(signal.categories) + signal.codes.to_numpy()
    codes, distinct = pd.factorize(pairs)
    tags = [
        tag(equipment.categories[p // len(signal.categories)], signal.categories[p % len(signal.categories)])
        for p in distinct
    ]
    quality = [QUALITY[q] for q in readings["quality"].cat.categories]
    stamps = readings["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    month = stamps.astype("datetime64[M]")
    utc = pa.timestamp("us", tz="UTC")
    schema = pa.schema([("tag", pa.string()), ("time", utc), ("value", pa.float64()), ("quality", pa.string())])
    for m in np.unique(month):
        rows = np.flatnonzero(month == m)
        rows = rows[np.argsort(stamps[rows], kind="stable")]
        under_test = pa.table(
            {
                "tag": ["DUB.TP199.TEST.PV"] * 3,
                "time": pa.array(stamps[rows[[0, 0, 0]]]).cast(utc),
                "value": [0.0, 1.0, 2.0],
                "quality": ["Good"] * 3,
            },
            schema=schema,
        )
        table = pa.table(
            {
                "tag": pa.DictionaryArray.from_arrays(codes[rows].astype(np.int32), tags).cast(pa.string()),
                "time": pa.array(stamps[rows]).cast(utc),
                "value": values[rows],
                "quality": pa.DictionaryArray.from_arrays(
                    readings["quality"].cat.codes.to_numpy()[rows].astype(np.int32), quality
                ).cast(pa.string()),
            },
            schema=schema,
        )
        pq.write_table(pa.concat_tables([table, under_test]), out / f"readings_{m}.parquet", compression="zstd")


def _mes(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["downtime"]
    planned = ["" if pd.isna(p) else PLANNED[bool(p)] for p in t["planned"]]
    write_csv(
        out / "downtime.csv",
        with_broken(
            pd.DataFrame(
                {
                    "STOP_ID": t["downtime_id"],
                    "ASSET": words(t["equipment_id"], ASSETS),
                    "START": _minute(t["started_at"]),
                    "END": _minute(t["ended_at"]),
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
                    "START": _minute(t["started_at"]),
                    "END": _minute(t["ended_at"]),
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
        "START": _minute(t["started_at"]),
        "END": _minute(t["ended_at"]),
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
                    "ISSUED": _minute(t["used_at"]),
                }
            ),
            [{"LOT": ""}],
        ),
    )


def _lims(t: pd.DataFrame, path: Path) -> None:
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
                    "SAMPLED": _minute(t["sampled_at"], LAB),
                    "APPROVED": _minute(t["approved_at"], LAB),
                    "STATUS": words(t["status"], STATUS),
                }
            ),
            [
                {"RESULT_ID": "R990001", "RESULT": "<LOQ"},
                {"RESULT_ID": "R990002", "STATUS": "HOLD"},
                {"RESULT_ID": "R990003", "BATCH": "", "LOT": ""},
            ],
        ),
    )


def _qms(tables: dict[str, pd.DataFrame], out: Path) -> None:
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
                    "OPENED": _minute(t["opened_at"], QMS),
                    "CLOSED": _minute(t["closed_at"], QMS),
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
                    "RECORD_COMPLETE": _minute(t["record_complete_at"], QMS),
                    "REVIEWED": _minute(t["reviewed_at"], QMS),
                    "DISPOSED": _minute(t["disposed_at"], QMS),
                    "DECISION": words(t["decision"], DECISIONS),
                }
            ),
            [{"BATCH": "TEST-1", "DECISION": "QUARANTINE?"}],
        ),
    )
