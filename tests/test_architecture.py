"""The layers of docs/architecture.md, executed; and the few habits that a machine can check."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("plant", "features", "models", "training", "serving", "governance")
MOST_LINES = 400
# What makes `steadyline --help` slow; each is imported by the command that needs it.
HEAVY = ("bentoml", "deltalake", "evidently", "lightgbm", "mlflow", "numba", "pandas", "pyarrow", "scipy", "sklearn")


def our_files(*folders: str) -> Iterator[Path]:
    yield from (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))


def test_import_linter_keeps_every_contract() -> None:
    # A process of its own: import-linter configures itself globally.
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_no_file_is_two_ideas() -> None:
    files = [ROOT / "steadyline.py", *our_files(*PACKAGES, "benchmarks", "tests")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    too_long = {name: lines for name, lines in lengths.items() if lines > MOST_LINES}
    assert not too_long, f"longer than {MOST_LINES} lines; split: {too_long}"


def test_no_module_is_called_utils() -> None:
    names = {"util", "utils"}
    found = [str(path.relative_to(ROOT)) for path in our_files(*PACKAGES) if {path.stem, path.parent.name} & names]
    assert not found, f"name them after what they do: {found}"


def test_sites_hold_no_code() -> None:
    assert not list(our_files("sites"))


def test_the_front_door_imports_nothing_heavy() -> None:
    code = f"import sys, steadyline; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == [], "imported by `import steadyline`; import it inside the command"
