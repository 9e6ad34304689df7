"""Words of the simulated Graz site: equipment numbers, channels, German codes; and the crosswalks that undo them."""

from __future__ import annotations

import pandas as pd

from plant import virtual_names as names
from plant.virtual_batches import STEP_VALUES
from plant.virtual_export import crosswalk
from plant.virtual_utilities import SIGNALS

ZONE = "Europe/Vienna"
MINUTE, SECOND = "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S"
SAP_CLOCK = "7min"
UNITS = {"kPa": "bar", "Pa": "mbar"}
SIGNAL_UNITS = {"ejection_force": "kN"}

CLASSES = dict(
    zip(
        names.CLASSES,
        (
            "Granulierer",
            "WS-Trockner",
            "Mischer",
            "Tablettenpresse",
            "Coater",
            "Blisterlinie",
            "Lüftungsanlage",
            "Reinstwasseranlage",
            "Druckluftanlage",
            "Raum",
        ),
        strict=True,
    )
)
FILES = dict(
    zip(
        names.CLASSES,
        (
            "granulierer",
            "trockner",
            "mischer",
            "pressen",
            "coater",
            "blister",
            "lueftung",
            "reinstwasser",
            "druckluft",
            "raeume",
        ),
        strict=True,
    )
)
_MES = (
    "GRANULIERER",
    "TROCKNER",
    "MISCHER",
    "PRESSE",
    "COATER",
    "BLISTER",
    "RLT",
    "PW",
    "DRUCKLUFT",
    "RAUM",
)


def _nth(equipment: str) -> int:
    return int(equipment.rsplit("-", 1)[1])


