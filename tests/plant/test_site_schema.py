"""The JSON Schema of site.yaml: it accepts what the project has, marks mistakes, and explains every key."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from plant.forms import Item
from plant.site import Head
from plant.site_key_texts import KEY_TEXTS
from plant.site_problems import field_names, models_in
from plant.site_schema import site_schema
from plant.sources import Source
from plant.tables import TABLES
from plant.yaml_text import read_yaml

SITES = Path(__file__).parents[2] / "sites"
FOLDERS = sorted(p.parent.name for p in SITES.glob("*/site.yaml"))
FIRST_LINE = "# yaml-language-server: $schema=../../docs/reference/site.schema.json"

SITE: dict[str, Any] = {
    "site": "works",
    "title": "A works",
    "sources": {"log": {"system": "log", "path": "log.csv", "format": "csv"}},
    "crosswalks": {"kinds": {"A": "error", "7": "alarm"}, "codes": {"file": "codes.csv", "key": "code"}},
    "tables": {
        "events": [
            {
                "source": "log",
                "columns": {
                    "event_id": "id",
                    "equipment_id": {"column": "a"},
                    "ts": {"column": "t", "format": ["iso", "%d.%m.%Y"]},
                    "kind": {"constant": "error"},
                    "value": {"column": "v", "unit": {"from": {"column": "u"}, "to": "degC"}, "round": 2},
                },
            }
        ]
    },
}


def errors(schema: dict[str, Any], value: Any) -> list[str]:
    """What is wrong with a value, one line each."""
    Draft202012Validator.check_schema(schema)
    return [f"{e.json_path}: {e.message}" for e in Draft202012Validator(schema).iter_errors(value)]


def with_(value: Any, *path: Any) -> dict[str, Any]:
    """SITE with one value set; KeyError takes the key away."""
    site = copy.deepcopy(SITE)
    spot: Any = site
    for key in path[:-1]:
        spot = spot[key]
    if value is KeyError:
        del spot[path[-1]]
    else:
        spot[path[-1]] = value
    return site


LOG = ("sources", "log")
ITEM = ("tables", "events", 0)
COLUMNS = (*ITEM, "columns")
MISTAKES = [
    with_(KeyError, "site"),
    with_(KeyError, "title"),
    with_(KeyError, "sources"),
    with_({}, "tables"),
    with_("x", "titel"),
    with_("yes", "simulated"),
    with_("one", "assumptions"),
    with_([1], "assumptions"),
    with_("cvs", *LOG, "format"),
    with_("x", *LOG, "delimeter"),
    with_(KeyError, *LOG, "path"),
    with_("sql", *LOG, "format"),
    with_(";", *LOG, "decimal"),
    with_([-999], *LOG, "missing"),
    with_("no", *LOG, "optional"),
    with_({"overlap": "2h"}, *LOG, "since"),
    with_(None, "sources", "log"),
    with_({"A": ["x"]}, "crosswalks", "kinds"),
    with_({}, "crosswalks", "kinds"),
    with_({"file": "a.csv", "kee": "b"}, "crosswalks", "codes"),
    with_([], "tables", "event"),
    with_([], "tables", "events"),
    with_({"log": {}}, "tables", "events"),
    with_(KeyError, *ITEM, "source"),
    with_("x", *ITEM, "colums"),
    with_({"a": "x"}, *ITEM, "where"),
    with_({"a": {"nott": ["x"]}}, *ITEM, "where"),
    with_([], *ITEM, "each"),
    with_({"fil": "x.csv"}, *ITEM, "each"),
    with_({"last": "t"}, *ITEM, "keep"),
    with_(KeyError, *COLUMNS, "ts"),
    with_("c", *COLUMNS, "cod"),
    with_(5, *COLUMNS, "code"),
    with_({"colum": "c"}, *COLUMNS, "code"),
    with_({"column": "c", "constant": 1}, *COLUMNS, "code"),
    with_({"crosswalk": "kinds"}, *COLUMNS, "code"),
    with_({"column": "c", "round": 2.5}, *COLUMNS, "value"),
    with_({"column": "c", "round": 13}, *COLUMNS, "value"),
    with_({"column": "c", "scale": "two"}, *COLUMNS, "value"),
    with_({"column": "c", "unit": {"from": "degF"}}, *COLUMNS, "value"),
    with_({"column": "c", "unit": {"from": {"colum": "u"}, "to": "K"}}, *COLUMNS, "value"),
    with_({"column": "c", "offset": {"unit": "weeks"}}, *COLUMNS, "ts"),
    with_({"column": "c", "months": {"maj": 13}}, *COLUMNS, "ts"),
    with_({"lookup": {"source": "log", "on": {}, "take": "x"}}, *COLUMNS, "code"),
    with_({"lookup": {"source": "log", "on": {"a": "b"}, "take": "x", "which": "frist"}}, *COLUMNS, "code"),
]  # fmt: skip


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return site_schema()


@pytest.mark.parametrize("name", FOLDERS)
def test_every_site_of_the_project_fits(schema: dict[str, Any], name: str) -> None:
    path = SITES / name / "site.yaml"
    assert errors(schema, read_yaml(path)) == []
    assert path.read_text(encoding="utf-8").splitlines()[0] == FIRST_LINE, "an editor finds the schema by this line"


def test_the_small_site_fits(schema: dict[str, Any]) -> None:
    assert errors(schema, SITE) == []


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_a_mistake_is_marked(schema: dict[str, Any], number: int) -> None:
    assert errors(schema, MISTAKES[number])


@pytest.mark.parametrize(
    "site",
    [
        with_([{"a": 1, "from": "degF"}], *ITEM, "each"),
        with_({"column": "${tag}", "round": "${n}"}, *COLUMNS, "value"),
        with_({"column": "c", "offset": {"unit": "${u}"}}, *COLUMNS, "ts"),
        with_({"url": "env:MES", "query": "select 1", "system": "MES", "format": "sql"}, *LOG),
        with_("c", *COLUMNS, "recorded_at"),
        with_({"file": "list.csv"}, *ITEM, "each"),
        with_({"a": ["x"], "b": {"not": ["y"]}}, *ITEM, "where"),
    ],
)
def test_what_is_no_mistake(schema: dict[str, Any], site: dict[str, Any]) -> None:
    assert errors(schema, site) == []


def test_a_site_that_extends_another_says_only_what_differs(schema: dict[str, Any]) -> None:
    own: dict[str, Any] = {
        "site": "graz",
        "extends": "../works",
        "sources": {"log": {"delimiter": None, "path": "graz.csv"}, "old": None},
        "crosswalks": {"kinds": {"A": None}, "codes": None},
        "tables": {
            "events": {"log": {"columns": {"value": {"round": 1}, "code": None}, "where": None}, "old": None},
            "readings": None,
        },
    }
    assert errors(schema, own) == []
    assert errors(schema, {k: v for k, v in own.items() if k != "extends"})
    for wrong in (
        {"tables": {"events": {"log": {"columns": {"valu": None}}}}},
        {"tables": {"events": {"log": {"colums": {}}}}},
        {"tables": {"events": [{"source": "log"}]}},
        {"sources": {"log": {"delimeter": None}}},
        {"extends": 5},
        {"tables": {"event": None}},
    ):
        assert errors(schema, own | wrong), wrong


def parts() -> Iterator[tuple[str, list[str]]]:
    """Every part of a site.yaml with its keys, as the code has them."""
    todo, seen = [Head, Source, Item], set()
    while todo:
        model = todo.pop()
        if model not in seen:
            seen.add(model)
            todo += [m for info in model.model_fields.values() for m in models_in(info.annotation)]  # type: ignore[misc]
            yield model.__name__, field_names(model)


def test_every_key_is_explained_and_nothing_else_is() -> None:
    assert {name: sorted(texts) for name, texts in KEY_TEXTS.items()} == {name: sorted(keys) for name, keys in parts()}


def test_every_property_has_a_description(schema: dict[str, Any]) -> None:
    found = json.dumps(schema)
    assert found == json.dumps(json.loads(found)), "plain JSON"

    def bare(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            for key, one in value.get("properties", {}).items() if isinstance(value.get("properties"), dict) else ():
                pointed = one.get("$ref", "").startswith("#/$defs/Item")
                if not one.get("description") and not pointed and not path.endswith((".if", ".then", ".else")):
                    yield f"{path}.{key}"
            for key, one in value.items():
                yield from bare(one, f"{path}.{key}")
        elif isinstance(value, list):
            for n, one in enumerate(value):
                yield from bare(one, f"{path}[{n}]")

    assert [p for p in bare(schema, "") if not p.endswith(".file")] == []


def test_every_table_and_column_completes_with_its_meaning(schema: dict[str, Any]) -> None:
    for name, table in TABLES.items():
        for change in ("", ".change"):
            columns = schema["$defs"][f"{name}.columns{change}"]["properties"]
            assert set(columns) == {*table.names, "recorded_at"}
            for column in table.columns:
                text = columns[column.name]["description"]
                assert text.startswith(column.meaning)
                assert all(code in text for code in column.codes)


def test_every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    for pointer in {part.split('"')[0] for part in json.dumps(schema).split('"$ref": "#/')[1:]}:
        found: Any = schema
        for key in pointer.split("/"):
            found = found[key]
        assert isinstance(found, dict)
