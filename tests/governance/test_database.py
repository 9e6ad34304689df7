"""Tables come from migrations, times are instants, and the command line stays light."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

import governance
from governance.database import DATABASE_URL, HEAD, connect, metadata, reading, scores
from governance.scores import Score, latest, store


def a_score(score_id: str, subject: str, as_of: datetime, **changes: object) -> Score:
    values: dict[str, object] = {
        "score_id": score_id, "site": "dublin", "task": "equipment", "model": "press", "model_version": "1",
        "bundle_sha256": "a" * 64, "data_version": "d-1", "subject": subject, "as_of": as_of,
        "scored_at": datetime.now(UTC), "input_hash": "0" * 64, "payload": {"p": 0.25},
    }
    return Score(**(values | changes))  # type: ignore[arg-type]


def test_migrations_from_empty_make_the_declared_tables(engine: Engine) -> None:
    with reading(engine) as connection:
        difference = compare_metadata(MigrationContext.configure(connection), metadata)
    assert difference == []


def test_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(governance.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_opening_twice_keeps_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_URL, raising=False)
    first = connect(tmp_path)
    with first.begin() as connection:
        store(connection, [a_score("s-1", "press-1", datetime(2026, 1, 1, tzinfo=UTC))])
    second = connect(tmp_path)
    with reading(second) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(scores)).scalar() == 1
    assert (tmp_path / "audit.key").stat().st_mode & 0o077 == 0
    first.dispose()
    second.dispose()


def test_sqlite_writes_ahead_and_keeps_foreign_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DATABASE_URL, raising=False)
    engine = connect(tmp_path)
    with reading(engine) as connection:
        pragmas = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "foreign_keys")]
    assert pragmas == ["wal", 1]
    engine.dispose()


def test_times_are_instants(engine: Engine) -> None:
    dublin = datetime(2026, 7, 1, 12, 30, 0, 123456, ZoneInfo("Europe/Dublin"))
    with engine.begin() as connection:
        store(connection, [a_score("s-1", "press-1", dublin)])
    with reading(engine) as connection:
        found = connection.execute(sa.select(scores.c.as_of)).scalar_one()
    assert found == dublin
    assert found.utcoffset().total_seconds() == 0


def test_a_naive_time_is_refused(engine: Engine) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a time zone"), engine.begin() as connection:
        store(connection, [a_score("s-1", "press-1", datetime(2026, 7, 1))])  # noqa: DTZ001


def test_latest_is_by_time_of_knowledge(engine: Engine) -> None:
    today, before = datetime(2026, 7, 2, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
    with engine.begin() as connection:
        store(connection, [
            a_score("s-1", "press-2", today), a_score("s-2", "press-1", today), a_score("s-3", "press-1", before),
            a_score("s-4", "press-1", today, scored_at=datetime.now(UTC)),
            a_score("s-5", "press-1", today, model_version="2"), a_score("s-6", "press-1", today, site="cork"),
        ])
    with reading(engine) as connection:
        assert [s.score_id for s in latest(connection, "dublin", "press", "1")] == ["s-4", "s-1"]


def test_importing_the_package_does_not_import_sqlalchemy() -> None:
    code = "import sys, governance, governance.errors; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
