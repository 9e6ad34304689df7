"""A site as configuration: every mistake is told at once, by file, key, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plant.errors import SiteError
from plant.forms import Form
from plant.site import load_site
from plant.sources import Source
from plant.yaml_text import read_yaml
from tests.plant.workshop import EVENT, Workshop

ROOT = Path(__file__).parents[2]

TEN_MISTAKES = """
site: works
titel: A works for tests
time_zone: Europe/Dubln
sources:
  orders: {system: CMMS, path: orders.csv, format: cvs}
  log: {system: log, path: log.csv, format: csv, delimeter: ";"}
  lims: {system: LIMS, path: lims.csv, format: csv, encoding: cp12521}
  machines: {system: assets, path: machines.csv, format: csv, clock_offset: seven}
crosswalks:
  kinds: {file: walks/kinds.csv}
tables:
  work_order:
    - {source: orders, columns: {work_order_id: id}}
  equipment:
    - source: machine
      columns: {equipment_id: id, equipment_class: {column: class, crosswalk: kind}, line: {colum: line}}
    - source: machines
      columns: {equipment_id: {column: id, constant: 1}, equipment_class: class, aria: area}
  events:
    - source: log
      columns:
        event_id: id
        ts: {column: t, format: "%d.%m.%Q"}
        kind: {column: k, crosswalk: walk}
        value: {column: v, unit: {from: degF, to: kN}}
  readings:
    - source: log
      each: [{tag: force}]
      columns: {equipment_id: a, signal: "${tags}", ts: t, value: {column: v, unit: {from: blah, to: kN}}}
