"""The embedded work-order book: from scores to orders that the crew can carry out.

One order for each equipment, failure mode and episode. An episode ends when the plant's own records show
that corrective or preventive work on the equipment was closed; then its order is closed too, and a later
score may open the next one. Every order keeps the sentence and the score it was opened for. Where a plant records no
closing at all, its orders count as closed when they were opened, as the labels take them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from features.asof import View, as_of
from governance import audit
from governance.database import one_at_a_time, work_orders_book
from models.spec import FailureSpec
from plant.errors import SteadylineError
from plant.snapshot import SnapshotLike
from serving.scoring import CHAMPION, Scorer
from serving.words import percent

ACTOR = "steadyline"  # orders are opened by the service itself, under the rules of a signed model version
WORK = ("corrective", "preventive")
WEEK = timedelta(days=7)
NEVER_CLOSES = timedelta(days=365)  # a plant without a closing since its first order, so long ago, records none


@dataclass(frozen=True)
class Order:
    """An order of the book. opened_at: the time as of which its score was made, UTC."""

    order_id: str
    site: str
    equipment_id: str
    failure_mode: str
    opened_at: datetime
    reason: str
    expected_saving: float
    currency: str
    score_id: str
    state: str = "open"


@dataclass(frozen=True)
class Skipped:
    """A score that asked for an order and got none. code: stable; why: in words."""

    equipment_id: str
    failure_mode: str
    code: str
    why: str


@dataclass(frozen=True)
class Outcome:
    """What became of a set of scores."""

    opened: list[Order] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "opened": [asdict(o) | {"opened_at": o.opened_at.isoformat()} for o in self.opened],
            "skipped": [asdict(s) for s in self.skipped], "closed": list(self.closed),
        }


def open_orders(
    connection: Connection, site: str, scores: Sequence[Mapping[str, Any]], snapshot: SnapshotLike,
    orders_per_week: float | None,
) -> Outcome:
    """Open an order for every score whose decision asks for one and nothing speaks against it.

    connection: a writing transaction of the caller. scores: answers of `Scorer.equipment`, of one `as_of`.
    orders_per_week: how many the crew can carry out in seven days, those already in the book included; the
    most expected saving goes first. None: no limit.
    """
    wanting = [s for s in scores if s["decision"]["action"] == "open_order"]
    if not scores:
        return Outcome()
    now = pd.Timestamp(scores[0]["as_of"])
    plant = as_of(snapshot, now)
    one_at_a_time(connection)
    closed = _settle(connection, site, plant)
    in_book = _open_in_book(connection, site)
    in_cmms, standing = _open_in_cmms(plant), _standing(plant)
    room = None if orders_per_week is None else orders_per_week - _opened_within_week(connection, site, now)
    outcome = Outcome(closed=closed)
    for score in sorted(wanting, key=lambda s: (-float(s["decision"]["expected_saving"]), str(s["equipment_id"]))):
        equipment, mode = str(score["equipment_id"]), _mode(score)
        against = _against(equipment, mode, in_book, in_cmms, standing)
        if against is None and float(score["decision"]["expected_saving"]) <= 0:
            against = ("no_saving", "an order now is not expected to save anything")
        if against is None and room is not None and len(outcome.opened) >= max(room, 0.0):
            against = ("no_capacity", f"the crew's {orders_per_week:g} orders a week are taken")
        if against is not None:
            outcome.skipped.append(Skipped(equipment, mode, *against))
            continue
        order = _open(connection, site, score, equipment, mode)
        in_book[equipment, mode] = order.order_id
        outcome.opened.append(order)
    return outcome


def order_for(scorer: Scorer, scores: Sequence[Mapping[str, Any]]) -> Outcome:
    """`open_orders` for the answers of a scorer, with its model's capacity, in one transaction.

    Raises SteadylineError where the scores are not those of the champion, or of a moment before the end of the data:
    such scores answer a question, they are no reason to send somebody.
    """
    wrong = next((s for s in scores if s["role"] != CHAMPION), None)
    if wrong is not None:
        raise SteadylineError(
            "not_champion", f"version {wrong['model_version']} of {wrong['model']} is {wrong['role']}, not champion",
            "orders from scores of the champion", f"steadyline promote {wrong['model']} VERSION --as USER",
        )
    if any(pd.Timestamp(s["as_of"]) < pd.Timestamp(s["data_end"]) for s in scores):
        raise SteadylineError(
            "scores_of_the_past", f"the scores are as of {scores[0]['as_of']}, the data reach {scores[0]['data_end']}",
            "orders from scores of the end of the data", "leave out --as-of",
        )
    spec = scorer.served().predictor.spec
    capacity = spec.capacity.orders_per_week if isinstance(spec, FailureSpec) else None
    with scorer.engine.begin() as connection:
        return open_orders(connection, scorer.site.name, scores, scorer.data.current().snapshot, capacity)


def open_book(connection: Connection, site: str) -> list[Order]:
    """Open orders of a site, the most expected saving first."""
    query = (
        sa.select(work_orders_book)
        .where(work_orders_book.c.site == site, work_orders_book.c.state == "open")
        .order_by(work_orders_book.c.expected_saving.desc(), work_orders_book.c.order_id)
    )
    return [Order(**dict(row)) for row in connection.execute(query).mappings()]


def reason_sentence(score: Mapping[str, Any]) -> str:
    """Why an order is opened, in one sentence that a technician can read."""
    decision, horizon = score["decision"], score["decision_horizon"]
    risk = next(r["probability"] for r in score["risks"] if r["horizon"] == horizon)
    because = "; ".join(str(r["text"]) for r in score["reasons"][:2])
    sentence = (
        f"{percent(risk)} risk of {_mode(score) or 'failure'} within {horizon}; waiting is expected to cost "
        f"{decision['expected_loss']:,.0f} {decision['currency']}, an order now saves "
        f"{decision['expected_saving']:,.0f} {decision['currency']}"
    )
    return f"{sentence}: {because}." if because else f"{sentence}."


def _against(
    equipment: str, mode: str, in_book: Mapping[tuple[str, str], str], in_cmms: Mapping[str, str],
    standing: Mapping[str, str],
) -> tuple[str, str] | None:
    if (equipment, mode) in in_book:
        return "open_in_book", f"order {in_book[equipment, mode]} is open for it"
    if equipment in in_cmms:
        return "open_in_cmms", f"the plant's order {in_cmms[equipment]} is open for it"
    if equipment in standing:
        return "in_downtime", f"it stands since {standing[equipment]}"
    return None


def _open(connection: Connection, site: str, score: Mapping[str, Any], equipment: str, mode: str) -> Order:
    count = connection.execute(
        sa.select(sa.func.count()).select_from(work_orders_book).where(work_orders_book.c.site == site)
    ).scalar_one()
    decision = score["decision"]
    order = Order(
        f"{site}-{count + 1:05d}", site, equipment, mode, pd.Timestamp(score["as_of"]).to_pydatetime(),
        reason_sentence(score), float(decision["expected_saving"]), str(decision["currency"]), str(score["score_id"]),
    )
    connection.execute(sa.insert(work_orders_book).values(**asdict(order)))
    new = {"equipment_id": equipment, "failure_mode": mode, "score_id": order.score_id}
    audit.record(connection, ACTOR, "order.opened", order.order_id, None, new, order.reason)
    return order


def _mode(score: Mapping[str, Any]) -> str:
    """The likeliest failure mode; empty where the site's records tell no modes."""
    modes = score["failure_modes"]
    return str(max(modes, key=lambda m: float(m["probability"]))["mode"]) if modes else ""


