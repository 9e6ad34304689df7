"""The benchmark of reviews: what it plants is planted, what it drops is gone, and its oracles are right."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.review import Changed, figures, lacking, otherwise, spread, until_the_middle
from benchmarks.review_lots import IN_DEVIATION, OUT_OF_SPEC, made_of, source_number, taint, through_intermediates
from plant.connect import connect
from plant.home import store_root
from plant.site import load_site
from plant.snapshot import Snapshot
from plant.sources import Source
from plant.store import Store
from plant.virtual import simulate
from tests.conftest import ROOT

USES = st.lists(st.tuples(st.sampled_from("ABCDEFG"), st.sampled_from("ABCDEFGxyz")), max_size=15)


@given(USES, st.sampled_from("Axyz"))
def test_the_recursion_finds_what_a_plain_search_finds(uses: list[tuple[str, str]], lot: str) -> None:
    """Circles too, which records may hold by mistake."""
    found: set[str] = set()
    edge = {lot}
    while edge:
        edge = {batch for batch, used in uses if used in edge} - found
        found |= edge
    assert made_of(pd.DataFrame(uses, columns=["batch_id", "material_lot"]), lot) == found


@pytest.fixture(scope="module")
def snapshot(tiny_home: Path) -> Snapshot:
    return Store(store_root(tiny_home), "virtual_dublin").snapshot()


@pytest.mark.parametrize("name", ["virtual_dublin", "virtual_graz"])
def test_a_lot_is_tainted_in_the_exports_and_nothing_else_changes(tmp_path: Path, name: str) -> None:
    """In both dialects: delimiters, decimal marks, encodings and ends of lines."""
    site = load_site(ROOT / "sites" / name)
    simulate(name, "tiny", 7, tmp_path / "plant")
    exports = shutil.copytree(tmp_path / "plant/exports", tmp_path / "changed")
    before = connect(site, tmp_path / "plant/exports", tmp_path / "before").snapshot
    lots = taint(site, before, exports, 7)
    assert set(lots.values()) <= set(through_intermediates(before))
    lines = 0
    for path in sorted(p for p in exports.rglob("*") if p.is_file()):
        old, new = (p.read_bytes().split(b"\n") for p in (tmp_path / "plant/exports" / path.relative_to(exports), path))
        assert len(old) == len(new)
        lines += sum(a != b for a, b in zip(old, new, strict=True))
    assert lines == 2
    after = connect(site, exports, tmp_path / "after").snapshot
    assert len(after.quarantine()) == len(before.quarantine())
    changed = {table: differences(before.table(table), after.table(table)) for table in ("lab_results", "deviations")}
    ((lot, row),) = changed["lab_results"]
    assert lot == {"value"}
    assert row["material_lot"] == lots[OUT_OF_SPEC]
    assert row["value"] > row["upper_spec"] or row["value"] < row["lower_spec"]
    ((moved, row),) = changed["deviations"]
    assert {"batch_id", "closed_at"} <= moved <= {"batch_id", "closed_at", "step", "equipment_id"}
    assert row["batch_id"] == lots[IN_DEVIATION]
    assert pd.isna(row["closed_at"])


def differences(old: pd.DataFrame, new: pd.DataFrame) -> list[tuple[set[str], dict[str, Any]]]:
    """The columns that differ and the new row, of each row that does."""
    a, b = (f.astype(object).where(f.notna(), None).to_dict("records") for f in (old, new))
    return [({str(c) for c in y if x[c] != y[c]}, y) for x, y in zip(a, b, strict=True) if x != y]


def test_numbers_are_read_as_a_source_writes_them() -> None:
    plain = Source(system="LIMS", path="a.csv", format="csv")
    german = Source(system="LIMS", path="a.csv", format="csv", decimal=",", thousands=".")
    assert (source_number(plain, "0.318"), source_number(plain, "")) == (0.318, None)
    assert source_number(german, "1.234,5") == 1234.5


def test_a_feed_that_stopped_tells_nothing_of_what_came_later(snapshot: Snapshot) -> None:
    left, lab = until_the_middle(snapshot), snapshot.table("lab_results")
    begun = snapshot.table("batches").set_index("batch_id")["started_at"]
    middle = begun.min() + (snapshot.data_end - begun.min()) / 2
    assert 0 < len(left) < len(lab)
    assert left["sampled_at"].max() < middle
    assert not (left["approved_at"] >= middle).any()
    lost = lacking(lab, left, list(begun.index))
    assert set(lost) >= set(lab.loc[lab["approved_at"] > middle, "batch_id"].dropna()) & set(begun.index)
    assert lost
    assert not lacking(lab, lab, list(begun.index))
    dead = Changed(snapshot, {"lab_results": left})
    assert len(dead.table("lab_results")) == len(left)
    assert dead.table("batches") is snapshot.table("batches")
    assert dead.data_end == snapshot.data_end


def test_another_future_leaves_the_past_alone(snapshot: Snapshot) -> None:
    lab = snapshot.table("lab_results")
    t = lab["approved_at"].dropna().sort_values().iloc[len(lab) // 2]  # at that moment the result is not known yet
    other = otherwise(lab, t)
    recorded = lab[["approved_at", "recorded_at"]].max(axis=1)
    past = recorded < t
    assert 0 < past.sum() < len(lab)
    pd.testing.assert_frame_equal(other[past], lab[past], check_dtype=False, check_categorical=False)
    late = ~past & lab["value"].notna()
    assert (other.loc[late, "value"] != lab.loc[late, "value"]).all()
    assert (other.loc[late, "status"] != lab.loc[late, "status"].astype(object)).all()


def result(**changes: Any) -> dict[str, Any]:
    kinds = {"critical out_of_spec": {"planted": 4, "found": 4, "as_severe": 4}}
    shares = {"recall_critical": 1.0, "recall": 1.0, "cleared": 0.9, "clean_cleared": 0.95}
    planted = {"kinds": kinds, "unknowable": {"minor deviation": 2}, **shares}
    feed = {"batches": 9, "clean": 0, "nothing_of_the_laboratory": 0, "nothing_critical_or_major": 3}
    out: dict[str, Any] = {
        "seed": 7, "site": "a", "planted": planted, "tainted": {OUT_OF_SPEC: spread({"B1", "B2"}, {"B1", "B2"})},
        "dropped": {"whole": feed}, "replay": {"batches": 8, "differ": [], "seen_later": 8},
        "seconds": {"median": 0.1, "worst": 0.5},
    }
    for name, one in changes.items():
        out[name] = out[name] | one
    return out


@pytest.mark.parametrize("changes", [
    {"planted": {"recall_critical": 0.99}}, {"planted": {"recall": 0.94}}, {"planted": {"cleared": 0.84}},
    {"planted": {"clean_cleared": 0.84}}, {"tainted": {OUT_OF_SPEC: spread({"B1", "B2"}, {"B1"})}},
    {"tainted": {OUT_OF_SPEC: spread({"B1", "B2"}, {"B1", "B2", "B3"})}},
    {"tainted": {OUT_OF_SPEC: spread(set(), set())}}, {"replay": {"differ": ["B1"]}}, {"replay": {"seen_later": 7}},
    {"dropped": {"whole": {"batches": 9, "clean": 1, "nothing_of_the_laboratory": 0, "nothing_critical_or_major": 1}}},
    {"dropped": {"whole": {"batches": 9, "clean": 0, "nothing_of_the_laboratory": 1, "nothing_critical_or_major": 1}}},
])
def test_each_limit_is_one(changes: dict[str, Any]) -> None:
    assert not [f for f in figures(result()) if f.verdict == "FAIL"]
    assert len([f for f in figures(result(**changes)) if f.verdict == "FAIL"]) == 1
