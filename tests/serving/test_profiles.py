"""What questions about batches rest on is made once for a load, by a service before anybody asks."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest

import serving.rows
from features.assemble import Matrix
from plant.errors import NotReady
from plant.live_log import LiveLog
from serving.fleet import Fleet
from serving.review_desk import ReviewDesk
from tests.serving.world import END, World

HOUR = pd.Timedelta("1h")


@pytest.fixture
def assembled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, pd.Timestamp]]:
    """(batch, time) of every feature row that is really assembled."""
    rows: list[tuple[str, pd.Timestamp]] = []
    real = serving.rows.batch_matrix

    def counted(snapshot: Any, plan: Any, cutoffs: pd.DataFrame) -> Matrix:
        rows.extend(zip(cutoffs["batch_id"], cutoffs["t"], strict=True))
        return real(snapshot, plan, cutoffs)

    monkeypatch.setattr(serving.rows, "batch_matrix", counted)
    return rows


def opened(world: World) -> Fleet:
    return Fleet(world.home, [world.folder])


def wait() -> None:
    """Until what is made in the background is there."""
    for thread in threading.enumerate():
        if thread.name.startswith("prepare"):
            thread.join(60)
            assert not thread.is_alive()


def live(fleet: Fleet, table: str, **row: Any) -> None:
    times = {k: pd.Series([v]).astype("datetime64[us, UTC]") for k, v in row.items() if isinstance(v, pd.Timestamp)}
    frame = pd.DataFrame({k: [v] for k, v in row.items()} | times)
    made = LiveLog.open(fleet.data["dublin"].store.folder).append(table, frame, END + HOUR)
    assert made.accepted == 1, made.refused


def test_a_service_makes_every_profile_before_anybody_asks(
    world: World, assembled: list[tuple[str, pd.Timestamp]]
) -> None:
    world.promote("tablet_quality")
    slow = ReviewDesk(opened(world))
    expected = {b: slow.similar(b)["attributes"] for b in ("B-060", "B-140", "B-149")}
    scored = slow.fleet.scorer("dublin", "quality").batches(store=False)
    assembled.clear()
    fleet = opened(world)
    fleet.warm()
    wait()
    assert len({b for b, _ in assembled}) == 150
    assert len(assembled) == len(set(assembled)) == 150  # each once, though risks, residuals and profiles need them
    assembled.clear()
    desk = ReviewDesk(fleet)
    for batch, told in expected.items():
        assert desk.similar(batch)["attributes"] == told
    again = fleet.scorer("dublin", "quality").batches(store=False)
    assert [s["attributes"] for s in again] == [s["attributes"] for s in scored]
    assert not assembled


def test_rows_of_the_live_log_cost_nothing_and_results_among_them_count(
    world: World, assembled: list[tuple[str, pd.Timestamp]]
) -> None:
    world.promote("tablet_quality")
    fleet = opened(world)
    desk, scorer = ReviewDesk(fleet), fleet.scorer("dublin", "quality")
    scorer.prepare()
    before, scored = desk.similar("B-149"), scorer.batches(store=False)
    assembled.clear()
    live(fleet, "readings", equipment_id="press-1", signal="vibration", ts=END + HOUR, value=3.0)
    after = desk.similar("B-149")
    assert after["data_version"] != before["data_version"]
    assert after["attributes"] == before["attributes"]
    assert [s["attributes"] for s in scorer.batches(store=False)] == [s["attributes"] for s in scored]
    (known,), at = before["attributes"], END - 2 * HOUR
    live(fleet, "lab_results", result_id="R-new", batch_id="B-147", attribute="dissolution", value=91.5, unit="%",
         sampled_at=END - 20 * HOUR, approved_at=at, status="in_spec")
    (told,) = desk.similar("B-149")["attributes"]
    assert (told["candidates"], told["without_result"]) == (known["candidates"] + 1, known["without_result"] - 1)
    assert not assembled


def test_a_batch_of_the_live_log_is_said_to_wait_for_the_next_load(world: World) -> None:
    world.promote("tablet_quality")
    fleet = opened(world)
    desk, scorer = ReviewDesk(fleet), fleet.scorer("dublin", "quality")
    times = {"started_at": END - 9 * HOUR, "ended_at": END - 4 * HOUR}
    live(fleet, "batches", batch_id="B-150", product="P10", **times)
    live(fleet, "batch_steps", batch_id="B-150", step="compression", equipment_id="press-1", **times)
    for ask in (lambda: desk.similar("B-150"), lambda: scorer.batches(["B-150"])):
        with pytest.raises(NotReady) as refused:
            ask()
        assert refused.value.code == "batch_not_loaded"
    with pytest.raises(Exception, match="no batch 'B-151'"):
        scorer.batches(["B-151"])
    world.load({
        "batches": pd.DataFrame({"batch_id": ["B-150"], "product": "P10"} | {k: [v] for k, v in times.items()}),
        "batch_steps": pd.DataFrame({
            "batch_id": ["B-150"], "step": "compression", "equipment_id": "press-1", "moisture": 3.1,
        } | {k: [v] for k, v in times.items()}),
    })
    assert len(desk.similar("B-150")["attributes"][0]["similar"]) == 5


def test_another_load_is_prepared_again_and_a_challenger_is_not(
    world: World, assembled: list[tuple[str, pd.Timestamp]]
) -> None:
    world.promote("tablet_quality")
    fleet = opened(world)
    fleet.warm()
    wait()
    assembled.clear()
    fleet.scorer("dublin", "quality").prepare()
    assert not assembled  # nothing twice
    world.load({"batches": pd.DataFrame({
        "batch_id": ["B-160"], "product": "P10", "started_at": [END], "ended_at": [END + 5 * HOUR],
    })})
    fleet.scorer("dublin", "quality").quality()  # whoever asks first
    wait()
    assert len({b for b, _ in assembled}) == 150
    assembled.clear()
    ReviewDesk(fleet).similar("B-120")
    assert not assembled


def test_questions_at_the_same_time_make_a_row_once(world: World, assembled: list[tuple[str, pd.Timestamp]]) -> None:
    world.promote("tablet_quality")
    desk = ReviewDesk(opened(world))
    scorer = desk.fleet.scorer("dublin", "quality")
    scorer.quality()
    told: list[Any] = []
    start = threading.Barrier(6)

    def similar() -> None:
        start.wait()
        told.append(desk.similar("B-149")["attributes"])

    def score() -> None:
        start.wait()
        scorer.batches(["B-149", "B-148"], store=False)

    threads = [threading.Thread(target=ask) for ask in (similar, score) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 3
    assert all(t == told[0] for t in told)
    assert len(assembled) == len(set(assembled)) > 100
    assert np.isfinite([s["distance"] for s in told[0][0]["similar"]]).all()
