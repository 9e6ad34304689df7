"""Golden batch and similar batches through the service and the command line."""

from __future__ import annotations

import io
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from starlette.testclient import TestClient

from plant.snapshot import Frames
from serving.fleet import Fleet
from serving.golden import golden_batch
from serving.golden_chart import chart, ticks
from serving.golden_command import render as terminal
from serving.pages import create_app, render
from serving.problems import OneErrorForm
from serving.review_case import Case, Known
from serving.review_desk import ReviewDesk
from serving.similar import outcomes, result_in_words
from tests.running import COMMAND, ROOT, environment
from tests.serving.world import GATE, TRAIN_END, World

DAY = pd.Timedelta(days=1)


@pytest.fixture
def client(world: World) -> TestClient:
    world.promote("tablet_quality")
    fleet = Fleet(world.home, [world.folder])
    return TestClient(OneErrorForm(create_app(lambda: fleet, dict)), base_url="http://127.0.0.1:3000")


def ask(client: TestClient, path: str, **query: str) -> Any:
    answer = client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def snapshot(world: World) -> Any:
    return Fleet(world.home, [world.folder]).data["dublin"].current().snapshot


def test_the_envelope_is_that_of_plain_pandas(client: TestClient, world: World) -> None:
    """Each batch lasts 5 hours, each press is read every 2 hours: two or three readings, and the slots between them."""
    (step,) = ask(client, "/v1/batches/B-120/golden", signal="vibration")["steps"]
    of = snapshot(world)
    batches = of.table("batches").set_index("batch_id")
    lab = of.table("lab_results").set_index("batch_id")
    good = lab["approved_at"].notna() & (lab["value"] >= lab["lower_spec"])
    wanted = [b for b in (f"B-{i:03d}" for i in range(119, -1, -1)) if good[b]][:60]
    assert step["references"]["batch_ids"] == wanted
    readings = of.table("readings")
    press = readings[(readings["equipment_id"] == "press-1")].sort_values("ts")
    curves = {b: slow_curve(press, *batches.loc[b, ["started_at", "ended_at"]]) for b in [*wanted, "B-120"]}
    frame = pd.DataFrame({b: curves[b] for b in wanted}).T
    enough = frame.notna().sum() >= 10
    (signal,) = step["signals"]
    for name, share in (("p5", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95)):
        slow = frame.quantile(share).where(enough)
        assert plain(signal["envelope"][name]) == pytest.approx(slow.to_numpy(), nan_ok=True), name
    own = curves["B-120"]
    assert plain(signal["curve"]) == pytest.approx(own, nan_ok=True)
    low, high = frame.quantile(0.05).where(enough), frame.quantile(0.95).where(enough)
    both = np.isfinite(own) & low.notna().to_numpy()
    outside = both & ((own < low.to_numpy()) | (own > high.to_numpy()))
    assert signal["compared"] == both.sum() > 0
    assert signal["share_outside"] == pytest.approx(outside.sum() / both.sum())
    assert signal["unit"] == "mm/s"


def slow_curve(press: pd.DataFrame, begin: pd.Timestamp, end: pd.Timestamp) -> np.ndarray:
    rows = press[(press["ts"] >= begin) & (press["ts"] <= end)]
    share = ((rows["ts"] - begin) / (end - begin)).to_numpy()
    out = np.full(50, np.nan)
    for k in range(50):
        inside = (share >= k / 50) & ((share < (k + 1) / 50) | (k == 49))
        middle = (k + 0.5) / 50
        if inside.any():
            out[k] = rows["value"][inside].mean()
        elif len(share) > 1 and share[0] < middle < share[-1]:
            out[k] = np.interp(middle, share, rows["value"])
    return out


def plain(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else v for v in values])


