"""Words of the simulated Dublin site: asset numbers, tags, codes; and the crosswalks that undo them."""

from __future__ import annotations

import pandas as pd

from plant import virtual_names as names
from plant.virtual_export import crosswalk

ZONE = "Europe/Dublin"
MINUTE, LAB, QMS = "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%d-%b-%Y %H:%M"
HISTORIAN_ROUND = 4  # decimals that the mapping keeps after conversion
UNITS = {"degC": "degF", "kPa": "psi", "kN": "lbf", "mm/s": "inch/s", "kW": "hp"}

_SHORT = ("GR", "FB", "BL", "TP", "CT", "PK", "AH", "PW", "CA", "RM")
ASSETS = {e: f"{_SHORT[names.class_of_unit(e)]}-{100 + int(e.rsplit('-', 1)[1])}" for e in [*names.UNITS, *names.ROOMS]}
CLASSES = dict(
    zip(
        names.CLASSES,
        (
            "GRANULATOR",
            "FBDRYER",
            "BINBLENDER",
            "ROTARYPRESS",
            "FILMCOATER",
            "BLISTERLINE",
            "AHU",
            "PWSYSTEM",
            "AIRCOMP",
            "HVACROOM",
        ),
        strict=True,
    )
)
AREAS = {a: a.upper().replace("_", " ") for a in names.AREAS}
LINES = {line: line.replace("line-", "L") for line in names.LINES}
PROBLEMS = {m: f"{_SHORT[names.CLASSES.index(names.CLASS_OF[m])]}{n % 3 + 1:02d}" for n, m in enumerate(names.MODES)}
CAUSES = {c: f"C{10 * (n + 1)}" for n, c in enumerate(names.CAUSE_NAMES)}
REASONS = dict(zip(names.REASONS, ("BD", "PM", "JAM", "LIM", "MAT", "OPR", "SNS"), strict=True))
EVENTS = {c: c.upper().replace("_LIMIT", "_HI") for c in names.EVENT_CODES}
KINDS = {"corrective": "CM", "preventive": "PM", "inspection": "INSP", "calibration": "CAL"}
EVENT_KINDS = {"alarm": "ALM", "error": "ERR", "state": "STA"}
QUALITY = {"good": "Good", "uncertain": "Questionable", "bad": "Bad"}
STEPS = dict(zip(names.STEP_NAMES, ("GRAN", "DRY", "BLEND", "COMP", "COAT", "PACK", "SUSP"), strict=True))
PRODUCTS = {p: f"FG-{1001 + n}" for n, p in enumerate(names.PRODUCT_NAMES)} | {"Coating suspension": "IM-2001"}
MATERIALS = {m: f"RM-{m.upper()[:8]}" for m in names.MATERIAL_NAMES} | {"coating_suspension": "IM-COATSUSP"}
TESTS = {t: t.upper() for t in names.TESTS} | {
    "hardness": "HARD",
    "dissolution": "DISS30",
    "content_uniformity": "CU-AV",
    "loss_on_drying": "LOD",
}
STATUS = {"in_spec": "PASS", "out_of_spec": "OOS", "out_of_trend": "OOT", "invalidated": "INVALID"}
CRITICALITY = {"high": "1", "medium": "2", "low": "3"}
SEVERITY = {"critical": "CRIT", "major": "MAJ", "minor": "MIN"}
CATEGORIES = {"laboratory_result": "LAB", "equipment": "EQUIP", "documentation": "DOC", "environment": "ENV"}
DECISIONS = {"released": "REL", "rejected": "REJ", "reworked": "RWK"}
PLANNED = {True: "Y", False: "N"}


def tag(equipment: str, signal: str) -> str:
    """Historian tag, e.g. DUB.TP101.MAIN_FORCE.PV."""
    return f"DUB.{ASSETS[equipment].replace('-', '')}.{signal.upper()}.PV"


def crosswalks() -> dict[str, pd.DataFrame]:
    """Files of the site's `crosswalks` folder."""
    tags = []
    for e in [*names.UNITS, *names.ROOMS]:
        kind = names.class_of_unit(e)
        for s in names.signals_of(kind):
            tags.append((tag(e, s.name), e, s.name, s.unit, UNITS.get(s.unit, s.unit)))
    problems = crosswalk(PROBLEMS, "problem_code", "failure_mode")
    return {
        "assets.csv": crosswalk(ASSETS, "asset", "equipment_id"),
        "tags.csv": pd.DataFrame(tags, columns=["tag", "equipment_id", "signal", "unit", "source_unit"]),
        "problem_codes.csv": problems.assign(mechanism=problems["failure_mode"].map(names.MECHANISM_OF)),
        "cause_codes.csv": crosswalk(CAUSES, "cause_code", "cause"),
        "lines.csv": crosswalk(LINES, "line_code", "line"),
        "event_codes.csv": crosswalk(EVENTS, "event_code", "code"),
        "materials.csv": crosswalk(MATERIALS, "item", "material"),
        "products.csv": crosswalk(PRODUCTS, "item", "product"),
        "tests.csv": crosswalk(TESTS, "test", "attribute"),
    }
