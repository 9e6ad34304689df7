"""The features of a model before it is trained, and what a value was made of, down to the line of the export."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import steadyline
from models.bundle import read
from plant.errors import SteadylineError, UnknownId
from plant.site import Site, load_site
from tests.training.small import batches, failure_spec, machines, quality_spec
from training.failure import failure_plan, train_failure
from training.features import explained, model_plan
from training.quality import quality_plan, train_quality

AT = "2025-02-15T02:00:00Z"


@pytest.fixture
def site(tiny_home: Path, tiny_site: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setenv("STEADYLINE_HOME", str(tiny_home))
    return load_site(tiny_site)


def test_the_plan_is_the_one_that_training_takes() -> None:
    plants = machines(days=200), batches()
    assert failure_plan(plants[0], failure_spec()) == train_failure(plants[0], failure_spec()).plan
    assert quality_plan(plants[1], quality_spec()) == train_quality(plants[1], quality_spec()).plan


@pytest.mark.parametrize("model", ["equipment_failures", "batch_quality"])
def test_it_is_the_plan_of_the_trained_version(site: Site, tiny_home: Path, model: str) -> None:
    folder = next(p.parent for p in tiny_home.rglob("bundle.json")
                  if json.loads(p.read_text(encoding="utf-8"))["name"] == model)
    assert model_plan(site, model)[1].to_json() == json.loads(json.dumps(read(folder).plan))


def test_each_order_is_on_the_line_of_the_export_that_is_named(site: Site, tiny_exports: Path) -> None:
    told = explained(site, "equipment_failures", "press-1", AT, ["maintenance.*"])
    assert told["simulated"] is True
    rows = [r for f in told["features"] for r in f["rows"]]
    assert len({r["key"] for r in rows}) > 2
    for row in rows:
        line = (tiny_exports / row["source_file"]).read_bytes().splitlines()[row["source_line"] - 1]
        assert row["key"].removeprefix("work_order_id=").encode() in line, row
        assert row["time"] < AT


def test_a_value_that_is_not_known_is_null(site: Site) -> None:
    told = explained(site, "equipment_failures", "press-1", "2024-12-01T00:00:00Z", ["maintenance.since.corrective"])
    assert told["features"] == [{
        "feature": "maintenance.since.corrective", "meaning": "hours since the last corrective order", "value": None,
        "unit": "h", "rows": [],
    }]


@pytest.mark.parametrize(("code", "model", "subject", "at", "name"), [
    ("unknown_model", "equipment_failure", "press-1", AT, "*"),
    ("unknown_equipment", "equipment_failures", "pres-1", AT, "*"),
    ("unknown_batch", "batch_quality", "press-1", AT, "*"),
    ("bad_time", "equipment_failures", "press-1", "soon", "*"),
    ("naive_time", "equipment_failures", "press-1", "2025-02-15T02:00", "*"),
    ("unknown_feature", "equipment_failures", "press-1", AT, "maintenance.opn"),
])
def test_refusals(site: Site, code: str, model: str, subject: str, at: str, name: str) -> None:
    with pytest.raises((SteadylineError, UnknownId)) as refused:
        explained(site, model, subject, at, [name])
    assert refused.value.code == code
    assert refused.value.hint or "did you mean" in refused.value.message() or refused.value.allowed


def line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: object) -> str:
    monkeypatch.setattr(sys, "argv", ["steadyline", *map(str, words)])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        steadyline.main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_command_lists_the_features(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("features", site.folder, "batch_quality")
    answer: dict[str, Any] = json.loads(line(capsys, monkeypatch, *words, "--json"))
    assert answer["kind"] == "batch"
    named = {f["name"]: f for f in answer["features"]}
    assert named["batch.running"]["meaning"] == "hours since the batch started"
    text = line(capsys, monkeypatch, *words)
    assert "batch.running  hours since the batch started  (h, since start, batches)" in text
    assert f"{len(named)} features of batch_quality" in text


def test_the_command_shows_value_file_and_line(
    site: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("explain", site.folder, "equipment_failures", "press-1", "--at", AT, "--feature", "maintenance.since.*")
    (told,) = [f for f in json.loads(line(capsys, monkeypatch, *words, "--json"))["features"]
               if f["feature"] == "maintenance.since.corrective"]
    (row,) = told["rows"]
    text = line(capsys, monkeypatch, *words)
    assert f"maintenance.since.corrective = {told['value']:g} h" in text
    assert f"{row['source_file']}, line {row['source_line']}" in text
    assert row["key"] in text
