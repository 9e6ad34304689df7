"""From an id to a score: resolve the version, assemble what was known, predict, explain, decide, keep a record.

A score is made by one model version from one data version; both are in the answer. Feature rows are kept in
memory, because what was known before a time at one data version never changes. What is said of batches rests on the
load alone: rows of the live log neither change it nor cost anything.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from sqlalchemy.engine import Connection, Engine

from governance import scores, versions
from governance.database import appending_to_log, connect, reading
from governance.versions import ModelVersion
from models import bundle as bundles
from models.predict import FailurePredictor, QualityPredictor
from models.spec import FailureSpec
from plant.errors import NotReady, SteadylineError, UnknownId, listing, nearest
from plant.site import Site
from serving.batches import BatchBook, Limits
from serving.data import Data, SiteData
from serving.plans import Plans
from serving.profiles import Floats, Passed, Profiles
from serving.rows import CACHED_ROWS, FeatureRows, Served, made_by

_log = logging.getLogger(__name__)
CHAMPION = "champion"
P = TypeVar("P", FailurePredictor, QualityPredictor)


@dataclass(frozen=True)
class Quality:
    """A quality model in memory, with the batches of one data version."""

    served: Served
    data: Data
    predictor: QualityPredictor
    book: BatchBook


class Scorer:
    """Scores with one model of a site: its champion, or a version that is named."""

    def __init__(self, engine: Engine, data: SiteData, model: str, version: str = CHAMPION):
        self.engine, self.data, self.model, self.wanted = engine, data, model, version
        self._lock = threading.Lock()
        self._served: Served | None = None
        self._rows = FeatureRows()
        self._books: dict[tuple[str, str], BatchBook] = {}
        self._profiles = Profiles()
        self._prepares = False
        self._prepared: tuple[str, str] | None = None
        self._work = threading.Lock()
        self._plans: tuple[str, pd.Timestamp, Plans] | None = None

    @classmethod
    def open(cls, home: Path, site: Site, model: str, version: str = CHAMPION) -> Scorer:
        """A scorer of its own, outside of a service."""
        return cls(connect(home), SiteData(home, site), model, version)

    @property
    def site(self) -> Site:
        return self.data.site

    def equipment(self, ids: Sequence[str] | None = None, as_of: datetime | None = None) -> list[dict[str, Any]]:
        """Failure risk of equipment, with what was known strictly before `as_of`.

        ids: None for all equipment that the model is for and that is in service. as_of: aware; None for the end of the
        data. Each score is stored. Raises UnknownId, NotReady (no champion, no data), SteadylineError (`naive_time`).
        """
        served, data = self.served(), self.data.current()
        t = _instant(as_of, data)
        if t <= data.start:
            raise SteadylineError(
                "before_the_records",
                f"nothing was known at {t.isoformat()}; the records begin {data.start.isoformat()}",
                f"a time from {data.start.isoformat()} to {data.end.isoformat()}",
            )
        predictor = _needs(served, FailurePredictor, self.model)
        spec = predictor.spec
        wanted = self._in_service(data, spec, t) if ids is None else _unique(ids)
        for equipment_id in wanted:
            self._check_equipment(data, spec, equipment_id, t)
        values = self._rows.of(served, data, wanted, [""] * len(wanted), [t] * len(wanted))
        answers, plans = [], self._plans_at(data, t)
        for i, predicted in enumerate(predictor.predict(values)):
            row, modes = data.equipment[wanted[i]], predicted["failure_modes"]
            parts = plans.parts_of(_text(row["equipment_class"]), str(modes[0]["mode"])) if modes else []
            planned = plans.planned.get(wanted[i])
            predicted["decision"]["recommended"] = predictor.recommended(predicted, t, planned, parts)
            about = {"equipment_id": wanted[i]} | {k: _text(row[k]) for k in ("equipment_class", "area", "line")}
            answers.append(self._answer(served, data, t) | about | predicted | {"data": data.freshness(wanted[i], t)})
        return self._store(answers, "equipment_id", values)

    def equipment_then(self, uses: Sequence[tuple[str, datetime]]) -> list[dict[str, Any] | None]:
        """Failure risk of each equipment with what was known strictly before its own time; no score is stored.

        None where the model has nothing to say: equipment that is not of its population, or was not in service.
        Raises NotReady (no champion, no data), SteadylineError (`naive_time`).
        """
        served, data = self.served(), self.data.current()
        predictor = _needs(served, FailurePredictor, self.model)
        out: list[dict[str, Any] | None] = [None] * len(uses)
        asked = []
        for n, (equipment_id, as_of) in enumerate(uses):
            t = _instant(as_of, data)
            if t > data.start and equipment_id in self._in_service(data, predictor.spec, t):
                asked.append((n, equipment_id, t))
        if asked:
            values = self._rows.of(served, data, [i for _, i, _ in asked], [""] * len(asked), [t for *_, t in asked])
            for (n, name, t), predicted in zip(asked, predictor.predict(values), strict=True):
                out[n] = self._answer(served, data, t) | {"equipment_id": name} | predicted
        return out

    def batches(
        self, ids: Sequence[str] | None = None, as_of: datetime | None = None, store: bool = True
    ) -> list[dict[str, Any]]:
        """Quality risk of batches at the last stage gate that each had passed before `as_of`.

        ids: None for all batches with a result of a predicted attribute outstanding. as_of: aware; None for the end
        of the data. `results`: by attribute what the laboratory had approved by then (the prediction at the gate does
        not know it); `hindsight`: the model has learnt from times after the gate. Each score is stored, unless `store`
        is False. Raises UnknownId, NotReady, SteadylineError (`naive_time`).
        """
        served, data = self.served(), self.data.current()
        t = _instant(as_of, data)
        predictor = _needs(served, QualityPredictor, self.model)
        book = self._book(data, served, predictor)
        wanted = book.outstanding(t) if ids is None else _unique(ids)
        for batch_id in wanted:
            require_loaded(book, data, batch_id)
        gates = [book.gate(batch_id, t) for batch_id in wanted]
        limits = [book.limits(batch_id, t) for batch_id in wanted]
        values = self._rows.of(served, data, wanted, [g for g, _ in gates], [at for _, at in gates])
        answers = []
        known, trained = book.results(t), pd.Timestamp(predictor.data["train_end"])
        for i, predicted in enumerate(_predict_batches(predictor, book, values, wanted, gates, limits)):
            about = {"batch_id": wanted[i], "gate_time": gates[i][1].isoformat(), "hindsight": gates[i][1] < trained,
                     "results": known.get(wanted[i], {})} | book.about(wanted[i])
            answers.append(self._answer(served, data, t) | about | predicted)
        return self._store(answers, "batch_id", values) if store else answers

    def quality(self) -> Quality:
        """What batches are scored with now. Raises what `served` raises."""
        served, data = self.served(), self.data.current()
        predictor = _needs(served, QualityPredictor, self.model)
        return Quality(served, data, predictor, self._book(data, served, predictor))

    def batch_rows(self, by: Quality, ids: Sequence[str], gate: str, times: Sequence[pd.Timestamp]) -> np.ndarray:
        """(n, p) feature rows of batches at the times they passed a gate."""
        return self._rows.of(by.served, by.data, list(ids), [gate] * len(ids), list(times))

    def profiles(self, by: Quality, attribute: str, gate: str, batches: Passed) -> tuple[list[str], Floats]:
        """Groups and reason profiles (n, groups) of batches at the times they passed a gate; kept for the load."""

        def rows(missing: Passed) -> Floats:
            return self.batch_rows(by, [b for b, _ in missing], gate, [t for _, t in missing])

        return self._profiles.of(made_by(by.served, by.data), by.predictor, attribute, gate, batches, rows)

    def prepare(self) -> None:
        """Make what questions about batches of this load and version rest on: rows, later results, profiles.

        Nothing is done twice, and nothing goes on for a load or a version that is no longer the newest. Of very many
        batches the newest, as many as there is room for.
        """
        with self._work:
            by = self.quality()
            newest = made_by(by.served, by.data)
            if self._prepared == newest:
                return
            self.batches(store=False)  # what is asked for most, first
            gates = by.predictor.spec.gates
            for gate in gates:
                passed = by.book.earlier(gate, by.data.snapshot.data_end)[-(CACHED_ROWS // len(gates)):]
                by.book.later(by.predictor, [gate])
                for attribute in by.predictor.attributes:
                    if newest not in self._books:
                        return
                    if (attribute, gate) in by.predictor.models:
                        self.profiles(by, attribute, gate, passed)
            self._prepared = newest

    def warm(self) -> None:
        """Load the version and the data and assemble the rows of now: the first question is not the slow one then.

        Of batches the rest is made in the background (`prepare`), now and whenever another load or version is there.
        """
        served, data = self.served(), self.data.current()
        if isinstance(served.predictor, FailurePredictor):
            wanted = self._in_service(data, served.predictor.spec, data.end)
            self._rows.of(served, data, wanted, [""] * len(wanted), [data.end] * len(wanted))
            for equipment_id in wanted[:1]:
                data.freshness(equipment_id, data.end)
        else:
            self._prepares = True
            self._book(data, served, served.predictor)

    def served(self) -> Served:
        """The version to score with, read again when another one became champion.

        Raises NotReady (`no_champion`), or what reading the bundle raises when its content is not its hash.
        """
        with reading(self.engine) as connection:
            version = self._resolve(connection)
            role = CHAMPION if self.wanted == CHAMPION else version.stage
        with self._lock:
            if self._served is None or (self._served.version, self._served.role) != (version, role):
                self._served = _read(version, role)
            return self._served

    def _resolve(self, connection: Connection) -> ModelVersion:
        if self.wanted != CHAMPION:
            return versions.get(connection, self.site.name, self.model, self.wanted)
        found = versions.champion(connection, self.site.name, self.model)
        if found is None:
            trained = [v.version for v in versions.list_versions(connection, self.site.name, self.model)]
            hint = f"steadyline train sites/{self.site.name} {self.model}"
            if trained:
                hint = f"steadyline promote {self.model} {trained[-1]} --as USER"
            raise NotReady(
                "no_champion", f"model '{self.model}' of site {self.site.name} has no champion",
                f"one of the trained versions {listing(trained)}" if trained else "a model that was trained", hint,
            )
        return found

    def _in_service(self, data: Data, spec: FailureSpec, t: pd.Timestamp, anyone: bool = False) -> list[str]:
        return [
            name for name, row in data.equipment.items()
            if (anyone or spec.population.covers(str(row["equipment_class"]), str(row["area"]), str(row["line"])))
            and not (pd.notna(row["commissioned_at"]) and row["commissioned_at"] >= t)
            and not (pd.notna(row["retired_at"]) and row["retired_at"] < t)
        ]

    def _check_equipment(self, data: Data, spec: FailureSpec, equipment_id: str, t: pd.Timestamp) -> None:
        if equipment_id not in data.equipment:
            raise UnknownId(
                "unknown_equipment", f"site {self.site.name} has no equipment '{equipment_id}'",
                listing(data.equipment), nearest(equipment_id, data.equipment),
            )
        if equipment_id not in self._in_service(data, spec, t, anyone=True):
            row = data.equipment[equipment_id]
            begun, ended = row["commissioned_at"], row["retired_at"]
            since = begun.isoformat() if pd.notna(begun) else "the start of the records"
            service = f"{since} to {ended.isoformat() if pd.notna(ended) else 'now'}"
            raise SteadylineError(
                "not_in_service", f"'{equipment_id}' was not in service at {t.isoformat()}", f"a time from {service}"
            )
        of_class, area, line = (str(data.equipment[equipment_id][k]) for k in ("equipment_class", "area", "line"))
        if not spec.population.covers(of_class, area, line):
            allowed = {"class": spec.population.equipment_class, "area": spec.population.area,
                       "line": spec.population.line}
            raise SteadylineError(
                "outside_population", f"'{equipment_id}' is a {of_class}; model '{self.model}' was not trained for it",
                "equipment of " + ", ".join(f"{k} {listing(v)}" for k, v in allowed.items() if v != "all"),
            )

    def _book(self, data: Data, served: Served, predictor: QualityPredictor) -> BatchBook:
        key = made_by(served, data)
        with self._lock:
            new = key not in self._books
            if new:
                def rows(ids: Sequence[str], gate: str, times: Sequence[pd.Timestamp]) -> np.ndarray:
                    return self._rows.of(served, data, list(ids), [gate] * len(ids), list(times))

                self._books = {key: BatchBook(self.site.name, data.snapshot, predictor, rows)}
            book = self._books[key]
        if new and self._prepares:
            threading.Thread(target=self._prepare_quietly, name=f"prepare {self.model}", daemon=True).start()
        return book

    def _prepare_quietly(self) -> None:
        try:
            self.prepare()
        except Exception:  # who asks is told; a thread has nobody to tell
            _log.exception("what questions about batches of '%s' rest on could not be made beforehand", self.model)

    def _plans_at(self, data: Data, t: pd.Timestamp) -> Plans:
        with self._lock:
            if self._plans is None or self._plans[:2] != (data.version, t):
                self._plans = (data.version, t, Plans.at(data.snapshot, t))
            return self._plans[2]

    def _answer(self, served: Served, data: Data, t: pd.Timestamp) -> dict[str, Any]:
        return {
            "score_id": uuid.uuid4().hex, "site": self.site.name, "simulated": self.site.simulated, "model": self.model,
            "model_version": served.version.version, "role": served.role, "bundle_sha256": served.version.sha256,
            "data_version": data.version, "as_of": t.isoformat(), "data_end": data.end.isoformat(),
        }

    def _store(self, answers: list[dict[str, Any]], subject: str, values: np.ndarray) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        task = "failure" if subject == "equipment_id" else "quality"
        kept = [
            scores.Score(
                a["score_id"], a["site"], task, a["model"], a["model_version"], a["bundle_sha256"], a["data_version"],
                a[subject], pd.Timestamp(a["as_of"]).to_pydatetime(), now, input_hash(values[i]), a,
            )
            for i, a in enumerate(answers)
        ]
        if kept:
            with appending_to_log(self.engine) as connection:
                scores.store(connection, kept)
        return answers


def require_loaded(book: BatchBook, data: Data, batch_id: str) -> None:
    """Raises NotReady (`batch_not_loaded`) for a batch that only the live log has."""
    if not book.holds(batch_id) and data.came_live("batches", "batch_id", batch_id):
        raise NotReady(
            "batch_not_loaded",
            f"batch '{batch_id}' came with the live log, after the load {data.snapshot.data_version} that batches are "
            "scored from", "a batch of the load", "ask again after the next `steadyline connect`",
        )


def input_hash(row: np.ndarray) -> str:
    """SHA-256 of a feature row: its values as little-endian doubles, in the order of the plan, one form of NaN."""
    clean = np.where(np.isnan(row), np.nan, row).astype("<f8")
    return hashlib.sha256(clean.tobytes()).hexdigest()


def _read(version: ModelVersion, role: str) -> Served:
    bundle = bundles.read(Path(version.bundle_uri), version.sha256)
    predictors: dict[str, Callable[[Any], FailurePredictor | QualityPredictor]] = {
        "failure": FailurePredictor, "quality": QualityPredictor,
    }
    return Served(version, role, predictors[version.task](bundle))


def _predict_batches(
    predictor: QualityPredictor, book: BatchBook, values: np.ndarray, batch_ids: Sequence[str],
    gates: list[tuple[str, pd.Timestamp]], limits: list[Limits],
) -> list[dict[str, Any]]:
    names, times = [gate for gate, _ in gates], [t for _, t in gates]
    later = book.later(predictor, sorted(set(names)))
    trends = book.trends(list(zip(batch_ids, times, strict=True)))
    return predictor.predict(values, names, limits, times, later, trends)


def _needs(served: Served, kind: type[P], model: str) -> P:
    if not isinstance(served.predictor, kind):
        found = f"model '{model}' is for {served.version.task}"
        raise SteadylineError("wrong_task", found, "a model of the asked kind")
    return served.predictor


def _instant(as_of: datetime | None, data: Data) -> pd.Timestamp:
    if as_of is None:
        return data.end
    t = pd.Timestamp(as_of)
    if t.tzinfo is None:
        raise SteadylineError("naive_time", f"{t.isoformat()} has no time zone", "a time with an offset")
    return t.tz_convert("UTC").as_unit("us")


def _unique(ids: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(str(i) for i in ids))


def _text(value: Any) -> str:
    return "" if value is None or value is pd.NA or value != value else str(value)


