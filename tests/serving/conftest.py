"""The small plant of `world`, built once and copied for each test that changes it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from governance.database import DATABASE_URL, connect
from tests.serving.world import World, build


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(DATABASE_URL, raising=False)
        world = build(tmp_path_factory.mktemp("world"))
        world.engine.dispose()
    return world


@pytest.fixture
def world(built: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A home of its own; the bundles are shared, nothing writes them."""
    monkeypatch.delenv(DATABASE_URL, raising=False)
    home = tmp_path / "home"
    shutil.copytree(built.home, home)
    own = replace(built, home=home, engine=connect(home))
    yield own
    own.engine.dispose()
