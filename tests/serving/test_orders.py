"""Orders: one an episode, within capacity, never beside work that is already there."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy.engine import Engine

from governance import audit
from governance.database import DATABASE_URL, connect, reading
from governance.scores import Score, store
from plant.errors import SteadylineError
from plant.snapshot import Frames
from serving.orders import Outcome, open_book, open_orders, order_for

T = "2026-03-01T06:00:00+00:00"
EMPTY = Frames({})


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.delenv(DATABASE_URL, raising=False)
    opened = connect(tmp_path)
    yield opened
    opened.dispose()


def score(
    equipment: str, saving: float, as_of: str = T, action: str = "open_order", mode: str = "bearing"
) -> dict[str, Any]:
    return {
        "score_id": f"{equipment}@{as_of}", "equipment_id": equipment, "as_of": as_of, "decision_horizon": "72h",
        "risks": [{"horizon": "24h", "probability": 0.1}, {"horizon": "72h", "probability": 0.42}],
        "failure_modes": [{"mode": "seal", "probability": 0.1}, {"mode": mode, "probability": 0.3}],
        "reasons": [{"text": "mean of vibration over the last 24 h is 7.1 mm/s, usually 2 to 3, raises the risk"}],
        "decision": {"action": action, "expected_loss": 2 * saving, "expected_saving": saving, "currency": "EUR"},
    }


def run(engine: Engine, scores: list[dict[str, Any]], plant: Frames = EMPTY, most: float | None = None) -> Outcome:
    at = datetime(2026, 3, 1, 6, tzinfo=UTC)
    with engine.begin() as connection:
        store(connection, [
            Score(s["score_id"], "dublin", "failure", "m", "1", "a" * 64, "d@1", s["equipment_id"], at, at, "0" * 64, s)
            for s in scores
        ])
        return open_orders(connection, "dublin", scores, plant, most)


def orders(*rows: tuple[str, str, str, str, str | None]) -> Frames:
    frame = pd.DataFrame(rows, columns=["work_order_id", "equipment_id", "kind", "opened_at", "closed_at"])
    for name in ("opened_at", "closed_at"):
        frame[name] = pd.to_datetime(frame[name], utc=True)
    return Frames({"work_orders": frame})


def test_an_order_tells_why(engine: Engine) -> None:
    order = run(engine, [score("press-1", 900)]).opened[0]
    assert order.order_id == "dublin-00001"
    assert order.failure_mode == "bearing"
    assert order.score_id == f"press-1@{T}"
    assert order.reason == (
        "42 % risk of bearing within 72h; waiting is expected to cost 1,800 EUR, an order now saves 900 EUR: "
        "mean of vibration over the last 24 h is 7.1 mm/s, usually 2 to 3, raises the risk."
    )
    with reading(engine) as connection:
        assert open_book(connection, "dublin") == [order]
        assert audit.verify(connection).rows == 1


def test_only_scores_that_ask_for_one(engine: Engine) -> None:
    found = run(engine, [score("press-1", 900, action="watch"), score("press-2", -5, action="none")])
    assert found.as_dict() == {"opened": [], "skipped": [], "closed": []}


def test_most_saving_goes_first_within_capacity(engine: Engine) -> None:
    found = run(engine, [score("press-1", 100), score("press-2", 300), score("press-3", 200)], most=2)
    assert [o.equipment_id for o in found.opened] == ["press-2", "press-3"]
    assert [(s.equipment_id, s.code) for s in found.skipped] == [("press-1", "no_capacity")]
    later = run(engine, [score("press-4", 100, "2026-03-07T06:00:00+00:00")], most=2)
    assert [s.code for s in later.skipped] == ["no_capacity"]
    week = run(engine, [score("press-4", 100, "2026-03-08T06:00:01+00:00")], most=2)
    assert [o.equipment_id for o in week.opened] == ["press-4"]


def test_the_same_scores_twice_open_nothing_more(engine: Engine) -> None:
    run(engine, [score("press-1", 100)])
    again = run(engine, [score("press-1", 100, "2026-03-01T12:00:00+00:00")])
    assert again.opened == []
    assert [(s.code, s.why) for s in again.skipped] == [("open_in_book", "order dublin-00001 is open for it")]


def test_another_failure_mode_is_another_order(engine: Engine) -> None:
    run(engine, [score("press-1", 100)])
    assert len(run(engine, [score("press-1", 100, "2026-03-01T12:00:00+00:00", mode="seal")]).opened) == 1


@pytest.mark.parametrize(("kind", "opened", "closed", "skipped"), [
    ("corrective", "2026-02-28", None, ["open_in_cmms"]),
    ("preventive", "2026-02-28", "2026-03-02", ["open_in_cmms"]),  # closed later than is known now
    ("inspection", "2026-02-28", None, []),
    ("corrective", "2026-02-01", "2026-02-02", []),
    ("corrective", "2026-03-01T06:00:00", None, []),  # opened at the time itself: not known before it
])
def test_work_that_the_plant_has_open(
    engine: Engine, kind: str, opened: str, closed: str | None, skipped: list[str]
) -> None:
    found = run(engine, [score("press-1", 100)], orders(("W1", "press-1", kind, opened, closed)))
    assert [s.code for s in found.skipped] == skipped


@pytest.mark.parametrize(("ended", "skipped"), [(None, ["in_downtime"]), ("2026-03-01T05:00", [])])
def test_equipment_that_stands_gets_none(engine: Engine, ended: str | None, skipped: list[str]) -> None:
    stop = pd.DataFrame({
        "downtime_id": ["D1"], "equipment_id": ["press-1"],
        "started_at": pd.to_datetime(["2026-03-01T04:00"], utc=True),
        "ended_at": pd.to_datetime([ended], utc=True),
    })
    found = run(engine, [score("press-1", 100)], Frames({"downtime": stop}))
    assert [s.code for s in found.skipped] == skipped


def test_an_episode_ends_with_the_work(engine: Engine) -> None:
    run(engine, [score("press-1", 100)])
    plant = orders(("W1", "press-1", "corrective", "2026-03-02", "2026-03-03"))
    before = run(engine, [score("press-1", 100, "2026-03-02T12:00:00+00:00")], plant)
    after = run(engine, [score("press-1", 100, "2026-03-04T12:00:00+00:00")], plant)
    assert (before.closed, [s.code for s in before.skipped]) == ([], ["open_in_book"])
    assert (after.closed, [o.order_id for o in after.opened]) == (["dublin-00001"], ["dublin-00002"])


def test_a_plant_that_records_no_closing_holds_nothing_open(engine: Engine) -> None:
    never = [("W0", "press-2", "corrective", "2025-02-01", None), ("W1", "press-1", "corrective", "2026-02-28", None)]
    first = run(engine, [score("press-1", 100)], orders(*never))
    assert [o.order_id for o in first.opened] == ["dublin-00001"]
    later = run(engine, [score("press-1", 100, "2026-03-01T12:00:00+00:00")], orders(*never))
    assert (later.closed, [s.code for s in later.skipped]) == ([], ["open_in_book"]), "no work since then"
    worked = orders(*never, ("W2", "press-1", "corrective", "2026-03-02", None))
    after = run(engine, [score("press-1", 100, "2026-03-04T12:00:00+00:00")], worked)
    assert (after.closed, [o.order_id for o in after.opened]) == (["dublin-00001"], ["dublin-00002"])
    one_closed = orders(*never[1:], ("W0", "press-2", "corrective", "2025-02-01", "2025-02-02"))
    held = run(engine, [score("press-1", 100, "2026-03-05T12:00:00+00:00", mode="seal")], one_closed)
    assert [s.code for s in held.skipped] == ["open_in_cmms"]


def test_no_order_that_saves_nothing(engine: Engine) -> None:
    assert [s.code for s in run(engine, [score("press-1", -5)]).skipped] == ["no_saving"]


def test_a_crew_of_half_an_order_a_week_gets_one(engine: Engine) -> None:
    found = run(engine, [score("press-1", 100), score("press-2", 50)], most=0.5)
    assert ([o.equipment_id for o in found.opened], [s.code for s in found.skipped]) == (["press-1"], ["no_capacity"])


class _Asked:
    """A scorer that is asked for nothing but its answers."""


@pytest.mark.parametrize(("change", "code"), [
    ({"role": "challenger", "model_version": "2", "model": "press"}, "not_champion"),
    ({"role": "champion", "data_end": "2026-03-02T12:00:00+00:00"}, "scores_of_the_past"),
])
def test_only_the_champion_of_today_opens_orders(change: dict[str, str], code: str) -> None:
    with pytest.raises(SteadylineError) as refused:
        order_for(_Asked(), [score("press-1", 100) | change])  # type: ignore[arg-type]
    assert refused.value.code == code
