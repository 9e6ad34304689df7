"""Reviews of a virtual plant through its exports and its mapping, against the exceptions that it says were planted."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.review import LEFT_ALONE, in_order, reviews
from benchmarks.review_truth import cleared, held
from plant.home import store_root
from plant.site import load_site
from plant.store import Store
from serving.review import Review
from serving.review_case import Plant
from serving.review_finding import entries_of
from serving.review_kinds import KINDS
from serving.review_rules import load_rules


@pytest.fixture(scope="module")
def truth(tiny_exports: Path) -> pd.DataFrame:
    return pd.read_parquet(tiny_exports.parent / "truth" / "exceptions.parquet")


@pytest.fixture(scope="module")
def made(tiny_home: Path, tiny_site: Path) -> dict[str, Review]:
    site = load_site(tiny_site)
    snapshot = Store(store_root(tiny_home), site.name).snapshot()
    # the first batches are left alone: nobody can know yet what is usual
    return reviews(Plant.of(site, load_rules(site.folders)), snapshot, in_order(snapshot)[LEFT_ALONE:])


def test_every_critical_exception_of_the_truth_is_found(truth: pd.DataFrame, made: dict[str, Review]) -> None:
    told = held(truth, made)
    print(told)
    assert told.recall("critical") == 1.0, told
    assert (told.recall() or 0.0) >= 0.95, told
    assert sum(n for name, n in told.planted.items() if name.startswith("critical")) >= 8, told


def test_what_is_not_told_is_missed(truth: pd.DataFrame, made: dict[str, Review]) -> None:
    """A review that says nothing, or speaks of something else, finds nothing."""
    batch_id, other = (str(b) for b in truth.loc[truth["kind"] == "out_of_spec", "batch_id"].unique()[-2:])
    swapped = {**made, batch_id: made[other]}
    names = {(k, b) for _, k, _, b in held(truth, swapped).missed}
    assert ("out_of_spec", batch_id) in names
    assert {b for _, b in names} == {batch_id}
    assert (held(truth, swapped).recall("critical") or 1.0) < 1.0


def test_a_reviewer_sees_few_things(truth: pd.DataFrame, made: dict[str, Review]) -> None:
    clean = cleared(truth, made)
    each = sum(len(one.exceptions) for one in made.values()) / len(made)
    told = f"{each:.1f} exceptions a batch; {clean}"
    print(told)
    assert clean.cleared / clean.entries >= 0.85, told
    assert clean.clean_cleared / clean.clean >= 0.85, told
    assert clean.cleared <= clean.clean_cleared < clean.clean < clean.entries, told
    assert each < 6, told


def test_an_entry_that_an_exception_is_about_is_not_cleared(made: dict[str, Review]) -> None:
    for batch_id, one in made.items():
        for check in one.checked:
            about = [n for e in one.exceptions if KINDS[e.found.kind].check == check.name for n in entries_of(e.found)]
            assert check.cleared + len(set(about)) == check.entries, (batch_id, check, about)
        assert sum(e.entries for e in one.exceptions) == one.counts["entries"] - one.counts["cleared"]


def test_a_lot_used_before_its_result_is_not_cleared(made: dict[str, Review]) -> None:
    seen = 0
    for one in made.values():
        lots = {str(e.found.evidence["lot"]) for e in one.exceptions if e.found.kind == "lot_used_before_result"}
        materials = next(c for c in one.checked if c.name == "materials")
        assert materials.cleared <= materials.entries - len(lots)
        seen += len(lots)
    assert seen
