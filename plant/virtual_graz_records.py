"""Dialect of the simulated Graz site: its MES, laboratory and quality records; and how its files are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from plant import virtual_names as names
from plant.virtual_batches import STEP_VALUES
from plant.virtual_export import local, number, text, with_broken, words, write_csv
from plant.virtual_graz_words import (
    ANLAGEN,
    CATEGORIES,
    DECISIONS,
    LINES,
    MATERIALS,
    MINUTE,
    PLANNED,
    PRODUCTS,
    REASONS,
    SEVERITY,
    STATUS,
    STEP_COLUMNS,
    STEPS,
    TESTS,
    ZONE,
)


def write_file(path: Path, frame: pd.DataFrame) -> None:
    """One export: semicolons, cp1252, CRLF."""
    write_csv(path, frame, sep=";", encoding="cp1252", line_end="\r\n")


def decimal(values: pd.Series | np.ndarray, decimals: int, thousands: str = "") -> np.ndarray:
    """Numbers with a decimal comma."""
    return number(values, decimals, ",", thousands)


def minute(stamps: pd.Series) -> np.ndarray:
    """Local times to the minute."""
    return local(stamps, ZONE, MINUTE)


def write_mes(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["downtime"]
    planned = ["" if pd.isna(p) else PLANNED[bool(p)] for p in t["planned"]]
    write_file(
        out / "stillstaende.csv",
        with_broken(
            pd.DataFrame(
                {
                    "STILLSTAND": t["downtime_id"],
                    "ANLAGE": words(t["equipment_id"], ANLAGEN),
                    "VON": minute(t["started_at"]),
                    "BIS": minute(t["ended_at"]),
                    "GRUND": words(t["reason"], REASONS),
                    "GEPLANT": planned,
                }
            ),
            [
                {"STILLSTAND": "590001", "BIS": "03.02.2015 07:00"},
                {"STILLSTAND": "590002", "GRUND": "???"},
                {"STILLSTAND": "590003", "ANLAGE": ""},
            ],
        ),
    )
    t = tables["batches"]
    write_file(
        out / "chargen.csv",
        with_broken(
            pd.DataFrame(
                {
                    "CHARGE": t["batch_id"],
                    "ARTIKEL": words(t["product"], PRODUCTS),
                    "REZEPT": t["recipe"],
                    "MENGE": decimal(t["size"], 0),
                    "LINIE": words(t["line"], LINES),
                    "BEGINN": minute(t["started_at"]),
                    "ENDE": minute(t["ended_at"]),
                    "AUSBEUTE": decimal(t["yield_pct"], 1),
                }
            ),
            [{"CHARGE": "TEST-1", "ARTIKEL": "VERSUCH"}],
        ),
    )
    t = tables["batch_steps"]
    columns = {
        "CHARGE": t["batch_id"],
        "VORGANG": words(t["step"], STEPS),
        "ANLAGE": words(t["equipment_id"], ANLAGEN),
        "BEGINN": minute(t["started_at"]),
        "ENDE": minute(t["ended_at"]),
    }
    for v in STEP_VALUES:
        columns[STEP_COLUMNS[v.name]] = decimal(t[v.name], v.decimals)
    write_file(
        out / "vorgaenge.csv",
        with_broken(
            pd.DataFrame(columns),
            [
                {"CHARGE": "TEST-1", "HAUPTKRAFT_MITTEL": "s. Anhang"},
                {"CHARGE": "TEST-1", "BEGINN": ""},
            ],
        ),
    )
    t = tables["genealogy"]
    write_file(
        out / "einsatzmaterial.csv",
        with_broken(
            pd.DataFrame(
                {
                    "CHARGE": t["batch_id"],
                    "LOS": t["material_lot"],
                    "BEZEICHNUNG": words(t["material"], MATERIALS),
                    "LIEFERANT": t["supplier"],
                    "MENGE_KG": decimal(t["quantity"], 2),
                    "AUSGABE": minute(t["used_at"]),
                }
            ),
            [{"LOS": ""}],
        ),
    )


def write_lims(t: pd.DataFrame, path: Path) -> None:
    cells = {
        name: np.array(
            [
                decimal(np.array([v]), d)[0]
                for v, d in zip(
                    t[name].to_numpy(dtype=np.float64), t["attribute"].map(names.TEST_DECIMALS), strict=True
                )
            ],
            dtype=object,
        )
        for name in ("value", "lower_spec", "upper_spec")
    }
    write_file(
        path,
        with_broken(
            pd.DataFrame(
                {
                    "PROBE": t["result_id"],
                    "CHARGE": text(t["batch_id"]),
                    "LOS": text(t["material_lot"]),
                    "PRUEFUNG": words(t["attribute"], TESTS),
                    "ERGEBNIS": cells["value"],
                    "EINHEIT": t["unit"],
                    "UG": cells["lower_spec"],
                    "OG": cells["upper_spec"],
                    "GEZOGEN": minute(t["sampled_at"]),
                    "FREIGABE": minute(t["approved_at"]),
                    "BEFUND": words(t["status"], STATUS),
                    "GEAENDERT": minute(t["recorded_at"]),
                }
            ),
            [
                {"PROBE": "R990001", "ERGEBNIS": "< BG"},
                {"PROBE": "R990002", "BEFUND": "offen?"},
                {"PROBE": "R990003", "CHARGE": "", "LOS": ""},
            ],
        ),
    )


def write_quality(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["deviations"]
    write_file(
        out / "abweichungen.csv",
        with_broken(
            pd.DataFrame(
                {
                    "ABW": t["deviation_id"],
                    "CHARGE": t["batch_id"],
                    "ANLAGE": words(t["equipment_id"], ANLAGEN),
                    "VORGANG": words(t["step"], STEPS),
                    "SCHWERE": words(t["severity"], SEVERITY),
                    "ART": words(t["category"], CATEGORIES),
                    "EROEFFNET": minute(t["opened_at"]),
                    "ABGESCHLOSSEN": minute(t["closed_at"]),
                }
            ),
            [{"ABW": "D90001", "SCHWERE": "mittel"}],
        ),
    )
    t = tables["dispositions"]
    write_file(
        out / "freigaben.csv",
        with_broken(
            pd.DataFrame(
                {
                    "CHARGE": t["batch_id"],
                    "AKTE_VOLLSTAENDIG": minute(t["record_complete_at"]),
                    "GEPRUEFT": minute(t["reviewed_at"]),
                    "ENTSCHIEDEN": minute(t["disposed_at"]),
                    "ENTSCHEID": words(t["decision"], DECISIONS),
                }
            ),
            [{"CHARGE": "TEST-1", "ENTSCHEID": "?"}],
        ),
    )
