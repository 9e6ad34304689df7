"""What the page shows of a site: the latest stored scores, orders, model state, data state. Computes no score."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from governance import scores, versions
from governance.database import monitoring, reading
from models.spec import ModelSpec
from plant.site import Site
from plant.store import Store
from serving.fleet import Fleet
from serving.orders import Order, open_book
from serving.words import attention, decision_risk, worst_attribute

MOST_EQUIPMENT, MOST_BATCHES = 20, 20
WANTING = ("out_of_spec_expected", "at_risk")


@dataclass(frozen=True)
class DataState:
    """What is connected: rows per table, rows put aside, when it was loaded (UTC)."""

    data_version: str
    loaded_at: datetime
    tables: dict[str, int]
    quarantined: int


@dataclass(frozen=True)
class ModelState:
    """One configured model: its champion and the last look at its drift, where there are any."""

    name: str
    title: str
    task: str
    champion: versions.ModelVersion | None
    versions: int
    drift: dict[str, Any] | None


@dataclass(frozen=True)
class SiteState:
    """Everything about one site, ready to be rendered.

    equipment_wanting: scored equipment whose decision is to open an order; batches_wanting: scored batches that are
    expected out of specification or at risk; data_end: end of the data that the newest scores were made from.
    """

    name: str
    title: str
    simulated: bool
    time_zone: str
    data: DataState | None
    models: list[ModelState]
    equipment: list[dict[str, Any]] = field(default_factory=list)
    equipment_scored: int = 0
    equipment_wanting: int = 0
    batches: list[dict[str, Any]] = field(default_factory=list)
    batches_scored: int = 0
    batches_wanting: int = 0
    orders: list[Order] = field(default_factory=list)
    data_end: str | None = None


def overview(fleet: Fleet) -> list[SiteState]:
    """The state of every site of the service, in the order the sites were given."""
    with reading(fleet.engine) as connection:
        return [_site(connection, fleet, site) for site in fleet.sites.values()]


def _site(connection: Connection, fleet: Fleet, site: Site) -> SiteState:
    equipment: list[dict[str, Any]] = []
    batches: list[dict[str, Any]] = []
    states = []
    for spec in fleet.models[site.name].values():
        state = _model(connection, site.name, spec)
        states.append(state)
        if state.champion is not None:
            found = scores.latest(connection, site.name, spec.name, state.champion.version)
            (equipment if spec.task == "failure" else batches).extend(s.payload for s in found)
    equipment, batches = _newest(equipment, "equipment_id"), _newest(batches, "batch_id")
    equipment.sort(key=lambda s: (-decision_risk(s), str(s["equipment_id"])))
    rows = [_row(score) for score in batches]
    rows.sort(key=lambda r: (*attention(r["worst"]), r["batch_id"]))
    ends = [str(score["data_end"]) for score in (*equipment, *batches)]
    return SiteState(
        site.name, site.title, site.simulated, site.time_zone, _data(fleet.data[site.name].store), states,
        equipment=equipment[:MOST_EQUIPMENT], equipment_scored=len(equipment),
        equipment_wanting=sum(score["decision"]["action"] == "open_order" for score in equipment),
        batches=rows[:MOST_BATCHES], batches_scored=len(rows),
        batches_wanting=sum(row["worst"]["verdict"] in WANTING and row["worst"]["result"] is None for row in rows),
        orders=open_book(connection, site.name), data_end=max(ends, default=None),
    )


def _row(score: dict[str, Any]) -> dict[str, Any]:
    return score | {"worst": worst_attribute(score)}


def _newest(payloads: list[dict[str, Any]], subject: str) -> list[dict[str, Any]]:
    """The newest score of each subject, from the last run over the fleet on.

    A run is what was scored from one load at one moment; one over at least half as many subjects as the largest counts
    as a run over the fleet. What was not scored since is no longer at risk today (retired, results are there), and a
    question about a single subject hides nobody.
    """
    runs: dict[tuple[int, pd.Timestamp], set[str]] = {}
    newest: dict[str, dict[str, Any]] = {}
    for payload in sorted(payloads, key=_moment):
        runs.setdefault(_moment(payload), set()).add(str(payload[subject]))
        newest[str(payload[subject])] = payload
    if not runs:
        return []
    most = max(len(subjects) for subjects in runs.values())
    since = max(moment for moment, subjects in runs.items() if 2 * len(subjects) >= most)
    return [payload for payload in newest.values() if _moment(payload) >= since]


def _moment(payload: dict[str, Any]) -> tuple[int, pd.Timestamp]:
    load = str(payload["data_version"]).rpartition("@")[2].partition("+")[0]
    return (int(load) if load.isdigit() else 0, pd.Timestamp(payload["as_of"]))


def _model(connection: Connection, site: str, spec: ModelSpec) -> ModelState:
    known = versions.list_versions(connection, site, spec.name)
    champion = versions.champion(connection, site, spec.name)
    drift = None
    if champion is not None:
        query = (
            sa.select(monitoring)
            .where(
                monitoring.c.site == site, monitoring.c.model == spec.name, monitoring.c.version == champion.version
            )
            .order_by(monitoring.c.at.desc()).limit(1)
        )
        found = connection.execute(query).mappings().first()
        drift = None if found is None else dict(found)
    return ModelState(spec.name, spec.title, spec.task, champion, len(known), drift)


def _data(store: Store) -> DataState | None:
    manifest = store.manifest()
    if manifest is None:
        return None
    at = pd.Timestamp(manifest["loaded_at"]).tz_convert("UTC").to_pydatetime()
    versions_of = tuple(sorted((name, int(version)) for name, version in manifest["tables"].items()))
    tables = {name: _rows(str(store.folder / name), version) for name, version in versions_of}
    aside = manifest.get("quarantine")
    quarantined = 0 if aside is None else _rows(str(store.folder / "_quarantine"), int(aside))
    return DataState(str(manifest["data_version"]), at, tables, quarantined)


@functools.lru_cache(maxsize=512)
def _rows(table: str, version: int) -> int:
    """Rows of one Delta version, from its metadata; a version never changes."""
    from deltalake import DeltaTable  # a tenth of a second, for the first page only

    return int(DeltaTable(table, version=version).count())
