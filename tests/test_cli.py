"""The command line: exit codes, answers on standard output, progress on standard error, harmless refusals."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

import steadyline
from tests.plant.workshop import EVENT, Workshop
from tests.running import COMMAND, ROOT, environment

HEAVY = (
    "pandas",
    "numpy",
    "lightgbm",
    "mlflow",
    "bentoml",
    "evidently",
    "sqlalchemy",
    "pyarrow",
    "deltalake",
    "pint",
    "pydantic",
    "sklearn",
    "numba",
    "starlette",
    "plotly",
)
LEAVES = [
    ("score", "equipment"),
    ("score", "batch"),
    *(("site", name) for name in ("new", "check", "diff", "schema")),
    *(("quarantine", name) for name in ("list", "show", "release")),
    *((name,) for name in ("features", "explain", "audit-features", "backtest", "card", "review", "genealogy")),
    *((name,) for name in ("simulate", "connect", "train", "retrain", "run", "promote", "monitor", "texts")),
    ("golden",), ("similar",), ("serve",), ("demo",),
]


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out, parse_constant=pytest.fail)  # NaN is no JSON

    @property
    def error(self) -> dict[str, Any]:
        """The refusal of a command that was asked for JSON."""
        assert self.code == 1
        assert set(self.json) == {"error"}
        assert {"code", "found", "allowed", "hint"} <= set(self.json["error"])
        return dict(self.json["error"])


class Line:
    """Runs commands in this process, as `steadyline ...` does."""

    def __init__(self, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str]):
        self.patch, self.capture = patch, capture

    def __call__(self, *words: object) -> Answer:
        self.capture.readouterr()
        self.patch.setattr(sys, "argv", ["steadyline", *map(str, words)])
        try:
            steadyline.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        said = self.capture.readouterr()
        return Answer(code, said.out, said.err)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Line:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "200")
    return Line(monkeypatch, capsys)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing was done yet."""
    monkeypatch.setenv("STEADYLINE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STEADYLINE_DATABASE_URL", raising=False)
    return tmp_path / "home"


@pytest.fixture
def home(empty: Path, tiny_home: Path) -> Iterator[Path]:
    """A copy of the small trained plant."""
    from governance.database import connect

    shutil.copytree(tiny_home, empty)
    connect(empty).dispose()
    yield empty
    connect(empty).dispose()


def state(home: Path) -> dict[str, str]:
    """Hash of every file in a home: of a database, what it holds; without the writer's lock."""
    kept = [p for p in home.rglob("*") if p.is_file() and not p.name.endswith(("-wal", "-shm", ".lock"))]
    return {str(p.relative_to(home)): hashlib.sha256(content(p)).hexdigest() for p in sorted(kept)}


def content(path: Path) -> bytes:
    if path.suffix != ".db":
        return path.read_bytes()
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump()).encode()


class TestHelp:
    def test_imports_nothing_heavy(self, tmp_path: Path) -> None:
        program = (
            "import sys, runpy\nsys.argv = ['steadyline', '--help']\n"
            "try:\n    import steadyline\n    steadyline.main()\nexcept SystemExit:\n    pass\n"
            f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
        )
        run = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Usage:" in run.stdout
        assert run.stdout.splitlines()[-1] == "HEAVY []"
        assert not any(tmp_path.iterdir()), "and makes nothing"

    def test_every_command_is_here(self) -> None:
        command = typer.main.get_command(steadyline.app)
        names: set[tuple[str, ...]] = set()
        for name, found in command.commands.items():  # type: ignore[attr-defined]
            names |= {(name, below) for below in getattr(found, "commands", [])} or {(name,)}
        assert names == set(LEAVES)

    @pytest.mark.parametrize("words", LEAVES, ids=" ".join)
    def test_of_every_command_has_an_example(self, line: Line, words: tuple[str, ...]) -> None:
        told = line(*words, "--help")
        assert told.code == 0
        assert re.search(rf"Examples?: .*steadyline {' '.join(words)}", " ".join(told.out.split()))
        if words not in (("serve",), ("demo",), ("site", "schema")):
            assert "--json" in told.out

    def test_without_a_command(self, line: Line) -> None:
        assert line().code in (0, 2)
        assert "promote" in line("--help").out


