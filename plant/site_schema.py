"""The JSON Schema (2020-12) of `site.yaml`, for completion and checks in an editor.

It is made of the parts that read the file (`plant.sources`, `plant.forms`) and of the contracts of the tables. Names of
sources, crosswalks, units and the like are only checked by `load_site`, which has the last word.

A site that extends another one states only what differs: there no key is required and null takes a key away. That is
why the parts stand in it twice, as they are and (with `.change` in the name) as what differs.
"""

from __future__ import annotations

from typing import Any

from plant.forms import Item
from plant.site import RECORDED_AT, Head
from plant.site_inheritance import RAW_KEYS, SECTIONS
from plant.site_key_texts import CROSSWALK_TEXTS, EACH_TEXT, KEY_TEXTS, OPEN_TEXT, RECORDED_TEXT, SECTION_TEXTS
from plant.sources import Source
from plant.tables import TABLES, Column, Table

Schema = dict[str, Any]
_NULL: Schema = {"type": "null"}
_FILLED: Schema = {"type": "string", "pattern": r"\$\{[^{}]+\}"}  # by `each`, whatever the key takes
_WORD: Schema = {"type": ["string", "number", "boolean", "null"]}
_EACH: Schema = {
    "anyOf": [
        {"type": "array", "items": {"type": "object"}, "minItems": 1},
        {
            "type": "object",
            "properties": {"file": {"type": "string"}},
            "required": ["file"],
            "additionalProperties": False,
        },
    ]
}
_SCALARS = {"integer", "number", "boolean"}


def site_schema() -> Schema:
    """The schema as JSON values."""
    defs = {**_parts(), **_tables(), "Crosswalk": _crosswalk()}
    head = _object(Head.model_json_schema(), "Head", False)["properties"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "site.yaml",
        "description": "Connects a site to Steadyline by configuration.",
        "type": "object",
        "properties": {
            **head,
            "extends": {"type": "string", "minLength": 1, "description": SECTION_TEXTS["extends"]},
            **{name: {"type": "object", "description": SECTION_TEXTS[name]} for name in SECTIONS},
        },
        "additionalProperties": False,
        "required": ["site"],
        "if": {"required": ["extends"]},
        "then": {"properties": _sections(True)},
        "else": {"required": ["title", "sources", "tables"], "properties": _sections(False)},
        "$defs": dict(sorted(defs.items())),
    }


def _sections(change: bool) -> Schema:
    tables = {name: _table(table, change) for name, table in TABLES.items()}
    out: Schema = {
        "sources": {"additionalProperties": _maybe_null(_ref(_named("Source", change)), change)},
        "crosswalks": {"additionalProperties": _maybe_null(_ref("Crosswalk"), change)},
        "tables": {"properties": tables, "additionalProperties": False},
    }
    if not change:
        out["sources"]["minProperties"] = out["tables"]["minProperties"] = 1
    return out


def _parts() -> Schema:
    """Every part that a source or an item is made of, as it is and as what differs."""
    out: Schema = {}
    for model in (Source, Item):
        whole = model.model_json_schema()
        for name, schema in {model.__name__: whole, **whole.get("$defs", {})}.items():
            for change in (False, True):
                out[_named(name, change)] = _object(schema, name, change)
    for change in (False, True):
        keys = out.pop(_named("Form", change))
        if not change:
            keys["oneOf"] = [{"required": [k]} for k in RAW_KEYS]
        out[_named("Form.keys", change)] = keys
        short = {"type": "string", "minLength": 1, "description": "A column of the source."}
        out[_named("Form", change)] = {"anyOf": [short, _ref(_named("Form.keys", change))]}
    out["Source"]["allOf"] = [
        {"if": {"properties": {"format": {"const": "sql"}}}, "then": {"required": ["url", "query"]},
         "else": {"required": ["path"]}}
    ]  # fmt: skip
    return out


