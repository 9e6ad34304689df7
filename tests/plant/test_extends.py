"""`extends:`: a site that states only what differs; every mistake is told in the file in which it stands."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.spec import load_models
from plant.errors import SiteError
from plant.site import Site, load_site
from plant.site_inheritance import Layer, Merged

BASE = """
site: dublin
title: A plant in Dublin
time_zone: Europe/Dublin
simulated: true
assumptions: [one, two]
sources:
  orders: {system: CMMS, path: orders.csv, format: csv, time_zone: Europe/Dublin, delimiter: ";"}
  log: {system: SCADA, path: log.csv, format: csv, time_zone: UTC}
crosswalks:
  kinds: {CM: corrective, PM: preventive}
  assets: {file: walks/assets.csv, key: asset}
  problems: {file: walks/problems.csv}
tables:
  work_orders:
    - source: orders
      columns:
        work_order_id: N
        equipment_id: {column: A, crosswalk: assets}
        kind: {column: K, crosswalk: kinds}
        opened_at: {column: T, format: "%d.%m.%Y"}
        cost: {column: C, scale: 2, round: 1}
        text: D
  events:
    - source: log
      name: alarms
      each: {file: walks/signals.csv}
      columns:
        event_id: {template: "{N}/${signal}"}
        equipment_id: A
        ts: T
        kind: {constant: alarm}
        code: {constant: "${signal}"}
    - {source: log, name: states, columns: {event_id: N, equipment_id: A, ts: T, kind: {constant: state}}}