_ALL = [*names.UNITS, *names.ROOMS]
EQUNR = {e: f"{10004000 + 100 * (names.class_of_unit(e) + 1) + _nth(e)}" for e in _ALL}
ANLAGEN = {e: f"{_MES[names.class_of_unit(e)]}_{_nth(e):02d}" for e in _ALL}
AREAS = {
    "granulation": "Granulierung",
    "blending": "Mischen",
    "compression": "Tablettierung",
    "coating": "Filmüberzug",
    "packaging": "Verpackung",
    "air_handling": "Lüftung",
    "utilities": "Medien",
}
LINES = {line: line.replace("line-", "Linie ") for line in names.LINES}
CODES = {
    m: f"ZPM-{names.CLASSES.index(names.CLASS_OF[m]) + 1:02d}/{10 * (n % 3 + 1):04d}" for n, m in enumerate(names.MODES)
}
CAUSES = {c: f"ZURS/{n + 1:04d}" for n, c in enumerate(names.CAUSE_NAMES)}
REASONS = dict(
    zip(
        names.REASONS,
        ("Störung", "Wartung", "Stau", "Grenzwert", "Materialmangel", "Bedienereingriff", "Sensorfehler"),
        strict=True,
    )
)
EVENTS = {c: f"M{2001 + 7 * n}" for n, c in enumerate(names.EVENT_CODES)}
KINDS = {"corrective": "M2", "preventive": "W1", "inspection": "I1", "calibration": "K1"}
EVENT_KINDS = {"alarm": "Alarm", "error": "Störung", "state": "Zustand"}
QUALITY = {"good": "192", "uncertain": "64", "bad": "0"}
STEPS = dict(
    zip(
        names.STEP_NAMES,
        ("Granulieren", "Trocknen", "Mischen", "Tablettieren", "Coaten", "Verpacken", "Ansetzen"),
        strict=True,
    )
)
PRODUCTS = {p: f"4711-{50 + 10 * n:03d}" for n, p in enumerate(names.PRODUCT_NAMES)}
MATERIALS = dict(
    zip(
        names.MATERIAL_NAMES,
        (
            "Wirkstoff",
            "Laktose",
            "Mikrokrist. Zellulose",
            "Stärke",
            "Magnesiumstearat",
            "Filmüberzug",
            "Coatingsuspension",
        ),
        strict=True,
    )
)
PARTS = {p: f"{81002000 + 13 * n}" for n, p in enumerate(names.PART_IDS)}
TESTS = dict(
    zip(
        names.TESTS,
        (
            "Trocknungsverlust",
            "Härte",
            "Gehalt",
            "Freisetzung",
            "Gleichförmigkeit AV",
            "Verunreinigungen gesamt",
            "Partikelgröße Wirkstoff",
            "Verunreinigung Wirkstoff",
            "Feuchte Laktose",
            "Schüttdichte MCC",
            "Feuchte Stärke",
            "Oberfläche Mg-Stearat",
            "Viskosität Film",
            "Viskosität Suspension",
        ),
        strict=True,
    )
)
STATUS = {"in_spec": "i.O.", "out_of_spec": "n.i.O.", "out_of_trend": "auffällig", "invalidated": "ungültig"}
CRITICALITY = {"high": "A", "medium": "B", "low": "C"}
SEVERITY = {"critical": "kritisch", "major": "schwer", "minor": "leicht"}
CATEGORIES = {
    "laboratory_result": "Laborergebnis",
    "equipment": "Anlage",
    "documentation": "Dokumentation",
    "environment": "Umgebung",
}
DECISIONS = {"released": "frei", "rejected": "gesperrt", "reworked": "Nacharbeit"}
PLANNED = {True: "ja", False: "nein"}
CHANNELS = {
    "impeller_power": "LEISTUNG_RUEHRER",
    "vibration": "SCHWINGUNG",
    "seal_air_flow": "SPERRLUFT",
    "spray_pressure": "SPRUEHDRUCK",
    "inlet_temperature": "ZULUFTTEMP",
    "filter_pressure_drop": "DP_FILTER",
    "fan_vibration": "SCHWINGUNG_VENT",
    "fan_current": "STROM_VENT",
    "heater_power": "LEISTUNG_HEIZ",
    "gearbox_temperature": "TEMP_GETRIEBE",
    "brake_stop_time": "BREMSZEIT",
    "valve_closing_time": "ZEIT_KLAPPE",
    "main_force": "HAUPTKRAFT",
    "ejection_force": "AUSSTOSSKRAFT",
    "bearing_temperature": "TEMP_LAGER",
    "feeder_torque": "MOMENT_FUELLER",
    "spray_rate": "SPRUEHRATE",
    "atomising_pressure": "ZERSTAEUBERDRUCK",
    "drum_vibration": "SCHWINGUNG_TROMMEL",
    "drum_current": "STROM_TROMMEL",
    "exhaust_pressure_drop": "DP_ABLUFT",
    "sealing_temperature": "TEMP_SIEGEL",
    "sealing_pressure": "DRUCK_SIEGEL",
    "forming_temperature": "TEMP_FORM",
    "heater_current": "STROM_HEIZ",
    "feed_torque": "MOMENT_VORZUG",
    "supply_filter_pressure_drop": "DP_ZULUFTFILTER",
    "supply_air_flow": "VOLUMENSTROM",
    "supply_fan_vibration": "SCHWINGUNG_ZULUFT",
    "coil_valve_position": "STELLUNG_REGISTER",
    "conductivity": "LEITFAEHIGKEIT",
    "feed_pressure": "DRUCK_ZULAUF",
    "loop_flow": "DURCHFLUSS_LOOP",
    "loop_pump_vibration": "SCHWINGUNG_LOOPPUMPE",
    "uv_intensity": "UV_INTENSITAET",
    "toc": "TOC",
    "air_pressure": "NETZDRUCK",
    "discharge_temperature": "TEMP_VERDICHTER",
    "dew_point": "TAUPUNKT",
    "separator_pressure_drop": "DP_ABSCHEIDER",
    "motor_current": "STROM_VERDICHTER",
    "room_temperature": "TEMP_RAUM",
    "relative_humidity": "FEUCHTE",
    "differential_pressure": "DP_RAUM",
}
STEP_COLUMNS = dict(
    zip(
        [v.name for v in STEP_VALUES],
        (
            "SPRUEHRATE_BINDER",
            "LEISTUNG_ENDE",
            "ZULUFT_MITTEL",
            "ENDFEUCHTE",
            "MISCHZEIT",
            "HAUPTKRAFT_MITTEL",
            "HAUPTKRAFT_STABW",
            "TABL_GEWICHT",
            "SPRUEHRATE_COATING",
            "PRODUKTTEMP_MITTEL",
            "SIEGELTEMP_MITTEL",
            "AUSSCHUSS",
        ),
        strict=True,
    )
)


def unit_of(signal: str) -> tuple[str, str]:
    """Unit of a signal in the plant language and in these exports."""
    unit = SIGNALS[signal].unit
    return unit, SIGNAL_UNITS.get(signal, UNITS.get(unit, unit))


def crosswalks() -> dict[str, pd.DataFrame]:
    """Files of the site's `crosswalks` folder."""
    codes = crosswalk(CODES, "fegrp_fecod", "failure_mode")
    return {
        "equipment.csv": crosswalk(EQUNR, "equnr", "equipment_id"),
        "anlagen.csv": crosswalk(ANLAGEN, "anlage", "equipment_id"),
        "kanaele.csv": pd.DataFrame(
            [(c, s, *unit_of(s)) for s, c in CHANNELS.items()], columns=["kanal", "signal", "unit", "einheit"]
        ),
        "schadenscodes.csv": codes.assign(mechanism=codes["failure_mode"].map(names.MECHANISM_OF)),
        "ursachencodes.csv": crosswalk(CAUSES, "urgrp_urcod", "cause"),
        "linien.csv": crosswalk(LINES, "linie", "line"),
        "meldungscodes.csv": crosswalk(EVENTS, "meldung", "code"),
        "material.csv": crosswalk(MATERIALS, "bezeichnung", "material"),
        "produkte.csv": crosswalk(PRODUCTS, "artikel", "product"),
        "ersatzteile.csv": crosswalk(PARTS, "matnr", "part_id"),
        "pruefungen.csv": crosswalk(TESTS, "pruefung", "attribute"),
    }
