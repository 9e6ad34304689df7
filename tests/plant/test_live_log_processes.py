"""The live log shared by several processes, some of which die, and what a database can do to it."""

from __future__ import annotations

import importlib.util
import inspect
import random
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from plant import live_database
from plant.errors import StoreError
from plant.live_log import Appended, Entry, LiveLog
from tests.plant.live_place import NOON, READING, READINGS, Place, readings, rows

ROOT = Path(__file__).parents[2]


# ---- several processes, some of which die -------------------------------------------------------------------------

_WRITER = f"""
import sys
import numpy as np
import pandas as pd
from pathlib import Path
from plant.live_log import LiveLog
NOON = pd.Timestamp("{NOON}")
{inspect.getsource(readings)}
folder, url, first, times, size = sys.argv[1:]
log = LiveLog.open(Path(folder), url or None)
for i in range(int(times)):
    n = int(size)
    done = log.append("readings", readings(n, int(first) + i * n), pd.Timestamp.now(tz="UTC"))
    print(done.accepted, flush=True)
"""


def writer(place: Place, first: int, times: int, size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(place.folder), place.url or "", str(first), str(times), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_several_writers_and_a_reader_who_polls(place: Place) -> None:
    """Writers open an absent log at once; two pairs say the same: each row is accepted once, and no entry is missed."""
    writers = [writer(place, first, 30, 3) for first in (0, 0, 500, 500)]
    log, seen = place.open(), list[Entry]()
    while any(w.poll() is None for w in writers):
        seen += log.since(seen[-1].seq if seen else 0)
    seen += log.since(seen[-1].seq if seen else 0)
    said = [w.communicate()[0].split() for w in writers]
    log.close()

    assert [w.returncode for w in writers] == [0, 0, 0, 0]
    assert [e.seq for e in seen] == list(range(1, len(seen) + 1))
    together = pd.concat([e.rows for e in seen], ignore_index=True)
    assert sum(int(n) for words in said for n in words) == len(together)
    expected = pd.concat([readings(3, f + 3 * i) for f in (0, 500) for i in range(30)])
    assert sorted(together["ts"]) == sorted(expected["ts"])
    moments = [(e.rows["recorded_at"].min(), e.rows["recorded_at"].max()) for e in seen]
    assert all(before[1] < after[0] for before, after in pairwise(moments))


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_that_is_killed_leaves_all_or_nothing(place: Place, seed: int) -> None:
    size = 2000
    place.open().close()
    process = writer(place, 0, 1000, size)
    assert process.stdout is not None
    said = [process.stdout.readline()]
    time.sleep(random.Random(seed).uniform(0.0, 0.3))
    process.send_signal(signal.SIGKILL)
    said += process.communicate()[0].split()

    log = place.open()
    entries = log.since(0, 10**9)
    acknowledged, kept = len(said), len(entries)
    assert acknowledged <= kept <= acknowledged + 1
    assert {len(e.rows) for e in entries} == {size}
    last = readings(size, (kept - 1) * size)
    assert entries[-1].rows["ts"].tolist() == last["ts"].tolist()
    # Who repeats what was not acknowledged is told that it is known, and goes on.
    assert log.append("readings", last, NOON).known == size
    assert log.append("readings", readings(size, kept * size), NOON) == Appended(size, 0, (), kept + 1)
    log.close()


def test_a_database_that_stays_busy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_database, "BUSY_TIMEOUT_S", 0.3)
    log = place.open()
    engine = sa.create_engine(
        sa.make_url(place.url).set(drivername="postgresql+psycopg") if place.url
        else f"sqlite:///{place.folder / live_database.FILE}"
    )  # fmt: skip
    with engine.connect() as other:
        lock = sa.text("SELECT * FROM live_logs WHERE site = :site FOR UPDATE" if place.url else "BEGIN IMMEDIATE")
        other.execute(lock, {"site": place.folder.name} if place.url else {})
        with pytest.raises(StoreError) as refused:
            log.append("readings", rows(READING), NOON)
        assert refused.value.code == "log_busy"
        assert log.since(0) == []  # readers wait for nobody
        other.rollback()
    engine.dispose()
    assert log.append("readings", rows(READING), NOON).accepted == 1
    log.close()


# ---- what a database can do to us ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://mes:geheim@127.0.0.1:1/live", "log_unavailable"), ("://mes:geheim@", "log_address"),
        ("oracle://mes:geheim@h/d", "log_address"), ("sqlite://", "log_address"),
        ("sqlite:////nowhere/geheim/live.db", "log_unavailable"),
    ],
)  # fmt: skip
def test_an_address_is_never_repeated(tmp_path: Path, url: str, code: str) -> None:
    if url.startswith("postgresql") and not importlib.util.find_spec("psycopg"):
        code = "log_address"
    with pytest.raises(StoreError) as refused:
        LiveLog.open(tmp_path / "site", url)
    assert refused.value.code == code
    assert "geheim" not in "".join(traceback.format_exception(refused.value)).replace(repr(url), "")
    assert "geheim" not in str(refused.value)


def test_an_error_of_the_database_shows_no_row(tmp_path: Path) -> None:
    log = LiveLog.open(tmp_path / "site")
    with sqlite3.connect(tmp_path / "site" / live_database.FILE) as connection:
        connection.execute("DROP TABLE live_entries")
    connection.close()
    with pytest.raises(StoreError) as refused:
        log.append(READINGS, rows(READING), NOON)
    log.close()
    shown = "".join(traceback.format_exception(refused.value))
    assert refused.value.code == "log_unavailable"
    assert "INSERT" not in shown
    assert "'readings'" not in shown


def _damage(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE live_entries SET content = substr(content, 1, 40)")


def _other_format(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE live_logs SET format = 99")


@pytest.mark.parametrize(("harm", "code"), [(_damage, "damaged_log"), (_other_format, "old_log")])
def test_a_log_that_cannot_be_read(tmp_path: Path, harm: Callable[[sqlite3.Connection], None], code: str) -> None:
    log = LiveLog.open(tmp_path / "site")
    log.append("readings", rows(READING), NOON)
    log.close()
    with sqlite3.connect(tmp_path / "site" / live_database.FILE) as connection:
        harm(connection)
    connection.close()
    with pytest.raises(StoreError) as refused:
        LiveLog.open(tmp_path / "site").since(0)
    assert refused.value.code == code


def test_the_disk_is_waited_for(tmp_path: Path) -> None:
    log = LiveLog.open(tmp_path / "site")
    with live_database.reading(log._engine) as connection:
        modes = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]
    log.close()
