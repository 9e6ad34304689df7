"""`steadyline review` and `steadyline genealogy` as a person types them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from governance import audit, exception_reviews
from governance.database import DATABASE_URL, connect, reading
from tests.running import COMMAND, ROOT, environment

Line = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def home(tiny_home: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_home, tmp_path / "home", ignore=shutil.ignore_patterns("mlruns"))
    return tmp_path / "home"


@pytest.fixture
def line(home: Path) -> Line:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], cwd=ROOT, env=environment(home) | {"COLUMNS": "160"}, capture_output=True, text=True
        )

    return run


def told(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_from_looking_to_deciding(
    line: Line, home: Path, tiny_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATABASE_URL, raising=False)
    site = str(tiny_site)
    asked = told(line("review", site, "B2500034", "--json"))
    shown = asked["exceptions"][0]
    assert shown["review"] is None
    people = line("review", site, "B2500034", "--html", str(tmp_path / "filed.html"))
    assert people.returncode == 0
    for text in ("Batch B2500034", "(simulated)", shown["exception_id"], shown["severity"], "Checked", "Disposition:"):
        assert text in people.stdout, text
    assert shown["exception_id"] in (tmp_path / "filed.html").read_text(encoding="utf-8")

    about = ("review", site, "B2500034", "--exception", shown["exception_id"], "--json")
    bare = line(*about, "--decision", "override", "--as", "ann")
    assert bare.returncode == 1
    assert json.loads(bare.stdout)["error"]["code"] == "incomplete_record"
    said = told(line(*about, "--decision", "override", "--as", "ann", "--reason", "seen on the line"))
    assert said["review"]["reviewer"] == "ann"
    again = line("review", site, "B2500034")
    assert "override (ann): seen on the line" in " ".join(again.stdout.replace("│", " ").split())
    engine = connect(home)
    with reading(engine) as connection:
        (kept,) = exception_reviews.history(connection, asked["site"], "B2500034")
        assert audit.verify(connection).passes
    engine.dispose()
    assert (kept.exception_id, kept.decision, kept.reason) == (shown["exception_id"], "override", "seen on the line")


@pytest.mark.parametrize(("words", "code"), [
    (("review", "{site}", "B9999999"), "unknown_batch"),
    (("review", "{site}", "B2500034", "--at", "2025-01-01T00:00:00Z"), "batch_not_started"),
    (("review", "{site}", "B2500034", "--at", "yesterday"), "bad_time"),
    (("review", "{site}", "B2500034", "--reason", "because"), "no_exception"),
    (("review", "{site}", "B2500034", "--exception", "0", "--decision", "agree", "--as", "ann"), "unknown_exception"),
    (("genealogy", "{site}", "FIL99999"), "unknown_lot"),
])
def test_refusals(line: Line, tiny_site: Path, words: tuple[str, ...], code: str) -> None:
    done = line(*(w.format(site=tiny_site) for w in words), "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == code


def test_rules_that_are_wrong_are_told(line: Line, tiny_site: Path, tmp_path: Path) -> None:
    folder = tmp_path / "virtual_dublin"
    shutil.copytree(tiny_site, folder)
    (folder / "review.yaml").write_text("rules: {lab_pendin: minor}\n", encoding="utf-8")
    error = json.loads(line("review", str(folder), "B2500034", "--json").stdout)["error"]
    assert error["code"] == "bad_review"
    assert "did you mean 'lab_pending'?" in error["details"][0]


def test_genealogy(line: Line, tiny_site: Path) -> None:
    up = told(line("genealogy", str(tiny_site), "B2500034", "--json"))
    through = next(a for a in up["ancestors"] if a["depth"] == 2)
    down = told(line("genealogy", str(tiny_site), through["id"], "--json"))
    assert "B2500034" in {d["id"] for d in down["descendants"]}
    shown = line("genealogy", str(tiny_site), through["id"])
    assert " → ".join(through["path"][::-1]) in shown.stdout
    assert "GMT (" in shown.stdout
    assert " UTC)" in shown.stdout
    # as the guide says: capitals and blanks around a name make no other one, a blank within it does
    assert told(line("genealogy", str(tiny_site), f" {through['id'].lower()} ", "--json")) == down
    apart = line("genealogy", str(tiny_site), f"{through['id'][:2]} {through['id'][2:]}", "--json")
    assert json.loads(apart.stdout)["error"]["code"] == "unknown_lot"
    end = line("genealogy", str(tiny_site), "B2500034").stdout
    assert "Went into: it is not recorded as issued to any batch" in end
