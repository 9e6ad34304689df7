"""From a training to a version: the same bytes each time, registered as challenger, promoted only when it is better."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from governance import versions
from governance.database import connect, reading
from governance.errors import Refused
from governance.schema import audit as audit_log
from governance.versions import ModelVersion
from models import bundle as bundles
from plant.errors import NotReady, UnknownId
from plant.home import mlruns_folder
from plant.site import Site, load_site
from tests.plant.workshop import EVENT, Workshop
from tests.training.small import batches, failure_spec, fingerprint, machines, quality_spec
from training import run
from training.promote import find_model, promote

SITE, MODEL = "virtual_dublin", "equipment_failures"


@pytest.fixture
def site(workshop: Workshop) -> Site:
    return workshop.one(EVENT)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path / "workshop")


@pytest.mark.parametrize(("plant", "spec"), [(machines, failure_spec), (batches, quality_spec)])
def test_the_same_data_make_the_same_bundle(site: Site, tmp_path: Path, plant: Any, spec: Any) -> None:
    made = [run._make(site, plant(), spec(), tmp_path / name, lambda _: None)[0] for name in ("one", "two")]
    assert made[0].sha256 == made[1].sha256
    assert fingerprint(tmp_path / "one") == fingerprint(tmp_path / "two")
    assert bundles.read(tmp_path / "one", made[1].sha256).task == spec().task


def test_another_seed_makes_another_bundle(site: Site, tmp_path: Path) -> None:
    made = [
        run._make(site, machines(), failure_spec(seed=seed), tmp_path / str(seed), lambda _: None)[0].sha256
        for seed in (7, 8)
    ]
    assert made[0] != made[1]


def test_another_data_version_is_in_the_bundle(site: Site, tmp_path: Path) -> None:
    plant = machines()
    plant.data_version = "works@9"
    made = run._make(site, plant, failure_spec(), tmp_path / "b", lambda _: None)[0]
    assert bundles.read(tmp_path / "b", made.sha256).data["version"] == "works@9"


@pytest.fixture
def home(tiny_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the small trained plant; its champion is version 1 of both models."""
    copy = tmp_path / "home"
    shutil.copytree(tiny_home, copy)
    monkeypatch.setenv("STEADYLINE_HOME", str(copy))
    yield copy
    connect(copy).dispose()


def register(home: Path, version: str, beats: bool, model: str = MODEL, site: str = SITE) -> None:
    made = ModelVersion(
        site=site,
        model=model,
        version=version,
        sha256=version * 64,
        task="failure",
        bundle_uri="nowhere",
        data_version=f"{site}@1",
        trained_at=datetime.now(UTC),
        beats_baseline=beats,
        evidence={"verdict": "undecided"},
    )
    with connect(home).begin() as connection:
        versions.register_version(connection, made, "tester", "for the tests")


def alias(home: Path, name: str, model: str = MODEL) -> str:
    """Version that an alias of MLflow names, read from its tables."""
    with sa.create_engine(f"sqlite:///{mlruns_folder(home) / 'mlflow.db'}").connect() as mlflow:
        query = sa.text("SELECT version FROM registered_model_aliases WHERE name = :name AND alias = :alias")
        return str(mlflow.execute(query, {"name": f"{SITE}.{model}", "alias": name}).scalar_one())


def state(home: Path) -> tuple[Any, ...]:
    with reading(connect(home)) as connection:
        champion = versions.champion(connection, SITE, MODEL)
        trail = connection.execute(sa.select(sa.func.count()).select_from(audit_log)).scalar()
        return champion, versions.promotion_history(connection, SITE, MODEL), trail, alias(home, "champion")


