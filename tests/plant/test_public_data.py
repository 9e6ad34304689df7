"""Real exports through configuration only: the counts of the data cards, and no column name in any Python file."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from plant.connect import Connected, connect
from plant.site import load_site
from tests.plant.workshop import adds_up

ROOT = Path(__file__).parents[2]
SITES = ROOT / "sites"

# Words of the two data sets that mean nothing else. (azure_pdm: machineID to PdM_; zagar_tablets: the others)
COLUMNS = (
    "machineID",
    "errorID",
    "PdM_",
    "PdM_machines",
    "datetime,machineID",
    "api_batch",
    "api_code",
    "api_l_impurity",
    "api_ps0",
    "batch_yield",
    "dissolution_av",
    "dissolution_min",
    "resodual_solvent",
    "impurity_o",
    "impurity_l",
    "smcc",
    "lactose_batch",
    "lactose_sieve",
    "starch_ph",
    "tbl_speed",
    "tbl_fill",
    "tbl_yield",
    "fct_",
    "main_CompForce",
    "pre_CompForce",
    "SREL",
    "fom_mean",
    "Normalisation factor",
    "Product code",
    "cyl_main",
)


def test_no_python_file_names_a_column_of_the_public_data() -> None:
    files = [
        p for p in ROOT.glob("**/*.py") if not {"tests", ".venv", "mlruns", "var"} & set(p.relative_to(ROOT).parts)
    ]
    assert len(files) > 60
    found = [
        f"{p.relative_to(ROOT)}: {word}" for p in files for word in COLUMNS if word in p.read_text(encoding="utf-8")
    ]
    assert found == []


@pytest.fixture(scope="module")
def azure(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Connected:
    return connect(load_site(SITES / "azure_pdm"), shared_data / "azure_pdm", tmp_path_factory.mktemp("azure"))


@pytest.fixture(scope="module")
def zagar(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Connected:
    """Without the press series (5.5 million readings): the site's YAML, but for the path of that optional source."""
    folder = tmp_path_factory.mktemp("zagar")
    text = (SITES / "zagar_tablets" / "site.yaml").read_text(encoding="utf-8")
    assert text.count("timeseries/*.csv") == 1
    (folder / "site.yaml").write_text(text.replace("timeseries/*.csv", "no-series/*.csv"), encoding="utf-8")
    return connect(load_site(folder), shared_data / "zagar_tablets", folder / "store")


class TestAzure:
    """Simulated: 100 machines, of 20 of which the same logs stand there a second time."""

    def test_counts(self, azure: Connected) -> None:
        assert {name: c.as_dict() for name, c in azure.tables.items()} == {
            "equipment": {"read": 100, "loaded": 100, "known": 0, "quarantined": 0},
            "signals": {"read": 400, "loaded": 400, "known": 0, "quarantined": 0},
            "readings": {"read": 172_800, "loaded": 172_800, "known": 0, "quarantined": 0},
            "events": {"read": 3_919 + 211, "loaded": 3_919, "known": 211, "quarantined": 0},
            # 743 of the 761 failures stand in the maintenance log again, at the same time: the same order.
            "work_orders": {
                "read": 761 + 3_286 + 42 + 208,
                "loaded": 761 + 3_286 - 743,
                "known": 743 + 42 + 208,
                "quarantined": 0,
            },
        }

    def test_repairs_are_no_preventive_work(self, azure: Connected) -> None:
        orders = azure.snapshot.table("work_orders")
        assert orders["kind"].value_counts().to_dict() == {"preventive": 2_543, "corrective": 761}
        failures = orders[orders["kind"] == "corrective"]
        modes = failures["failure_mode"].value_counts().to_dict()
        assert modes == {"comp1": 192, "comp2": 259, "comp3": 131, "comp4": 179}
        assert (failures["opened_at"] == pd.Timestamp("2015-01-02 03:00", tz="UTC")).sum() == 18
        assert not {"machine-6", "machine-77"} & set(failures["equipment_id"])

    def test_times_and_age(self, azure: Connected) -> None:
        events = azure.snapshot.table("events")
        assert (events["ts"].min(), events["ts"].max()) == (
            pd.Timestamp("2015-01-01 06:00", tz="UTC"),
            pd.Timestamp("2016-01-01 05:00", tz="UTC"),
        )
        assert events["code"].value_counts().to_dict() == {
            "error1": 1010,
            "error2": 988,
            "error3": 838,
            "error4": 727,
            "error5": 356,
        }
        machines = azure.snapshot.table("equipment")
        age = (pd.Timestamp("2015-01-01", tz="UTC") - machines["commissioned_at"]).dt.total_seconds() / 86400 / 365.25
        assert (age.min(), age.max()) == (0, 20)
        assert machines["equipment_class"].value_counts().to_dict() == {
            "model3": 35,
            "model4": 32,
            "model2": 17,
            "model1": 16,
        }

    def test_a_second_connect_loads_nothing(self, azure: Connected, shared_data: Path) -> None:
        again = connect(azure.site, shared_data / "azure_pdm", azure.snapshot.folder.parent)
        assert sum(c.loaded for c in again.tables.values()) == 0
        assert adds_up(again)
        assert again.snapshot.data_version == azure.snapshot.data_version == "azure_pdm@1"


