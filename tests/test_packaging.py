"""The distribution owns its names alone, and the lock is complete, hashed and bound to no place."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
NAMES = ("plant", "features", "models", "training", "serving", "governance", "steadyline")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def entries() -> list[str]:
    """The lock's logical lines: a requirement with its hashes."""
    joined = re.sub(r"\\\n\s*", " ", LOCK)
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def locked() -> dict[str, list[Requirement]]:
    """Name -> its locked versions; more than one where a marker tells Pythons or systems apart."""
    found: dict[str, list[Requirement]] = {}
    for entry in entries():
        requirement = Requirement(entry.split(" --hash=")[0])
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def imported(path: Path) -> set[str]:
    """Top-level names that a file imports, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("name", NAMES)
def test_no_other_installed_distribution_owns_our_name(name: str) -> None:
    assert set(importlib.metadata.packages_distributions().get(name, [])) == {"steadyline"}


@pytest.mark.parametrize("name", NAMES)
def test_our_name_is_found_in_this_checkout(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None, f"{name} has no __init__.py"
    assert Path(spec.origin).is_relative_to(ROOT)


def test_the_classifier_keeps_it_off_public_indexes() -> None:
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]
    assert "Private :: Do Not Upload" in importlib.metadata.metadata("steadyline").get_all("Classifier", [])


def test_the_command_is_installed() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="steadyline")
    assert command.value == "steadyline:main"
    assert callable(command.load())


def test_every_locked_entry_has_a_version_and_hashes() -> None:
    assert len(entries()) > 100
    for entry in entries():
        requirement, *hashes = entry.split(" --hash=")
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==\S+( ; .+?)?\s*", requirement), requirement
        assert hashes, f"no hash: {requirement}"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", h) for h in hashes), requirement


def test_the_lock_names_no_registry_and_no_machine() -> None:
    for entry in entries():
        for place in ("://", " @ ", "--index-url", "--extra-index-url", "--find-links", "--trusted-host", "file:"):
            assert place not in entry
        assert not re.search(r"(^|\s)[/~]\w", entry), f"a path: {entry[:80]}"


def test_what_pyproject_asks_for_is_what_the_lock_gives() -> None:
    versions = locked()
    for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]:
        asked = Requirement(text)
        given = versions.get(canonicalize_name(asked.name))
        assert given, f"{asked} is not in the lock: run `make lock`"
        for requirement in given:
            (pin,) = requirement.specifier
            assert asked.specifier.contains(pin.version), f"locked {requirement}, pyproject.toml asks for {asked}"


def test_everything_imported_is_asked_for_in_pyproject() -> None:
    asked = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]} | {"steadyline"}
    owners = importlib.metadata.packages_distributions()
    missing = []
    for path in [ROOT / "steadyline.py", *(p for name in NAMES for p in sorted((ROOT / name).rglob("*.py")))]:
        for name in imported(path) - sys.stdlib_module_names:
            if not asked & {canonicalize_name(owner) for owner in owners.get(name, [])}:
                missing.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not missing, "not among the dependencies of pyproject.toml:\n" + "\n".join(missing)


def test_the_environment_is_the_lock() -> None:
    different = []
    for requirements in locked().values():
        for requirement in requirements:
            if requirement.marker is None or requirement.marker.evaluate():
                (pin,) = requirement.specifier
                try:
                    installed = importlib.metadata.version(requirement.name)
                except importlib.metadata.PackageNotFoundError:
                    installed = "nothing"
                if installed != pin.version:
                    different.append(f"{requirement.name}: locked {pin.version}, installed {installed}")
    assert not different, "run `make env`:\n" + "\n".join(different)