def test_a_replay_knows_only_what_was_known(client: TestClient, world: World) -> None:
    of = snapshot(world)
    batches, lab = of.table("batches").set_index("batch_id"), of.table("lab_results").set_index("batch_id")
    at = batches.loc["B-100", "ended_at"] + pd.Timedelta("1h")
    (step,) = ask(client, "/v1/batches/B-100/golden", at=at.isoformat())["steps"]
    known = [b for b in batches.index if lab.loc[b, "approved_at"] < at]
    good = [b for b in known if lab.loc[b, "value"] >= lab.loc[b, "lower_spec"]]
    assert step["references"]["batch_ids"] == sorted(good, reverse=True)[:60]
    assert step["references"]["left_out"] == {
        why: n for why, n in (
            ("neither released nor tested yet", 100 - len(known)), ("out of specification", len(known) - len(good)),
        ) if n
    }
    early = ask(client, "/v1/batches/B-005/golden", at=batches.loc["B-005", "ended_at"].isoformat())
    assert not early["steps"][0]["references"]["enough"]
    assert "no envelope" in early["steps"][0]["notes"][0]
    for signal in early["steps"][0]["signals"]:
        assert set(signal["envelope"]["p50"]) == {None}
        assert signal["share_outside"] is None


@pytest.mark.parametrize(("path", "status", "code", "told"), [
    ("/v1/batches/B-120/golden?step=compresion", 404, "unknown_step", "compression"),
    ("/v1/batches/B-120/golden?signal=vibrations", 404, "unknown_signal", "vibration"),
    ("/v1/batches/B-999/golden", 404, "unknown_batch", "B-"),
    ("/v1/batches/B-120/golden?at=2026-01-01", 422, "naive_time", ""),
    ("/v1/batches/B-120/similar?attribute=disolution", 404, "unknown_attribute", "dissolution"),
    ("/v1/batches/B-120/similar?gate=before_start", 409, "gate_not_passed", GATE),
])
def test_refusals(client: TestClient, path: str, status: int, code: str, told: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert told in answer.json()["allowed"] + answer.json()["hint"]


def test_the_pages(client: TestClient) -> None:
    answer = client.get("/batches/B-120/golden?site=dublin")
    page = answer.text
    assert answer.status_code == 200
    assert page.count("<svg") == page.count('<figure class="chart"') == 1
    assert "mm/s" in page
    assert " UTC)" in page
    assert "/batches/B-120/exceptions?site=dublin" in page
    review = client.get("/batches/B-120/exceptions").text
    assert "/batches/B-120/golden?site=dublin" in review
    assert client.get("/batches/B-999/golden").status_code == 404


def test_an_exception_that_a_model_raised_shows_similar_batches(world: World) -> None:
    world.promote("tablet_quality")
    desk = ReviewDesk(Fleet(world.home, [world.folder]))
    answer = desk.review("B-140")
    about = {"attribute": "dissolution", "gate": GATE, "model": "tablet_quality"}
    raised = answer["exceptions"][0] | {"exception_id": "e1", "check": "predicted results", "evidence": about}
    other = raised | {"exception_id": "e2", "evidence": about | {"model": "gone"}}
    answer["exceptions"] += [raised, other]
    found = desk.similar_by_exception(answer)
    near = desk.similar("B-140")["attributes"][0]["similar"]
    assert found == {"e1": near}  # a model that is gone adds nothing, and hides nothing
    page = render("review.html", review=answer, similar=found, at="", style=None)
    assert [page.count(f">{s['batch_id']}</a>") for s in near] == [1] * 5
    assert near[0]["shared_reasons"]
    verdicts = {"e1": [s | {"outcome": s["outcome"] | {"value": None, "unit": None, "in_spec": n > 0}}
                       for n, s in enumerate(near)]}
    page = render("review.html", review=answer, similar=verdicts, at="", style=None)
    assert (page.count("</a>: failed"), page.count("</a>: passed")) == (1, 4)


def test_similar_batches_are_earlier_ones_with_a_result_known_then(client: TestClient, world: World) -> None:
    of = snapshot(world)
    batches, lab = of.table("batches").set_index("batch_id"), of.table("lab_results").set_index("batch_id")
    counts = set()
    for name in ("B-014", "B-016", "B-060", "B-130", "B-149"):
        at = batches.loc[name, "ended_at"] + pd.Timedelta("1h")
        told = ask(client, f"/v1/batches/{name}/similar", at=at.isoformat())
        (attribute,) = told["attributes"]
        allowed = {b for b in batches.index if b < name and lab.loc[b, "approved_at"] < at}
        found = attribute["similar"]
        assert attribute["candidates"] == len(allowed)
        assert len(found) == min(5, len(allowed))
        assert {s["batch_id"] for s in found} <= allowed
        assert [s["distance"] for s in found] == sorted(s["distance"] for s in found)
        for s in found:
            result = lab.loc[s["batch_id"]]
            assert s["outcome"]["value"] == result["value"]
            assert s["outcome"]["in_spec"] is True
            assert s["learnt_from"] == (pd.Timestamp(s["gate_time"]) < TRAIN_END)
        assert told["hindsight"] == (at < TRAIN_END)
        counts.add(len(found))
    assert counts > {5}, counts  # some had fewer to choose from
    (attribute,) = ask(client, "/v1/batches/B-060/similar")["attributes"]  # at the end, when later ones are known too
    assert attribute["candidates"] == 60
    assert {s["batch_id"] for s in attribute["similar"]} < {f"B-{i:03d}" for i in range(60)}


def test_similar_batches_are_the_nearest_by_contributions(client: TestClient, world: World) -> None:
    """From the matrix, the model's own contributions, and Python's own distance."""
    told = ask(client, "/v1/batches/B-140/similar", attribute="dissolution")
    scorer = Fleet(world.home, [world.folder]).scorer("dublin", "quality")
    by = scorer.quality()
    lab = snapshot(world).table("lab_results").set_index("batch_id")
    ids = [f"B-{i:03d}" for i in range(140) if pd.notna(lab.loc[f"B-{i:03d}", "value"])]
    times = [by.book.gate(b, by.data.end)[1] for b in [*ids, "B-140"]]
    values = scorer.batch_rows(by, [*ids, "B-140"], GATE, times)
    shap = by.predictor.models["dissolution", GATE].contributions(values)[:, :-1]
    groups = [f.group for f in by.predictor.features]
    sums = pd.DataFrame(shap, columns=groups).T.groupby(level=0).sum().T.to_numpy()
    far = np.sqrt(((sums[:-1] - sums[-1]) ** 2).sum(axis=1))
    assert [s["distance"] for s in told["attributes"][0]["similar"]] == pytest.approx(sorted(far)[:5])
    back = dict(zip(ids, far, strict=True))
    for s in told["attributes"][0]["similar"]:
        assert s["distance"] == pytest.approx(back[s["batch_id"]])


def test_an_outcome_may_be_pass_or_fail_and_no_more() -> None:
    t = pd.Timestamp("2026-02-01", tz="UTC")
    row = {"attribute": "identity", "unit": None, "lower_spec": np.nan, "upper_spec": np.nan, "sampled_at": t}
    lab = pd.DataFrame([
        row | {"result_id": f"R{n}", "batch_id": f"B{n}", "value": v, "status": s, "approved_at": t + n * DAY} | more
        for n, (v, s, more) in enumerate([
            (np.nan, "in_spec", {}), (np.nan, "out_of_spec", {}), (7.0, None, {"upper_spec": 5.0}), (7.0, None, {}),
            (np.nan, "invalidated", {}), (np.nan, "in_spec", {}),
        ])
    ])
    known = Known(Frames({"lab_results": lab}), t + 5 * DAY)  # the last one is approved at that very time
    found = outcomes(SimpleNamespace(known=known), "identity")
    assert {b: (o["value"], o["in_spec"]) for b, o in found.items()} == {
        "B0": (None, True), "B1": (None, False), "B2": (7.0, False), "B3": (7.0, None),
    }
    assert [result_in_words(o) for o in found.values()] == ["passed", "failed", "7", "7"]


def test_without_a_champion_there_is_nothing_to_compare_by(world: World) -> None:
    desk = ReviewDesk(Fleet(world.home, [world.folder]))
    with pytest.raises(Exception, match="no champion"):
        desk.similar("B-120")


def test_the_drawing_has_gaps_and_marks() -> None:
    usual = {name: [level] * 6 for name, level in (("p5", 1.0), ("p25", 2.0), ("p50", 3.0), ("p75", 4.0), ("p95", 5.0))}
    signal = {"signal": "<torque>", "curve": [2.0, 6.0, None, 3.0, 0.5, 3.0], "envelope": usual, "low": None,
              "high": 5.5, "share_outside": 0.4, "compared": 5, "known": 5, "longest_outside": None}
    clock = {"utc": "2026-01-01T06:00:00+00:00", "local": "2026-01-01T07:00:00+01:00"}
    step = {"step": "mix", "started_at": clock, "ended_at": None, "expected_end": {
        "utc": "2026-01-01T10:00:00+00:00", "local": "2026-01-01T11:00:00+01:00"}}
    svg = chart(step, signal)
    assert svg.count('stroke-width="2"') == 2  # the gap cuts the line in two
    assert svg.count("l4 4l-4 4l-4 -4z") == 2
    assert "<torque>" not in svg
    assert "1 Jan 09:00" in svg  # the middle, on the site's clock
    assert "1 Jan 08:00 UTC" in svg
    assert "limit" in svg
    assert chart(step, signal | {"curve": [None] * 6, "envelope": {n: [None] * 6 for n in usual}}) == ""


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (2.0, 2.0), (-3.2, 17.9), (0.0, 0.0), (1e-7, 2e-7), (99, 1e6)])
def test_ticks_are_few_and_enclose(low: float, high: float) -> None:
    marks = ticks(low, high)
    assert marks[0] <= low + 1e-12
    assert marks[-1] >= high - 1e-12
    assert 2 <= len(marks) <= 7
    assert np.diff(marks) == pytest.approx(np.diff(marks)[0])


