from __future__ import annotations

from pathlib import Path

import pytest

from tests.plant.workshop import Workshop


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    """An empty site, an empty folder of exports, an empty store."""
    return Workshop(tmp_path)
