"""One physical history in two dialects gives the same features, bit for bit, over both changes of the clocks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.assemble import FeaturePlan, Matrix, batch_matrix, equipment_matrix, plan
from features.labels import cutoff_grid, failure_labels, gate_times, quality_targets
from features.spec import FeatureSpec, LabelSpec
from plant.connect import connect
from plant.site import load_site
from plant.snapshot import Snapshot
from plant.virtual import SITES, make_history, write_exports

FOLDER = Path(__file__).parent.parent / "sites"
DIALECTS = {"virtual_dublin": "dublin", "virtual_graz": "graz"}
# One machine of a class (two presses), from January until after the clocks went back.
YEAR = replace(SITES["virtual_dublin"].sizes["tiny"], days=305, units=(1, 1, 1, 2, 1, 1), batch_every_h=40.0)
CHANGES = [pd.Timestamp("2025-03-30T01:00Z"), pd.Timestamp("2025-10-26T01:00Z")]
TRAIN_END = pd.Timestamp("2025-08-01T00:00Z")
SPEC = FeatureSpec.model_validate({"batches": {"targets": ["dissolution", "hardness"]}})
GATES = ("before_start", "after:compression", "after:coating")

Sites = dict[str, Snapshot]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    folder = tmp_path_factory.mktemp("two_sites")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SITES["virtual_dublin"].sizes, "year", YEAR)
        history = make_history("virtual_dublin", "year", 11)
    snapshots = {}
    for site, dialect in DIALECTS.items():
        write_exports(history, dialect, folder / site)
        snapshots[site] = connect(load_site(FOLDER / site), folder / site, folder / "store").snapshot
    return snapshots


def plans(sites: Sites, kind: str) -> dict[str, FeaturePlan]:
    equipment = sorted(sites["virtual_dublin"].table("equipment")["equipment_id"].astype(str).unique())
    return {name: plan(data, SPEC, kind, TRAIN_END, equipment) for name, data in sites.items()}


def assert_same(one: Matrix, other: Matrix) -> None:
    assert [f.name for f in one.features] == [f.name for f in other.features]
    assert one.features == other.features
    pd.testing.assert_frame_equal(one.rows, other.rows)
    differ = ~np.isclose(one.values, other.values, rtol=0, atol=0, equal_nan=True)
    where = sorted({one.features[int(j)].name for j in np.nonzero(differ)[1]})
    assert np.array_equal(one.values, other.values, equal_nan=True), f"{differ.sum()} values differ, of {where}"


def test_the_history_crosses_both_changes_of_the_clocks(sites: Sites) -> None:
    for data in sites.values():
        for table, column in (("readings", "ts"), ("work_orders", "opened_at"), ("batch_steps", "started_at")):
            times = data.table(table)[column]
            for change in CHANGES:
                day = times.between(change - pd.Timedelta("7D"), change + pd.Timedelta("7D"))
                assert (times[day] < change).any(), (table, change)
                assert (times[day] > change).any(), (table, change)


@pytest.mark.parametrize("kind", ["equipment", "batch"])
def test_the_same_plan(sites: Sites, kind: str) -> None:
    one, other = plans(sites, kind).values()
    assert len(one.features) > 50
    assert one.to_json() == other.to_json()


def test_the_same_equipment_features(sites: Sites) -> None:
    made = plans(sites, "equipment")
    around = [c + pd.Timedelta(hours=h) for c in CHANGES for h in (-1, 0, 1, 2, 24)]
    ids = sorted(sites["virtual_dublin"].table("equipment")["equipment_id"].astype(str).unique())
    fine = pd.DataFrame([(e, t) for t in around for e in ids], columns=["equipment_id", "t"])
    matrices, targets = [], []
    for name, data in sites.items():
        grid = cutoff_grid(data, pd.Timedelta("2D"), pd.Timestamp("2025-01-10T00:00Z"), data.data_end, ids)
        cutoffs = pd.concat([grid, fine], ignore_index=True)
        cutoffs["t"] = pd.DatetimeIndex(cutoffs["t"]).as_unit("us")
        matrices.append(equipment_matrix(data, made[name], cutoffs))
        targets.append(failure_labels(data, LabelSpec(), cutoffs))
    assert np.isfinite(matrices[0].values).sum() > 200_000  # a machine has the signals of its own class only
    assert_same(*matrices)
    pd.testing.assert_frame_equal(*targets)


def test_the_same_batch_features(sites: Sites) -> None:
    made = plans(sites, "batch")
    matrices, targets = [], []
    for name, data in sites.items():
        gates = gate_times(data, GATES)
        gates = gates[gates["t"].notna()].sort_values(["batch_id", "gate"]).reset_index(drop=True)
        matrices.append(batch_matrix(data, made[name], gates))
        found = quality_targets(data, ["dissolution", "hardness"])
        targets.append(found.sort_values(["batch_id", "attribute", "sampled_at"]).reset_index(drop=True))
    assert np.isfinite(matrices[0].values).sum() > 50_000
    assert_same(*matrices)
    pd.testing.assert_frame_equal(*targets)