def _settle(connection: Connection, site: str, plant: View) -> list[str]:
    """Close the orders whose episode ended: work on the equipment was closed after they were opened."""
    done = _work(plant)
    done = done[done["closed_at"].notna()]
    last = done.groupby("equipment_id", observed=True)["closed_at"].max()
    closed = []
    for order in open_book(connection, site):
        if order.equipment_id in last.index and last[order.equipment_id] > order.opened_at:
            connection.execute(
                sa.update(work_orders_book).where(work_orders_book.c.order_id == order.order_id).values(state="closed")
            )
            why = f"work on {order.equipment_id} was closed at {last[order.equipment_id].isoformat()}"
            audit.record(connection, ACTOR, "order.closed", order.order_id, {"state": "open"}, {"state": "closed"}, why)
            closed.append(order.order_id)
    return closed


def _open_in_book(connection: Connection, site: str) -> dict[tuple[str, str], str]:
    return {(o.equipment_id, o.failure_mode): o.order_id for o in open_book(connection, site)}


def _opened_within_week(connection: Connection, site: str, now: pd.Timestamp) -> int:
    since = (now - WEEK).to_pydatetime()
    query = (
        sa.select(sa.func.count()).select_from(work_orders_book)
        .where(
            work_orders_book.c.site == site, work_orders_book.c.opened_at > since,
            work_orders_book.c.opened_at <= now.to_pydatetime(),
        )
    )
    return int(connection.execute(query).scalar_one())


def _work(plant: View) -> pd.DataFrame:
    """Corrective and preventive orders; of a plant that records no closing each is closed when it was opened."""
    orders = plant.table("work_orders")
    if orders["closed_at"].isna().all() and bool((orders["opened_at"] < plant.t - NEVER_CLOSES).any()):
        orders = orders.assign(closed_at=orders["opened_at"])
    return orders[orders["kind"].isin(WORK)]


def _open_in_cmms(plant: View) -> dict[str, str]:
    orders = _work(plant)
    orders = orders[orders["closed_at"].isna()].sort_values(["opened_at", "work_order_id"])
    return dict(zip(orders["equipment_id"].astype(str), orders["work_order_id"].astype(str), strict=True))


def _standing(plant: View) -> dict[str, str]:
    stops = plant.table("downtime")
    stops = stops[stops["ended_at"].isna()].sort_values("started_at")
    since = stops["started_at"].map(lambda t: t.isoformat())
    return dict(zip(stops["equipment_id"].astype(str), since, strict=True))
