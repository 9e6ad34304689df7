"""Which scores the page shows, and which equipment may be asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from plant.errors import SteadylineError
from serving.overview import _newest
from serving.scoring import Scorer

DAY = "2026-03-01T00:00:00+00:00"


def score(name: str, load: int, as_of: str = DAY) -> dict[str, Any]:
    return {"equipment_id": name, "data_version": f"dublin@{load}", "as_of": as_of}


def shown(*payloads: dict[str, Any]) -> dict[str, str]:
    return {p["equipment_id"]: p["data_version"] for p in _newest(list(payloads), "equipment_id")}


def test_load_ten_is_newer_than_load_nine() -> None:
    fleet = [score(n, load) for load in (9, 10) for n in ("a", "b", "c")]
    assert shown(*fleet) == dict.fromkeys("abc", "dublin@10")


def test_a_question_about_one_hides_nobody() -> None:
    assert shown(*(score(n, 9) for n in "abcd"), score("a", 10)) == {
        "a": "dublin@10", "b": "dublin@9", "c": "dublin@9", "d": "dublin@9"
    }


def test_what_the_last_run_left_out_is_gone() -> None:
    assert set(shown(*(score(n, 9) for n in "abcd"), *(score(n, 10) for n in "abc"))) == set("abc")
    assert shown() == {}


@pytest.mark.parametrize(("commissioned", "retired"), [("2026-02-01", None), (None, "2025-12-01")])
def test_equipment_that_was_not_in_service_is_refused(commissioned: str | None, retired: str | None) -> None:
    times = {"commissioned_at": commissioned, "retired_at": retired}
    row = {k: pd.NaT if v is None else pd.Timestamp(v, tz="UTC") for k, v in times.items()}
    data = SimpleNamespace(equipment={"press-1": {"equipment_class": "press", **row}})
    spec = SimpleNamespace(population=SimpleNamespace(covers=lambda _: True))
    scorer = Scorer(cast(Any, None), cast(Any, SimpleNamespace(site=SimpleNamespace(name="dublin"))), "press")
    with pytest.raises(SteadylineError) as refused:
        scorer._check_equipment(cast(Any, data), cast(Any, spec), "press-1", pd.Timestamp("2026-01-01", tz="UTC"))
    assert refused.value.code == "not_in_service"
    assert "NaT" not in refused.value.message()
