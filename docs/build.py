"""Make the reference pages out of the code: `make docs`.

docs/reference/tables.md    the canonical tables, from `plant.tables.TABLES`
docs/reference/cli.md       the command line, from the Typer app of `steadyline`
docs/reference/features.md  every feature, from the definitions in `features`
docs/reference/review-yaml.md  the rules of reviews, from `serving.review_kinds` and `serving/review_rules.yaml`
docs/reference/site.schema.json  the JSON Schema of site.yaml, from the parts of `plant` that read it

`tests/test_docs.py` fails when a committed page differs from what the code says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import get_args

import typer
from pydantic import BaseModel
from typer.cli import get_docs_for_click

from features.catalogue import SETS
from features.definitions import Definition, FeatureSet
from features.spec import FeatureSpec
from plant.site_schema import site_schema
from plant.tables import LINEAGE, TABLES, Column, Table
from serving.review_kinds import CHECKS, KINDS, SEVERITIES
from serving.review_rules import Rules, load_rules

REFERENCE = Path(__file__).parent / "reference"
MADE = "<!-- Made from {source} by `make docs`; edit that, not this page. -->"


def tables_page() -> str:
    """One section a table: what a row is, its key, and for each column what makes it known."""
    parts = [
        MADE.format(source="plant/tables.py"),
        "# Canonical tables",
        "The one plant language that every site is mapped to. Times are UTC, time-zone aware, in microseconds.",
        "*Known by* names the time of the same row that has to lie strictly before `t` for the value to be seen at "
        "`t`; *always* marks master data. **Bold** columns are the key; a *required* column is never empty.",
        *(_table_section(table) for table in TABLES.values()),
        "## Columns of every table",
        "Each stored row also says where it came from.",
        _column_rows([*LINEAGE]),
    ]
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """Every command with its arguments, options and examples."""
    import steadyline  # here, so that the pages of the tables can be made without the front door

    command = typer.main.get_command(steadyline.app)
    context = typer.Context(command, info_name="steadyline")
    page = get_docs_for_click(obj=command, ctx=context, name="steadyline", title="Command line")
    lines = [MADE.format(source="steadyline.py"), "", *(line.rstrip() for line in page.strip().split("\n"))]
    return "\n".join(lines) + "\n"


def features_page() -> str:
    """One section a set: the block that switches it, its settings, and a line for each family of features."""
    parts = [
        MADE.format(source="the definitions in features/"),
        "# Features",
        "What a model can know of an equipment at a cut-off, or of a batch at a stage gate: each feature is made of "
        "what was known strictly before. A name in braces stands for a parameter: there is one feature for each of its "
        "values. The words (signals, codes, failure modes, steps, materials, attributes) are those that were known "
        "before the end of the training period; a source without records gives no features.",
        "*Look-back* says how far back a feature reads; `since start` and `always` have no limit. "
        "`{unit}` is the unit of the signal or attribute. "
        "`steadyline features SITE MODEL` lists the features of one model, `steadyline explain SITE MODEL SUBJECT` the "
        "source rows that values were made of. How to add one: [Add a feature](../how-to/add-a-feature.md).",
        "`exclude: [NAME, ...]` in `features:` leaves features out, by name or by pattern (`*.gap.*`); one that "
        "matches none is refused.",
    ]
    shown: set[str] = set()
    for of in SETS:
        parts += [f"## {of.meaning.rstrip('.')}", _set_facts(of, of.key not in shown), _definition_rows(of.definitions)]
        shown.add(of.key)
    return "\n\n".join(parts) + "\n"


def _set_facts(of: FeatureSet, with_settings: bool) -> str:
    """Which block switches the set, and the defaults of its settings."""
    declared = FeatureSpec.model_fields[of.key]
    on = "off" if declared.default in (False, None) else "on"
    facts = f"Block `{of.key}` of {of.kind} models; {on} by default."
    blocks = [a for a in get_args(declared.annotation) if isinstance(a, type) and issubclass(a, BaseModel)]
    if not blocks or not with_settings:
        return facts
    defaults = blocks[0]().model_dump(mode="json")
    lines = [f"| `{name}` | `{json.dumps(value)}` |" for name, value in defaults.items()]
    return "\n".join([facts, "", "| setting | default |", "|---|---|", *lines])


def _definition_rows(definitions: Iterable[Definition]) -> str:
    lines = ["| feature | meaning | unit | look-back | source |", "|---|---|---|---|---|"]
    seen: set[str] = set()
    for d in definitions:
        if d.name not in seen:
            seen.add(d.name)
            lines.append(f"| `{d.name}` | {d.meaning} | {d.unit} | {d.look_back} | {d.source} |")
    return "\n".join(lines)


def review_page() -> str:
    """One section a check: its kinds of exception with the shipped rule of each; the settings of the checks."""
    rules = load_rules([])
    parts = [
        MADE.format(source="serving/review_kinds.py and serving/review_rules.yaml"),
        "# `review.yaml`: what a reviewer is shown, and how severe it is",
        "`steadyline review` and `GET /v1/batches/{id}/exceptions` raise the exceptions below. Their severity is "
        "declared: the shipped rules stand in `serving/review_rules.yaml`, and a site overrides single lines in "
        "`sites/<site>/review.yaml` (a site without one has that of the site it extends). Every mistake in the file is "
        "told with its key, what was found and what is allowed.",
        "A rule is a severity (`critical`, `major`, `minor`), or, for kinds that have a size, the size from which on "
        "each severity holds; what lies below the lowest is cleared: counted, not shown. `as_recorded` takes the "
        "severity of the record itself; one without a severity counts as major.",
        "```yaml\nrules:\n  lab_pending: minor\n  downtime: {minor: 1, major: 4}   # hours\nsettings:\n"
        "  setup: 45min\n  feeds: {deviations: 30d}\nnot_expected:\n  events: the machines have no alarm system\n```",
        "`not_expected` names tables that a site has no records of, with the reason. Their checks are not done, and "
        "every review says so as an exception (`not_expected`): a missing system is never a clean sheet. "
        "`lot_results` stands for the results of material lots.",
        "Exceptions are ranked by severity, then in the order of this page, then by size.",
    ]
    for check in CHECKS.values():
        of = f"; it reads `{check.table}`" if check.table in TABLES else ""
        parts += [f"## {check.name.capitalize()}", f"Looks at {check.what}; counts {check.entry}{of}.",
                  _kind_rows(check.name, rules)]
    lines = [
        f"| `{name}` | `{json.dumps(rules.settings.model_dump(mode='json')[name])}` | {field.description} |"
        for name, field in type(rules.settings).model_fields.items()
    ]
    parts += ["## Settings", "\n".join(["| setting | default | meaning |", "|---|---|---|", *lines])]
    return "\n\n".join(parts) + "\n"


def _kind_rows(check: str, rules: Rules) -> str:
    lines = ["| exception | shipped rule | meaning | size |", "|---|---|---|---|"]
    for kind in (k for k in KINDS.values() if k.check == check):
        rule = rules.table[kind.name]
        told = rule if isinstance(rule, str) else ", ".join(
            f"{s} from {v:g}" for s in reversed(SEVERITIES) if (v := getattr(rule, s)) is not None
        )
        lines.append(f"| `{kind.name}` | {told} | {kind.meaning} | {kind.measure} |")
    return "\n".join(lines)


def schema_page() -> str:
    """The JSON Schema of `site.yaml`, for editors."""
    return json.dumps(site_schema(), indent=1, ensure_ascii=False) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "tables.md": tables_page, "features.md": features_page, "cli.md": cli_page, "site.schema.json": schema_page,
    "review-yaml.md": review_page,
}


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
        print(f"docs/reference/{name}")


def _table_section(table: Table) -> str:
    facts = [f"Key: {_codes(table.key)}. A row is known by: {_known(table.known_by)}."]
    if table.references:
        pairs = ", ".join(f"`{column}` → `{other}`" for column, other in table.references.items())
        facts.append(f"Refers to: {pairs}.")
    if table.one_of:
        facts.append(f"At least one of {_codes(table.one_of)} is filled.")
    if table.open_values:
        facts.append("Further columns are allowed: numbers that were recorded with the row.")
    rows = _column_rows(table.columns, table)
    return "\n\n".join([f"## {table.name}", table.meaning, " ".join(facts), rows])


def _column_rows(columns: Iterable[Column], table: Table | None = None) -> str:
    lines = ["| column | type | unit | required | known by | meaning |", "|---|---|---|---|---|---|"]
    for column in columns:
        name = f"**{column.name}**" if table and column.name in table.key else column.name
        known = _known(table.known_column(column.name)) if table else ""
        codes = f"; one of {_codes(column.codes)}" if column.codes else ""
        required = "yes" if column.required else ""
        lines.append(f"| {name} | {column.kind} | {column.unit} | {required} | {known} | {column.meaning}{codes} |")
    return "\n".join(lines)


def _known(column: str) -> str:
    return "always" if column == "always" else f"`{column}`"


def _codes(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    main()
