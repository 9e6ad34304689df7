"""The store: the same rows once, all of a load or none, every earlier state to be read again, one writer."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from plant.errors import NotReady, StoreError
from plant.snapshot import Frames, Snapshot, latest_time
from plant.store import Load, Store
from tests.plant.workshop import EVENT, Workshop, adds_up, total

ROOT = Path(__file__).parents[2]
# Counts the steps of writing a load on a copy, then dies by SIGKILL at the asked share of them.
KILLED = """
import os
import shutil
import signal
import sys
from pathlib import Path
import deltalake.writer  # its import is no step of a load
from plant.connect import connect
from plant.site import load_site

site, data, root, share = load_site(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4])
steps, last = 0, sys.maxsize

def step(frame, event, _):
    global steps
    code = frame.f_code
    ours = code.co_filename.endswith("plant/store.py") and code.co_name in ("_write_aside", "_append", "_write")
    if not ours and not code.co_filename.endswith("deltalake/writer/writer.py"):
        return None
    steps += 1
    if steps == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return step

def load(root):
    sys.settrace(step)
    connect(site, data, root)

load(Path(shutil.copytree(root, f"{root}.rehearsal")))
last, steps = int(steps * share), 0
load(root)
"""
NOW = pd.Timestamp("2026-01-01", tz="UTC")


def events(*rows: tuple[str, float | None]) -> pd.DataFrame:
    at = pd.Timestamp("2025-01-01", tz="UTC")
    frame = pd.DataFrame(rows, columns=["event_id", "value"])
    return frame.assign(equipment_id="press-1", ts=at, kind="error", source_file="log.csv", source_line=1.0)


def commit(store: Store, frame: pd.DataFrame, now: pd.Timestamp = NOW, table: str = "events") -> dict[str, int]:
    load = Load(tables={table: frame})
    with store.lock():
        count = store.commit(load, now, {})[table]
    return {"loaded": count.loaded, "known": count.known, "quarantined": count.quarantined}


def snapshot_values(snapshot: Snapshot) -> dict[str, list[float]]:
    frame = snapshot.table("events")
    return {key: list(rows["value"]) for key, rows in frame.groupby("event_id")}


class TestCommit:
    def test_the_same_rows_twice(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        assert commit(store, events(("1", 1.0), ("2", None)))["loaded"] == 2
        assert commit(store, events(("2", None), ("1", 1.0))) == {"loaded": 0, "known": 2, "quarantined": 0}
        assert store.snapshot().data_version == "works@1"

    def test_words_kept_as_categories_are_the_same_rows(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        commit(store, events(("1", 1.0), ("2", None)).assign(code=["a", None]))
        again = events(("1", 1.0), ("2", None)).assign(
            code=pd.Categorical(["a", None]), kind=pd.Categorical(["error"] * 2)
        )
        assert commit(store, again)["known"] == 2

    def test_a_corrected_row_is_a_new_version(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        commit(store, events(("1", 1.0), ("2", 5.0)))
        commit(store, events(("1", 2.0)), NOW + pd.Timedelta("1h"))
        rows = store.snapshot().table("events")
        assert len(rows) == 3, "the first version is kept"
        corrected = rows.drop_duplicates("event_id", keep="last").set_index("event_id")
        assert corrected["value"].to_dict() == {"1": 2.0, "2": 5.0}, "the newest version stands last"
        assert corrected.loc["1", "recorded_at"] == NOW + pd.Timedelta("1h")
        assert pd.isna(corrected.loc["2", "recorded_at"])

    def test_a_correction_may_be_taken_back(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        for hours, value in enumerate((1.0, 2.0, 1.0, 1.0)):
            commit(store, events(("1", value)), NOW + pd.Timedelta(hours=hours))
        assert list(store.snapshot().table("events")["value"]) == [1.0, 2.0, 1.0]

    def test_an_order_that_is_corrected_and_then_closed_is_loaded_once(self, tmp_path: Path) -> None:
        """It was closed, by its own time, before the load that corrected it; still it is the newest version."""
        store, opened = Store(tmp_path, "works"), pd.Timestamp("2025-01-01", tz="UTC")
        order = {"work_order_id": "1", "equipment_id": "p", "kind": "corrective", "opened_at": opened, "text": "leak"}
        order |= {"source_file": "log.csv", "source_line": 1.0}
        closed = {"text": "leaks", "closed_at": opened + pd.Timedelta("30d"), "cost": 5.0}
        for hours, said in enumerate(({}, {"text": "leaks"}, closed)):
            counts = commit(store, pd.DataFrame([order | said]), NOW + pd.Timedelta(hours=hours), "work_orders")
            assert counts["loaded"] == 1
        again = commit(store, pd.DataFrame([order | closed]), NOW + pd.Timedelta("9h"), "work_orders")
        assert again == {"loaded": 0, "known": 1, "quarantined": 0}
        assert store.snapshot().table("work_orders")["cost"].iloc[-1] == 5

    def test_versions_that_their_source_dates(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        recorded = pd.to_datetime(["2025-03-01", "2025-02-01", "2025-02-01"], utc=True)
        dated = events(("1", 2.0), ("1", 1.0), ("1", 9.0)).assign(recorded_at=recorded)
        assert commit(store, dated) == {"loaded": 2, "known": 0, "quarantined": 1}, (
            "two contents at one time contradict"
        )
        assert list(store.snapshot().table("events")["value"]) == [1.0, 2.0], "by the time they were recorded"
        assert commit(store, dated.head(2))["known"] == 2

    def test_a_wider_export_is_no_correction(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        step = pd.DataFrame({"batch_id": ["B1"], "step": ["mix"], "started_at": [NOW], "force": [1.0]})
        step = step.assign(source_file="a.csv", source_line=1.0)
        commit(store, step, table="batch_steps")
        assert commit(store, step.assign(speed=float("nan")), table="batch_steps")["known"] == 1
        assert commit(store, step.assign(speed=2.0), table="batch_steps")["loaded"] == 1
        rows = store.snapshot().table("batch_steps")
        assert list(rows["speed"].fillna(-1)) == [-1, 2.0]

    def test_every_data_version_can_be_read_again(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        commit(store, events(("1", 1.0)))
        before = store.snapshot()
        commit(store, events(("1", 2.0), ("2", 2.0)))
        assert snapshot_values(before) == {"1": [1.0]}, "a reader keeps the version it began with"
        for wanted in (1, "1", "works@1"):
            assert snapshot_values(store.snapshot(wanted)) == {"1": [1.0]}
        assert snapshot_values(store.snapshot("works@2")) == {"1": [1.0, 2.0], "2": [2.0]}

    @pytest.mark.parametrize("version", ["works@3", "0", "other@1", "latest", "", "-1", "1.0"])
    def test_a_version_that_never_was(self, tmp_path: Path, version: str) -> None:
        store = Store(tmp_path, "works")
        commit(store, events(("1", 1.0)))
        with pytest.raises(StoreError) as refused:
            store.snapshot(version)
        assert refused.value.code == "unknown_data_version"
        assert refused.value.allowed == "1 to 1"

    def test_before_any_load(self, tmp_path: Path) -> None:
        with pytest.raises(NotReady) as refused:
            Store(tmp_path, "works").snapshot()
        assert refused.value.code == "not_connected"

    def test_tables_that_were_never_fed_are_empty(self, tmp_path: Path) -> None:
        store = Store(tmp_path, "works")
        commit(store, events(("1", 1.0)))
        snapshot = store.snapshot()
        assert len(snapshot.table("readings")) == 0
        assert str(snapshot.table("readings")["ts"].dtype) == "datetime64[us, UTC]"
        assert len(snapshot.quarantine()) == 0
        with pytest.raises(KeyError):
            snapshot.table("reading")


class TestDataEnd:
    def test_one_microsecond_after_the_last_thing_that_happened(self) -> None:
        orders = pd.DataFrame({"work_order_id": ["1"], "opened_at": [NOW], "closed_at": [NOW + pd.Timedelta("1h")]})
        machines = pd.DataFrame({"equipment_id": ["p"], "retired_at": [NOW + pd.Timedelta("365d")]})
        frames = Frames({"work_orders": orders, "equipment": machines})
        assert frames.data_end == NOW + pd.Timedelta("1h") + pd.Timedelta("1us"), "a planned retirement lies ahead"

    def test_without_any_time(self) -> None:
        with pytest.raises(NotReady) as refused:
            latest_time({})
        assert refused.value.code == "no_data"


class TestCrash:
    ROWS = "id,v\n" + "".join(f"{i},{i}\n" for i in range(50))

    def prepared(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,v\n0,0\nbad,x\n")
        columns = EVENT | {"value": "v"}
        stop = {
            "downtime_id": "id",
            "equipment_id": {"constant": "p"},
            "started_at": {"constant": "2025-01-01T00:00:00Z"},
        }
        source = {"system": "log", "path": "*.csv", "format": "csv", "time_zone": "UTC"}
        tables = {"events": [{"source": "log", "columns": columns}], "downtime": [{"source": "log", "columns": stop}]}
        workshop.site({"log": source}, tables)

    def test_between_the_tables_and_the_manifest(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prepared(workshop)
        workshop.connect()
        reader = workshop.store.snapshot()
        workshop.export("more.csv", self.ROWS)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_write", lambda *_: (_ for _ in ()).throw(OSError("no space left on device")))
            with pytest.raises(OSError, match="no space"):
                workshop.connect()
        for seen in (reader, workshop.store.snapshot()):
            assert seen.data_version == "works@1"
            assert (len(seen.table("events")), len(seen.table("downtime")), len(seen.quarantine())) == (1, 2, 1)
        connected = workshop.connect()
        assert adds_up(connected)
        assert connected.snapshot.data_version == "works@2"
        assert sorted(map(int, workshop.rows()["event_id"])) == list(range(50))
        assert len(workshop.rows("downtime")) == 51
        assert total(workshop.connect(), "loaded") == 0

    def test_in_the_very_first_load(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.prepared(workshop)
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_write", lambda *_: (_ for _ in ()).throw(OSError("no space left on device")))
            with pytest.raises(OSError, match="no space"):
                workshop.connect()
        with pytest.raises(NotReady):
            workshop.store.snapshot()
        workshop.connect()
        assert (len(workshop.rows()), len(workshop.rows("downtime")), len(workshop.aside())) == (1, 2, 1)

    def test_while_a_table_is_made(self, workshop: Workshop) -> None:
        """A log folder without a first entry: what a crash in the middle of creating a Delta table leaves."""
        self.prepared(workshop)
        (workshop.root / "works" / "events" / "_delta_log").mkdir(parents=True)
        (workshop.root / "works" / "loads").mkdir()
        (workshop.root / "works" / "loads" / ".000001.partial").write_text('{"load": 1, "da', encoding="utf-8")
        workshop.connect()
        assert len(workshop.rows()) == 1

    def test_killed_at_any_moment(self, workshop: Workshop) -> None:
        """kill -9 at five random moments of a load: never half a load, and the next one completes it."""
        self.prepared(workshop)
        workshop.connect()
        workshop.export("more.csv", self.ROWS)
        rng = random.Random(20250101)
        trials = [_at(workshop, f"store-{number}") for number in range(5)]
        running = []
        for trial in trials:
            shutil.copytree(workshop.root, trial.root)
            command = [
                sys.executable,
                "-c",
                KILLED,
                workshop.folder,
                workshop.data,
                trial.root,
                str(rng.uniform(0.1, 0.9)),
            ]
            running.append(subprocess.Popen(command, cwd=ROOT))
        assert [child.wait() for child in running] == [-signal.SIGKILL] * 5
        for trial in trials:
            seen = trial.store.snapshot()
            assert (len(seen.table("events")), len(seen.table("downtime"))) in ((1, 2), (50, 51))
            assert adds_up(trial.connect())
            assert sorted(map(int, trial.rows()["event_id"])) == list(range(50))
            assert (len(trial.rows("downtime")), len(trial.aside())) == (51, 1)


def _at(workshop: Workshop, root: str) -> Workshop:
    other = Workshop(workshop.folder.parent)
    other.root = workshop.root.with_name(root)
    return other


class TestLock:
    def test_a_second_writer_is_refused(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id\n1\n")
        workshop.one(EVENT)
        with workshop.store.lock():
            with pytest.raises(StoreError) as refused:
                workshop.connect()
            assert refused.value.code == "store_busy"
            assert workshop.store.manifest() is None
        assert workshop.connect().tables["events"].loaded == 1, "once the first has ended, the way is free"

    def test_of_another_process(self, workshop: Workshop) -> None:
        program = (
            "import sys; from pathlib import Path; from plant.store import Store\n"
            "with Store(Path(sys.argv[1]), 'works').lock():\n"
            "    print('held', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, str(workshop.root)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with pytest.raises(StoreError), workshop.store.lock():
                pass
            other.kill()
        with workshop.store.lock():
            pass

    def test_of_another_site(self, workshop: Workshop) -> None:
        with workshop.store.lock(), Store(workshop.root, "other").lock():
            pass
