"""Rows of the live log reach the scores of every worker, without a load and without a restart."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.assemble import equipment_matrix
from governance import scores
from governance.database import reading
from plant.live_log import LiveLog
from plant.snapshot import Frames
from plant.tables import TABLES
from serving.scoring import Scorer, input_hash
from tests.serving.world import END, World

HOUR = pd.Timedelta(1, "h")


def rows(equipment: str, signal: str, hours: np.ndarray, value: float) -> pd.DataFrame:
    ts = pd.Series([END + h * HOUR for h in hours.tolist()]).astype("datetime64[us, UTC]")
    return pd.DataFrame({"equipment_id": equipment, "signal": signal, "ts": ts, "value": value + np.arange(len(hours))})


def orders(equipment: str, when: pd.Timestamp) -> pd.DataFrame:
    return pd.DataFrame({
        "work_order_id": ["LIVE-1"], "equipment_id": [equipment], "kind": ["corrective"],
        "opened_at": pd.Series([when]).astype("datetime64[us, UTC]"),
    })


def together(frames: list[pd.DataFrame]) -> pd.DataFrame:
    plain = [f.astype({c: object for c in f if isinstance(f[c].dtype, pd.CategoricalDtype)}) for f in frames if len(f)]
    return pd.concat(plain, ignore_index=True) if plain else frames[0]


def append(folder: Path, table: str, frame: pd.DataFrame, now: pd.Timestamp) -> None:
    made = LiveLog.open(folder).append(table, frame, now)
    assert made.accepted == len(frame), made.refused


def test_every_worker_scores_with_what_came_last(world: World) -> None:
    world.promote("press_failures")
    workers = [Scorer.open(world.home, world.site, "press_failures") for _ in range(2)]
    before = [w.equipment(["press-1"])[0] for w in workers]
    snapshot = workers[0].data.current().snapshot
    signal = str(snapshot.table("readings")["signal"].iloc[0])
    folder = workers[0].data.store.folder

    first, second = rows("press-1", signal, np.arange(5) / 4, 90.0), rows("press-1", signal, np.arange(2) + 2.0, 5.0)
    child = multiprocessing.get_context("spawn").Process(
        target=append, args=(folder, "readings", first, END + 2 * HOUR)
    )
    child.start()
    child.join()
    assert child.exitcode == 0
    append(folder, "work_orders", orders("press-1", END + 2 * HOUR), END + 2.5 * HOUR)
    middle = [w.equipment(["press-1"])[0] for w in workers]
    append(folder, "readings", second, END + 4 * HOUR)
    after = [w.equipment(["press-1"])[0] for w in workers]

    log = LiveLog.open(folder)
    entries = log.since(0)
    told = {name: snapshot.table(name) for name in TABLES}
    for found, seen, number in ((middle, entries[:2], 2), (after, entries, 3)):
        tables = {n: together([f, *(e.rows for e in seen if e.table == n)]) for n, f in told.items()}
        for score, start, worker in zip(found, before, workers, strict=True):
            t = pd.Timestamp(score["as_of"])
            plan = worker.served().predictor.plan
            expected = equipment_matrix(Frames(tables), plan, pd.DataFrame({"equipment_id": ["press-1"], "t": [t]}))
            with reading(world.engine) as connection:
                assert scores.get(connection, score["score_id"]).input_hash == input_hash(expected.values[0])
            assert score["data_version"] == f"{start['data_version']}+{number}"
            assert t > pd.Timestamp(start["as_of"])
    assert pd.Timestamp(after[0]["data"]["last_reading"]) == END + 3 * HOUR
    assert pd.Timestamp(after[0]["data"]["last_record"]) == END + 2 * HOUR


def test_a_worker_reads_the_log_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.promote("press_failures")
    worker = Scorer.open(world.home, world.site, "press_failures")
    signal = str(worker.data.current().snapshot.table("readings")["signal"].iloc[0])
    folder = worker.data.store.folder
    for n in range(4):
        append(folder, "readings", rows("press-1", signal, np.array([n / 4]), 90.0), END + (2 + n) * HOUR)
    portion = LiveLog.since
    monkeypatch.setattr(LiveLog, "since", lambda log, after, most=1: portion(log, after, most))
    assert worker.data.current().seen == 4
    LiveLog.open(folder).trim(2)
    anew = Scorer.open(world.home, world.site, "press_failures").data.current()
    assert (anew.seen, len(anew._entries)) == (4, 2), "what was trimmed is taken as loaded"


def test_the_past_is_what_it_was(world: World) -> None:
    world.promote("press_failures")
    worker = Scorer.open(world.home, world.site, "press_failures")
    t = worker.data.current().end
    before = worker.equipment(["press-1"], t)[0]
    signal = str(worker.data.current().snapshot.table("readings")["signal"].iloc[0])
    append(worker.data.store.folder, "readings", rows("press-1", signal, np.arange(3) / 4, 90.0), END + 2 * HOUR)
    again = Scorer.open(world.home, world.site, "press_failures").equipment(["press-1"], t)[0]
    assert again["risks"] == before["risks"]
    assert again["as_of"] == before["as_of"]
