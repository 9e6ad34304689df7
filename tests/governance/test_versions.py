"""Which version serves is decided by a person, within the rules, and on the record."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from governance import audit, versions
from governance.database import audit as audit_table
from governance.database import promotions, reading
from governance.errors import Refused
from tests.governance.conftest import a_version


def register(engine: Engine, *new: versions.ModelVersion) -> None:
    with engine.begin() as connection:
        for version in new:
            versions.register_version(connection, version, "trainer", "first training")


def promote(engine: Engine, version: str, model: str = "press") -> versions.Promotion:
    with engine.begin() as connection:
        return versions.promote(connection, "dublin", model, version, "ann", "better on spring data")


def test_a_registered_version_comes_back_whole(engine: Engine) -> None:
    register(engine, a_version())
    with reading(engine) as connection:
        found = versions.get(connection, "dublin", "press", "1")
        assert versions.champion(connection, "dublin", "press") is None
    assert found == a_version()


def test_registering_again_changes_nothing(engine: Engine) -> None:
    register(engine, a_version(), a_version())
    with reading(engine) as connection:
        assert len(versions.list_versions(connection)) == 1
        assert audit.verify(connection).rows == 1


def test_a_version_number_has_one_bundle(engine: Engine) -> None:
    register(engine, a_version())
    with pytest.raises(Refused, match="already registered"):
        register(engine, a_version(sha256="b" * 64))


def test_promotion_replaces_the_champion_and_is_recorded(engine: Engine) -> None:
    register(engine, a_version("1"), a_version("2"), a_version("7", model="mill"))
    assert promote(engine, "1").previous_version is None
    assert promote(engine, "2").previous_version == "1"
    with reading(engine) as connection:
        found = versions.champion(connection, "dublin", "press")
        stages = {v.version: v.stage for v in versions.list_versions(connection, "dublin", "press")}
        history = versions.promotion_history(connection, "dublin", "press")
        rows = connection.execute(sa.select(audit_table).where(audit_table.c.action == "version.promoted")).mappings()
        trail = [(r["actor"], r["subject"], r["reason"]) for r in rows]
        assert audit.verify(connection).passes
        assert [v.version for v in versions.champions(connection)] == ["2"]
    assert found is not None
    assert found.version == "2"
    assert stages == {"1": "retired", "2": "champion"}
    assert [(p.version, p.actor) for p in history] == [("1", "ann"), ("2", "ann")]
    assert trail == [("ann", "dublin/press", "better on spring data")] * 2


def test_below_the_baseline_is_refused_and_nothing_is_written(engine: Engine) -> None:
    register(engine, a_version(beats=False))
    with pytest.raises(Refused) as refusal:
        promote(engine, "1")
    assert refusal.value.code == "below_baseline"
    assert refusal.value.as_dict()["allowed"]
    with reading(engine) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(promotions)).scalar() == 0
        assert audit.verify(connection).rows == 1


def test_unknown_versions_and_models_say_what_there_is(engine: Engine) -> None:
    register(engine, a_version("1"), a_version("2"))
    with pytest.raises(Refused) as refusal:
        promote(engine, "9")
    assert (refusal.value.code, refusal.value.allowed) == ("unknown_version", "versions 1, 2")
    with pytest.raises(Refused) as refusal:
        promote(engine, "1", model="prss")
    assert (refusal.value.code, refusal.value.allowed) == ("unknown_model", "models press")


def test_the_champion_is_not_promoted_again(engine: Engine) -> None:
    register(engine, a_version())
    promote(engine, "1")
    with pytest.raises(Refused, match="already"):
        promote(engine, "1")


def test_a_reason_is_required(engine: Engine) -> None:
    register(engine, a_version())
    with pytest.raises(Refused) as refusal, engine.begin() as connection:
        versions.promote(connection, "dublin", "press", "1", "ann", " ")
    assert refusal.value.code == "incomplete_record"


def test_promotions_at_the_same_time_keep_one_chain(engine: Engine) -> None:
    register(engine, *(a_version(str(i)) for i in range(8)))
    threads = [threading.Thread(target=promote, args=(engine, str(i))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engine) as connection:
        history = versions.promotion_history(connection, "dublin", "press")
        assert audit.verify(connection).passes
    assert len(history) == 8
    assert [p.previous_version for p in history[1:]] == [p.version for p in history[:-1]]
