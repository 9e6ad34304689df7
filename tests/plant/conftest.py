from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from plant.live_log import LiveLog
from tests.plant.live_place import SERVERS, Place
from tests.plant.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """An empty site, an empty folder of exports, an empty store."""
    return Workshop(tmp_path)


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    url = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return Place(tmp_path / f"site-{uuid.uuid4().hex}", url)


@pytest.fixture
def log(place: Place) -> Iterator[LiveLog]:
    opened = place.open()
    yield opened
    opened.close()