def test_the_commands(world: World, tmp_path: Path) -> None:
    world.promote("tablet_quality")

    def line(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*COMMAND, *words], cwd=ROOT, env=environment(world.home) | {"COLUMNS": "160"},
                              capture_output=True, text=True)

    site, html = str(world.folder), tmp_path / "golden.html"
    people = line("golden", site, "B-120", "--step", "compression", "--html", str(html))
    assert people.returncode == 0, people.stderr
    assert "compression on press-1, 60 reference batches" in people.stdout
    page = html.read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert not re.search(r'(?:href|src)="/', page)  # a file stands alone
    asked = line("golden", site, "B-120", "--signal", "vibration", "--json")
    assert [s["signal"] for s in json.loads(asked.stdout)["steps"][0]["signals"]] == ["vibration"]
    wrong = line("golden", site, "B-120", "--step", "mixing", "--json")
    assert wrong.returncode == 1
    assert json.loads(wrong.stdout)["error"]["code"] == "unknown_step"
    near = line("similar", site, "B-140")
    assert "dissolution: nearest of" in near.stdout
    assert "B-140 (simulated) after compression" in near.stdout


def test_what_is_usual_is_said_to_be(client: TestClient) -> None:
    shown = ask(client, "/v1/batches/B-120/golden")
    (step,) = shown["steps"]
    (signal,) = step["signals"]
    for share, usual, word, other in (
        (0.59, 0.66, "59 %, not unusual", ""), (0.7, 0.66, "70 %, unusual", "not unusual"),
        (0.59, None, "59 %", "unus"),
    ):
        made = {**signal, "share_outside": share, "usual_outside": usual, "unusual": bool(usual and share > usual)}
        answer = {**shown, "steps": [{**step, "signals": [made]}]}
        page = re.sub("<[^>]+>", "", render("golden.html", golden=answer, draw=chart, query="", style=None))
        table = page[page.index("Longest stretch outside"):].split("reference")[0]
        console = Console(width=200, record=True, file=io.StringIO())
        terminal(console, answer)
        for text in (table, console.export_text().replace("%", " %").replace("  %", " %")):
            assert word in text
            assert not other or other not in text.split("Longest")[0].split("longest stretch outside")[-1]


def test_a_step_without_readings_says_so(client: TestClient, world: World) -> None:
    desk = ReviewDesk(Fleet(world.home, [world.folder]))
    case = desk.case("B-120")
    without = Frames({n: snapshot(world).table(n) for n in ("batches", "batch_steps", "lab_results")})
    bare = Case(
        replace(case.plant, systems={"batches": "MES", "batch_steps": "MES"}), Known(without, case.t), case.batch,
        case.steps,
    )
    answer = golden_batch(bare)
    assert not answer["steps"][0]["read"]
    assert "no readings: the site connects none" in answer["steps"][0]["notes"]
    console = Console(width=200, record=True, file=io.StringIO())
    terminal(console, answer)
    text = console.export_text()
    assert "no readings: the site connects none" in text
    assert "outside 90" not in text
    page = render("golden.html", golden=answer, draw=chart, query="", style=None)
    assert "No readings: the site connects none" in page
    assert "<table" not in page
    rules = replace(case.rules, not_expected={"readings": "series have other clocks"})
    declared = golden_batch(Case(replace(bare.plant, rules=rules), bare.known, bare.batch, bare.steps))
    assert "no readings, as the site declares: series have other clocks" in declared["steps"][0]["notes"]
