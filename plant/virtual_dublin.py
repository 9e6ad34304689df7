"""Dialect of the simulated Dublin site: a Maximo-shaped CMMS, a long Parquet historian in US units, UTF-8, English."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from plant.virtual_dublin_records import minute, write_lims, write_mes, write_qms
from plant.virtual_dublin_words import (
    AREAS,
    ASSETS,
    CAUSES,
    CLASSES,
    CRITICALITY,
    EVENT_KINDS,
    EVENTS,
    HISTORIAN_ROUND,
    KINDS,
    LINES,
    PROBLEMS,
    QUALITY,
    UNITS,
    crosswalks,
    tag,
)
from plant.virtual_export import converted, digits, local, number, text, with_broken, words, write_csv
from plant.virtual_utilities import SIGNALS

__all__ = ["crosswalks", "write"]


def write(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """All exports of one history below `out`."""
    _cmms(tables, out / "cmms")
    _historian(tables, out / "historian")
    write_mes(tables, out / "mes")
    write_lims(tables["lab_results"], out / "lims" / "results.csv")
    write_qms(tables, out / "qms")


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
                    "REPORTDATE": minute(t["opened_at"]),
                    "ACTSTART": minute(t["started_at"]),
                    "ACTFINISH": minute(t["closed_at"]),
                    "FAILURECODE": [p[:2] for p in words(t["failure_mode"], PROBLEMS)],
                    "PROBLEMCODE": words(t["failure_mode"], PROBLEMS),
                    "CAUSECODE": words(t["cause"], CAUSES),
                    "ITEMNUM": text(t["parts"]),
                    "LABORHRS": number(t["labour_hours"], 1),
                    "TOTALCOST": number(t["cost"], 2),
                    "CHANGEDATE": minute(t["recorded_at"]),
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
