"""Real orders of excavators through configuration only: machines and subsystems, and whose order each row is."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd
import pytest

from plant.connect import Connected, connect
from plant.site import load_site
from tests.plant.workshop import adds_up

SITE = Path(__file__).parents[2] / "sites" / "excavators"


@pytest.fixture(scope="module")
def excavators(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Connected:
    return connect(load_site(SITE), shared_data / "excavators", tmp_path_factory.mktemp("excavators"))


class TestExcavators:
    """Real: orders of five machines and their subsystems; no number, no end, one broken line."""

    SYSTEMS = (
        "Bucket", "Driveshaft", "Engine", "Final Drive", "Hydraulic Cylinders", "Hydraulic System",
        "Induction and Exhaust", "Radiator", "Slew", "Superstructure", "Transmission", "Turbochargers",
    )

    def test_counts(self, excavators: Connected) -> None:
        assert adds_up(excavators)
        assert excavators.tables["equipment"].as_dict() == {"read": 65, "loaded": 65, "known": 0, "quarantined": 0}
        assert excavators.tables["work_orders"].as_dict() == {
            "read": 5_485,
            "loaded": 5_484,
            "known": 0,
            "quarantined": 1,
        }
        assert not excavators.site.simulated

    def test_the_broken_line_is_put_aside(self, excavators: Connected) -> None:
        (row,) = excavators.snapshot.quarantine().itertuples()
        assert (row.file, row.line, row.table) == ("excavators-cleaned.csv", 3454, "work_orders")
        assert "is not in the crosswalk" in row.reason

    def test_each_order_is_its_row(self, excavators: Connected, shared_data: Path) -> None:
        with (shared_data / "excavators" / "excavators-cleaned.csv").open(encoding="ascii", newline="") as f:
            rows = {n: row for n, row in enumerate(csv.DictReader(f), 2) if n != 3454}
        orders = excavators.snapshot.table("work_orders").set_index("source_line")
        assert sorted(orders.index) == sorted(rows), "no text spans lines, so a row's number is its line"
        for line, row in rows.items():
            order = orders.loc[line]
            local = order["opened_at"].tz_convert("Australia/Perth")
            assert f"{local:%Y-%m-%d %H:%M}" == row["BscStartDate"] + " 00:00"
            first = row["MajorSystem"].split("_")[0]
            first = {"Hydraulic Cylinder": "Hydraulic Cylinders"}.get(first, first)
            part = "" if first == "NA" else "-" + first.lower().replace(" ", "-")
            assert order["equipment_id"] == "excavator-" + row["Asset"] + part
            assert order["text"] == row["OriginalShorttext"].strip()
            assert order["cost"] == float(row["Cost"])
            assert pd.isna(order["failure_mode"]) == (row["FM"] == "NA")

    def test_every_excavator_has_every_subsystem(self, excavators: Connected) -> None:
        """Also those that never had an order: who has one is hindsight."""
        equipment = excavators.snapshot.table("equipment").set_index("equipment_id")
        machines, parts = (equipment[equipment["parent_id"].isna() == alone] for alone in (True, False))
        assert sorted(machines.index) == [f"excavator-{a}" for a in "ABCDE"]
        names = {f"excavator-{a}-{s.lower().replace(' ', '-')}" for a in "ABCDE" for s in self.SYSTEMS}
        assert set(parts.index) == names
        for name, part in parts.iterrows():
            assert part["parent_id"] == str(name)[:11]
            assert part["equipment_class"] == str(name)[12:].replace("-", "_")
            whole = machines.loc[part["parent_id"]]
            assert (part["commissioned_at"], part["retired_at"]) == (whole["commissioned_at"], whole["retired_at"])

    def test_orders_without_a_subsystem_stay_with_the_excavator(self, excavators: Connected) -> None:
        owner = excavators.snapshot.table("work_orders")["equipment_id"].astype(str)
        assert (owner.str.len() == len("excavator-A")).sum() == 2_399
        assert owner.str.endswith("-engine").sum() == 634 + 137 + 30 + 24 + 10 + 7 + 6 + 2 + 1, "alone or named first"

    def test_rows_that_repeat_are_orders_of_their_own(self, excavators: Connected) -> None:
        orders = excavators.snapshot.table("work_orders")
        assert orders["work_order_id"].nunique() == 5_484
        machine = orders["equipment_id"].astype(str).str[:11]
        same = orders.assign(machine=machine).duplicated(["machine", "opened_at", "text", "kind", "cost"])
        assert same.sum() >= 358

    def test_kinds_and_modes(self, excavators: Connected) -> None:
        orders = excavators.snapshot.table("work_orders")
        assert orders["kind"].value_counts().to_dict() == {"corrective": 5_216 + 98 + 6, "preventive": 153 + 7 + 4}
        assert orders["failure_mode"].notna().sum() == 2_303
        assert not orders["failure_mode"].dropna().astype(str).str.contains("[_ ]?unspecified_|[A-Z/]").any()

    def test_no_end_so_what_an_end_makes_known_never_is(self, excavators: Connected) -> None:
        orders = excavators.snapshot.table("work_orders")
        assert orders["closed_at"].isna().all()
        assert "no_closing_time" in {f.code for f in excavators.findings}

    def test_service_ends_with_the_records(self, excavators: Connected) -> None:
        machines = excavators.snapshot.table("equipment").set_index("equipment_id")
        days = {
            name: tuple(f"{at.tz_convert('Australia/Perth'):%Y-%m-%d}" for at in (row.commissioned_at, row.retired_at))
            for name, row in machines[machines["parent_id"].isna()].iterrows()
        }
        assert days == {
            "excavator-A": ("2003-12-05", "2008-12-09"),
            "excavator-B": ("2001-07-05", "2005-09-11"),
            "excavator-C": ("2003-07-01", "2012-12-14"),
            "excavator-D": ("2003-06-29", "2011-10-19"),
            "excavator-E": ("2006-02-17", "2011-12-02"),
        }

    def test_a_second_connect_loads_nothing(self, excavators: Connected, shared_data: Path) -> None:
        again = connect(excavators.site, shared_data / "excavators", excavators.snapshot.folder.parent)
        assert sum(c.loaded for c in again.tables.values()) == 0
        assert adds_up(again)
        assert again.snapshot.data_version == excavators.snapshot.data_version
