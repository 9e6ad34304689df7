"""Dialect of the simulated Graz site: SAP PM notifications, wide historian files, German, cp1252, decimal comma.

The clock of the maintenance system is seven minutes fast. Historian files are wide: one for each class of
machine, one column a measuring point, one row a machine and time.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from plant import virtual_names as names
from plant.virtual_export import converted, digits, local, text, with_broken, words
from plant.virtual_graz_records import decimal, write_file, write_lims, write_mes, write_quality
from plant.virtual_graz_words import (
    ANLAGEN,
    AREAS,
    CAUSES,
    CHANNELS,
    CLASSES,
    CODES,
    CRITICALITY,
    EQUNR,
    EVENT_KINDS,
    EVENTS,
    FILES,
    KINDS,
    LINES,
    MINUTE,
    PARTS,
    QUALITY,
    SAP_CLOCK,
    SECOND,
    ZONE,
    crosswalks,
    unit_of,
)

__all__ = ["crosswalks", "write"]


def write(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """All exports of one history below `out`."""
    _sap(tables, out / "sap")
    _historian(tables, out / "prozessdaten")
    write_mes(tables, out / "mes")
    write_lims(tables["lab_results"], out / "labor" / "ergebnisse.csv")
    write_quality(tables, out / "qs")


def _sap_time(stamps: pd.Series) -> np.ndarray:
    return local(stamps, ZONE, MINUTE, SAP_CLOCK)


def _part(cells: np.ndarray, n: int) -> list[str]:
    return [c.split("/")[n] if c else "" for c in cells]


def _sap(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["equipment"]
    write_file(
        out / "equipment.csv",
        with_broken(
            pd.DataFrame(
                {
                    "EQUNR": words(t["equipment_id"], EQUNR),
                    "EQART": words(t["equipment_class"], CLASSES),
                    "BEREICH": words(t["area"], AREAS),
                    "LINIE": words(t["line"], LINES),
                    "ABCKZ": words(t["criticality"], CRITICALITY),
                    "INBDT": local(t["commissioned_at"], "UTC", "%d.%m.%Y"),
                    "HEQUI": words(t["parent_id"], EQUNR),
                }
            ),
            [{"EQUNR": "10009999", "HEQUI": ""}],
        ),
    )
    t = tables["work_orders"]
    damage, cause = words(t["failure_mode"], CODES), words(t["cause"], CAUSES)
    corrective = (t["kind"] == "corrective").to_numpy()
    hours = ((t["closed_at"] - t["opened_at"]) / pd.Timedelta(hours=1)).where(corrective)
    write_file(
        out / "meldungen.csv",
        with_broken(
            pd.DataFrame(
                {
                    "QMNUM": t["work_order_id"],
                    "QMART": words(t["kind"], KINDS),
                    "EQUNR": words(t["equipment_id"], EQUNR),
                    "QMTXT": text(t["text"]),
                    "QMDAT": _sap_time(t["opened_at"]),
                    "ARBBEG": _sap_time(t["started_at"]),
                    "QMDAB": _sap_time(t["closed_at"]),
                    "AUSVN": np.where(corrective, _sap_time(t["opened_at"]), ""),
                    "AUSBS": np.where(corrective, _sap_time(t["closed_at"]), ""),
                    "AUZTV": decimal(hours, 2),
                    "FEGRP": _part(damage, 0),
                    "FECOD": _part(damage, 1),
                    "URGRP": _part(cause, 0),
                    "URCOD": _part(cause, 1),
                    "MATNR": words(t["parts"], PARTS),
                    "ISTSTD": decimal(t["labour_hours"], 1),
                    "ISTKOSTEN": decimal(t["cost"], 2, "."),
                    "AEDAT": _sap_time(t["recorded_at"]),
                }
            ),
            [
                {"QMNUM": "490001", "QMART": "ZZ"},
                {"QMNUM": ""},
                {"QMNUM": "490002", "QMDAT": "31.02.2025 07:40"},
                {"QMNUM": "490003", "EQUNR": "10009999"},
                {"QMNUM": "490004", "ISTKOSTEN": "ca. 400"},
                {"QMNUM": "490005", "QMDAB": "07.01.2015 10:00"},
                {"QMNUM": "490006", "FEGRP": "ZPM-99", "FECOD": "0010"},
                {"QMNUM": "490007", "QMDAT": "27.10.2024 02:30"},
            ],
        ),
    )
    t = tables["spare_parts"]
    damage = words(t["failure_mode"], CODES)
    write_file(
        out / "ersatzteile.csv",
        pd.DataFrame(
            {
                "MATNR": words(t["part_id"], PARTS),
                "EQART": words(t["equipment_class"], CLASSES),
                "FEGRP": _part(damage, 0),
                "FECOD": _part(damage, 1),
                "LABST": decimal(t["on_hand"], 0),
                "PLIFZ": decimal(t["lead_time_days"], 0),
            }
        ),
    )


def _historian(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["signals"]
    limits = {
        side: [
            decimal(converted(np.array([v]), *unit_of(s), 3), digits(*unit_of(s), 3))[0]
            for v, s in zip(t[side], t["signal"], strict=True)
        ]
        for side in ("low", "high")
    }
    write_file(
        out / "messstellen.csv",
        pd.DataFrame(
            {
                "ANLAGE": words(t["equipment_id"], ANLAGEN),
                "KANAL": words(t["signal"], CHANNELS),
                "EINHEIT": [unit_of(s)[1] for s in t["signal"]],
                "MIN": limits["low"],
                "MAX": limits["high"],
            }
        ),
    )
    for name, frame in wide(tables["readings"]).items():
        write_file(
            out / f"verlauf_{FILES[name]}.csv",
            with_broken(frame, [{"Anlage": "PRUEFSTAND"}] * 2 if name == "tablet_press" else []),
        )
    t = tables["events"]
    write_file(
        out / "meldearchiv.csv",
        with_broken(
            pd.DataFrame(
                {
                    "NR": t["event_id"],
                    "ANLAGE": words(t["equipment_id"], ANLAGEN),
                    "ZEIT": local(t["ts"], ZONE, SECOND),
                    "ART": words(t["kind"], EVENT_KINDS),
                    "MELDUNG": words(t["code"], EVENTS),
                    "WERT": decimal(t["value"], 1),
                }
            ),
            [{"NR": "E9000001", "ZEIT": "00.00.0000 00:00:00"}, {"NR": "E9000002", "MELDUNG": "TEST"}],
        ),
    )


def wide(readings: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Per class: Zeit, Anlage, Status and one column a channel; a row for each machine and time with a reading."""
    equipment, signal = readings["equipment_id"].cat, readings["signal"].cat
    kind = np.array([names.class_of_unit(e) for e in equipment.categories])[equipment.codes]
    seconds = readings["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[s]").astype(np.int64)
    where = seconds * len(equipment.categories) + equipment.codes.to_numpy()
    value, status = readings["value"].to_numpy(), readings["quality"].cat.codes.to_numpy()
    out: dict[str, pd.DataFrame] = {}
    for k, name in enumerate(names.CLASSES):
        mine = np.flatnonzero(kind == k)
        keys, first, row = np.unique(where[mine], return_index=True, return_inverse=True)
        frame = pd.DataFrame(
            {
                "Zeit": local(readings["ts"].iloc[mine[first]], "UTC", SECOND),
                "Anlage": np.array([ANLAGEN[e] for e in equipment.categories], dtype=object)[
                    keys % len(equipment.categories)
                ],
                "Status": np.array([QUALITY[q] for q in readings["quality"].cat.categories], dtype=object)[
                    status[mine[first]]
                ],
            }
        )
        for s in names.signals_of(k):
            values = np.full(len(keys), np.nan)
            cells = signal.codes.to_numpy()[mine] == list(signal.categories).index(s.name)
            values[row[cells]] = value[mine[cells]]
            frame[CHANNELS[s.name]] = decimal(
                converted(values, *unit_of(s.name), s.decimals), digits(*unit_of(s.name), s.decimals)
            )
        out[name] = frame
    return out
