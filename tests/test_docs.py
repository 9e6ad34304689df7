"""What is written cannot lie: reference pages are what the code says, and `make` lists what it can do."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from models.spec import parse_model_spec

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def build() -> ModuleType:
    # docs/ is no package: load the script by its path.
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["tables.md", "features.md", "cli.md", "site.schema.json", "review-yaml.md"])
def test_reference_page_is_what_the_code_says(build: ModuleType, name: str) -> None:
    page = ROOT / "docs" / "reference" / name
    assert page.exists(), f"docs/reference/{name} is missing: run `make docs` and commit it"
    written = page.read_text(encoding="utf-8")
    assert written == build.PAGES[name](), f"docs/reference/{name} is out of date: run `make docs` and commit it"


def test_every_table_column_and_key_is_on_the_page(build: ModuleType) -> None:
    from plant.tables import TABLES

    page = build.tables_page()
    for table in TABLES.values():
        section = page.split(f"\n## {table.name}\n")[1].split("\n## ")[0]
        for column in table.columns:
            shown = f"**{column.name}**" if column.name in table.key else column.name
            assert f"\n| {shown} |" in section, f"{table.name}.{column.name}"


def test_every_feature_of_every_set_is_on_the_page(build: ModuleType) -> None:
    from features.catalogue import SETS

    page = build.features_page()
    for of in SETS:
        section = page.split(f"\n## {of.meaning.rstrip('.')}\n")[1].split("\n## ")[0]
        assert f"Block `{of.key}` of {of.kind} models" in section
        for d in of.definitions:
            assert f"\n| `{d.name}` | {d.meaning} | {d.unit} | {d.look_back} | {d.source} |" in section, d.name


def test_every_command_has_a_help_text_and_an_example(build: ModuleType) -> None:
    import typer

    import steadyline

    command = typer.main.get_command(steadyline.app)
    for name, sub in command.commands.items():  # type: ignore[attr-defined]
        text = f"{sub.help or ''}\n{sub.epilog or ''}"
        assert text.strip(), f"steadyline {name} has no help text"
        if not hasattr(sub, "commands"):
            assert f"steadyline {name}" in text, f"the help of steadyline {name} shows no example of its use"


def test_make_alone_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, flags=re.MULTILINE))
    assert {"demo", "test", "lint", "types", "layers", "bench", "docs", "clean", "lock"} <= targets
    run = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  (\w+) +\S", run.stdout, flags=re.MULTILINE)) == targets


def test_changelog_has_an_unreleased_section() -> None:
    assert re.search(r"^## \[Unreleased\]$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_models_of_the_reference_are_valid() -> None:
    page = (ROOT / "docs" / "reference" / "model-yaml.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        spec, problems = parse_model_spec(yaml.safe_load(block))
        assert problems == []
        assert spec is not None


def test_every_exception_and_setting_of_a_review_is_on_the_page(build: ModuleType) -> None:
    from serving.review_kinds import CHECKS, KINDS
    from serving.review_rules import Settings

    page = build.review_page()
    for kind in KINDS.values():
        section = page.split(f"\n## {CHECKS[kind.check].name.capitalize()}\n")[1].split("\n## ")[0]
        assert f"\n| `{kind.name}` | " in section, kind.name
    for name in Settings.model_fields:
        assert f"\n| `{name}` | " in page.split("\n## Settings\n")[1], name


def test_the_rules_of_the_reference_are_valid() -> None:
    from serving.review_rules import merged

    page = (ROOT / "docs" / "reference" / "review-yaml.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert merged(yaml.safe_load(block), ROOT / "review.yaml").not_expected
