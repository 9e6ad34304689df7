"""A site whose laboratory only says pass or fail, through the whole chain: training, promotion, HTTP, page, drift."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from governance.database import DATABASE_URL, connect, reading
from governance.errors import Refused
from governance.versions import champion
from models import bundle as bundles
from models import metrics
from models.predict import QualityPredictor
from plant.home import HOME_VARIABLE
from plant.site import load_site
from plant.store import Load, Store
from serving.requests import BatchScores
from tests.running import COMMAND, ROOT, Service, environment, running
from tests.training.test_pass_fail import plant
from training.promote import promote
from training.run import train

SITE = {
    "site": "passing", "title": "Tablets that pass or fail", "simulated": True, "time_zone": "Europe/Dublin",
    "sources": {"lims": {"system": "LIMS", "path": "lims.csv", "format": "csv"}},
    "tables": {"lab_results": [{"source": "lims", "columns": {
        n: n for n in ("result_id", "batch_id", "attribute", "status", "sampled_at", "approved_at")}}]},
}
MODEL = {
    "name": "tablets", "task": "quality", "title": "Tablets", "intended_use": "tests", "target": "pass_fail",
    "gates": ["before_start", "after:mix"], "split": {"test_share": 0.3, "folds": 1},
    "features": {"batches": {"step_readings": False, "equipment_state": False}},
    "lightgbm": {"rounds": 40, "num_leaves": 4, "min_data_in_leaf": 5},
}
WAITING = [f"B{n:04d}" for n in range(185, 200)]
BATCHES = "/v1/score/batches"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Home and site folder with a champion, what training said of it, and what the waiting batches would be found as.

    The last 15 of 200 batches have no result yet; a second model asks for an attribute that is noise.
    """
    root = tmp_path_factory.mktemp("passing")
    home, folder = root / "home", root / "sites" / "passing"
    (folder / "models").mkdir(parents=True)
    (folder / "site.yaml").write_text(yaml.safe_dump(SITE))
    models = (MODEL | {"attributes": ["assay"]}, MODEL | {"name": "odour", "attributes": ["odour"]})
    for spec in models:
        (folder / "models" / f"{spec['name']}.yaml").write_text(yaml.safe_dump(spec))
    of, noise = plant(), plant(noise=True).table("lab_results")
    tables = {name: of.table(name) for name in of.tables}
    lab = tables["lab_results"]
    truth = (lab.set_index("batch_id")["status"] == "out_of_spec").loc[WAITING]
    late = lab["batch_id"].isin(WAITING)
    lab = lab.assign(
        status=lab["status"].astype(object).where(~late, None), approved_at=lab["approved_at"].where(~late)
    )
    noise = noise.assign(result_id=noise["result_id"] + "o", attribute="odour")
    tables["lab_results"] = pd.concat([lab, noise], ignore_index=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOME_VARIABLE, str(home))
        patch.delenv(DATABASE_URL, raising=False)
        store, site = Store(home / "store", "passing"), load_site(folder)
        with store.lock():
            store.commit(Load(tables=tables), pd.Timestamp.now("UTC"), {})
        tasks = {spec["name"]: train(site, spec["name"], home) for spec in models}
        promote(home, "passing", "tablets", tasks["tablets"]["version"], "tester", "for the tests")
        yield {"home": home, "folder": folder, "tasks": tasks, "truth": truth.astype(float)}
        connect(home).dispose()


@pytest.fixture(scope="module")
def passing(made: dict[str, Any]) -> Iterator[Service]:
    with running(made["home"], [made["folder"]]) as service:
        yield service


def ask(service: Service, path: str, body: Any = None) -> Any:
    answer = service.ask(path, body)
    assert answer.status == 200, answer.text
    return answer.json


