"""What people at the virtual plants forget to enter, and mistype and correct: applied to records that are complete."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import pandas as pd

from plant.virtual_batches import STEP_VALUES

HOUR, DAY = 60, 1440
NO_VALUE, NO_RESULT, NO_LOT, NO_REASON, MISTYPED = 0.004, 0.004, 0.003, 0.01, 0.008
_MAJOR = ("end_moisture", "main_force_mean", "tablet_weight_mean")


class Note(Protocol):
    """Keeps an exception that was planted: one row of the truth."""

    def __call__(
        self, kind: str, system: str, entity: str, record: str, batch: str, at: float, severity: str
    ) -> None: ...


def with_gaps(
    tables: dict[str, pd.DataFrame], rng: np.random.Generator
) -> tuple[dict[str, pd.DataFrame], list[dict[str, object]]]:
    """`tables` (times in minutes) as they are kept, and the exceptions that this plants (rows of `exceptions`)."""
    out, planted = dict(tables), []

    def note(kind: str, system: str, entity: str, record: str, batch: str, at: float, severity: str) -> None:
        planted.append(
            {
                "kind": kind,
                "system": system,
                "entity": entity,
                "record": record,
                "batch_id": batch,
                "started_at": at,
                "ended_at": np.nan,
                "severity": severity,
            }
        )

    steps = tables["batch_steps"].copy()
    for value in STEP_VALUES:
        here = ((steps["step"] == value.step) & steps["ended_at"].notna()).to_numpy()
        lost = np.flatnonzero(here & (rng.random(len(steps)) < NO_VALUE))
        for n in lost:
            row = steps.loc[n]
            severity = "major" if value.name in _MAJOR else "minor"
            record = f"{row['batch_id']}/{row['step']}/{value.name}"
            note("missing_entry", "MES", row["equipment_id"], record, row["batch_id"], row["ended_at"], severity)
        steps.loc[lost, value.name] = np.nan
    out["batch_steps"] = steps

    used = tables["genealogy"]
    unbooked = (rng.random(len(used)) < NO_LOT) & used["material"].isin(
        ["lactose", "mcc", "magnesium_stearate"]
    ).to_numpy()
    for row in used[unbooked].itertuples():
        record = f"{row.batch_id}/{row.material}"
        note("missing_entry", "MES", row.material_lot, record, row.batch_id, row.used_at, "critical")
    out["genealogy"] = used[~unbooked].reset_index(drop=True)

    stops = tables["downtime"].copy()
    silent = rng.random(len(stops)) < NO_REASON
    for row in stops[silent].itertuples():
        note("missing_entry", "MES", row.equipment_id, row.downtime_id, "", row.started_at, "minor")
    stops.loc[silent, "reason"] = ""
    out["downtime"] = stops

    out["lab_results"] = _results(tables["lab_results"], rng, note)
    return out, planted


def _results(lab: pd.DataFrame, rng: np.random.Generator, note: Note) -> pd.DataFrame:
    """Results that were never entered, and results that were mistyped and corrected days later."""
    normal = (lab["batch_id"].notna() & lab["material_lot"].isna() & (lab["status"] == "in_spec")).to_numpy()
    # A repeated sample stays, so that an invalidated result always has its successor.
    normal &= ~lab.duplicated(["batch_id", "attribute"], keep=False).to_numpy()
    luck = rng.random(len(lab))
    lost = normal & (luck < NO_RESULT)
    for row in lab[lost].itertuples():
        record = f"{row.batch_id}/{row.attribute}"
        note("missing_entry", "LIMS", row.batch_id, record, row.batch_id, row.sampled_at, "critical")
    lab = lab.assign(recorded_at=np.nan)
    typed = np.flatnonzero(normal & (luck >= NO_RESULT) & (luck < NO_RESULT + MISTYPED))
    versions = lab.loc[typed].copy()
    versions["recorded_at"] = versions["approved_at"] + rng.integers(6 * HOUR, 6 * DAY, len(typed))
    for n in typed:
        value = float(lab.at[n, "value"])
        wrong = _swapped(value)
        low, high = lab.at[n, "lower_spec"], lab.at[n, "upper_spec"]
        inside = not (pd.notna(low) and wrong < low) and not (pd.notna(high) and wrong > high)
        if wrong == value or not inside:
            versions = versions.drop(index=n)
            continue
        lab.at[n, "value"] = wrong
        row = versions.loc[n]
        batch, record = row["batch_id"], row["result_id"]
        note("corrected_entry", "LIMS", batch, record, batch, row["recorded_at"], "minor")
    out = pd.concat([lab[~lost], versions])
    return out.sort_index(kind="stable").reset_index(drop=True)


def _swapped(value: float) -> float:
    """`value` with its last two digits swapped, as a tired hand types them."""
    text = repr(value)
    digits = [n for n, c in enumerate(text) if c.isdigit()]
    if len(digits) < 2:
        return value
    a, b = digits[-2:]
    cells = list(text)
    cells[a], cells[b] = cells[b], cells[a]
    return float("".join(cells))
