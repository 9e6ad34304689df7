"""Reviews as they are asked for: over HTTP, on the page, with what reviewers say, and with models or without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from starlette.testclient import TestClient

from governance.database import DATABASE_URL
from plant.errors import NotReady
from plant.loading import Load
from plant.store import Store
from plant.tables import TABLES, conform
from serving.fleet import Fleet
from serving.pages import create_app, render_review
from serving.problems import OneErrorForm
from serving.review import review
from serving.review_case import Known, open_case
from serving.review_desk import ReviewDesk
from serving.review_rules import load_rules
from tests.serving.review_planted import made_of, planted
from tests.serving.review_world import SITE, Planted, plant_of, site_folder
from tests.serving.review_world import World as Planned

HTML = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def made() -> Planned:
    return planted(1)


@pytest.fixture(scope="module")
def stored(made: Planned, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A home with the planted plant in its store, and the site's folder."""
    root = tmp_path_factory.mktemp("planted")
    store = Store(root / "home" / "store", SITE)
    opened = pd.Timestamp("2026-02-25T00:00Z")
    row = {"deviation_id": HTML, "batch_id": "B100", "category": HTML, "severity": "minor", "opened_at": opened}
    odd = conform(TABLES["deviations"], pd.DataFrame([row]))
    with store.lock():
        tables = {**made.tables, "deviations": pd.concat([made.tables["deviations"], odd], ignore_index=True)}
        store.commit(Load(tables=tables), pd.Timestamp.now("UTC"), {})
    return root / "home", site_folder(root)


@pytest.fixture
def fleet(stored: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """The planted plant with an operational database of the test's own."""
    monkeypatch.delenv(DATABASE_URL, raising=False)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "store").symlink_to(stored[0] / "store")
    fleet = Fleet(tmp_path / "home", [stored[1]])
    yield fleet
    fleet.engine.dispose()


@pytest.fixture
def client(fleet: Fleet) -> TestClient:
    return TestClient(OneErrorForm(create_app(lambda: fleet, dict)), base_url="http://127.0.0.1:3000")


def one(made: Planned, kind: str) -> tuple[Planted, str]:
    item = next(p for p in made.planted if p.kind == kind)
    return item, min(item.batches)


def test_the_store_gives_the_same_review_as_the_tables(fleet: Fleet, made: Planned) -> None:
    desk = ReviewDesk(fleet)
    for kind in ("readings_missing", "environment_excursion", "lab_corrected", "lot_out_of_spec"):
        _, batch_id = one(made, kind)
        stored = desk.review(batch_id)
        direct = review(open_case(plant_of(load_rules(())), Known(made, made.data_end), batch_id)).as_dict()
        told = [{k: v for k, v in e.items() if k != "review"} for e in stored["exceptions"]]
        assert told == direct["exceptions"], kind
        assert kind in {e["kind"] for e in told}


def test_the_answer(client: TestClient, made: Planned) -> None:
    item, batch_id = one(made, "lab_out_of_spec")
    answer = client.get(f"/v1/batches/{batch_id}/exceptions").json()
    assert {"exceptions", "checked", "counts", "as_of", "models", "disposition", "data_version"} <= answer.keys()
    first = answer["exceptions"][0]
    assert (first["kind"], first["severity"], first["system"]) == ("lab_out_of_spec", "critical", "LIMS")
    assert f"lab_results/{item.key}" in first["rows"]
    assert first["evidence"]["attribute"] in first["text"]
    utc, local = (pd.Timestamp(first["at"][k]) for k in ("utc", "local"))
    assert utc == local
    assert first["at"]["utc"].endswith("+00:00")
    order = [["critical", "major", "minor"].index(e["severity"]) for e in answer["exceptions"]]
    assert order == sorted(order)
    assert answer["counts"]["critical"] == sum(e["severity"] == "critical" for e in answer["exceptions"])
    assert answer["counts"]["entries"] == sum(c["entries"] for c in answer["checked"])
    assert answer["disposition"]["set_by_software"] is False
    predicted = [c for c in answer["checked"] if c["system"] == "Steadyline"]
    assert [(c["done"], c["notes"]) for c in predicted] == [
        (False, ["the site has no quality model"]), (False, ["the site has no failure model"])
    ]


