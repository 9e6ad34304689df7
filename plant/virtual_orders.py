"""Maintenance records of a run: work orders as people type them, breakdown and planned downtime, spare parts.

Times are minutes since START (float, NaN = not yet); `virtual_history` makes time stamps of them and
blanks what was not known when the history ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plant.virtual_catalogue import SiteFacts
from plant.virtual_plant import Failure, Run, Unit
from plant.virtual_texts import FOREIGN, OTHER, as_typed, mistyped, spoken
from plant.virtual_utilities import STATES

HOUR, DAY = 60, 1440
CAUSES = sorted({m.cause for _, m in STATES})
PARTS = {(c, m.failure_mode): f"SP-{c[:2].upper()}{i:03d}" for i, (c, m) in enumerate(STATES, start=101)}
MISCODED, UNCODED, CORRECTED, ENTERED_LATE, OVERDUE = 0.05, 0.02, 0.6, 0.03, 0.12

_CORRECTIVE = {
    "en": (
        "{s}",
        "{u}: {s}",
        "{s}, pls check asap",
        "Breakdown {u} - {s}",
        "{s} during batch",
        "op reports {s}",
        "again {s}",
        "{s}. line stopped",
    ),
    "de": (
        "{s}",
        "{u}: {s}",
        "{s}, bitte prüfen",
        "Störung {u} - {s}",
        "{s} während Charge",
        "Bediener meldet {s}",
        "wieder {s}",
        "{s}. Linie steht",
    ),
}
_VAGUE = {
    "en": ("machine stopped, unknown fault", "stops again and again", "not running, see shift book"),
    "de": ("Anlage steht, Ursache unklar", "bleibt immer wieder stehen", "läuft nicht, siehe Schichtbuch"),
}
_PLANNED = {
    "en": {
        "preventive": "Preventive maintenance {u} acc. plan",
        "inspection": "Monthly inspection {u}",
        "calibration": "Calibration instruments {u}",
    },
    "de": {
        "preventive": "Wartung {u} lt. Plan",
        "inspection": "Monatliche Inspektion {u}",
        "calibration": "Kalibrierung Messstellen {u}",
    },
}


def _said(unit: Unit, symptoms: dict[str, tuple[str, ...]], language: str, rng: np.random.Generator) -> str:
    if rng.random() < 0.08:
        return mistyped(str(rng.choice(_VAGUE[language])), rng)
    symptom = str(rng.choice(symptoms[language]))
    return mistyped(str(rng.choice(_CORRECTIVE[language])).format(s=symptom, u=spoken(unit, language)), rng)


def _typed(
    unit: Unit,
    symptoms: dict[str, tuple[str, ...]],
    language: str,
    rng: np.random.Generator,
    habits: np.random.Generator,
) -> str:
    """The text of a breakdown, in the language of the site; now and then a contractor types the other one."""
    text = _said(unit, symptoms, language, rng)
    if habits.random() < FOREIGN:
        language = OTHER[language]
        text = _said(unit, symptoms, language, habits)
    return as_typed(text, language, habits)


def _corrective(
    f: Failure, run: Run, language: str, rng: np.random.Generator, habits: np.random.Generator
) -> list[dict[str, object]]:
    """The order of one breakdown; a second version where its code was corrected later."""
    unit, kind = run.units[f.unit], run.kind(f.unit)
    mech = kind.mechanisms[f.mechanism]
    opened = f.minute + int(rng.integers(1, 40))
    ready = f.minute + f.repair_minutes
    started = min(opened + int(rng.exponential(50.0)) + 2, ready - 1)
    opened = min(opened, started)
    closed = ready + int(rng.integers(2, 60)) + (int(rng.integers(1, 5)) * DAY if rng.random() < 0.08 else 0)
    labour = round((ready - started) / HOUR * float(rng.choice([1.0, 1.0, 2.0])), 1)
    part = "" if rng.random() < 0.1 else PARTS[kind.name, mech.failure_mode]
    row: dict[str, object] = {
        "equipment_id": unit.equipment_id,
        "kind": "corrective",
        "opened_at": opened,
        "started_at": started,
        "closed_at": closed,
        "failure_mode": mech.failure_mode,
        "mechanism": mech.mechanism,
        "cause": mech.cause if rng.random() < 0.8 else str(rng.choice(CAUSES)),
        "text": _typed(unit, mech.symptoms, language, rng, habits),
        "parts": part,
        "labour_hours": labour,
        "cost": round(labour * 85.0 + (mech.part_price * float(rng.uniform(0.9, 1.3)) if part else 0.0), 2),
        "recorded_at": np.nan,
    }
    luck = rng.random()
    if luck < MISCODED:
        other = kind.mechanisms[(f.mechanism + int(rng.integers(1, 3))) % 3]
        wrong = {**row, "failure_mode": other.failure_mode, "mechanism": other.mechanism}
        if rng.random() < CORRECTED:
            return [wrong, {**row, "recorded_at": closed + int(rng.integers(2 * DAY, 20 * DAY))}]
        return [wrong]
    if luck < MISCODED + UNCODED:
        return [{**row, "failure_mode": "", "mechanism": "", "cause": ""}]
    if luck < MISCODED + UNCODED + ENTERED_LATE:
        return [{**row, "recorded_at": closed + int(rng.integers(DAY, 6 * DAY))}]
    return [row]


def _planned(
    unit: Unit, kind: str, opened: int, started: int, closed: int, language: str, rng: np.random.Generator
) -> dict[str, object]:
    labour = round((closed - started) / HOUR, 1)
    return {
        "equipment_id": unit.equipment_id,
        "kind": kind,
        "opened_at": opened,
        "started_at": started,
        "closed_at": closed,
        "failure_mode": "",
        "mechanism": "",
        "cause": "",
        "text": _PLANNED[language][kind].format(u=spoken(unit, language)),
        "parts": "",
        "labour_hours": labour,
        "cost": round(labour * 85.0 + float(rng.uniform(0, 60)), 2),
        "recorded_at": np.nan,
    }


Versions = list[dict[str, object]]


def orders_of(
    run: Run, facts: SiteFacts, rng: np.random.Generator, habits: np.random.Generator, late: np.random.Generator
) -> list[Versions]:
    """All orders of the units of `run`, each with its versions; columns of the contract, minutes since START.

    habits: of those who type; late: calibrations that are forgotten for weeks. `due_at`: when planned work was due,
    known to the truth only.
    """
    language = facts.language
    rows = [_corrective(f, run, language, rng, habits) for f in run.failures]
    for s in run.services:
        unit, mechs = run.units[s.unit], run.kind(s.unit).mechanisms
        opened = max(0, s.due_hour * HOUR - 7 * DAY)
        order = _planned(unit, "preventive", opened, s.minute, s.minute + s.minutes, language, rng)
        order["due_at"] = s.due_hour * HOUR
        if s.renewed:
            mech = mechs[s.renewed[0]]
            order["parts"] = PARTS[run.kind(s.unit).name, mech.failure_mode]
            order["cost"] = round(float(order["cost"]) + mech.part_price * len(s.renewed), 2)  # type: ignore[arg-type]
        rows.append([order])
    for unit in run.units:
        for kind, every in (("inspection", 30 * DAY), ("calibration", 120 * DAY)):
            opened = int(rng.integers(0, every))
            while opened < run.hours * HOUR:
                started = opened + int(rng.integers(4 * HOUR, 3 * DAY))
                forgotten, days = late.random() < OVERDUE, int(late.integers(12, 45))
                if forgotten and kind == "calibration":
                    started += days * DAY
                order = _planned(unit, kind, opened, started, started + int(rng.integers(20, 90)), language, rng)
                rows.append([{**order, "due_at": opened + 3 * DAY}])
                opened += every
    return rows


def work_orders(rows: list[Versions], facts: SiteFacts) -> pd.DataFrame:
    """All versions of all orders, numbered as they were opened; columns of the contract and `due_at`."""
    rows = sorted(rows, key=lambda v: (v[0]["opened_at"], v[0]["equipment_id"], v[0]["kind"]))
    flat = [{"work_order_id": str(facts.first_order + n), **row} for n, versions in enumerate(rows) for row in versions]
    return pd.DataFrame(flat)


def downtime(runs: Sequence[Run], stops: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Breakdowns, preventive work and minor stops; times in minutes since START."""
    rows: list[tuple[str, int, int, str, bool]] = []
    for run, short in zip(runs, stops, strict=True):
        names = [u.equipment_id for u in run.units]
        rows += [(names[f.unit], f.minute, f.minute + f.repair_minutes, "breakdown", False) for f in run.failures]
        rows += [(names[s.unit], s.minute, s.minute + s.minutes, "preventive_maintenance", True) for s in run.services]
        rows += [
            (e, int(a), int(b), r, False)
            for e, a, b, r in short[["equipment_id", "start", "end", "reason"]].itertuples(index=False)
        ]
    table = pd.DataFrame(rows, columns=["equipment_id", "started_at", "ended_at", "reason", "planned"])
    table = table.sort_values(["started_at", "equipment_id"], kind="stable", ignore_index=True)
    table.insert(0, "downtime_id", [str(500001 + n) for n in range(len(table))])
    return table


def spare_parts(rng: np.random.Generator) -> pd.DataFrame:
    """One part for each failure mode, some out of stock."""
    rows = [
        (PARTS[c, m.failure_mode], c, m.failure_mode, float(rng.poisson(1.6)), float(rng.integers(2, 45)))
        for c, m in STATES
    ]
    return pd.DataFrame(rows, columns=["part_id", "equipment_class", "failure_mode", "on_hand", "lead_time_days"])