class TestZagar:
    """Real: 1,005 batches of a marketed medicine."""

    def test_counts(self, zagar: Connected) -> None:
        assert adds_up(zagar)
        loaded = {name: c.loaded for name, c in zagar.tables.items()}
        assert loaded == {
            "equipment": 25,
            "batches": 1_005,
            "genealogy": 4_020,
            "lab_results": 43 * 1_005,
            "batch_steps": 2 * 1_005,
            "signals": 25 * 12,
            "readings": 0,
        }
        assert sum(c.quarantined for c in zagar.tables.values()) == 0
        assert not zagar.site.simulated
        assert "source_missing" in {f.code for f in zagar.findings}, "that the series are missing is told"

    def test_months_have_slovene_names(self, zagar: Connected) -> None:
        starts = zagar.snapshot.table("batches")["started_at"].dt.tz_convert("Europe/Ljubljana")
        months = starts.dt.strftime("%Y-%m").unique()
        assert (min(months), max(months)) == ("2018-11", "2021-04")
        assert "2019-05" in months, "maj.19"

    def test_batches_follow_their_numbers_but_for_two(self, zagar: Connected) -> None:
        batches = zagar.snapshot.table("batches").copy()
        ordered = batches.assign(number=batches["batch_id"].astype(int)).sort_values("number")
        steps = ordered["started_at"].diff()
        backwards = ordered["number"][steps < pd.Timedelta(0)]
        assert list(backwards) == [73]
        assert (ordered["ended_at"] - ordered["started_at"] == pd.Timedelta("16h")).all()

    def test_blanks_of_spaces_are_no_results(self, zagar: Connected) -> None:
        results = zagar.snapshot.table("lab_results")
        empty = results[results["value"].isna()].groupby("attribute", observed=True).size()
        for attribute, blanks in {
            "api_l_impurity": 370,
            "api_total_impurities": 67,
            "api_water": 26,
            "api_content": 2,
            "tbl_min_weight": 10,
        }.items():
            assert empty[attribute] == blanks
        solvent = results[results["attribute"] == "residual_solvent"]
        assert (solvent["value"] == 0).sum() == 136
        assert results[["lower_spec", "upper_spec"]].isna().all(axis=None), (
            "the files hold no limits, so there are none"
        )

    def test_results_of_the_end_are_not_known_at_compression(self, zagar: Connected) -> None:
        results = zagar.snapshot.table("lab_results")
        steps = zagar.snapshot.table("batch_steps")
        ends = steps[steps["step"] == "compression"].set_index("batch_id")["ended_at"]
        later = results["approved_at"] > results["batch_id"].map(ends)
        assert set(results["attribute"][later]) == {
            *(a for a in results["attribute"].unique() if a.startswith("fct_")),
            "dissolution_av",
            "dissolution_min",
            "residual_solvent",
            "impurities_total",
            "impurity_o",
            "impurity_l",
        }
        assert set(results["attribute"][~later]).isdisjoint(results["attribute"][later])

    def test_genealogy(self, zagar: Connected) -> None:
        lots = zagar.snapshot.table("genealogy")
        assert lots.groupby("batch_id").size().eq(4).all()
        distinct = lots.groupby("material")["material_lot"].nunique().to_dict()
        assert distinct["smcc"] == 18
        assert (distinct["lactose"], distinct["starch"]) == (22, 17)
        assert distinct["api"] >= 238

    def test_a_second_connect_loads_nothing(self, zagar: Connected, shared_data: Path) -> None:
        again = connect(zagar.site, shared_data / "zagar_tablets", zagar.snapshot.folder.parent)
        assert sum(c.loaded for c in again.tables.values()) == 0
        assert again.snapshot.data_version == zagar.snapshot.data_version