"""


@pytest.fixture
def sites(tmp_path: Path) -> Sites:
    made = Sites(tmp_path / "sites")
    made.write("dublin", BASE)
    made.beside("dublin/walks/assets.csv", "asset,equipment_id\nA,press-1\nB,press-2\n")
    made.beside("dublin/walks/problems.csv", "code,mode,mechanism\n1,jam,wear\n")
    made.beside("dublin/walks/signals.csv", "signal\nforce\nspeed\n")
    return made


class Sites:
    def __init__(self, folder: Path):
        self.folder = folder

    def beside(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        self.beside(f"{name}/site.yaml", text)

    def own(self, text: str = "", name: str = "graz", base: str = "../dublin") -> Site:
        self.write(name, f"extends: {base}\nsite: {name}\n{text}")
        return load_site(self.folder / name)

    def refused(self, text: str = "", base: str = "../dublin") -> list[str]:
        with pytest.raises(SiteError) as refused:
            self.own(text, base=base)
        assert refused.value.code == "bad_site"
        return refused.value.details


class TestWhatIsInherited:
    def test_everything_but_the_name(self, sites: Sites) -> None:
        base, own = load_site(sites.folder / "dublin"), sites.own()
        assert (own.name, own.title, own.simulated, own.time_zone) == ("graz", base.title, True, "Europe/Dublin")
        assert own.assumptions == ("one", "two")
        assert (own.sources, own.tables) == (base.sources, base.tables)
        assert list(own.crosswalks) == list(base.crosswalks)
        assert all(own.crosswalks[name].equals(walk) for name, walk in base.crosswalks.items())
        assert [p.name for p in own.folders] == ["graz", "dublin"]
        assert own.folder == sites.folder / "graz"

    def test_the_name_is_its_own(self, sites: Sites) -> None:
        sites.write("graz", "extends: ../dublin\n")
        with pytest.raises(SiteError) as refused:
            load_site(sites.folder / "graz")
        assert refused.value.details == ["site.yaml: site: is missing"]

    def test_a_source_key_by_key(self, sites: Sites) -> None:
        source = sites.own("sources: {orders: {path: wo.csv, delimiter: null, decimal: ','}}").sources["orders"]
        assert (source.path, source.delimiter, source.decimal, source.system) == ("wo.csv", ",", ",", "CMMS")

    def test_null_takes_a_source_and_its_table_away(self, sites: Sites) -> None:
        own = sites.own("sources: {log: null}\ntables: {events: null}")
        assert (list(own.sources), list(own.tables)) == (["orders"], ["work_orders"])

    def test_a_list_replaces(self, sites: Sites) -> None:
        own = sites.own(
            "assumptions: [three]\n"
            "tables: {events: [{source: log, columns: {event_id: N, equipment_id: A, ts: T, kind: {constant: error}}}]}"
        )
        assert own.assumptions == ("three",)
        assert [i.columns["kind"].constant for i in own.tables["events"]] == ["error"]

    @pytest.mark.parametrize(
        ("written", "expected"),
        [
            ("PRICE", {"column": "PRICE"}),
            ("{column: PRICE}", {"column": "PRICE", "scale": 2, "round": 1}),
            ("{scale: 3}", {"column": "C", "scale": 3, "round": 1}),
            ("{round: null}", {"column": "C", "scale": 2}),
            ("{constant: 5}", {"constant": 5, "scale": 2, "round": 1}),
            ("null", None),
        ],
    )
    def test_a_column(self, sites: Sites, written: str, expected: dict[str, Any] | None) -> None:
        own = sites.own(f"tables: {{work_orders: {{orders: {{columns: {{cost: {written}}}}}}}}}")
        item = own.tables["work_orders"][0]
        found = item.columns.get("cost")
        assert (found.model_dump(exclude_defaults=True) if found else None) == expected
        assert item.columns["text"].column == "D"

    def test_more_over_the_short_form(self, sites: Sites) -> None:
        own = sites.own("tables: {work_orders: {orders: {columns: {text: {replace: {a: b}}}}}}")
        item = own.tables["work_orders"][0]
        assert item.columns["text"].model_dump(exclude_defaults=True) == {"column": "D", "replace": {"a": "b"}}

    def test_items_by_name(self, sites: Sites) -> None:
        own = sites.own(
            "tables:\n  events:\n    states: null\n    alarms: {where: {Q: [x]}}\n"
            "    more: {source: log, columns: {event_id: M, equipment_id: A, ts: T, kind: {constant: error}}}"
        )
        kinds = [(i.columns["kind"].constant, bool(i.where), i.name) for i in own.tables["events"]]
        assert kinds == [("alarm", True, "alarms"), ("alarm", True, "alarms"), ("error", False, "more")]

    def test_files_lie_beside_the_file_that_names_them(self, sites: Sites) -> None:
        sites.beside("graz/walks/problems.csv", "code,mode,mechanism\n9,leak,\n")
        own = sites.own("crosswalks: {problems: {file: walks/problems.csv}}")
        assert own.crosswalks["problems"].to_dict("index") == {"9": {"mode": "leak", "mechanism": ""}}
        assert own.crosswalks["assets"]["equipment_id"].to_dict() == {"A": "press-1", "B": "press-2"}
        alarms = [item.columns["code"].constant for item in own.tables["events"] if item.name == "alarms"]
        assert alarms == ["force", "speed"]
        sites.beside("graz/signals.csv", "signal\ntorque\n")
        changed = sites.own("tables: {events: {alarms: {each: {file: signals.csv}}}}")
        assert [i.columns["code"].constant for i in changed.tables["events"] if i.name == "alarms"] == ["torque"]

    def test_codes_are_merged(self, sites: Sites) -> None:
        own = sites.own("crosswalks: {kinds: {CM: null, PM: inspection, X: ''}, assets: {B: null, C: c, A: a}}")
        assert own.crosswalks["kinds"]["value"].to_dict() == {"PM": "inspection", "X": ""}
        assert own.crosswalks["assets"]["equipment_id"].to_dict() == {"C": "c", "A": "a"}

    def test_a_file_takes_the_place_of_codes(self, sites: Sites) -> None:
        sites.beside("graz/kinds.csv", "k,w\nREP,corrective\n")
        own = sites.own("crosswalks: {kinds: {file: kinds.csv}}")
        assert own.crosswalks["kinds"]["w"].to_dict() == {"REP": "corrective"}

    def test_through_several(self, sites: Sites) -> None:
        sites.own("title: Middle\nsources: {log: {path: middle.csv}, orders: {path: middle.csv}}", name="middle")
        own = sites.own("sources: {log: {path: own.csv}}", base="../middle")
        assert (own.title, own.sources["log"].path, own.sources["orders"].path) == ("Middle", "own.csv", "middle.csv")
        assert [p.name for p in own.folders] == ["graz", "middle", "dublin"]

    def test_the_digest_goes_over_every_file(self, sites: Sites) -> None:
        digests = {sites.own().digest, load_site(sites.folder / "dublin").digest}
        sites.write("dublin", BASE + "# a remark\n")
        digests.add(load_site(sites.folder / "graz").digest)
        sites.beside("dublin/walks/assets.csv", "asset,equipment_id\nA,press-1\n")
        digests.add(load_site(sites.folder / "graz").digest)
        assert len(digests) == 4


class TestModels:
    MODEL = "name: {}\ntask: failure\ntitle: {}\nintended_use: test\n" + (
        "costs: {{missed_failure: 5, planned_intervention: 2, false_alarm: 1, currency: EUR}}\n"
    )

    def test_by_name_of_the_file(self, sites: Sites) -> None:
        for name, title in (("a", "base"), ("b", "base"), ("c", "base")):
            sites.beside(f"dublin/models/{name}.yaml", self.MODEL.format(f"model_{name}", title))
        sites.beside("graz/models/b.yaml", self.MODEL.format("model_b", "own"))
        sites.beside("graz/models/c.yaml", "# not for this plant\n")
        sites.beside("graz/models/d.yaml", self.MODEL.format("model_d", "own"))
        own = sites.own()
        assert [str(p.relative_to(sites.folder)) for p in own.model_files] == [
            "dublin/models/a.yaml",
            "graz/models/b.yaml",
            "graz/models/d.yaml",
        ]
        assert {n: m.title for n, m in load_models(own.folder).items()} == {
            "model_a": "base",
            "model_b": "own",
            "model_d": "own",
        }
        assert list(load_models(sites.folder / "dublin")) == ["model_a", "model_b", "model_c"]

    def test_an_empty_file_that_hides_nothing_is_a_mistake(self, sites: Sites) -> None:
        sites.beside("graz/models/c.yaml", "# nothing\n")
        with pytest.raises(SiteError, match="c.yaml"):
            load_models(sites.own().folder)


class TestRefusals:
    @pytest.mark.parametrize(
        ("base", "expected"),
        [
            ("../dublim", "no site in '../dublim'; allowed: ../dublin; did you mean '../dublin'?"),
            ("/etc", "found '/etc'; allowed: a path relative to this folder"),
            ("..", "'..' lies outside the folder that holds the sites"),
            ("../../x", "'../../x' lies outside the folder that holds the sites"),
            ("'..\\dublin'", "allowed: a path relative to this folder, with /"),
            (".", "leads back to itself: graz -> graz"),
            ("[a]", "found ['a']; allowed: the folder of another site"),
            ("''", "found ''; allowed: the folder of another site"),
            ("~", "found None; allowed: the folder of another site"),
            ('"a\\0b"', "lies outside the folder that holds the sites"),
            ("../" + "x" * 300, "no site in '../xxx"),
        ],
    )
    def test_of_the_base(self, sites: Sites, base: str, expected: str) -> None:
        (told,) = sites.refused(base=base)
        assert told.startswith("site.yaml: extends: ")
        assert expected in told

    def test_a_link_out_of_the_sites(self, sites: Sites, tmp_path: Path) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "site.yaml").write_text(BASE, encoding="utf-8")
        (sites.folder / "link").symlink_to(tmp_path / "elsewhere")
        assert "lies outside" in sites.refused(base="../link")[0]

    def test_a_circle(self, sites: Sites) -> None:
        sites.write("dublin", "extends: ../cork\nsite: dublin\n")
        sites.write("cork", "extends: ../graz\nsite: cork\n")
        (told,) = sites.refused()
        assert told.startswith("../cork/site.yaml: extends: found '../graz'")
        assert told.endswith("graz -> dublin -> cork -> graz")

    def test_a_mapping_of_items_needs_a_base(self, sites: Sites) -> None:
        sources = "sources: {log: {system: a, path: b, format: csv}}"
        sites.write("cork", f"site: cork\ntitle: c\n{sources}\ntables: {{events: {{log: {{}}}}}}")
        with pytest.raises(SiteError) as refused:
            load_site(sites.folder / "cork")
        assert "only a site that extends another one" in refused.value.details[0]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("sources: {ordrs: null}", "sources.ordrs: null removes nothing: allowed: orders, log; did you mean"),
            ("sources: {log: {clock: null}}", "sources.log.clock: null removes nothing"),
            ("crosswalks: {kinds: {CX: null}}", "crosswalks.kinds.CX: null removes nothing: allowed: CM, PM"),
            ("crosswalks: {assets: {CX: null}}", "crosswalks.assets.CX: null removes nothing: allowed: A, B"),
            ("crosswalks: {problems: {X: y}}", "crosswalks.problems.X: the file has several columns of words"),
            ("crosswalks: {assets: {key: as}}", "crosswalks.assets.key: found 'as'; allowed: asset, "),
            ("tables: {event: null}", "tables.event: null removes nothing: allowed: work_orders, events"),
            ("tables: {events: {state: null}}", "tables.events.state: null removes nothing: allowed: alarms, states"),
            (
                "tables: {work_orders: {orders: {columns: {txt: null}}}}",
                "site.yaml: tables.work_orders.orders.columns.txt: null removes nothing",
            ),
            ("sources: {log: null}", "../dublin/site.yaml: tables.events[1].source: found 'log'; allowed: orders (t"),
            ("crosswalks: {kinds: null}", "../dublin/site.yaml: tables.work_orders[0].columns.kind.crosswalk: found"),
            ("tables: {events: {other: {columns: {}}}}", "site.yaml: tables.events.other.source: is missing"),
            ("tables: {work_orders: 5}", "site.yaml: tables.work_orders: allowed: a list of mapping items"),
            ("sources: 5", "site.yaml: sources: found int; allowed: a mapping of names"),
        ],
    )  # fmt: skip
    def test_of_what_differs(self, sites: Sites, text: str, expected: str) -> None:
        told = sites.refused(text)
        assert any(expected in line for line in told), told

    def test_two_items_of_one_name(self, sites: Sites) -> None:
        sites.write("dublin", BASE.replace("name: alarms", "where: {K: [x]}").replace("name: states,", ""))
        assert "2 items are called 'log'" in sites.refused("tables: {events: {log: {where: {}}}}")[0]
        sites.write("dublin", BASE.replace("name: states", "name: alarms"))
        assert any("events[1].name: found 'alarms', which another" in line for line in sites.refused())

    def test_ten_kinds_at_once_each_in_its_file(self, sites: Sites) -> None:
        sites.write(
            "dublin",
            BASE.replace("format: csv, time_zone: UTC", "format: cvs, time_zone: UTC")
            .replace("key: asset", "key: aset")
            .replace('format: "%d.%m.%Y"', "scale: 2")
            .replace("kind: {constant: state}", "kin: {constant: state}")
            .replace("work_orders:", "work_order:", 1)
            .replace("time_zone: Europe/Dublin\nsim", "time_zone: Europe/Dubln\nsim"),
        )
        sites.beside("dublin/walks/problems.csv", "code,mode,review\n1,jam,revewed\n")
        told = sites.refused(
            "titel: Graz\n"
            "sources: {orders: {encoding: cp12521, clock_offset: seven, delimeter: x}}\n"
            "crosswalks: {kinds: {file: kinds.csv}, assets: {key: null}}\n"
            "tables:\n"
            "  work_orders:\n"
            "    - {source: order, columns: {work_order_id: N, "
            "opened_at: {colum: T}, kind: {column: K, crosswalk: kind}}}\n"
            "  events:\n"
            "    alarms: {columns: {value: {column: V, unit: {from: degF, to: kN}}, code: {constant: '${sgnal}'}}}\n"
            "    stats: null\n"
        )
        base, own = "../dublin/site.yaml: ", "site.yaml: "
        expected = [
            (base, "time_zone: 'Europe/Dubln' is no time zone; allowed: IANA names", "'Europe/Dublin'?"),
            (base, "sources.log.format: found 'cvs'; allowed: csv, parquet", "'csv'?"),
            (base, "crosswalks.problems.file: file 'walks/problems.csv', line 2: review: found 're", "'reviewed'?"),
            (base, "tables.work_order: unknown table 'work_order'; allowed: equipment", "did you mean 'work_orders'?"),
            (base, "tables.events[1].columns.kin: events has no such column; allowed: event_id", "'kind'?"),
            (base, "tables.events[1].columns: the required column 'kind' is missing", ""),
            (own, "titel: unknown key 'titel'; allowed: site, title", "did you mean 'title'?"),
            (own, "sources.orders.encoding: 'cp12521' is no encoding; allowed: utf-8", ""),
            (own, "sources.orders.clock_offset: 'seven' is no duration; allowed: -7min", ""),
            (own, "sources.orders.delimeter: unknown key 'delimeter'; allowed: system, path", "'delimiter'?"),
            (own, "crosswalks.kinds.file: file 'kinds.csv' does not exist; there are: no CSV files", ""),
            (own, "tables.work_orders[0].source: found 'order'; allowed: orders, log", "did you mean 'orders'?"),
            (own, "tables.work_orders[0].columns.opened_at.colum: unknown key 'colum'; allowed: column", "'column'?"),
            (own, "tables.work_orders[0].columns.kind.crosswalk: found 'kind'; allowed: kinds", "'kinds'?"),
            (own, "tables.work_orders[0].columns: the required column 'equipment_id' is missing", ""),
            (own, "tables.events.alarms.columns.value.unit: 'degF' cannot be converted to 'kN'", ""),
            (own, "tables.events.alarms.columns.code.constant: '${sgnal}' is not filled; allowed: signal", "'signal'?"),
            (own, "tables.events.stats: null removes nothing: allowed: alarms, states", "did you mean 'states'?"),
        ]  # fmt: skip
        for file, what, near in expected:
            assert any(line.startswith(file + what) and line.endswith(near) for line in told), (file + what, told)


KEYS = st.sampled_from("abcd")
VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
SOURCES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES))


def laid_over(base: Any, own: Any) -> Any:
    """RFC 7396 (JSON merge patch), which the merging of sources follows."""
    if not isinstance(own, dict):
        return own
    out = copy.deepcopy(base) if isinstance(base, dict) else {}
    for key, value in own.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = laid_over(out[key], value) if isinstance(out.get(key), dict) else copy.deepcopy(value)
    return out


@settings(max_examples=200, deadline=None)
@given(base=SOURCES, own=SOURCES)
def test_sources_are_merged_as_a_merge_patch(base: dict[str, Any], own: dict[str, Any]) -> None:
    layers = [Layer(Path(n), n, {"sources": copy.deepcopy(raw)}, b"") for n, raw in (("own", own), ("base", base))]
    sources = Merged(layers).root.child("sources")
    assert sources is not None
    assert sources.plain() == laid_over(base, own)
    assert [layer.raw["sources"] for layer in layers] == [own, base], "what was read stays as it was"
