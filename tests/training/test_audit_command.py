"""`steadyline audit-features`: which model is meant, what is shown, how it ends."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

import steadyline
from plant.errors import SiteError, UnknownId
from tests.running import ROOT
from training import audit_command
from training.audit_command import answer, find_model, render_audit
from training.audit_finding import Audit, Finding, concluded

BLOCKED = concluded(
    [Finding("countdown", "days_until.last.24h", 1.0, 0.93, "counts down to the next preventive order")],
    {"seldom.*": "never seen at all"}, [{"check": "countdown"}],
    [{"of": "failure within 24h", "feature": "days_until.last.24h", "measure": "AUC", "value": 0.99}], 10, 500,
)


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_model_is_found_by_name_by_site_and_by_its_file(tmp_path: Path) -> None:
    assert find_model("tablet_quality", None)[0].name == "zagar_tablets"
    assert find_model("equipment_failures", "virtual_graz")[0].name == "virtual_graz"
    file = ROOT / "sites" / "azure_pdm" / "models" / "machine_failures.yaml"
    site, spec = find_model(str(file), None)
    assert (site.name, spec.name) == ("azure_pdm", "machine_failures")
    other = tmp_path / "mine.yaml"
    other.write_text(file.read_text(encoding="utf-8").replace("name: machine_failures", "name: mine"), encoding="utf-8")
    assert find_model(str(other), "sites/azure_pdm")[1].name == "mine"
    with pytest.raises(UnknownId) as refused:
        find_model(str(other), None)
    assert "--site" in refused.value.hint


def test_a_name_that_several_sites_have_or_none(tmp_path: Path) -> None:
    with pytest.raises(UnknownId) as refused:
        find_model("equipment_failures", None)
    assert refused.value.code == "ambiguous_model"
    assert "virtual_dublin" in refused.value.allowed
    assert "virtual_graz" in refused.value.allowed
    with pytest.raises(UnknownId, match="did you mean 'tablet_quality'"):
        find_model("tablet_qualty", None)
    with pytest.raises(SiteError):
        find_model(str(tmp_path / "missing.yaml"), "virtual_graz")


def test_what_blocks_is_shown_with_what_to_do() -> None:
    site, spec = find_model("tablet_quality", None)
    out = io.StringIO()
    render_audit(Console(file=out, width=200), answer(site, spec, BLOCKED))
    for words in ("days_until.last.24h", "0.930", "counts down to the next preventive order", "Next: take the source",
                  "seldom.*", "training is blocked by 1 feature"):
        assert words in out.getvalue()


@pytest.mark.parametrize(("audit", "code"), [(BLOCKED, 1), (concluded([], {}, [], [], 10, 500), 0)])
def test_the_exit_code_tells_whether_something_blocks(
    audit: Audit, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(audit_command, "audit_model", lambda *_: audit)
    monkeypatch.setattr(sys, "argv", ["steadyline", "audit-features", "tablet_quality", "--json"])
    with pytest.raises(SystemExit) as end:
        steadyline.main()
    assert int(end.value.code or 0) == code
    told = json.loads(capsys.readouterr().out)
    assert told["passed"] is (code == 0)
    assert told["model"] == "tablet_quality"


def test_a_connected_site_is_audited(
    tiny_home: Path, tiny_site: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEADYLINE_HOME", str(tiny_home))
    for model in ("equipment_failures", "batch_quality"):
        monkeypatch.setattr(sys, "argv", ["steadyline", "audit-features", model, "--site", str(tiny_site), "--json"])
        with pytest.raises(SystemExit) as end:
            steadyline.main()
        told = json.loads(capsys.readouterr().out)
        assert end.value.code in (0, None), told["findings"]
        assert told["simulated"] is True
        assert told["passed"] is True
        assert told["features"] > 50
