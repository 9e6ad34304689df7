"""The trail is append-only, and whoever gets around that is found."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from governance import audit
from governance.database import reading
from governance.errors import Refused

TRIGGERS = {
    "sqlite": "DROP TRIGGER audit_no_{verb}",
    "postgresql": "DROP TRIGGER IF EXISTS audit_no_change ON audit",
}


def fill(engine: Engine, rows: int = 4) -> None:
    with engine.begin() as connection:
        for i in range(rows):
            audit.record(connection, "ann", "limit.changed", f"press-{i}", {"limit": i}, {"limit": i + 1}, "wear")


def tamper(engine: Engine, verb: str, statement: str) -> None:
    """Change the trail as someone who owns the database could."""
    with engine.begin() as connection:
        connection.exec_driver_sql(TRIGGERS[connection.dialect.name].format(verb=verb))
        connection.exec_driver_sql(statement)


def test_an_untouched_trail_verifies(engine: Engine) -> None:
    fill(engine)
    with reading(engine) as connection:
        found = audit.verify(connection)
    assert found.passes
    assert found.rows == 4


@pytest.mark.parametrize("statement", [
    "UPDATE audit SET reason = 'none' WHERE seq = 2", "DELETE FROM audit WHERE seq = 4", "DELETE FROM audit",
])
def test_the_database_refuses_changes(engine: Engine, statement: str) -> None:
    fill(engine)
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)
    with reading(engine) as connection:
        assert audit.verify(connection).rows == 4


def test_replacing_a_row_by_inserting_is_refused(engine: Engine) -> None:
    fill(engine)
    statement = {
        "sqlite": "INSERT OR REPLACE INTO audit SELECT * FROM audit WHERE seq = 2",
        "postgresql": "INSERT INTO audit SELECT * FROM audit WHERE seq = 2 ON CONFLICT (seq) DO UPDATE SET actor = 'x'",
    }[engine.dialect.name]
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
        connection.exec_driver_sql(statement)


@pytest.mark.parametrize(("verb", "statement", "seq", "problem"), [
    ("update", "UPDATE audit SET reason = 'other' WHERE seq = 2", 2, "content"),
    ("update", "UPDATE audit SET actor = 'bob' WHERE seq = 4", 4, "content"),
    ("update", "UPDATE audit SET old = NULL WHERE seq = 1", 1, "content"),
    ("delete", "DELETE FROM audit WHERE seq = 3", 3, "missing"),
    ("update", "UPDATE audit SET previous_hash = hash WHERE seq = 3", 3, "follow"),
])
def test_tampering_is_found_at_its_place(engine: Engine, verb: str, statement: str, seq: int, problem: str) -> None:
    fill(engine)
    tamper(engine, verb, statement)
    with reading(engine) as connection:
        found = audit.verify(connection)
    assert not found.passes
    assert found.broken_seq == seq
    assert problem in found.problem


def test_a_chain_made_again_without_the_key_is_found(engine: Engine) -> None:
    fill(engine)
    with reading(engine) as connection:
        other = connection.execution_options(**{"steadyline_audit_key": b"another installation"})
        assert audit.verify(other).broken_seq == 1


@pytest.mark.parametrize(("actor", "reason"), [("", "wear"), ("ann", "  "), ("", "")])
def test_who_and_why_are_required(engine: Engine, actor: str, reason: str) -> None:
    with pytest.raises(Refused) as refusal, engine.begin() as connection:
        audit.record(connection, actor, "limit.changed", "press-1", None, 1, reason)
    assert refusal.value.code == "incomplete_record"


def test_a_row_goes_with_its_transaction(engine: Engine) -> None:
    with engine.connect() as connection:
        audit.record(connection, "ann", "limit.changed", "press-1", None, 1, "wear")
        connection.rollback()
    with reading(engine) as connection:
        assert audit.verify(connection).rows == 0
