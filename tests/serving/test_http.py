"""The service over HTTP with models that were really trained: answers, refusals, the page, and what is kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from governance import scores
from governance.database import DATABASE_URL, connect, reading
from governance.versions import champion, list_versions
from plant.home import HOME_VARIABLE, store_root
from plant.site import load_site
from plant.store import Store
from serving.orders import open_orders
from tests.running import Service, running
from training.promote import promote
from training.run import train

SITE = "virtual_dublin"
EQUIPMENT, BATCHES = "/v1/score/equipment", "/v1/score/batches"
PROVENANCE = {"score_id", "model", "model_version", "bundle_sha256", "data_version", "as_of", "data_end", "simulated"}
SCRIPT = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Captions and headings of a page, the text of its cells, its scripts."""

    def __init__(self, text: str):
        super().__init__()
        self.words: dict[str, list[str]] = {}
        self.scripts = 0
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if tag in ("h2", "h3", "caption", "th", "td"):
            self._open.append(tag)
            self.words.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        for tag in self._open:
            self.words[tag][-1] += data


def kept(home: Path, score_id: str) -> scores.Score:
    """A score as the database holds it."""
    engine = connect(home)
    try:
        with reading(engine) as connection:
            return scores.get(connection, score_id)
    finally:
        engine.dispose()


def served_version(home: Path, model: str) -> Any:
    engine = connect(home)
    try:
        with reading(engine) as connection:
            found = champion(connection, SITE, model)
            assert found is not None
            return found
    finally:
        engine.dispose()


@pytest.fixture(autouse=True)
def own_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_URL, raising=False)


def test_alive_and_ready(service: Service) -> None:
    assert [service.ask(path).status for path in ("/livez", "/readyz")] == [200, 200]


def test_equipment_is_scored(service: Service) -> None:
    answer = service.ask(EQUIPMENT, {"site": SITE, "equipment_ids": ["press-1", "press-2"]})
    assert answer.status == 200
    found = answer.json["scores"]
    assert [s["equipment_id"] for s in found] == ["press-1", "press-2"]
    live = served_version(service.home, "equipment_failures")
    for score in found:
        assert score.keys() >= PROVENANCE | {"reasons", "decision", "failure_modes", "remaining_life", "data"}
        assert score["remaining_life"]["basis"] == "features"
        assert (score["model"], score["model_version"]) == ("equipment_failures", live.version)
        assert (score["bundle_sha256"], score["data_version"]) == (live.sha256, live.data_version)
        assert score["simulated"] is True
        assert pd.Timestamp(score["as_of"]).tzinfo is not None
        assert [r["horizon"] for r in score["risks"]] == ["24h", "72h", "7d"]
        risks = [r["probability"] for r in score["risks"]]
        assert 0 <= risks[0] <= risks[1] <= risks[2] <= 1
        assert score["decision"]["action"] in ("open_order", "watch", "none")
        assert all(r["text"] and r["direction"] in ("raises", "lowers") for r in score["reasons"])


def test_batches_are_scored(service: Service) -> None:
    answer = service.ask(BATCHES, {"site": SITE})
    assert answer.status == 200
    live = served_version(service.home, "batch_quality")
    assert answer.json["scores"]
    for score in answer.json["scores"]:
        assert score.keys() >= PROVENANCE | {"batch_id", "gate", "attributes"}
        assert (score["model_version"], score["bundle_sha256"]) == (live.version, live.sha256)
        assert {a["attribute"] for a in score["attributes"]} == {"dissolution", "hardness", "loss_on_drying"}
        for attribute in score["attributes"]:
            low, high = attribute["interval_90"]
            assert low <= high
            assert {"expected", "unit", "prob_out_of_spec", "reasons", "verdict"} <= attribute.keys()


def test_a_look_back_knows_less(service: Service) -> None:
    as_of = "2025-02-01T06:00:00Z"
    answer = service.ask(EQUIPMENT, {"site": SITE, "equipment_ids": ["press-1"], "as_of": as_of})
    score = answer.json["scores"][0]
    assert pd.Timestamp(score["as_of"]) == pd.Timestamp(as_of)
    for newest in (score["data"]["last_reading"], score["data"]["last_record"]):
        assert pd.Timestamp(newest) < pd.Timestamp(as_of)
    local = service.ask(
        EQUIPMENT, {"site": SITE, "equipment_ids": ["press-1"], "as_of": "2025-02-01T07:00:00+01:00"}
    )
    assert local.json["scores"][0]["risks"] == score["risks"]


@pytest.mark.parametrize(("path", "body", "status", "code", "told"), [
    (EQUIPMENT, {"site": SITE, "equipment_ids": ["pres-1"]}, 404, "unknown_equipment", "press-1"),
    (BATCHES, {"site": SITE, "batch_ids": ["B0"]}, 404, "unknown_batch", "B25"),
    (EQUIPMENT, {"site": "virtual_dubln"}, 404, "unknown_site", "virtual_dublin"),
    (BATCHES, {"site": "nowhere"}, 404, "unknown_site", "virtual_dublin"),
    (EQUIPMENT, {"site": SITE, "as_of": "2025-02-01T06:00:00"}, 422, "naive_time", "2025-02-01T06:00:00Z"),
    (BATCHES, {"site": SITE, "as_of": "yesterday"}, 422, "bad_time", "2026-03-01T06:00:00Z"),
])
def test_refusals_tell_what_is_allowed(
    service: Service, path: str, body: dict[str, Any], status: int, code: str, told: str
) -> None:
    answer = service.ask(path, body)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.json.keys() >= {"code", "found", "allowed", "hint"}
    assert told in answer.json["allowed"] + answer.json["hint"]