"""


def problems(folder: Path) -> list[str]:
    with pytest.raises(SiteError) as refused:
        load_site(folder)
    assert refused.value.code == "bad_site"
    return refused.value.details


BOMB = "".join(f"a{n}: &a{n} {{p: *a{n - 1}, q: *a{n - 1}, r: *a{n - 1}}}\n" for n in range(1, 30))


class TestMistakes:
    def test_all_at_once(self, workshop: Workshop) -> None:
        workshop.write(TEN_MISTAKES)
        told = problems(workshop.folder)
        assert all(line.startswith("site.yaml: ") for line in told)
        for expected in (
            "title: is missing",
            "titel: unknown key 'titel'; allowed: site, title, ",
            "time_zone: 'Europe/Dubln' is no time zone; allowed: IANA names such as Europe/Dublin or UTC; "
            "did you mean 'Europe/Dublin'?",
            "sources.orders.format: found 'cvs'; allowed: csv, parquet, excel, jsonl, delta, sql; did you mean 'csv'?",
            "sources.log.delimeter: unknown key 'delimeter'; allowed: system, path, ",
            "sources.lims.encoding: 'cp12521' is no encoding; allowed: utf-8, utf-16, cp1252",
            "sources.machines.clock_offset: 'seven' is no duration; allowed: -7min, 2h, 1d",
            "crosswalks.kinds.file: file 'walks/kinds.csv' does not exist; there are: no CSV files",
            "tables.work_order: unknown table 'work_order'; allowed: equipment, signals, ",
            "tables.equipment[0].columns.line.colum: unknown key 'colum'; allowed: column, constant, ",
            "tables.equipment[1].columns.equipment_id: give exactly one of column, constant, template, lookup",
            "tables.events[0].columns.ts.format: '%d.%m.%Q' is no time format",
            "tables.readings[0].columns.signal: '${tags}' is not filled; allowed: tag; did you mean 'tag'?",
            "tables.readings[0].columns.value.unit: 'blah' is no unit; allowed: units such as degC, bar, kN",
        ):
            assert any(expected in line for line in told), expected
        assert "did you mean 'work_orders'?" in next(t for t in told if "work_order:" in t)
        assert "did you mean 'delimiter'?" in next(t for t in told if "delimeter:" in t)

    MAPPING = """
        site: works
        title: A works
        sources: {log: {system: log, path: log.csv, format: csv, time_zone: UTC}}
        crosswalks: {kinds: {a: error}}
        tables:
          events:
            - source: lag
              columns:
                event_id: {column: id, round: 2}
                ts: {column: t, scale: 2}
                kind: {column: k, crosswalk: kind}
                value: {column: v, unit: {from: degF, to: kN}, format: iso}
                cod: c
                code: {lookup: {source: lab, on: {a: b}, take: c}}
    """

    @pytest.mark.parametrize(
        "expected",
        [
            "events[0].source: found 'lag'; allowed: log; did you mean 'log'?",
            "events[0].columns: the required column 'equipment_id' is missing",
            "columns.event_id.round: belongs to a float column; event_id is a string",
            "columns.ts.scale: belongs to a float column; ts is a time",
            "columns.value.format: belongs to a time column; value is a float",
            "columns.kind.crosswalk: found 'kind'; allowed: kinds; did you mean 'kinds'?",
            "columns.value.unit: 'degF' cannot be converted to 'kN'",
            "columns.cod: events has no such column; allowed: event_id, equipment_id, ts, kind, code, value; "
            "did you mean 'code'?",
            "columns.code.lookup.source: found 'lab'; allowed: log",
        ],
    )
    def test_of_the_mapping(self, workshop: Workshop, expected: str) -> None:
        import textwrap

        workshop.write(textwrap.dedent(self.MAPPING))
        assert any(expected in line for line in problems(workshop.folder))

    def test_a_unit_that_the_contract_fixes(self, workshop: Workshop) -> None:
        columns = {
            "work_order_id": "id",
            "equipment_id": "a",
            "kind": "k",
            "opened_at": "t",
            "labour_hours": {"column": "h", "unit": {"from": "min", "to": "s"}},
        }
        with pytest.raises(SiteError) as refused:
            workshop.one(columns, "work_orders")
        assert refused.value.details == [
            "site.yaml: tables.work_orders[0].columns.labour_hours.unit.to: "
            "found 's'; allowed: h, the unit of labour_hours"
        ]

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ({"clock_offset": "7"}, "'7' is no duration"),
            ({"clock_offset": "NaT"}, "'NaT' is no duration"),
            ({"decimal": ",", "thousands": ","}, "decimal and thousands are both ','"),
            ({"thousands": "."}, "decimal and thousands are both '.'"),
            ({"delimiter": ";;"}, "found ';;'; allowed: one plain character"),
            ({"time_zone": "CET+1"}, "'CET+1' is no time zone"),
            ({"ambiguous": "earlier"}, "found 'earlier'; allowed: quarantine, first, second"),
            ({"missing": [-999]}, "found -999; allowed: text; write it in quotes"),
            ({"path": ""}, "sources.log.path: found ''"),
        ],
    )
    def test_of_a_source(self, workshop: Workshop, source: dict[str, Any], expected: str) -> None:
        with pytest.raises(SiteError) as refused:
            workshop.one(EVENT, **source)
        assert expected in refused.value.details[0]

    @pytest.mark.parametrize(
        ("form", "expected"),
        [
            ({"column": "t", "format": "DD.MM.YYYY"}, "'DD.MM.YYYY' holds no year"),
            ({"column": "t", "months": {"jan": 13}}, "months.jan: found 13"),
            ({"column": "t", "take": "x"}, "take and default belong to a crosswalk"),
            ({"column": "t", "offset": {"unit": "weeks"}}, "offset.unit: found 'weeks'; allowed: s, min, h, d"),
            ({"column": "t", "offset": {"colum": "n", "unit": "d"}}, "offset.colum: unknown key 'colum'; allowed: "),
            ({"column": "t", "split": {"att": "-"}}, "split.att: unknown key 'att'; allowed: at, part; did you mean"),
            ({"column": "t", "months": 5}, "months: found 5"),
            ({"lookup": {"source": "log", "on": {"a": "b"}}}, "give one of take"),
            ({"lookup": {"source": "log", "on": {}, "take": "x"}}, "lookup.on: found {}"),
        ],
    )
    def test_of_a_form(self, workshop: Workshop, form: dict[str, Any], expected: str) -> None:
        with pytest.raises(SiteError) as refused:
            workshop.one(EVENT | {"ts": form})
        assert any(expected in line for line in refused.value.details)

    def test_a_wrong_mapping_is_told_once(self, workshop: Workshop) -> None:
        """Not also that it is no text, the other thing that is allowed there."""
        with pytest.raises(SiteError) as refused:
            workshop.one(EVENT | {"value": {"column": "v", "unit": {"from": {"colum": "u"}, "to": "kPa"}}})
        (told,) = refused.value.details
        assert ".columns.value.unit.from.colum: unknown key 'colum'; allowed: column, constant" in told

    def test_a_column_that_is_called_like_a_key(self, workshop: Workshop) -> None:
        with pytest.raises(SiteError) as refused:
            workshop.one({"equipment_id": "a", "signal": "s", "unit": {"colum": "u"}}, "signals")
        assert "columns.unit.colum: unknown key 'colum'; allowed: column, constant" in refused.value.details[0]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "'codes.csv' has no rows"),
            ("code,name\n", "'codes.csv' has no rows"),
            ("code,name\nA,a,b\n", "'codes.csv', line 2: has not as many fields as its header"),
            ("code,name\nA\n", "'codes.csv', line 2: has not as many fields as its header"),
            ("code,name\nA,a\nA,b\n", "lists these codes twice: A"),
            ("kode,name\nA,a\n", "key: found 'code'; allowed: kode, name; did you mean 'kode'?"),
            ("code,name,kind\nA,a,b\n", "has several columns; say which with take: name, kind"),
        ],
    )
    def test_of_a_crosswalk_file(self, workshop: Workshop, text: str, expected: str) -> None:
        workshop.beside("codes.csv", text)
        with pytest.raises(SiteError) as refused:
            workshop.one(
                EVENT | {"code": {"column": "c", "crosswalk": "k"}},
                crosswalks={"k": {"file": "codes.csv", "key": "code"}},
            )
        assert any(expected in line for line in refused.value.details)

    @pytest.mark.parametrize("name", ["../outside.csv", "{}/outside.csv", "link.csv"])
    def test_files_outside_the_site_folder(self, workshop: Workshop, tmp_path: Path, name: str) -> None:
        (tmp_path / "outside.csv").write_text("code,name\nA,a\n", encoding="utf-8")
        (workshop.folder / "link.csv").symlink_to(tmp_path / "outside.csv")
        for crosswalks, item in (
            ({"k": {"file": name.format(tmp_path)}}, {}),
            ({}, {"each": {"file": name.format(tmp_path)}}),
        ):
            with pytest.raises(SiteError) as refused:
                workshop.one(EVENT, crosswalks=crosswalks, item=item)
            assert "lies outside the site folder" in refused.value.details[0]

    @pytest.mark.parametrize("section", ["sources: []", "tables: 5", "crosswalks: words"])
    def test_a_section_that_is_none(self, workshop: Workshop, section: str) -> None:
        workshop.write(f"site: works\ntitle: A works\n{section}\n")
        assert any(line.startswith(f"site.yaml: {section.split(':')[0]}: found") for line in problems(workshop.folder))

    @pytest.mark.parametrize("name", ["a b", "../x", "", "-x", "a/b"])
    def test_a_name_that_could_not_be_a_folder(self, workshop: Workshop, name: str) -> None:
        workshop.write(f"site: '{name}'\ntitle: A works\n")
        assert any(
            "site: found" in line and "allowed: letters, digits, - and _" in line for line in problems(workshop.folder)
        )


class TestUnknownColumns:
    def test_all_of_them_before_anything_is_read(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,code,tme\n1,a,b\n")
        workshop.one(EVENT | {"ts": "time", "code": "code", "value": "size"})
        with pytest.raises(SiteError) as refused:
            workshop.connect()
        assert refused.value.code == "unknown_column"
        assert refused.value.details == [
            "log.csv: source 'log' has no column 'size'; it has: id, code, tme",
            "log.csv: source 'log' has no column 'time'; it has: id, code, tme; did you mean 'tme'?",
        ]
        assert workshop.store.manifest() is None

    @pytest.mark.parametrize(
        "columns",
        [
            EVENT | {"code": {"template": "{id}/{nope}"}},
            EVENT | {"code": {"lookup": {"source": "log", "on": {"nope": "id"}, "take": "id"}}},
            EVENT | {"value": {"column": "id", "unit": {"from": {"column": "nope"}, "to": "kPa"}}},
            EVENT | {"ts": {"constant": "2025-01-01", "offset": {"column": "nope", "unit": "d"}}},
            EVENT
            | {
                "value": {
                    "column": "id",
                    "unit": {"to": "kPa", "from": {"lookup": {"source": "log", "on": {"id": "nope"}, "take": "id"}}},
                }
            },
        ],
    )
    def test_wherever_they_are_named(self, workshop: Workshop, columns: dict[str, Any]) -> None:
        workshop.export("log.csv", "id\n1\n")
        workshop.one(columns)
        with pytest.raises(SiteError, match="'nope'"):
            workshop.connect()

    def test_in_where(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id\n1\n")
        workshop.one(EVENT, item={"where": {"nope": ["x"]}})
        with pytest.raises(SiteError, match="'nope'"):
            workshop.connect()

    def test_in_one_of_several_files(self, workshop: Workshop) -> None:
        workshop.export("a.csv", "id\n1\n")
        workshop.export("b.csv", "ID\n1\n")
        workshop.one(EVENT, path="*.csv")
        with pytest.raises(SiteError, match="b.csv: source 'log' has no column 'id'; it has: .*; did you mean 'ID'"):
            workshop.connect()


class TestFolder:
    @pytest.mark.parametrize("name", ["x" * 300, "a\0b", "nowhere/at/all"])
    def test_no_folder_at_all(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(SiteError) as refused:
            load_site(tmp_path / name)
        assert refused.value.code == "unknown_site"

    def test_unknown(self) -> None:
        with pytest.raises(SiteError) as refused:
            load_site(ROOT / "sites" / "virtual_dublim")
        assert refused.value.code == "unknown_site"
        assert "did you mean 'virtual_dublin'?" in refused.value.found
        assert "virtual_graz" in refused.value.allowed

    def test_without_a_site_yaml(self, tmp_path: Path) -> None:
        with pytest.raises(SiteError) as refused:
            load_site(tmp_path)
        assert refused.value.code == "missing_file"

    @pytest.mark.parametrize("name", sorted(p.parent.name for p in (ROOT / "sites").glob("[!_]*/site.yaml")))
    def test_the_sites_of_the_project(self, name: str) -> None:
        site = load_site(ROOT / "sites" / name)
        assert site.name == name
        assert site.simulated is (name not in ("excavators", "zagar_tablets"))
        assert site.assumptions

    def test_the_digest_changes_with_every_file_of_the_mapping(self, workshop: Workshop) -> None:
        workshop.beside("codes.csv", "code,name\nA,a\n")
        columns = EVENT | {"code": {"column": "c", "crosswalk": "k"}}
        digests = {workshop.one(columns, crosswalks={"k": {"file": "codes.csv"}}).digest}
        workshop.beside("codes.csv", "code,name\nA,b\n")
        digests.add(load_site(workshop.folder).digest)
        workshop.write((workshop.folder / "site.yaml").read_text(encoding="utf-8") + "# a remark\n")
        digests.add(load_site(workshop.folder).digest)
        assert len(digests) == 3


class TestYaml:
    def read(self, tmp_path: Path, text: str) -> dict[str, Any]:
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
        return read_yaml(tmp_path / "a.yaml")

    def test_words_stay_words(self, tmp_path: Path) -> None:
        text = "{a: on, b: 07:30, c: 2015-01-01, d: 007, e: 0x1F, f: 1_000, g: yes, h: NO, i: 12:30:45}"
        assert self.read(tmp_path, text) == {
            "a": "on",
            "b": "07:30",
            "c": "2015-01-01",
            "d": "007",
            "e": "0x1F",
            "f": "1_000",
            "g": "yes",
            "h": "NO",
            "i": "12:30:45",
        }

    def test_numbers_and_the_rest(self, tmp_path: Path) -> None:
        text = "{a: 1, b: -2.5, c: 1e3, d: true, e: ~, f: , g: '1', 7: x}"
        assert self.read(tmp_path, text) == {
            "a": 1,
            "b": -2.5,
            "c": 1000.0,
            "d": True,
            "e": None,
            "f": None,
            "g": "1",
            7: "x",
        }

    @pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x:\n  a: 1\n  a: 1\n", "{a: 1, 'a': 2}"])
    def test_a_key_that_stands_twice(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(SiteError, match=r"a\.yaml in line \d, column \d+: the key 'a' stands twice"):
            self.read(tmp_path, text)

    def test_merging_is_no_repetition(self, tmp_path: Path) -> None:
        text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc: {<<: *b, z: 4}\nd: *b\n"
        got = self.read(tmp_path, text)
        assert got["b"] == got["d"] == {"x": 1, "y": 3}
        assert got["c"] == {"x": 1, "y": 3, "z": 4}

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a: [1\nb: 2", "in line"),
            ("- a\n- b\n", "holds list"),
            ("", "holds NoneType"),
            ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
            ("a: !!int x", "a.yaml"),
            ("{[1]: 2}", "a.yaml"),
            ("a: \x00", "a.yaml"),
            ("a: &a [*a]", "recursive"),
            ("a0: &a0 {x: 1}\n" + BOMB, "holds more than 200,000 values once its aliases are written out"),
            ("a: " + "[" * 3000, "nested too deeply|in line"),
        ],
    )
    def test_what_is_no_mapping(self, tmp_path: Path, text: str, expected: str) -> None:
        with pytest.raises(SiteError, match=expected) as refused:
            self.read(tmp_path, text)
        assert refused.value.code == "bad_yaml"

    def test_another_encoding(self, tmp_path: Path) -> None:
        (tmp_path / "a.yaml").write_bytes("a: Störung".encode("cp1252"))
        with pytest.raises(SiteError, match="is not UTF-8 text"):
            read_yaml(tmp_path / "a.yaml")


def test_the_reference_names_every_key_there_is() -> None:
    """docs/reference/site-yaml.md is written by hand: a key that it does not name does not exist for its readers."""
    text = (ROOT / "docs" / "reference" / "site-yaml.md").read_text(encoding="utf-8")
    missing = [
        k for model in (Source, Form) for k in model.model_fields if f"{k}:" not in text and f"`{k}`" not in text
    ]
    assert missing == []