class TestPromotion:
    def test_a_version_that_did_not_beat_its_baseline_is_refused(self, home: Path) -> None:
        register(home, "2", beats=False)
        before = state(home)
        with pytest.raises(Refused) as refused:
            promote(home, SITE, MODEL, "2", "j.doe", "I like it")
        assert refused.value.code == "below_baseline"
        assert state(home) == before, "neither the database nor MLflow's alias moved"

    @pytest.mark.parametrize(
        ("version", "actor", "reason", "code"),
        [
            ("9", "j.doe", "why not", "unknown_version"),
            ("1", "j.doe", "again", "already_champion"),
            ("1", " ", "why not", None),
            ("2", "j.doe", " ", None),
        ],
    )
    def test_other_refusals_change_nothing(
        self, home: Path, version: str, actor: str, reason: str, code: str | None
    ) -> None:
        register(home, "2", beats=True)
        before = state(home)
        with pytest.raises(Refused) as refused:
            promote(home, SITE, MODEL, version, actor, reason)
        assert code in (None, refused.value.code)
        assert state(home) == before

    def test_it_is_recorded_who_when_and_why(self, home: Path) -> None:
        with reading(connect(home)) as connection:
            [first] = versions.promotion_history(connection, SITE, MODEL)
            rows = connection.execute(sa.select(audit_log).order_by(audit_log.c.seq)).mappings().all()
        assert (first.actor, first.reason, first.version, first.previous_version) == (
            "tester",
            "for the tests",
            "1",
            None,
        )
        assert first.at.tzinfo is not None
        trail = [r for r in rows if r["action"] == "version.promoted" and r["subject"] == f"{SITE}/{MODEL}"]
        assert [(r["actor"], r["reason"]) for r in trail] == [("tester", "for the tests")]
        assert alias(home, "champion") == "1"


class TestFinding:
    def test_by_name_and_by_site(self, home: Path) -> None:
        assert find_model(home, MODEL, None) == find_model(home, f"{SITE}/{MODEL}", None) == (SITE, MODEL)
        register(home, "1", beats=True, site="virtual_graz")
        with pytest.raises(UnknownId) as refused:
            find_model(home, MODEL, None)
        assert refused.value.code == "ambiguous_model"
        assert f"virtual_graz/{MODEL}" in refused.value.allowed
        assert find_model(home, MODEL, "virtual_graz") == ("virtual_graz", MODEL)

    def test_one_that_was_never_trained(self, home: Path) -> None:
        with pytest.raises(UnknownId) as refused:
            find_model(home, "equipment_failure", None)
        assert "did you mean 'equipment_failures'?" in refused.value.found


class TestRetraining:
    def test_leaves_a_challenger_and_the_champion_serves_on(self, home: Path, tiny_site: Path) -> None:
        task = run.retrain(load_site(tiny_site), MODEL, home)
        assert task["version"] == "2"
        assert task["previous"] == {"version": "1", "data_version": f"{SITE}@1", "same_data": True}
        assert (alias(home, "champion"), alias(home, "challenger")) == ("1", "2")
        with reading(connect(home)) as connection:
            one, two = versions.list_versions(connection, SITE, MODEL)
            assert (one.stage, two.stage) == ("champion", "challenger")
            assert two.sha256 == one.sha256, "the same data, the same spec: the same bytes"
        assert bundles.read(Path(two.bundle_uri), two.sha256).name == MODEL
        promote(home, SITE, MODEL, "2", "j.doe", None)
        champion, history, _, moved = state(home)
        assert (champion.version, history[-1].previous_version, moved) == ("2", "1", "2")
        assert history[-1].reason.startswith("backtest: beats the baselines")

    def test_of_what_was_never_trained(self, tiny_site: Path, tmp_path: Path) -> None:
        with pytest.raises(NotReady) as refused:
            run.retrain(load_site(tiny_site), MODEL, tmp_path / "empty")
        assert refused.value.code == "never_trained"

    def test_of_a_model_that_the_site_does_not_have(self, home: Path, tiny_site: Path) -> None:
        with pytest.raises(UnknownId) as refused:
            run.train(load_site(tiny_site), "equipment_failure", home)
        assert "did you mean 'equipment_failures'?" in refused.value.found

    def test_of_a_site_that_was_never_connected(self, tiny_site: Path, tmp_path: Path) -> None:
        with pytest.raises(NotReady) as refused:
            run.train(load_site(tiny_site), MODEL, tmp_path / "empty")
        assert refused.value.code == "not_connected"