def _object(schema: Schema, name: str, change: bool) -> Schema:
    """One part: pydantic's schema with our texts, without its own names and with the parts as we call them."""
    required = () if change else schema.get("required", ())
    fillable = name not in ("Head", "Source", "Since")
    properties = {}
    for key, value in schema["properties"].items():
        one = _rewritten(value, change, fillable)
        properties[key] = {"description": KEY_TEXTS[name][key], **_maybe_null(one, change)}
    out: Schema = {"type": "object", "description": _first_paragraph(schema.get("description", ""))}
    out |= {"properties": properties, "additionalProperties": False}
    return out | ({"required": list(required)} if required else {})


def _rewritten(value: Any, change: bool, fillable: bool) -> Any:
    """Without `title` and empty defaults; references to our names; text with ${name} where `each` may fill it in."""
    if isinstance(value, list):
        return [_rewritten(v, change, fillable) for v in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _ref(_named(value["$ref"].removeprefix("#/$defs/"), change))
    if {"type": "string"} in value.get("anyOf", ()):
        fillable = False  # takes any text already
    skip = {"title"} | ({"default"} if value.get("default", 0) is None else set())
    out = {
        k: v if k in ("default", "enum", "const") else _rewritten(v, change, fillable)
        for k, v in value.items()
        if k not in skip
    }
    closed = out.get("type") in _SCALARS or "enum" in out
    if fillable and closed:
        default = {k: out.pop(k) for k in ("default",) if k in out}
        return {"anyOf": [out, _FILLED], **default}
    return out


def _tables() -> Schema:
    out: Schema = {}
    for change in (False, True):
        item = _object(Item.model_json_schema(), "Item", change)
        common = {key: _ref(f"{_named('Item', change)}/properties/{key}") for key in item["properties"]}
        common["each"] = {"description": EACH_TEXT, **_maybe_null(_EACH, change)}
        for name, table in TABLES.items():
            columns = _named(f"{name}.columns", change)
            out[columns] = _columns(table, change)
            own = {"columns": {"description": KEY_TEXTS["Item"]["columns"], **_ref(columns)}}
            out[_named(f"{name}.item", change)] = item | {"properties": common | own}
    return out


def _columns(table: Table, change: bool) -> Schema:
    form = _maybe_null(_ref(_named("Form", change)), change)
    columns = [*table.columns, Column(RECORDED_AT, "time", RECORDED_TEXT)]
    out: Schema = {
        "type": "object",
        "properties": {c.name: {"description": _column_text(c), **form} for c in columns},
        "additionalProperties": False,
    }
    if table.open_values:
        out["additionalProperties"] = {"description": OPEN_TEXT, **form}
        out["propertyNames"] = {"pattern": r"^[A-Za-z_][A-Za-z0-9_.]*$"}
    if not change:
        out["required"] = [c.name for c in table.columns if c.required]
        if table.one_of:
            out["anyOf"] = [{"required": [name]} for name in table.one_of]
    return out


def _column_text(column: Column) -> str:
    unit = f" [{column.unit}]" if column.unit else ""
    codes = f"; one of {', '.join(column.codes)}" if column.codes else ""
    return f"{column.meaning}{unit}{codes}" + (" (required)" if column.required else "")


def _table(table: Table, change: bool) -> Schema:
    items: Schema = {"type": "array", "items": _ref(f"{table.name}.item"), "minItems": 1}
    if not change:
        return {"description": table.meaning, **items}
    changes = {"type": "object", "additionalProperties": _maybe_null(_ref(f"{table.name}.item.change"), True)}
    return {"description": table.meaning, "anyOf": [items, changes, _NULL]}


def _crosswalk() -> Schema:
    texts = {key: {"type": "string", "description": text} for key, text in CROSSWALK_TEXTS.items()}
    file = {"type": "object", "properties": texts, "required": ["file"], "additionalProperties": False}
    codes = {"type": "object", "additionalProperties": _WORD, "minProperties": 1, "not": {"required": ["file"]}}
    return {"description": "{code: word} pairs, or the file that holds them.", "anyOf": [file, codes]}


def _named(name: str, change: bool) -> str:
    return f"{name}.change" if change else name


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _maybe_null(schema: Schema, null: bool) -> Schema:
    if not null:
        return schema
    if "anyOf" in schema:
        return schema | {"anyOf": [*schema["anyOf"], *([] if _NULL in schema["anyOf"] else [_NULL])]}
    return {"anyOf": [schema, _NULL]}


def _first_paragraph(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split())