@pytest.mark.parametrize(
    "words",
    [
        ("conect", "sites/azure_pdm"),
        ("connect",),
        ("connect", "a", "b"),
        ("connect", "sites/azure_pdm", "--dat", "x"),
        ("promote", "m", "1"),
        ("simulate", "sites/virtual_dublin", "--size", "huge"),
        ("serve", "--port", "http"),
        ("score",),
    ],
)
def test_wrong_usage_ends_with_two(line: Line, empty: Path, words: tuple[str, ...]) -> None:
    told = line(*words)
    assert told.code == 2
    assert told.out == "" or words == ("score",)
    assert not empty.exists()


class TestAnswers:
    def test_connect(self, line: Line, empty: Path, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,v\n1,1\n2,x\n")
        workshop.one(EVENT | {"value": "v"})
        told = line("connect", workshop.folder, "--data", workshop.data, "--json")
        assert told.code == 0
        assert told.json["tables"]["events"] == {"read": 2, "loaded": 1, "known": 0, "quarantined": 1}
        assert told.json["data_version"] == "works@1"
        assert "machine log: log.csv" in told.err
        again = line("connect", workshop.folder, "--data", workshop.data)
        assert again.code == 0
        assert "data version works@1" in again.out
        assert "'x' is no finite number" in again.out

    def test_simulate(self, line: Line, empty: Path, tmp_path: Path) -> None:
        told = line("simulate", "virtual_graz", "--size", "tiny", "--out", tmp_path / "out", "--json")
        assert told.code == 0
        assert told.json["site"] == "virtual_graz"
        assert {p.name for p in (tmp_path / "out").iterdir()} >= {"exports", "truth"}
        assert told.err.strip()

    def test_score_equipment(self, line: Line, home: Path, tiny_site: Path) -> None:
        told = line("score", "equipment", tiny_site, "press-1", "--json")
        assert told.code == 0
        assert told.json["simulated"] is True
        [score] = told.json["scores"]
        assert (score["equipment_id"], score["model_version"], score["role"]) == ("press-1", "1", "champion")
        assert score["data_version"] == "virtual_dublin@1"
        text = line("score", "equipment", tiny_site, "press-1")
        assert text.code == 0
        assert "press-1" in text.out

    def test_score_at_an_earlier_time(self, line: Line, home: Path, tiny_site: Path) -> None:
        told = line("score", "equipment", tiny_site, "press-1", "--as-of", "2025-02-01T06:00:00+01:00", "--json")
        assert told.json["scores"][0]["as_of"] == "2025-02-01T05:00:00+00:00"

    def test_score_batches(self, line: Line, home: Path, tiny_site: Path) -> None:
        told = line("score", "batch", tiny_site, "--json")
        assert told.code == 0
        assert told.json["scores"]
        assert line("score", "batch", tiny_site).code == 0

    def test_train_and_promote(self, line: Line, home: Path, tiny_site: Path) -> None:
        told = line("train", tiny_site, "batch_quality", "--json")
        assert told.code == 0
        [task] = told.json["tasks"]
        assert (task["model"], task["version"]) == ("batch_quality", "2")
        assert {"n", "r2", "mae", "mae_naive", "coverage_90", "verdict"} <= set(task["attributes"]["hardness"])
        assert told.err.count("\n") > 3, "what it is doing is told on standard error"
        promoted = line("promote", "batch_quality", "2", "--as", "j.doe", "--reason", "looked at it", "--json")
        assert promoted.code == 0
        assert promoted.json["actor"] == "j.doe"
        assert promoted.json["previous_version"] == "1"
        assert promoted.json["reason"] == "looked at it"
        again = line("promote", "batch_quality", "2", "--as", "j.doe", "--json")
        assert again.error["code"] == "already_champion"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "workshop")