def test_the_interface_is_described(service: Service) -> None:
    document = service.ask("/docs.json").json
    assert document["openapi"].startswith("3.")
    for path in (EQUIPMENT, BATCHES):
        assert "422" in document["paths"][path]["post"]["responses"]
    assert service.ask("/docs").headers["content-type"].startswith("text/html")


def test_the_page_of_today(service: Service) -> None:
    service.ask(EQUIPMENT, {"site": SITE})
    batches = service.ask(BATCHES, {"site": SITE}).json["scores"]
    answer = service.ask("/")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    page = Page(answer.text)
    headings = " ".join(page.words["h3"])
    for part in ("Equipment at risk", "Batches", "Open orders", "Models", "Data"):
        assert part in headings
    assert "SIMULATED" in page.words["h2"][0]
    assert any(cell.startswith("press-1") for cell in page.words["th"])
    assert any(cell.startswith(batches[0]["batch_id"]) for cell in page.words["th"])
    live = served_version(service.home, "equipment_failures")
    assert live.sha256[:12] in answer.text
    assert live.data_version in answer.text
    # local time beside UTC, winter time in Dublin being called GMT
    assert "GMT (" in page.words["caption"][0]
    assert "UTC)" in page.words["caption"][0]


def test_every_answer_forbids_what_it_does_not_need(service: Service) -> None:
    for path in ("/", "/docs", "/livez", "/nothing-here", "/v1/nothing"):
        headers = service.ask(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'"), path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert headers["referrer-policy"] == "no-referrer", path
        assert "server" not in headers, path


def test_a_score_is_kept(service: Service) -> None:
    given = service.ask(EQUIPMENT, {"site": SITE, "equipment_ids": ["press-3"]}).json["scores"][0]
    found = kept(service.home, given["score_id"])
    assert (found.site, found.subject, found.task) == (SITE, "press-3", "failure")
    assert (found.model_version, found.bundle_sha256) == (given["model_version"], given["bundle_sha256"])
    assert found.data_version == given["data_version"]
    assert found.payload == given
    assert len(found.input_hash) == 64


# ---- a service of its own, for what changes its home


@pytest.fixture(scope="module")
def own_service(tiny_home: Path, tiny_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A copy of the tiny home and site, whose title and one order carry markup."""
    root = tmp_path_factory.mktemp("own_service")
    shutil.copytree(tiny_home, root / "home")
    folder = root / "sites" / SITE
    shutil.copytree(tiny_site, folder)
    path = folder / "site.yaml"
    site = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(site | {"title": f"Dublin {SCRIPT}"}, allow_unicode=True), encoding="utf-8")
    with running(root / "home", [folder]) as service:
        yield service


def test_what_people_and_systems_wrote_is_text(own_service: Service) -> None:
    score = own_service.ask(EQUIPMENT, {"site": SITE, "equipment_ids": ["press-1"]}).json["scores"][0]
    score["reasons"] = [{"text": f"the order says {SCRIPT}"}]
    score["decision"] |= {"action": "open_order", "expected_saving": 1000.0}
    hostile = score | {"equipment_id": f"press-1{SCRIPT}"}
    engine = connect(own_service.home)
    with engine.begin() as connection:
        snapshot = Store(store_root(own_service.home), SITE).snapshot()
        assert len(open_orders(connection, SITE, [hostile], snapshot, None).opened) == 1
    engine.dispose()
    page = own_service.ask("/").text
    assert page.count("&lt;script&gt;alert(1)") >= 3  # title, equipment and reason
    assert SCRIPT not in page
    assert Page(page).scripts == 0


def test_a_promotion_is_served_without_a_restart(
    own_service: Service, tiny_site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = {"site": SITE, "equipment_ids": ["press-1"]}
    before = own_service.ask(EQUIPMENT, question).json["scores"][0]
    monkeypatch.setenv(HOME_VARIABLE, str(own_service.home))
    folder = tmp_path / SITE
    shutil.copytree(tiny_site, folder)
    path = folder / "models" / "equipment_failures.yaml"
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(spec | {"seed": 8}), encoding="utf-8")
    task = train(load_site(folder), "equipment_failures", own_service.home)
    # a challenger is not served
    assert own_service.ask(EQUIPMENT, question).json["scores"][0]["model_version"] == before["model_version"]
    promote(own_service.home, SITE, "equipment_failures", task["version"], "q.analyst", "second version")
    after = own_service.ask(EQUIPMENT, question).json["scores"][0]
    assert after["model_version"] == task["version"] != before["model_version"]
    assert after["bundle_sha256"] == task["bundle_sha256"] != before["bundle_sha256"]
    assert kept(own_service.home, after["score_id"]).model_version == task["version"]
    engine = connect(own_service.home)
    with reading(engine) as connection:
        assert len(list_versions(connection, SITE, "equipment_failures")) == 2
    engine.dispose()

