"""What differs between two sites: found on both sides, with both values, and nothing else."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from plant.site import Site, load_site
from plant.site_diff import Difference, SiteDiff, diff, render_diff

SITES = Path(__file__).parents[2] / "sites"
EVENT = {"event_id": "id", "equipment_id": "a", "ts": "t", "kind": {"constant": "error"}}
RAW: dict[str, Any] = {
    "site": "dublin",
    "title": "Dublin",
    "assumptions": ["one"],
    "sources": {
        "log": {"system": "log", "path": "log.csv", "format": "csv", "time_zone": "UTC"},
        "old": {"system": "log", "path": "old.csv", "format": "csv", "time_zone": "UTC"},
    },
    "crosswalks": {"kinds": {"A": "error", "B": "alarm"}, "same": {"x": "y"}},
    "tables": {
        "events": [
            {"source": "log", "columns": EVENT | {"code": {"column": "c", "crosswalk": "kinds"}}},
            {"source": "old", "columns": EVENT},
        ],
        "signals": [
            {
                "source": "log",
                "each": [{"s": "force"}, {"s": "speed"}],
                "columns": {"equipment_id": "a", "signal": {"constant": "${s}"}, "unit": "u"},
            }
        ],
    },
}


def site(folder: Path, change: Any = lambda raw: None) -> Site:
    raw = copy.deepcopy(RAW)
    change(raw)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "site.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return load_site(folder)


@pytest.fixture
def found(tmp_path: Path) -> SiteDiff:
    def graz(raw: dict[str, Any]) -> None:
        raw["site"], raw["title"], raw["assumptions"] = "graz", "Graz", ["one", "two"]
        raw["sources"]["log"] |= {"path": "graz.csv", "delimiter": ";"}
        raw["sources"]["new"] = raw["sources"].pop("old")
        raw["crosswalks"] = {"kinds": {"A": "state", "C": "alarm"}, "same": {"x": "y"}, "more": {"p": "q"}}
        events, signals = raw["tables"]["events"], raw["tables"]["signals"]
        events[0]["columns"] |= {"code": {"column": "code", "crosswalk": "kinds"}, "value": "v"}
        events[1]["source"] = "new"
        signals[0]["each"] = [{"s": "speed"}, {"s": "torque"}]
        raw["tables"]["equipment"] = [{"source": "log", "columns": {"equipment_id": "a", "equipment_class": "k"}}]

    return diff(site(tmp_path / "a"), site(tmp_path / "b", graz))


def test_everything_that_differs_and_nothing_else(found: SiteDiff) -> None:
    old = {"system": "log", "path": "old.csv", "format": "csv", "time_zone": "UTC"}
    item = {f"columns.{k}": v for k, v in EVENT.items()}
    signal = {"source": "log", "columns.equipment_id": "a", "columns.unit": "u"}
    assert list(found.differences) == [
        Difference(("site", "title"), "Dublin", "Graz"),
        Difference(("site", "assumptions"), ["one"], ["one", "two"]),
        Difference(("sources", "log", "path"), "log.csv", "graz.csv"),
        Difference(("sources", "log", "delimiter"), None, ";"),
        Difference(("sources", "old"), old, None),
        Difference(("sources", "new"), None, old),
        Difference(("crosswalks", "kinds", "A"), "error", "state"),
        Difference(("crosswalks", "kinds", "B"), "alarm", None),
        Difference(("crosswalks", "kinds", "C"), None, "alarm"),
        Difference(("crosswalks", "more"), None, {"p": "q"}),
        Difference(("tables", "equipment"), None, ["log"]),
        Difference(("tables", "signals", "log[force]"), signal | {"columns.signal": {"constant": "force"}}, None),
        Difference(("tables", "signals", "log[torque]"), None, signal | {"columns.signal": {"constant": "torque"}}),
        Difference(
            ("tables", "events", "log", "columns.code"),
            {"column": "c", "crosswalk": "kinds"},
            {"column": "code", "crosswalk": "kinds"},
        ),
        Difference(("tables", "events", "log", "columns.value"), None, "v"),
        Difference(("tables", "events", "old"), {"source": "old"} | item, None),
        Difference(("tables", "events", "new"), None, {"source": "new"} | item),
    ]


def test_as_json(found: SiteDiff) -> None:
    told = json.loads(json.dumps(found.as_dict()))
    assert (told["here"], told["there"]) == ("dublin", "graz")
    assert told["counts"] == {"only_here": 4, "only_there": 8, "differs": 5}
    assert sum(len(told[s]) for s in ("site", "sources", "crosswalks", "tables")) == len(found.differences) == 17
    assert told["crosswalks"][0] == {
        "path": ["crosswalks", "kinds", "A"],
        "kind": "differs",
        "here": "error",
        "there": "state",
    }


def test_the_other_way_round(found: SiteDiff, tmp_path: Path) -> None:
    a, b = load_site(tmp_path / "a"), load_site(tmp_path / "b")
    mirrored = {(d.path, json.dumps(d.there), json.dumps(d.here)) for d in diff(b, a).differences}
    assert mirrored == {(d.path, json.dumps(d.here), json.dumps(d.there)) for d in found.differences}


def test_what_is_written_another_way_is_the_same(tmp_path: Path) -> None:
    def other(raw: dict[str, Any]) -> None:
        columns = raw["tables"]["events"][0]["columns"]
        raw["tables"]["events"][0]["columns"] = {k: columns[k] for k in reversed(columns)} | {"ts": {"column": "t"}}
        raw["sources"]["log"]["delimiter"] = ","
        raw["tables"]["signals"][0]["each"].reverse()

    assert diff(site(tmp_path / "a"), site(tmp_path / "b", other)).differences == ()


def test_items_of_one_source_by_what_is_constant_in_their_key(tmp_path: Path) -> None:
    def other(raw: dict[str, Any]) -> None:
        raw["tables"]["signals"][0]["each"].reverse()
        raw["tables"]["signals"][0]["columns"]["unit"] = "w"

    assert list(diff(site(tmp_path / "a"), site(tmp_path / "b", other)).differences) == [
        Difference(("tables", "signals", "log[force]", "columns.unit"), "u", "w"),
        Difference(("tables", "signals", "log[speed]", "columns.unit"), "u", "w"),
    ]


def test_items_by_their_names(tmp_path: Path) -> None:
    def named(raw: dict[str, Any]) -> None:
        raw["tables"]["events"][1]["name"] = "log"
        raw["tables"]["events"][0]["name"] = "other"

    paths = {d.path[:3] for d in diff(site(tmp_path / "a"), site(tmp_path / "b", named)).differences}
    assert paths == {("tables", "events", "log"), ("tables", "events", "old"), ("tables", "events", "other")}


def test_the_extending_site_differs_in_what_it_states(tmp_path: Path) -> None:
    base = site(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "site.yaml").write_text(
        "extends: ../a\nsite: own\ncrosswalks: {kinds: {A: state}}\ntables: {signals: null}\n", encoding="utf-8"
    )
    found = diff(base, load_site(tmp_path / "b"))
    assert list(found.differences) == [
        Difference(("crosswalks", "kinds", "A"), "error", "state"),
        Difference(("tables", "signals"), ["log"], None),
    ]


@pytest.mark.parametrize("name", ["virtual_dublin", "zagar_tablets", "azure_pdm"])
def test_a_site_and_itself(name: str) -> None:
    there = load_site(SITES / name)
    assert diff(there, there).as_dict()["counts"] == {"only_here": 0, "only_there": 0, "differs": 0}


def shown(found: SiteDiff) -> str:
    console = Console(file=io.StringIO(), width=160, color_system=None)
    render_diff(console, found)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_people_see_both_values(found: SiteDiff) -> None:
    text = shown(found)
    assert "dublin and graz: 17 difference(s)" in text
    for line in (
        "~ path: log.csv → graz.csv",
        "+ delimiter: ;",
        "- old: {system: log, path: old.csv, format: csv, time_zone: UTC}",
        "~ A: error → state",
        "~ code: {column: c, crosswalk: kinds} → {column: code, crosswalk: kinds}",
        "- log[force]: {source: log, equipment_id: a, signal: {constant: force}, unit: u}",
    ):
        assert line in text, line


def test_words_that_look_like_markup_are_shown(tmp_path: Path) -> None:
    def other(raw: dict[str, Any]) -> None:
        raw["title"] = "[bold]Graz[/]"

    assert "~ title: Dublin → [bold]Graz[/]" in shown(diff(site(tmp_path / "a"), site(tmp_path / "b", other)))
    assert "0 difference(s)" in shown(diff(site(tmp_path / "a"), site(tmp_path / "a")))