def line(made: dict[str, Any], *words: str) -> str:
    command = [*COMMAND, *words]
    done = subprocess.run(command, cwd=ROOT, env=environment(made["home"]) | {"COLUMNS": "200"}, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_backtest_tells_only_what_means_something(made: dict[str, Any]) -> None:
    assay = made["tasks"]["tablets"]["attributes"]["assay"]
    assert (assay["target"], assay["verdict"]) == ("pass_fail", "skilled")
    assert assay["mae"] == pytest.approx(assay["out_of_spec_brier"])
    assert assay["mae"] < assay["mae_naive"]
    for one in (assay, *assay["gates"].values()):
        for name in ("r2", "coverage_90", "mean_width_90", "out_of_trend", "out_of_trend_auc"):
            assert one[name] is None, name
        assert one["out_of_spec_auc"] is not None
    card = line(made, "card", str(made["folder"]), "tablets")
    assert "Of attributes that only pass or fail, the error is the squared one" in card
    assert f"| assay | {assay['gate']} | {assay['n']} | {assay['out_of_spec']} |" in card
    assert "| n/a |" not in card


def test_a_model_of_noise_is_not_promoted(made: dict[str, Any]) -> None:
    task = made["tasks"]["odour"]
    assert (task["verdict"], task["beats_baseline"]) == ("undecided", False)
    with pytest.raises(Refused):
        promote(made["home"], "passing", "odour", task["version"], "tester", "for the tests")


def test_batches_are_scored_over_http(made: dict[str, Any], passing: Service) -> None:
    answer = ask(passing, BATCHES, {"site": "passing", "model": "tablets"})
    BatchScores.model_validate(answer)  # the declared schema is what is answered, no field more
    assert [s["batch_id"] for s in answer["scores"]] == WAITING
    engine = connect(made["home"])
    with reading(engine) as connection:
        version = champion(connection, "passing", "tablets")
    engine.dispose()
    risks = []
    for score in answer["scores"]:
        assert version is not None
        assert (score["bundle_sha256"], score["gate"]) == (version.sha256, "after:mix")
        (assay,) = score["attributes"]
        risk = assay["prob_out_of_spec"]
        assert (assay["target"], assay["unit"]) == ("pass_fail", "probability of failing")
        assert assay["expected"] == pytest.approx(risk)
        assert assay["prob_bounds"][0] <= risk <= assay["prob_bounds"][1]
        # an interval is of the result itself: a side that is less likely than its tail is not in it
        for share in (50, 80, 90):
            tail = (1 - share / 100) / 2
            assert assay[f"interval_{share}"] == [float(1 - risk < tail), float(risk > tail)]
        for nothing in ("lower_spec", "upper_spec", "prob_out_of_trend", "lower_trend", "upper_trend"):
            assert assay[nothing] is None
        expected = "out_of_spec_expected" if risk > 0.5 else "at_risk" if risk > 0.05 else "in_spec_expected"
        assert assay["verdict"] == expected
        assert "force" in assay["reasons"][0]["text"]
        assert assay["reasons"][0]["text"].endswith("the log-odds of failing assay")
        risks.append(risk)
    assert {a["attributes"][0]["verdict"] for a in answer["scores"]} >= {"out_of_spec_expected", "in_spec_expected"}
    auc = metrics.auc(risks, made["truth"].to_numpy())
    assert auc is not None
    assert auc > 0.9
    declared = ask(passing, "/docs.json")["components"]["schemas"]
    fields = declared["AttributeScore"]["properties"]
    assert "probability of failing" in fields["expected"]["description"]


def test_a_replay_does_not_know_results_approved_later(passing: Service) -> None:
    """At the same gate and time, whatever the laboratory has said since."""
    question = {"site": "passing", "model": "tablets", "batch_ids": ["B0170"]}
    early = ask(passing, BATCHES, question | {"as_of": "2025-06-20T05:00:00Z"})["scores"][0]
    late = ask(passing, BATCHES, question)["scores"][0]
    assert early["attributes"] == late["attributes"]
    assert early["gate_time"] == late["gate_time"] < early["as_of"]


def test_page_and_command_call_it_a_probability(made: dict[str, Any], passing: Service) -> None:
    scores = ask(passing, BATCHES, {"site": "passing", "model": "tablets"})["scores"]
    assert len(scores) == len(WAITING)
    worst = max(scores, key=lambda s: s["attributes"][0]["prob_out_of_spec"])
    page = passing.ask("/").text
    assert page.count("likely to fail") >= len(scores)
    assert "<td>pass or fail</td>" in page
    assert "90 % interval" not in page
    assert "assay: skilled, squared error (Brier)" in page
    told = line(made, "score", "batch", str(made["folder"]), "--model", "tablets")
    first = next(row for row in told.splitlines() if row.strip().startswith("1."))
    assert worst["batch_id"] in first
    assert "likely to fail (" in first
    for wrong in ("interval", "expected 0", "limits"):
        assert wrong not in told
    as_json = json.loads(line(made, "score", "batch", str(made["folder"]), "--model", "tablets", "--json"))
    one = next(s for s in as_json["scores"] if s["batch_id"] == worst["batch_id"])
    assert one["attributes"] == worst["attributes"]


def test_similar_batches_are_told_in_log_odds_and_by_their_verdicts(passing: Service) -> None:
    (assay,) = ask(passing, "/v1/batches/B0195/similar?site=passing&model=tablets")["attributes"]
    assert assay["unit"] == "log-odds of failing"
    assert len(assay["similar"]) == 5
    for s in assay["similar"]:
        assert s["outcome"]["value"] is None
        assert isinstance(s["outcome"]["in_spec"], bool)


def test_drift_is_watched_on_the_probability(made: dict[str, Any]) -> None:
    answer = json.loads(line(made, "monitor", str(made["folder"]), "--recent", "40d", "--json"))
    (found,) = answer["monitoring"]
    names = [c["column"] for c in found["columns"]]
    assert "score: probability of failing assay" in names
    assert not [n for n in names if "expected" in n]
    assert Path(found["report_path"]).is_file()


def test_the_bundle_speaks_for_itself(made: dict[str, Any]) -> None:
    engine = connect(made["home"])
    with reading(engine) as connection:
        version = champion(connection, "passing", "tablets")
    engine.dispose()
    assert version is not None
    bundle = bundles.read(version.bundle_uri, version.sha256)
    assert bundles.verify(bundle) == dict.fromkeys(["after_mix/assay", "before_start/assay"], 0.0)
    predictor = QualityPredictor(bundle)
    nothing = np.full((1, len(predictor.features)), np.nan)
    (risk,) = predictor.headline(nothing, ["after:mix"])["probability of failing assay"]
    (score,) = predictor.predict(nothing, ["after:mix"])
    assert score["attributes"][0]["prob_out_of_spec"] == pytest.approx(risk)


def test_a_review_takes_a_verdict_for_a_result(made: dict[str, Any]) -> None:
    lab = plant().table("lab_results").set_index("batch_id")["status"]
    failed = next(b for b in reversed(lab.index) if b not in WAITING and lab[b] == "out_of_spec")
    waiting = made["truth"].index[made["truth"] == 1.0][0]
    found = {}
    for batch in (failed, waiting):
        answer = json.loads(line(made, "review", str(made["folder"]), batch, "--json"))
        found[batch] = {e["kind"]: e["text"] for e in answer["exceptions"]}
    assert "out of specification" in found[failed]["lab_out_of_spec"]
    assert not [k for k in found[failed] if k.startswith("predicted")]
    assert "likely to fail after mix" in found[waiting]["predicted_out_of_spec"]
