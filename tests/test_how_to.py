"""The how-to pages work as printed: their commands run in order in an empty folder, and print what the page says.

A page that changes the code says so (`IN_A_COPY`) and runs in a copy of the project.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.running import COMMAND, ROOT, environment

PAGES = sorted((Path(__file__).parent.parent / "docs" / "how-to").glob("*.md"))
_CUT = "--- the next block ---"
IN_A_COPY = "<!-- in a copy of the project -->"


def blocks(page: Path) -> list[tuple[str, str]]:
    """(commands, what the page says they print) of each ```bash block; a ```text block right after it is its output."""
    found = re.findall(r"^```(bash|text)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    assert found, f"{page.name} shows no command"
    assert found[0][0] == "bash"
    out: list[tuple[str, str]] = []
    for kind, text in found:
        if kind == "bash":
            out.append((text, ""))
        else:
            assert not out[-1][1], f"{page.name}: two outputs of one block"
            out[-1] = (out[-1][0], text)
    return out


def plain(text: str) -> str:
    """Words only: what a table is drawn with, and how wide it is, is not what the page says."""
    return " ".join(re.sub(r"[\u2500-\u257f]", " ", text).split())


def not_shown(said: str, printed: str) -> str:
    """The first part of `said` that does not stand in `printed` in its order; `…` stands for anything."""
    at, there = 0, plain(printed)
    for part in filter(None, (plain(p) for line in said.splitlines() for p in line.split("…"))):
        found = there.find(part, at)
        if found < 0:
            return part
        at = found + len(part)
    return ""


def copy_project(folder: Path) -> None:
    """The code, the sites and the docs, with what was compiled of them; no data, no history."""
    for name in ("plant", "features", "models", "training", "serving", "governance", "sites", "docs"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("steadyline.py", "pyproject.toml"):
        shutil.copy2(ROOT / name, folder / name)


def run(page: Path, folder: Path) -> list[tuple[str, str]]:
    """(what the page says, what was printed) of each block, all of them run in one shell that stops at a failure."""
    every, command = blocks(page), list(COMMAND)
    home = environment(folder / "var") | {"COLUMNS": "200"}
    if IN_A_COPY in page.read_text(encoding="utf-8"):
        copy_project(folder)
        command, home["PYTHONPATH"] = [sys.executable, str(folder / "steadyline.py")], str(folder)
        home["STEADYLINE_HOME"] = str(folder / "var")  # MLflow's runs stay in the copy's state too
    else:
        del home["STEADYLINE_HOME"]  # as a reader has it: var/ below the working folder
    script = ["set -euo pipefail", f'steadyline() {{ command {shlex.join(command)} "$@"; }}',
              f'python() {{ command {shlex.quote(sys.executable)} "$@"; }}']
    for commands, _ in every:
        script += [commands, f"echo {shlex.quote(_CUT)}"]
    done = subprocess.run(["bash", "-c", "\n".join(script)], cwd=folder, env=home, capture_output=True, text=True)
    printed = done.stdout.split(_CUT + "\n")
    assert done.returncode == 0, f"{page.name}, block {len(printed)}:\n{printed[-1]}\n{done.stderr}"
    return list(zip((said for _, said in every), printed[:-1], strict=True))


@pytest.mark.parametrize("page", PAGES, ids=[p.stem for p in PAGES])
def test_the_page_works_as_printed(page: Path, tmp_path: Path) -> None:
    for tool in ("bash", "iconv"):
        if shutil.which(tool) is None:
            missing(f"no {tool} on the PATH")
    for said, printed in run(page, tmp_path):
        assert not (part := not_shown(said, printed)), f"{page.name} says '{part}', but printed was:\n{printed}"


def test_the_pages_are_there() -> None:
    assert {"connect-a-site", "add-a-feature"} <= {p.stem for p in PAGES}


def test_a_difference_would_be_seen() -> None:
    assert not_shown("a  1\n…\nc 3\n", "│ a │ 1 │\n b 2\n│ c │ 3 │\n") == ""
    assert not_shown("a 1\nb 3\n", "a 1\nb 2\n") == "b 3"
    assert not_shown("b 2\na 1\n", "a 1\nb 2\n") == "a 1"