class TestBadInput:
    """Each is one clear message: what was found, what is allowed, what to do. Exit 1, and the state is as it was."""

    def refused(self, line: Line, home: Path, code: str, found: str, *words: object) -> dict[str, Any]:
        before = state(home)
        told = line(*words, "--json")
        assert told.error["code"] == code
        assert found in " ".join([told.error["found"], *told.error.get("details", [])])
        assert told.error["allowed"] or told.error["hint"] or told.error.get("details")
        text = line(*words)
        assert text.code == 1
        assert text.out == ""
        assert text.err.count("Error: ") == 1
        assert found in text.err
        assert "Traceback" not in text.err
        assert state(home) == before
        return told.error

    @pytest.fixture
    def works(self, line: Line, empty: Path, workshop: Workshop) -> Workshop:
        """A small site that was connected once."""
        workshop.export("log.csv", "id,t,v\n1,2025-01-01T00:00Z,1\n")
        workshop.one(EVENT | {"ts": "t", "value": "v"}, time_zone=None)
        assert line("connect", workshop.folder, "--data", workshop.data).code == 0
        return workshop

    def test_a_site_without_models(self, line: Line, empty: Path, works: Workshop) -> None:
        self.refused(line, empty, "no_models", "has no model to train", "train", works.folder)

    def connecting(self, line: Line, home: Path, works: Workshop, code: str, found: str) -> dict[str, Any]:
        return self.refused(line, home, code, found, "connect", works.folder, "--data", works.data)

    def test_missing_file(self, line: Line, empty: Path, works: Workshop) -> None:
        (works.data / "log.csv").rename(works.data / "logs.csv")
        error = self.connecting(line, empty, works, "missing_file", "did you mean 'logs.csv'?")
        assert "sources.log.path" in error["hint"]

    def test_missing_folder(self, line: Line, empty: Path, works: Workshop) -> None:
        shutil.rmtree(works.data)
        self.connecting(line, empty, works, "missing_data", "does not exist")

    def test_no_folder_given(self, line: Line, empty: Path, works: Workshop) -> None:
        self.refused(line, empty, "no_data_folder", "site 'works'", "connect", works.folder)

    def test_unknown_column(self, line: Line, empty: Path, works: Workshop) -> None:
        works.export("log.csv", "id,t,val\n2,2025-01-01T00:00Z,1\n")
        self.connecting(line, empty, works, "unknown_column", "source 'log' has no column 'v'")

    def test_wrong_unit(self, line: Line, empty: Path, works: Workshop) -> None:
        text = (works.folder / "site.yaml").read_text(encoding="utf-8")
        works.write(text.replace("value: v", "value: {column: v, unit: {from: degF, to: kN}}"))
        self.connecting(line, empty, works, "bad_site", "'degF' cannot be converted to 'kN'")

    def test_naive_time(self, line: Line, empty: Path, works: Workshop) -> None:
        works.export("log.csv", "id,t,v\n2,2025-01-01T00:00,1\n")
        self.connecting(line, empty, works, "naive_time", "has no time zone")

    def test_mapping_typo(self, line: Line, empty: Path, works: Workshop) -> None:
        text = (works.folder / "site.yaml").read_text(encoding="utf-8")
        works.write(text.replace("event_id:", "evnt_id:"))
        self.connecting(line, empty, works, "bad_site", "did you mean 'event_id'?")

    def test_unknown_site(self, line: Line, empty: Path, works: Workshop) -> None:
        self.refused(line, empty, "unknown_site", "did you mean 'azure_pdm'?", "connect", "sites/azure_pdn")

    def test_no_yaml_at_all(self, line: Line, empty: Path, works: Workshop) -> None:
        works.write("site: [")
        self.connecting(line, empty, works, "bad_yaml", "site.yaml")

    def test_never_connected(self, line: Line, empty: Path) -> None:
        self.refused(line, empty, "not_connected", "virtual_dublin", "train", "sites/virtual_dublin")

    @pytest.mark.parametrize(
        ("code", "found", "words"),
        [
            ("unknown_equipment", "'press-l'", ("score", "equipment", "{site}", "press-l")),
            ("unknown_batch", "'B-nope'", ("score", "batch", "{site}", "B-nope")),
            ("naive_time", "2025-02-01T06:00", ("score", "equipment", "{site}", "--as-of", "2025-02-01T06:00")),
            ("bad_time", "'soon'", ("score", "equipment", "{site}", "--as-of", "soon")),
            ("unknown_model", "'equipment_failure'", ("score", "equipment", "{site}", "--model", "equipment_failure")),
            ("unknown_version", "9", ("score", "equipment", "{site}", "--version", "9")),
            ("unknown_model", "'equipment_failure'", ("train", "{site}", "equipment_failure")),
            ("never_trained", "'equipment_failure'", ("retrain", "{site}", "equipment_failure")),
            ("unknown_model", "'equipment_failure'", ("promote", "equipment_failure", "1", "--as", "j.doe")),
            ("unknown_version", "9", ("promote", "equipment_failures", "9", "--as", "j.doe")),
            ("already_champion", "champion", ("promote", "equipment_failures", "1", "--as", "j.doe")),
        ],
    )
    def test_of_a_trained_plant(
        self, line: Line, home: Path, tiny_site: Path, code: str, found: str, words: tuple[str, ...]
    ) -> None:
        self.refused(line, home, code, found, *(w.format(site=tiny_site) for w in words))

    def test_a_version_below_its_baseline(self, line: Line, home: Path) -> None:
        from tests.training.test_versions import register

        register(home, "2", beats=False)
        self.refused(
            line, home, "below_baseline", "did not beat", "promote", "equipment_failures", "2", "--as", "j.doe"
        )

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("no_champion", ("score", "equipment", "{site}")),
            ("never_trained", ("retrain", "{site}", "equipment_failures")),
            ("unknown_model", ("promote", "equipment_failures", "1", "--as", "j.doe")),
        ],
    )
    def test_a_model_that_was_never_trained(
        self, line: Line, empty: Path, tiny_site: Path, tiny_exports: Path, code: str, words: tuple[str, ...]
    ) -> None:
        assert line("connect", tiny_site, "--data", tiny_exports).code == 0
        line(*(w.format(site=tiny_site) for w in words))  # the database is made by the first command that needs it
        error = self.refused(line, empty, code, "equipment_failures", *(w.format(site=tiny_site) for w in words))
        assert "steadyline train" in error["hint"]

    def test_a_fault_of_our_own_is_told_without_a_traceback(
        self, line: Line, works: Workshop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import plant.loading

        def broken(*_: object) -> None:
            raise ZeroDivisionError("division by zero")

        works.export("log.csv", "id,t,v\n2,2025-01-01T00:00Z,1\n")
        monkeypatch.setattr(plant.loading, "find_exports", broken)
        told = line("connect", works.folder, "--data", works.data, "--json")
        assert told.error["code"] == "unexpected"
        assert told.error["found"] == "ZeroDivisionError: division by zero"
        monkeypatch.setenv("STEADYLINE_DEBUG", "1")
        with pytest.raises(ZeroDivisionError):
            line("connect", works.folder, "--data", works.data)


def test_as_a_process(tmp_path: Path, workshop: Workshop) -> None:
    """Once for real: standard output is JSON and nothing else, progress and refusals do not mix with it."""
    workshop.export("log.csv", "id\n1\n")
    workshop.one(EVENT)
    words = [*COMMAND, "connect", str(workshop.folder), "--json", "--data"]
    good, bad = (
        subprocess.run(
            [*words, str(data)], cwd=ROOT, env=environment(tmp_path / "home"), capture_output=True, text=True
        )
        for data in (workshop.data, tmp_path / "nowhere")
    )
    assert (good.returncode, bad.returncode) == (0, 1)
    assert json.loads(good.stdout)["tables"]["events"]["loaded"] == 1
    assert "machine log: log.csv" in good.stderr
    assert json.loads(bad.stdout)["error"]["code"] == "missing_data"