def test_the_decision_of_people_is_shown_and_never_made(client: TestClient) -> None:
    shown = client.get("/v1/batches/B090/exceptions").json()["disposition"]
    assert (shown["decision"], shown["decided_by"]) == ("released", "a person, in the quality system")
    for method in ("post", "put", "patch", "delete"):
        answer = getattr(client, method)("/v1/batches/B090/exceptions", headers={"Content-Type": "application/json"})
        assert answer.status_code in (404, 405), method


@pytest.mark.parametrize(("path", "status", "code"), [
    ("/v1/batches/B999/exceptions", 404, "unknown_batch"),
    ("/v1/batches/B090/exceptions?site=cork", 404, "unknown_site"),
    ("/v1/batches/B999/exceptions?site=planted", 404, "unknown_batch"),
    ("/v1/batches/B090/exceptions?at=2026-01-06T00:00:00Z", 409, "batch_not_started"),
    ("/v1/batches/B090/exceptions?at=2026-01-06", 422, "naive_time"),
    ("/v1/batches/B090/exceptions?at=soon", 422, "bad_time"),
    ("/v1/batches?limit=0", 422, "bad_limit"),
    ("/v1/batches?limit=ten", 422, "bad_limit"),
    ("/v1/batches?site=cork", 404, "unknown_site"),
    ("/v1/batches/B090/exceptions?as_of=2026-01-06T00:00:00Z", 409, "batch_not_started"),
    ("/v1/batches/B090/exceptions?as_off=2026-01-06T00:00:00Z", 422, "bad_parameter"),
    ("/v1/batches/B090/exceptions?at=2026-01-06T00:00:00Z&as_of=2026-01-07T00:00:00Z", 422, "two_times"),
    ("/v1/batches/B090/golden?limit=3", 422, "bad_parameter"),
    ("/v1/genealogy/API-99", 404, "unknown_lot"),
    ("/v1/genealogy/B090?at=2026-01-06T00:00:00Z", 409, "not_known_yet"),
])
def test_refusals(client: TestClient, path: str, status: int, code: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json().keys() >= {"code", "found", "allowed", "hint"}


def test_a_batch_of_two_sites_is_asked_for_by_site(fleet: Fleet, stored: tuple[Path, Path], tmp_path: Path) -> None:
    folder = site_folder(tmp_path)
    text = (folder / "site.yaml").read_text(encoding="utf-8").replace(f"site: {SITE}", "site: twin")
    (folder / "site.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "both" / "store").mkdir(parents=True)
    for name in (SITE, "twin"):
        (tmp_path / "both" / "store" / name).symlink_to(stored[0] / "store" / SITE)
    both = Fleet(tmp_path / "both", [stored[1], folder])
    client = TestClient(create_app(lambda: both, dict))
    queues = client.get("/batches").text
    assert all(f'href="/batches?site={s}"' in queues for s in both.data)
    assert client.get("/v1/batches").json()["code"] == "site_not_named"
    assert client.get("/v1/batches/B090/exceptions").json()["code"] == "batch_of_several_sites"
    assert client.get("/v1/batches/B090/exceptions?site=twin").json()["site"] == "twin"
    both.engine.dispose()


def decide(client: TestClient, batch_id: str, exception_id: str, **body: Any) -> Any:
    body = {"decision": "agree", "reviewer": "ann", **body}
    return client.post(f"/v1/batches/{batch_id}/exceptions/{exception_id}/review", json=body)


def test_a_reviewer_agrees_or_overrides_with_a_reason(client: TestClient, made: Planned) -> None:
    _, batch_id = one(made, "breakdown")
    path = f"/v1/batches/{batch_id}/exceptions"
    before = client.get(path).json()
    shown = next(e for e in before["exceptions"] if e["kind"] == "breakdown")
    assert shown["review"] is None
    number = shown["exception_id"]
    refused = decide(client, batch_id, number, decision="override")
    assert (refused.status_code, refused.json()["code"]) == (422, "incomplete_record")
    said = decide(client, batch_id, number, decision="override", reason="the line was being cleaned",
                  evidence_hash=shown["evidence_hash"])
    assert said.status_code == 200
    assert said.json()["review"]["state"] == "holds"
    after = client.get(path).json()
    kept = next(e for e in after["exceptions"] if e["exception_id"] == number)
    assert kept["review"] | {"reviewed_at": ""} == said.json()["review"] | {"reviewed_at": ""}
    assert (kept["review"]["decision"], kept["review"]["reason"]) == ("override", "the line was being cleaned")
    assert kept["severity"] == shown["severity"]  # the word of a person changes no rule
    assert after["counts"]["reviewed"] == before["counts"]["reviewed"] + 1
    assert after["counts"]["to_review"] == before["counts"]["to_review"] - 1


@pytest.mark.parametrize(("body", "status", "code"), [
    ({"decision": "release"}, 422, "invalid_request"), ({"reviewer": "  "}, 422, "invalid_request"),
    ({"reviewr": "ann"}, 422, "invalid_request"), ({"evidence_hash": "0" * 16}, 409, "evidence_changed"),
    ({"site": "cork"}, 404, "unknown_site"), ({"reason": "x" * 5000}, 422, "invalid_request"),
    ({"reason": "x" * 50000}, 422, "invalid_request"),
])
def test_a_word_that_cannot_be_taken(
    client: TestClient, made: Planned, body: dict[str, Any], status: int, code: str
) -> None:
    _, batch_id = one(made, "breakdown")
    number = client.get(f"/v1/batches/{batch_id}/exceptions").json()["exceptions"][0]["exception_id"]
    answer = decide(client, batch_id, number, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert decide(client, batch_id, "0" * 16).json()["code"] == "unknown_exception"
    form = client.post(f"/v1/batches/{batch_id}/exceptions/{number}/review", data={"decision": "agree"})
    assert (form.status_code, form.json()["code"]) == (415, "wrong_media_type")


def test_a_word_on_evidence_that_has_changed_asks_for_another_look(
    stored: tuple[Path, Path], made: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The value is corrected after the reviewer has looked: the same exception, other evidence."""
    monkeypatch.delenv(DATABASE_URL, raising=False)
    item, batch_id = one(made, "lab_out_of_spec")
    store = Store(tmp_path / "home" / "store", SITE)
    small = {n: made.tables[n] for n in made.tables if n != "readings"}
    with store.lock():
        store.commit(Load(tables=small), pd.Timestamp.now("UTC"), {})
    fleet = Fleet(tmp_path / "home", [stored[1]])
    desk = ReviewDesk(fleet)
    before = desk.review(batch_id)
    shown = next(e for e in before["exceptions"] if e["kind"] == "lab_out_of_spec")
    desk.decide(batch_id, shown["exception_id"], "agree", "ann")
    lab = made.tables["lab_results"]
    row = lab[lab["result_id"] == item.key]
    later = row.assign(value=row["value"] - 0.4, recorded_at=row["approved_at"] + pd.Timedelta("3d"))
    with store.lock():
        store.commit(Load(tables={"lab_results": later}), pd.Timestamp.now("UTC"), {})
    again = next(e for e in desk.review(batch_id)["exceptions"] if e["kind"] == "lab_out_of_spec")
    assert again["exception_id"] == shown["exception_id"]
    assert again["evidence"]["value"] == pytest.approx(shown["evidence"]["value"] - 0.4)
    assert again["review"]["state"] == "evidence_changed"
    with pytest.raises(NotReady, match="no longer what was looked at"):
        desk.decide(batch_id, shown["exception_id"], "agree", "ann", evidence_hash=shown["evidence_hash"])
    # corrected into its limits: the exception is gone, the word on it is not
    inside = row.assign(value=100.0, status="in_spec", recorded_at=row["approved_at"] + pd.Timedelta("4d"))
    with store.lock():
        store.commit(Load(tables={"lab_results": inside}), pd.Timestamp.now("UTC"), {})
    gone = desk.review(batch_id)
    assert "lab_out_of_spec" not in {e["kind"] for e in gone["exceptions"]}
    assert [r["state"] for r in gone["reviewed_before"]] == ["no_longer_raised"]
    page = render_review(gone)
    assert "No longer raised" in page
    fleet.engine.dispose()


def test_ids_are_stable_and_their_own(fleet: Fleet, made: Planned) -> None:
    first, second = ReviewDesk(fleet), ReviewDesk(fleet)
    ids: list[str] = []
    for kind in ("breakdown", "environment_excursion", "lab_pending", "alarms"):
        _, batch_id = one(made, kind)
        told = [[(e["exception_id"], e["evidence_hash"]) for e in d.review(batch_id)["exceptions"]]
                for d in (first, second)]
        assert told[0] == told[1]
        ids += [number for number, _ in told[0]]
    assert len(ids) == len(set(ids))


def test_genealogy_both_ways(client: TestClient, made: Planned) -> None:
    answer = client.get("/v1/genealogy/FILM-03").json()
    assert answer["kind"] == "lot"
    assert {d["id"] for d in answer["descendants"]} == made_of(made.tables, "FILM-03")
    through = next(d for d in answer["descendants"] if d["depth"] == 2)
    assert through["path"] == ["FILM-03", through["path"][1], through["id"]]
    assert through["product"] in ("P10", "P20")
    back = client.get(f"/v1/genealogy/{through['id']}").json()
    assert {a["id"] for a in back["ancestors"]} >= {"FILM-03", through["path"][1]}
    used = made.tables["genealogy"].set_index("material_lot").loc["FILM-03", "used_at"].min()
    early = client.get("/v1/genealogy/FILM-03", params={"at": (used + pd.Timedelta("1us")).isoformat()}).json()
    assert len(early["descendants"]) == 1


def test_the_page(client: TestClient, made: Planned) -> None:
    page = client.get("/batches/B100/exceptions")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].count("form-action 'self'") == 1
    assert "script" not in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "same-origin"  # else a browser sends its form with Origin: null
    text = page.text
    assert HTML not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "SIMULATED" in text
    assert re.search(r"UTC\)", text)
    assert "A person decides about the batch" in text
    assert text.count("<caption>") == text.count("<table")
    assert not re.findall(r"<th(?![^>]*scope)[ >]", text)
    assert "not checked" in text  # no model
    forms = re.findall(r"<details[^>]*>(?=<summary>Agree or override)", text)
    assert len(forms) == text.count("<form") > 0
    assert not [f for f in forms if " open" in f]  # closed, so that the page stays short; no script is needed
    assert len(re.findall(r"\d\d:\d\d \w+ \(\d\d:\d\d UTC\)|\d\d:\d\d UTC", text)) >= 4
    overdue = client.get(f"/batches/{one(made, 'calibration_overdue')[1]}/exceptions").text
    assert re.search(r"<dt>opened at</dt><dd>\d+ \w+ \d{4}, \d\d:\d\d \w+ \(", overdue)  # on both clocks
    missing = client.get("/batches/B999/exceptions")
    assert missing.status_code == 404
    assert "no connected site has a batch" in missing.text


def test_batches_that_wait_for_a_disposition(client: TestClient, made: Planned) -> None:
    t = made.data_end - pd.Timedelta("20d")
    made_before = made.tables["batches"][made.tables["batches"]["started_at"] < t].set_index("batch_id")
    ends = made_before["ended_at"].where(made_before["ended_at"] < t)
    disposed = made.tables["dispositions"].set_index("batch_id")["disposed_at"]
    open_ = [b for b in ends.index if not disposed.get(b, pd.NaT) < t and b.startswith("B")]  # C: intermediates
    recent = [b for b in open_ if pd.isna(ends[b]) or ends[b] >= t - pd.Timedelta("60d")]
    asked = {"limit": 200, "at": t.isoformat()}
    answer = client.get("/v1/batches", params=asked).json()
    assert {b["batch_id"] for b in answer["batches"]} == set(recent)
    assert len(recent) > 5
    assert (answer["waiting"], answer["older"], answer["not_shown"]) == (len(open_), len(open_) - len(recent), 0)
    grave = [tuple(-b["counts"][s] for s in ("critical", "major", "minor")) for b in answer["batches"]]
    assert grave == sorted(grave)
    first = answer["batches"][0]
    single = client.get(f"/v1/batches/{first['batch_id']}/exceptions", params={"at": t.isoformat()}).json()
    assert first["counts"] == single["counts"]
    assert first["first"]["exception_id"] == single["exceptions"][0]["exception_id"]
    few = client.get("/v1/batches", params=asked | {"limit": 5}).json()
    assert few["batches"] == answer["batches"][:5], "the gravest of all, not of the newest"
    assert few["not_shown"] == len(recent) - 5

    decide(client, first["batch_id"], first["first"]["exception_id"], decision="agree", reviewer="ann",
           at=t.isoformat())
    now = client.get("/v1/batches", params=asked).json()["batches"]
    again = next(b for b in now if b["batch_id"] == first["batch_id"])
    assert again["counts"]["reviewed"] == 1
    assert again["first"]["exception_id"] == single["exceptions"][1]["exception_id"], "what was looked at comes last"
    page = client.get("/batches", params=asked).text
    assert all(f"/batches/{b}/exceptions?site={SITE}&amp;at=" in page for b in recent)
    assert HTML not in page
    assert "bad_limit" not in page
    assert "a whole number from 1 to 200" in client.get("/batches?limit=-1").text


def test_deciding_on_the_page(client: TestClient, made: Planned) -> None:
    _, batch_id = one(made, "breakdown")
    shown = client.get(f"/v1/batches/{batch_id}/exceptions").json()["exceptions"][0]
    path = f"/batches/{batch_id}/exceptions/{shown['exception_id']}/review"
    form = {"decision": "override", "reviewer": HTML, "reason": HTML, "site": SITE, "at": "",
            "evidence_hash": shown["evidence_hash"]}
    here = {"Origin": "http://127.0.0.1:3000"}
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert client.post(path, data=form, headers=origin).status_code == 403, origin
    assert client.get(f"/v1/batches/{batch_id}/exceptions").json()["counts"]["reviewed"] == 0
    unreasoned = client.post(path, data=form | {"reason": " "}, headers=here)
    assert unreasoned.status_code == 422
    assert "no reason was given" in unreasoned.text
    unnamed = client.post(path, data=form | {"reviewer": ""}, headers=here)
    assert unnamed.status_code == 422
    answer = client.post(path, data=form, headers=here, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/batches/{batch_id}/exceptions?site={SITE}#{shown['exception_id']}"
    page = client.get(answer.headers["location"]).text
    assert "Overridden by &lt;script&gt;" in page
    assert HTML not in page


def test_the_filed_page_stands_alone(fleet: Fleet) -> None:
    page = render_review(ReviewDesk(fleet).review("B100"))
    assert "<form" not in page
    assert "<link" not in page
    assert "@media print" in page
    assert "Not reviewed" in page


def test_from_an_exception_to_the_genealogy_and_on(client: TestClient, made: Planned) -> None:
    item, batch_id = one(made, "lot_out_of_spec")
    at = made.data_end.isoformat()
    shown = client.get(f"/batches/{batch_id}/exceptions", params={"site": SITE, "at": at}).text
    lot = next(e for e in client.get(f"/v1/batches/{batch_id}/exceptions").json()["exceptions"]
               if e["kind"] == "lot_out_of_spec")["evidence"]["lot"]
    (link,) = set(re.findall(rf'href="(/genealogy/{lot}[^"]*)"', shown))
    page = client.get(link.replace("&amp;", "&"))
    assert page.status_code == 200
    assert "<script" not in page.text
    known = set(re.findall(r'href="/batches/([^/"]+)/exceptions[^"]*"', page.text))
    assert known >= item.batches
    for name in (lot.lower(), f" {lot} "):
        assert client.get(f"/genealogy/{name}").text.count("<tr>") == page.text.count("<tr>")
    up = client.get(f"/genealogy/{batch_id.lower()}").text
    assert f"<h1>Batch {batch_id} " in up
    assert "It is not recorded as issued to any batch." in up
    assert f">{lot}</a>" in up
    # a filed page leads nowhere
    filed = render_review(client.get(f"/v1/batches/{batch_id}/exceptions").json())
    assert lot in filed
    assert "/genealogy/" not in filed


def test_a_genealogy_that_is_not_there_is_told_and_escaped(client: TestClient) -> None:
    for name, status in ((HTML, 404), ("API-99", 404), ("API- 01", 404)):
        answer = client.get(f"/genealogy/{name}")
        assert answer.status_code == status
        assert "<script" not in answer.text
        assert "This cannot be done" in answer.text
    assert client.get("/genealogy/B090?site=planted&at=2026-01-06T00:00:00Z").status_code == 409
