"""For which moments a score can be asked."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from plant.errors import SteadylineError
from plant.site import load_site
from serving.requests import parse_time
from serving.scoring import Scorer


@pytest.mark.parametrize(("text", "code"), [
    ("2026-03-01T06:00:00", "naive_time"), ("soon", "bad_time"), ("9999-12-31T00:00:00Z", "bad_time"),
    ("0001-01-01T00:00:00Z", "bad_time"), ("2262-01-01T00:00:00Z", "bad_time"), ("2200-01-01T00:00:00Z", "future_time"),
])
def test_moments_that_cannot_be_meant(text: str, code: str) -> None:
    with pytest.raises(SteadylineError) as refused:
        parse_time(text)
    assert refused.value.code == code


def test_a_moment_is_utc() -> None:
    assert parse_time("2026-03-01T06:00:00+02:00") == pd.Timestamp("2026-03-01T04:00:00Z")
    assert parse_time(None) is None


def test_nothing_is_scored_before_the_records_begin(tiny_home: Path, tiny_site: Path) -> None:
    scorer = Scorer.open(tiny_home, load_site(tiny_site), "equipment_failures")
    with pytest.raises(SteadylineError) as refused:
        scorer.equipment(["press-1"], pd.Timestamp("2000-01-01", tz="UTC"))
    assert refused.value.code == "before_the_records"
