"""Reviews as people ask for them: the batch of a site, with what reviewers have said of each exception."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from features.genealogy import Link
from governance import exception_reviews
from governance.database import reading
from governance.errors import Refused
from governance.exception_reviews import ExceptionReview
from plant.errors import NotReady, SteadylineError, UnknownId, listing, nearest
from serving.fleet import Fleet
from serving.review import review
from serving.review_case import Case, Knowledge, Known, Plant, open_case
from serving.review_predictions import champions, predict
from serving.review_queue import MOST, queue
from serving.review_rules import load_rules
from serving.similar import Similar


class ReviewDesk:
    """Reviews of the batches of a fleet. What was read at one data version and time is kept for the next question."""

    def __init__(self, fleet: Fleet):
        self.fleet = fleet
        self._lock = threading.Lock()
        self._knowledge: dict[str, Knowledge] = {}
        self._plants: dict[str, Plant] = {}
        self._similar: dict[tuple[str, str], Similar] = {}

    def review(self, batch_id: str, site: str | None = None, at: pd.Timestamp | None = None) -> dict[str, Any]:
        """The review of a batch as JSON values, as it was known strictly before `at` (aware; None: the data's end).

        site: may be left out where one site of the service has the batch. Raises UnknownId, NotReady, SiteError,
        SteadylineError (`batch_of_several_sites`).
        """
        case = self.case(batch_id, site, at)
        asked = champions(case.plant.site, self.fleet)
        # the same records, time and models give the same review; what people say of it is read anew
        made = case.known.keep(
            ("review", case.batch_id, asked), lambda: review(case, *predict(case, self.fleet)).as_dict()
        )
        answer = {**made, "exceptions": [dict(e) for e in made["exceptions"]]}
        with reading(self.fleet.engine) as connection:
            said = exception_reviews.history(connection, case.plant.site, case.batch_id)
        return with_reviews(answer, said)

    def queue(
        self, site: str | None = None, at: pd.Timestamp | None = None, most: int = MOST,
        progress: Callable[[str], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Batches of a site that wait for a disposition, as they were known at `at`: `review_queue.queue`.

        site: may be left out where the service has one. Raises UnknownId, NotReady, SteadylineError (`site_not_named`).
        """
        if site is None and len(self.fleet.data) != 1:
            found = f"this service has {len(self.fleet.data)} sites"
            raise SteadylineError("site_not_named", found, listing(self.fleet.data), "name one as `site`")
        name = site or next(iter(self.fleet.data))
        knowledge = self._of(self._named(name))
        known, plant = knowledge.at(at if at is not None else knowledge.snapshot.data_end), self._plant(name)

        def one(batch_id: str) -> dict[str, Any]:
            progress(f"reviewing {batch_id}")
            return self.review(batch_id, name, known.t)

        about = {"site": name, "simulated": plant.simulated, "as_of": known.t.isoformat(),
                 "data_version": known.snapshot.data_version, "time_zone": plant.time_zone}
        return about | queue(known, most, one)

    def decide(
        self,
        batch_id: str,
        exception_id: str,
        decision: str,
        reviewer: str,
        reason: str = "",
        site: str | None = None,
        at: pd.Timestamp | None = None,
        evidence_hash: str | None = None,
    ) -> dict[str, Any]:
        """Record what a reviewer says of an exception of the review at `at`, and give that exception back.

        evidence_hash: of the evidence the reviewer has seen; where it has changed since, nothing is recorded. Raises
        what `review` raises, UnknownId (`unknown_exception`), NotReady (`evidence_changed`), Refused.
        """
        answer = self.review(batch_id, site, at)
        by_id = {e["exception_id"]: e for e in answer["exceptions"]}
        if exception_id not in by_id:
            raise UnknownId(
                "unknown_exception",
                f"batch '{batch_id}' has no exception '{exception_id}' at {answer['as_of']}",
                listing(by_id) or "none: this review has no exception",
                nearest(exception_id, by_id),
            )
        shown = by_id[exception_id]
        if evidence_hash and evidence_hash != shown["evidence_hash"]:
            raise NotReady(
                "evidence_changed",
                f"the evidence of exception '{exception_id}' is no longer what was looked at",
                f"evidence {shown['evidence_hash']}",
                "look at it again, then decide",
            )
        kept = {k: v for k, v in shown.items() if k != "review"}
        with self.fleet.engine.begin() as connection:
            made = exception_reviews.record(
                connection,
                answer["site"],
                batch_id,
                kept,
                decision,
                reviewer,
                reason,
                pd.Timestamp(answer["as_of"]).to_pydatetime(),
                answer["data_version"],
            )
        return {"site": answer["site"], "batch_id": batch_id, **kept, "review": _said(made, shown["evidence_hash"])}

    def similar(
        self,
        batch_id: str,
        site: str | None = None,
        at: pd.Timestamp | None = None,
        attribute: str | None = None,
        gate: str | None = None,
        model: str | None = None,
    ) -> dict[str, Any]:
        """The nearest earlier batches by reason profile: `serving.similar`, with what it raises."""
        case = self.case(batch_id, site, at)
        scorer = self.fleet.scorer(case.plant.site, "quality", model)
        with self._lock:
            similar = self._similar.setdefault((case.plant.site, scorer.model), Similar(scorer))
        return similar.batches(case, attribute, gate)

    def similar_by_exception(self, answer: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
        """Exception -> similar batches, for those of a review that a quality model has raised."""
        out = {}
        for e in answer["exceptions"]:
            of = e["evidence"]
            if e["check"] != "predicted results":
                continue
            with contextlib.suppress(SteadylineError, Refused):  # what is not there adds nothing to the exception
                told = self.similar(
                    answer["batch_id"], answer["site"], pd.Timestamp(answer["as_of"]), of["attribute"], of["gate"],
                    of["model"],
                )
                out[e["exception_id"]] = told["attributes"][0]["similar"]
        return out

    def genealogy(self, name: str, site: str | None = None, at: pd.Timestamp | None = None) -> dict[str, Any]:
        """What went into a lot or batch and what it went into, through intermediates. Raises UnknownId, NotReady."""
        plant, known = self._where(name, site, at, "genealogy")
        batches = set(known.table("batches")["batch_id"])
        return {
            "site": plant.site,
            "simulated": plant.simulated,
            "id": name,
            "kind": "batch" if name in batches else "lot",
            "as_of": known.t.isoformat(),
            "data_version": known.snapshot.data_version,
            "ancestors": [_link(link, known, batches) for link in known.genealogy.ancestors(name)],
            "descendants": [_link(link, known, batches) for link in known.genealogy.descendants(name)],
        }

    def case(self, batch_id: str, site: str | None = None, at: pd.Timestamp | None = None) -> Case:
        """The batch as it was known."""
        plant, known = self._where(batch_id, site, at, "batches")
        return open_case(plant, known, batch_id)

    def _where(self, name: str, site: str | None, at: pd.Timestamp | None, what: str) -> tuple[Plant, Known]:
        """The site that has a batch (or names a lot), at a time."""
        if site is not None:
            here = [self._named(site)]
        else:
            here = [s for s in self.fleet.data if self._connected(s) and name in self._names(s, what)]
        if len(here) > 1:
            raise SteadylineError(
                "batch_of_several_sites", f"'{name}' is of several sites", listing(here), "name one as `site`"
            )
        if not here:
            names = sorted({n for s in self.fleet.data if self._connected(s) for n in self._names(s, what)})
            code, said = ("unknown_batch", "batch") if what == "batches" else ("unknown_lot", "lot or batch")
            raise UnknownId(code, f"no connected site has a {said} '{name}'", listing(names), nearest(name, names))
        knowledge = self._of(here[0])
        known = knowledge.at(at if at is not None else knowledge.snapshot.data_end)
        if what == "genealogy":
            _require(name, here[0], known, self._names(here[0], what))
        return self._plant(here[0]), known

    def _named(self, site: str) -> str:
        if site not in self.fleet.data:
            raise UnknownId(
                "unknown_site",
                f"this service has no site '{site}'",
                listing(self.fleet.data),
                nearest(site, self.fleet.data),
            )
        return site

    def _connected(self, site: str) -> bool:
        try:
            self.fleet.data[site].current()
        except NotReady:
            return False
        return True

    def _names(self, site: str, what: str) -> set[str]:
        """Batches of a site; with `genealogy` also its lots, whenever they became known."""
        snapshot = self._of(site).snapshot
        out = set(snapshot.table("batches")["batch_id"])
        if what == "genealogy":
            uses = snapshot.table("genealogy")
            out |= set(uses["batch_id"]) | set(uses["material_lot"])
        return out

    def _of(self, site: str) -> Knowledge:
        snapshot = self.fleet.data[site].current().whole()
        with self._lock:
            if site not in self._knowledge or self._knowledge[site].snapshot is not snapshot:
                self._knowledge[site] = Knowledge(snapshot)
            return self._knowledge[site]

    def _plant(self, site: str) -> Plant:
        with self._lock:
            if site not in self._plants:
                of = self.fleet.sites[site]
                self._plants[site] = Plant.of(of, load_rules(of.folders))
            return self._plants[site]


def _require(name: str, site: str, known: Known, later: set[str]) -> None:
    if name in known.genealogy or len(known.rows("batches", "batch_id", name)):
        return
    if name in later:
        raise NotReady(
            "not_known_yet",
            f"'{name}' was not known at {known.t.isoformat()}",
            "a later time",
            "ask without --at for the end of the data",
        )
    names = sorted(later)
    raise UnknownId("unknown_lot", f"site {site} has no lot or batch '{name}'", listing(names), nearest(name, names))


def _link(link: Link, known: Known, batches: set[str]) -> dict[str, Any]:
    used = link.used["used_at"]
    product = known.rows("batches", "batch_id", link.id)["product"]
    text = {k: None if pd.isna(link.used[k]) else link.used[k] for k in ("material", "supplier")}
    return {
        "id": link.id,
        "kind": "batch" if link.id in batches else "lot",
        "depth": link.depth,
        "path": list(link.path),
        "product": str(product.iloc[-1]) if len(product) else None,
        **text,
        "used_at": None if pd.isna(used) else used.isoformat(),
    }


def with_reviews(answer: dict[str, Any], said: list[ExceptionReview]) -> dict[str, Any]:
    """The review with what people have said: the newest word on each exception, and on those that are gone.

    `state` of a word: `holds`, or `evidence_changed` where it was about other evidence.
    """
    newest = {r.exception_id: r for r in said}
    for exception in answer["exceptions"]:
        word = newest.get(exception["exception_id"])
        exception["review"] = None if word is None else _said(word, exception["evidence_hash"])
    shown = {e["exception_id"] for e in answer["exceptions"]}
    answer["reviewed_before"] = [
        {
            **_said(r, ""),
            "state": "no_longer_raised",
            "exception_id": r.exception_id,
            "text": r.exception.get("text"),
            "severity": r.exception.get("severity"),
        }
        for r in newest.values()
        if r.exception_id not in shown
    ]
    holds = sum(e["review"] is not None and e["review"]["state"] == "holds" for e in answer["exceptions"])
    answer["counts"] = {**answer["counts"], "reviewed": holds, "to_review": len(answer["exceptions"]) - holds}
    return answer


def _said(word: ExceptionReview, evidence_hash: str) -> dict[str, Any]:
    about: Mapping[str, Any] = {
        "decision": word.decision,
        "reviewer": word.reviewer,
        "reason": word.reason,
        "reviewed_at": word.reviewed_at.isoformat(),
        "as_of": word.as_of.isoformat(),
        "data_version": word.data_version,
    }
    return {**about, "state": "holds" if word.evidence_hash == evidence_hash else "evidence_changed"}
