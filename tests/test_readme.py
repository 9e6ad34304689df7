"""What the README prints works as printed: its curl examples, the commands and the make targets that it names."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import steadyline
from tests.conftest import missing
from tests.running import Service

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").is_file() else ""
PRINTED = "127.0.0.1:3000"
# An answer that says no is a failed command; the failure's body is shown.
PRELUDE = 'set -euo pipefail\ncurl() { command curl --fail-with-body --silent --show-error --max-time 60 "$@"; }\n'


def blocks() -> list[str]:
    """Contents of the README's ```bash blocks."""
    return re.findall(r"^```bash\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def code() -> list[str]:
    """Lines of the ```bash blocks, continued ones joined, and what stands between single backticks."""
    lines = [line for block in blocks() for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    return [*lines, *re.findall(r"`([^`\n]+)`", prose)]


def commands() -> list[str]:
    """Arguments of every `steadyline ...` that the README names."""
    found = []
    for line in code():
        match = re.match(r"(?:\w+=\S+ +)*(?:\S*/)?steadyline +([^|&;>]+)", line.strip())
        if match and not match[1].startswith(("...", "…")):
            found.append(match[1].strip())
    return list(dict.fromkeys(found))


def curl_blocks() -> list[str]:
    return [block for block in blocks() if re.search(r"^\s*curl ", block, flags=re.MULTILINE)]


def values(text: str) -> list[Any]:
    """JSON values that follow each other; raises ValueError where something else stands."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value)
        text = text[end:].lstrip()
    return found


def test_the_readme_has_what_is_tested_here() -> None:
    assert curl_blocks(), "README.md shows no curl example in a ```bash block"
    assert {c.split()[0] for c in commands()} >= {"connect", "train", "score", "promote"}


@pytest.mark.parametrize("block", curl_blocks())
def test_curl_example(block: str, service: Service) -> None:
    if shutil.which("curl") is None or shutil.which("bash") is None:
        missing("no curl or bash on the PATH: apt-get install curl")
    assert PRINTED in block, f"the example asks another address than {PRINTED}"
    script = PRELUDE + block.replace(PRINTED, service.address.removeprefix("http://"))
    run = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    asked = re.findall(rf"{re.escape(PRINTED)}(/[\w/.-]*)?", block)
    answers = values(run.stdout)
    assert answers or all(path in ("/livez", "/readyz") for path in asked), "no JSON came back"
    for answer in answers:
        if isinstance(answer, dict) and "scores" in answer:
            assert answer["scores"], "the example scores nothing"
            assert answer["scores"][0].keys() >= {"model", "model_version", "bundle_sha256", "data_version", "as_of"}


@pytest.mark.parametrize("command", commands())
def test_command_exists(command: str) -> None:
    arguments = shlex.split(command, comments=True)
    # --help is answered after all options are read: an unknown command or option is a usage error before it
    result = CliRunner().invoke(steadyline.app, [*arguments, "--help"])
    assert result.exit_code == 0, f"steadyline {command}: {result.output}"


def test_site_folders_exist() -> None:
    named = set(re.findall(r"\bsites/([a-z][a-z0-9_]*)\b", README))
    assert named
    assert [name for name in sorted(named) if not (ROOT / "sites" / name / "site.yaml").is_file()] == []


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {t for line in code() for t in re.findall(r"\bmake ([a-z]+)\b", line)}
    assert named >= {"demo", "test"}
    assert named <= targets


def test_links_into_the_checkout_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
