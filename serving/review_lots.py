"""The material lots and intermediates that went into a batch: their results, and whether they are recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from features.genealogy import Link, plain_name
from serving.review_case import Case, Known
from serving.review_finding import Found, Outcome, number, word
from serving.review_habits import Usual, expected, peer_steps, step_order, usual
from serving.review_kinds import LOT_RESULTS
from serving.review_trend import distance, outside, results_of_material

Row = Mapping[str, Any]


def check(case: Case) -> Outcome:
    """Entries: lots that have a result or ought to have one, and others that something is to be said of."""
    found: list[Found] = []
    entries = 0
    tested = lots_are_tested(case.known)
    for link in case.lots:
        results = lot_results(case.known, link.id)
        own: list[Found] = []
        for row in results:
            own += suspicious(case.known, case.rules.settings, link, row)
            own += _used_early(case, link, row)
        own += _untested(case, link, results)
        own += _in_deviation(case, link)
        entries += int(bool(results or own) or tested or _is_batch(case.known, link.id))
        found += [replace(f, about=(link.id,)) for f in own]
    untold = [link.id for link in case.lots if not _is_batch(case.known, link.id)]
    if untold and not tested and LOT_RESULTS not in case.rules.not_expected:
        entries += 1
        found.append(
            Found(
                "lots_never_tested",
                ("lots/any",),
                f"no material lot of any batch has a result: the {len(untold)} of this batch could not be looked at",
                case.started,
                {"lots": untold, "limit": "results of the lots"},
            )
        )
    return Outcome("materials", entries, found, (), done=bool(case.lots))


def lots_are_tested(known: Known) -> bool:
    """Whether any lot that is no batch has a result; True where no results are kept at all, which the feeds tell."""

    def look() -> bool:
        lab = known.table("lab_results")
        lots = set(known.table("genealogy")["material_lot"]) - set(known.table("batches")["batch_id"])
        return lab.empty or bool((lab["material_lot"].isin(lots) | lab["batch_id"].isin(lots)).any())

    return known.keep("lots are tested", look)


def _is_batch(known: Known, name: str) -> bool:
    return len(known.rows("batches", "batch_id", name)) > 0


def lot_results(known: Known, lot: str) -> list[Row]:
    """Results of a lot, by time of the sample; those of an intermediate may be booked on it as a batch."""
    of: dict[str, list[Row]] = known.keep("results of lots", lambda: _results_of_lots(known))
    return of.get(plain_name(lot), [])


def _results_of_lots(known: Known) -> dict[str, list[Row]]:
    """Plain name of a lot -> its results; in one pass, as those of all lots of a material are asked for together."""
    rows = known.table("lab_results")
    booked, batch = rows["material_lot"].astype(object), rows["batch_id"].astype(object)
    used = {plain_name(lot) for lot in known.table("genealogy")["material_lot"].dropna().unique()}
    named = {b: plain_name(b) for b in batch.dropna().unique()}
    of_lots = booked.notna() | batch.map(named).isin(used)
    rows = rows[of_lots].sort_values(["sampled_at", "result_id"], kind="stable")
    out: dict[str, list[Row]] = {}
    for row in rows.to_dict("records"):
        lot = row["batch_id"] if pd.isna(row["material_lot"]) else row["material_lot"]
        out.setdefault(plain_name(lot), []).append(row)
    return out


def suspicious(known: Known, settings: Any, link: Link, row: Row) -> Iterator[Found]:
    """What makes a lot suspicious: a result out of specification, out of trend, or far from earlier lots."""
    if pd.isna(row["approved_at"]) or word(row["status"]) == "invalidated":
        return
    value, low, high = (number(row[c]) for c in ("value", "lower_spec", "upper_spec"))
    status = word(row["status"])
    shown = "no value" if value is None else f"{value:g} {word(row['unit'])}".rstrip()
    if outside(value, low, high) or status == "out_of_spec":
        yield _lot("lot_out_of_spec", link, row, f"{shown} is out of specification")
    elif status == "out_of_trend":
        yield _lot("lot_out_of_trend", link, row, f"{shown} is out of trend by the laboratory's verdict")
    elif value is not None:
        material = word(link.used["material"])
        line = results_of_material(known, material, str(row["attribute"]))
        earlier = line.before(row["approved_at"], link.id, settings.trend_results)
        far = distance(value, earlier) if len(earlier) >= settings.trend_least else None
        if far is not None:
            yield _lot(
                "lot_unusual",
                link,
                row,
                f"{shown} lies beyond the last {len(earlier)} lots of {material.replace('_', ' ')} ({far[1]})",
                measure=far[0],
            )


def _lot(kind: str, link: Link, row: Row, text: str, measure: float | None = None) -> Found:
    attribute = str(row["attribute"])
    way = f", through {' and '.join(link.path[1:-1])}" if link.depth > 1 else ""
    return Found(
        kind,
        (f"lab_results/{row['result_id']}",),
        f"{word(link.used['material']).replace('_', ' ')} lot {link.id}{way}: {attribute.replace('_', ' ')} {text}",
        row["approved_at"],
        {
            "attribute": attribute,
            "value": number(row["value"]),
            "unit": word(row["unit"]) or None,
            "lower_spec": number(row["lower_spec"]),
            "upper_spec": number(row["upper_spec"]),
            "status": word(row["status"]) or None,
            "lot": link.id,
            "path": list(link.path),
        },
        measure=measure,
        rows=(f"genealogy/{link.path[-2]}/{link.id}",),
    )


def _used_early(case: Case, link: Link, row: Row) -> Iterator[Found]:
    used, approved = link.used["used_at"], row["approved_at"]
    if pd.isna(used) or word(row["status"]) == "invalidated" or (pd.notna(approved) and approved <= used):
        return
    later = (approved - used) / pd.Timedelta(hours=1)
    when = "is still in the laboratory" if pd.isna(approved) else f"was approved {later:.1f} h later"
    yield Found(
        "lot_used_before_result",
        (f"lab_results/{row['result_id']}", f"genealogy/{link.path[-2]}/{link.id}"),
        f"{word(link.used['material']).replace('_', ' ')} lot {link.id} was used while its "
        f"{str(row['attribute']).replace('_', ' ')} was not approved; it {when}",
        used,
        {
            "lot": link.id,
            "attribute": str(row["attribute"]),
            "approved_at": None if pd.isna(approved) else approved,
            "used_at": used,
        },
    )


def _untested(case: Case, link: Link, results: list[Row]) -> Iterator[Found]:
    """Lots of a material that lack what nearly all others of it have."""
    material = word(link.used["material"])
    have = {str(r["attribute"]) for r in results if word(r["status"]) != "invalidated"}
    wanted = case.known.keep(("tested", material), lambda: _tested(case, material))
    missing = sorted(set(wanted) - have)
    if missing:
        yield Found(
            "lot_untested",
            (f"lots/{link.id}",),
            f"{material.replace('_', ' ')} lot {link.id} has no result of "
            f"{', '.join(m.replace('_', ' ') for m in missing)}, which other lots of it have",
            link.used["used_at"],
            {"lot": link.id, "attributes": missing, "path": list(link.path)},
        )


def _tested(case: Case, material: str) -> dict[str, Usual]:
    """Attributes that the lots of a material have results of; what has stopped coming counts too."""
    settings, known = case.rules.settings, case.known
    rows = known.rows("genealogy", "material", material).sort_values(["used_at", "material_lot"], ascending=False)
    lots = rows["material_lot"].drop_duplicates(keep="last")
    return usual(
        [{str(r["attribute"]) for r in lot_results(known, lot)} for lot in lots],
        settings.peers_share, settings.least_peers,
    )  # fmt: skip


def _in_deviation(case: Case, link: Link) -> Iterator[Found]:
    """Open deviations that name the lot where others name a batch."""
    rows = case.known.rows(
        "deviations", "batch_id", *case.known.spelled_like("deviations", "batch_id", link.id)
    )  # fmt: skip
    for row in rows[rows["closed_at"].isna()].to_dict("records"):
        yield Found(
            "lot_in_deviation",
            (f"deviations/{row['deviation_id']}",),
            f"deviation {row['deviation_id']} is open on {link.id}, which went in"
            + (f" through {' and '.join(link.path[1:-1])}" if link.depth > 1 else ""),
            row["opened_at"],
            {"lot": link.id, "path": list(link.path), "severity": word(row["severity"]) or None},
            recorded=word(row["severity"]),
            table="deviations",
        )


def check_genealogy(case: Case) -> Outcome:
    """Entries: materials that were issued, or that the product's batches have by then; intermediates that went in."""
    known, peers = case.known, case.peers
    have = {word(r["material"]) for r in known.genealogy.issued(case.batch_id)}
    first = {p: _first_used(known.genealogy.issued(p)) for p in peers}
    wanted = expected(case, first)
    overdue = [m for m in wanted if m not in have and _is_due(case, m, first)]
    found: list[Found] = []
    if not have and (overdue or (case.ended is not None and not wanted and len(known.table("genealogy")))):
        found.append(
            Found(
                "genealogy_missing",
                (f"genealogy/{case.batch_id}",),
                "no lot of any material is recorded for this batch",
                case.started,
                {"limit": "the lots that went in"},
                entries=max(1, len(overdue)),
            )
        )
    else:
        found += [
            Found(
                "material_missing",
                (f"genealogy/{case.batch_id}/{m}",),
                f"no lot of {m.replace('_', ' ')} is recorded; {wanted[m].told(case.product)}",
                case.until,
                {"material": m, "limit": "a lot"},
                measure=wanted[m].measure,
            )
            for m in overdue
        ]
    intermediates = [link for link in case.lots if _is_batch(known, link.id)]
    found += [
        Found(
            "genealogy_missing",
            (f"genealogy/{link.id}",),
            f"no lot of any material is recorded for {link.id}, which went in",
            link.used["used_at"],
            {"limit": "the lots that went in", "path": list(link.path)},
        )
        for link in intermediates
        if not known.genealogy.issued(link.id)
    ]
    entries = max(len(have | set(overdue)) + len(intermediates), len(found))
    return Outcome("genealogy", entries, found, (), done=entries > 0)


def _first_used(issued: Sequence[Row]) -> dict[str, pd.Timestamp]:
    out: dict[str, pd.Timestamp] = {}
    for row in issued:
        out.setdefault(word(row["material"]), row["used_at"])
    return out


def _is_due(case: Case, material: str, first: Mapping[str, Mapping[str, pd.Timestamp]]) -> bool:
    """Whether a material is overdue: when the batch has ended; while it runs, when the step it is for has begun."""
    if case.ended is not None:
        return True
    used = pd.Series({p: of[material] for p, of in first.items() if material in of})
    rows = peer_steps(case)
    for step in step_order(case):
        begun = rows[rows["step"] == step].set_index("batch_id")["started_at"]
        later = (begun.reindex(used.index) - used).dropna() >= pd.Timedelta(0)
        if len(later) >= case.rules.settings.least_peers and later.mean() >= case.rules.settings.peers_share:
            return any(s.name == step for s in case.steps)
    return False
