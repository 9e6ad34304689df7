"""Reviews of a virtual plant through its exports and its mapping, against the exceptions that it says were planted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from plant.home import store_root
from plant.site import load_site
from plant.store import Store
from serving.review import Review, review
from serving.review_case import Known, Plant, open_case
from serving.review_rules import load_rules

KINDS = {
    "out_of_spec": ("lab_out_of_spec",), "environment_excursion": ("environment_excursion",),
    "overdue_maintenance": ("maintenance_overdue", "calibration_overdue", "inspection_overdue"),
    "missing_entry": ("lab_missing", "material_missing", "step_value_missing"), "deviation": ("open_deviation",),
    "breakdown": ("breakdown",), "corrected_entry": ("lab_corrected",),
}


@pytest.fixture(scope="module")
def truth(tiny_exports: Path) -> pd.DataFrame:
    return pd.read_parquet(tiny_exports.parent / "truth" / "exceptions.parquet")


@pytest.fixture(scope="module")
def made(tiny_home: Path, tiny_site: Path) -> dict[str, Review]:
    site = load_site(tiny_site)
    snapshot = Store(store_root(tiny_home), site.name).snapshot()
    known, plant = Known(snapshot, snapshot.data_end), Plant.of(site, load_rules(site.folders))
    # the first batches are left alone: nobody can know yet what is usual
    batches = [b for b in snapshot.table("batches")["batch_id"] if b.startswith("B")][20:]
    return {b: review(open_case(plant, known, b)) for b in batches}


def knowable(row: Any, one: Review) -> bool:
    """Whether the records that were known at the end tell of it: closed deviations are no exception any more."""
    if row.kind == "deviation":
        found = one.case.known.rows("deviations", "deviation_id", row.record)
        return len(found) > 0 and bool(found["closed_at"].isna().all())
    return bool(row.started_at < one.case.t) and (row.kind != "breakdown" or bool(row.ended_at < one.case.t))


def test_every_critical_exception_of_the_truth_is_found(truth: pd.DataFrame, made: dict[str, Review]) -> None:
    looked, missed = Counter[str](), []
    for row in truth[truth["batch_id"].isin(made)].itertuples():
        one = made[str(row.batch_id)]
        if row.kind not in KINDS or not knowable(row, one):
            continue
        looked[f"{row.severity} {row.kind}"] += 1
        told = [e for e in one.exceptions if e.found.kind in KINDS[row.kind]]
        # a name that the truth has for what is not there stands at the end of the record
        name = row.entity if row.kind in ("environment_excursion", "breakdown") else row.record.rsplit("/", 1)[-1]
        hit = [e for e in told if any(name in k for k in (*e.found.keys, e.found.equipment_id, *e.found.rows))]
        if not hit:
            missed.append((row.severity, row.kind, row.system, row.entity, row.record, row.batch_id, row.started_at))
    told = f"{sum(looked.values())} exceptions of the truth: {dict(looked)}; missed: {missed}"
    print(told)
    assert not [m for m in missed if m[0] == "critical"], told
    assert len(missed) <= 0.05 * sum(looked.values()), told
    assert sum(n for name, n in looked.items() if name.startswith("critical")) >= 8, told


def test_a_reviewer_sees_few_things(made: dict[str, Review]) -> None:
    entries, cleared = (sum(one.counts[k] for one in made.values()) for k in ("entries", "cleared"))
    each = sum(len(one.exceptions) for one in made.values()) / len(made)
    told = f"{each:.1f} exceptions a batch; {cleared / entries:.1%} of {entries} entries cleared"
    print(told)
    assert cleared / entries >= 0.85, told
    assert each < 6, told
