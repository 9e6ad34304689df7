"""The site to copy: it is accepted as it stands, it connects, and what its comments say works."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from models.spec import load_models
from plant.connect import connect
from plant.site import load_site
from plant.site_diff import diff
from tests.plant.workshop import adds_up

TEMPLATE = Path(__file__).parents[2] / "sites" / "_template"

ASSETS = "ASSET,CLASS,LINE,INSTALLED\nPR-01,PRESS,L1,01.03.2019\nCO-01,COATER,L2,15.07.2020\n"
ORDERS = (
    "NUMBER;ASSET;TYPE;STATUS;REPORTED;FINISHED;PROBLEM;DESCRIPTION;COST;CHANGED\n"
    "1;PR-01;CM;CLOSED;01.02.2025 08:00;01.02.2025 12:30;P10;Stempel verschlissen, Übermaß;1.250,50;01.02.2025 12:31\n"
    "2;CO-01;PM;OPEN;03.02.2025 06:00;;;Filter;;03.02.2025 06:00\n"
    "3;CO-01;PM;CANCELLED;04.02.2025 06:00;;;Filter;;04.02.2025 06:00\n"
    "4;PR-01;CM;CLOSED;05.02.2025 08:00;05.02.2025 09:00;P99;?;10,00;05.02.2025 09:00\n"
)
READINGS = "TIME,ASSET,FORCE,TEMP_F\n2025-02-01T07:00:00Z,PR-01,12.5,77\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name, text, encoding in (
        ("cmms/assets.csv", ASSETS, "utf-8"),
        ("cmms/orders_2025.csv", ORDERS, "cp1252"),
        ("historian/readings_1.csv", READINGS, "utf-8"),
    ):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
    return tmp_path / "data"


def test_it_is_accepted_with_its_model() -> None:
    site = load_site(TEMPLATE)
    assert set(site.tables) == {"equipment", "work_orders", "signals", "readings"}
    assert set(site.crosswalk_reviews) == {"assets", "problems"}
    assert "P99" not in site.crosswalks["problems"].index
    assert list(load_models(TEMPLATE)) == ["equipment_failures"]


def test_it_connects_what_it_describes(data: Path, tmp_path: Path) -> None:
    connected = connect(load_site(TEMPLATE), data, tmp_path / "store")
    assert adds_up(connected)
    assert {n: c.loaded for n, c in connected.tables.items()} == {
        "equipment": 2,
        "work_orders": 2,
        "signals": 4,
        "readings": 2,
    }
    orders = connected.snapshot.table("work_orders").set_index("work_order_id")
    assert list(orders["kind"]) == ["corrective", "preventive"]
    assert orders.loc["1", "cost"] == 1250.5
    assert orders.loc["1", "text"].endswith("Übermaß")
    readings = connected.snapshot.table("readings").set_index("signal")["value"]
    assert (readings["main_force"], readings["temperature"]) == (12.5, 25.0)
    (aside,) = connected.snapshot.quarantine()["reason"]
    assert aside == "code 'P99' is not in the crosswalk 'problems'"


def test_every_key_is_explained_in_place() -> None:
    text = (TEMPLATE / "site.yaml").read_text(encoding="utf-8")
    for section in ("sources", "crosswalks", "tables"):
        before = text.split(f"\n{section}:\n")[0].splitlines()
        assert before[-1].startswith("#"), f"{section} begins without a word about it"
    assert len(re.findall("#", text)) > 40


def test_the_second_site_of_its_last_comment(tmp_path: Path) -> None:
    shutil.copytree(TEMPLATE, tmp_path / "my_plant")
    text = (TEMPLATE / "site.yaml").read_text(encoding="utf-8")
    block = text.split("the models too:\n#\n")[1].split("\n#\n# `steadyline")[0]
    own = tmp_path / "my_other_plant"
    own.mkdir()
    (own / "site.yaml").write_text(re.sub("^#   ", "", block, flags=re.MULTILINE), encoding="utf-8")
    base, site = load_site(tmp_path / "my_plant"), load_site(own)
    assert {d.path for d in diff(base, site).differences} == {
        ("site", "title"),
        ("sources", "orders", "path"),
        ("sources", "orders", "delimiter"),
        ("sources", "historian"),
        ("crosswalks", "kinds", "REP"),
        ("tables", "readings"),
        ("tables", "work_orders", "orders", "columns.cost"),
    }
    assert list(load_models(own)) == ["equipment_failures"]


def test_nothing_in_it_is_a_leftover() -> None:
    files = sorted(str(p.relative_to(TEMPLATE)) for p in TEMPLATE.rglob("*") if p.is_file())
    assert files == [
        "README.md",
        "crosswalks/assets.csv",
        "crosswalks/problems.csv",
        "models/equipment_failures.yaml",
        "site.yaml",
    ]
