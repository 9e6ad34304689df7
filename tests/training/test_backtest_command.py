"""`steadyline backtest` and `steadyline card` on the small simulated plant, and their refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import steadyline
from governance.database import connect
from plant.errors import NotReady, SteadylineError, UnknownId
from plant.site import load_site
from tests.running import ROOT
from training.backtest_command import find_card, run

SITE, MODEL = str(ROOT / "sites" / "virtual_dublin"), "equipment_failures"


@pytest.fixture
def home(tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    copy = tmp_path / "home"
    shutil.copytree(tiny_home, copy)
    monkeypatch.setenv("STEADYLINE_HOME", str(copy))
    yield copy
    connect(copy).dispose()


def test_the_report_and_the_answer_tell_the_same(home: Path, tiny_site: Path, tmp_path: Path) -> None:
    file = tmp_path / "reports" / "backtest.html"
    done = CliRunner().invoke(steadyline.app, ["backtest", str(tiny_site), MODEL, "--json", "--html", str(file)])
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout, parse_constant=pytest.fail)
    assert answer["simulated"] is True
    assert answer["report"] == str(file)
    assert set(answer["money"]["savings"]) == {"run_to_failure", "fixed_interval", "age_based"}
    assert answer["card"]["limits"]
    html = file.read_text(encoding="utf-8")
    assert "SIMULATED" in html
    mine = answer["money"]["policies"]["model"]
    assert f"{mine['caught']} of {mine['failures']}" in html


def test_the_card_of_a_version_is_printed(home: Path, tiny_site: Path) -> None:
    done = CliRunner().invoke(steadyline.app, ["card", str(tiny_site), MODEL, "1"])
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("# Model card: equipment_failures of virtual_dublin, version 1")
    assert "SIMULATED" in done.stdout
    card = find_card(load_site(SITE), MODEL, None, home)
    assert card["version"] == "1"
    assert len(card["bundle_sha256"]) == 64
    assert card["data"]["train"]["end"] < card["data"]["test"]["end"]
    assert card["markdown"].startswith("# Model card")
    quality = find_card(load_site(SITE), "batch_quality", None, home)
    assert quality["attributes"]


def test_refusals(home: Path, tmp_path: Path) -> None:
    site = load_site(SITE)
    with pytest.raises(SteadylineError, match="predicts quality") as refused:
        run(site, "batch_quality", home)
    assert refused.value.code == "wrong_task"
    with pytest.raises(UnknownId, match="equipment_failure"):
        run(site, "equipment_failure", home)
    with pytest.raises(NotReady):
        run(site, MODEL, tmp_path / "empty")
    with pytest.raises(NotReady, match="never trained"):
        find_card(load_site(ROOT / "sites" / "virtual_graz"), MODEL, None, home)
    with pytest.raises(Exception, match="9"):
        find_card(site, MODEL, "9", home)
