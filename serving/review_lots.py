"""The material lots and intermediates that went into a batch: their results, and whether they are recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.genealogy import Link
from serving.review_case import Case, Known
from serving.review_finding import Found, Outcome, number, word
from serving.review_trend import distance, outside, results_of_material

Row = Mapping[str, Any]


def check(case: Case) -> Outcome:
    """Entries: results of the lots, and lots without one that they ought to have."""
    found: list[Found] = []
    entries = 0
    for link in case.lots:
        results = lot_results(case.known, link.id)
        entries += max(1, len(results))
        for row in results:
            found += suspicious(case.known, case.rules.settings, link, row)
            found += _used_early(case, link, row)
        found += _untested(case, link, results)
        found += _in_deviation(case, link)
    return Outcome("materials", entries, found, (), done=bool(case.lots))


def lot_results(known: Known, lot: str) -> list[Row]:
    """Results of a lot; those of an intermediate may be booked on it as a batch. Read once, as lots are shared."""
    return known.keep(("results of lot", lot), lambda: _lot_results(known, lot))


def _lot_results(known: Known, lot: str) -> list[Row]:
    rows = pd.concat([known.rows("lab_results", "material_lot", lot), _as_batch(known, lot)])
    rows = rows.drop_duplicates("result_id").sort_values(["sampled_at", "result_id"], kind="stable")
    out: list[Row] = rows.to_dict("records")
    return out


def _as_batch(known: Known, lot: str) -> pd.DataFrame:
    rows = known.rows("lab_results", "batch_id", lot)
    return rows[rows["material_lot"].isna()]


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
        entries=0,
    )


def _untested(case: Case, link: Link, results: list[Row]) -> Iterator[Found]:
    """Lots of a material that lack what nearly all others of it have."""
    material = word(link.used["material"])
    have = {str(r["attribute"]) for r in results if word(r["status"]) != "invalidated"}
    wanted = case.known.keep(("tested", material), lambda: _tested(case, material))
    missing = sorted(wanted - have)
    if missing:
        yield Found(
            "lot_untested",
            (f"lots/{link.id}",),
            f"{material.replace('_', ' ')} lot {link.id} has no result of "
            f"{', '.join(m.replace('_', ' ') for m in missing)}, which other lots of it have",
            link.used["used_at"],
            {"lot": link.id, "attributes": missing, "path": list(link.path)},
            entries=1 if not results else 0,
        )


def _tested(case: Case, material: str) -> set[str]:
    settings, known = case.rules.settings, case.known
    lots = sorted(set(known.rows("genealogy", "material", material)["material_lot"]))
    if len(lots) < settings.least_peers:
        return set()
    counts: dict[str, int] = {}
    for lot in lots:
        for attribute in {str(r["attribute"]) for r in lot_results(known, lot)}:
            counts[attribute] = counts.get(attribute, 0) + 1
    return {a for a, n in counts.items() if n >= settings.peers_share * len(lots)}


def _in_deviation(case: Case, link: Link) -> Iterator[Found]:
    """Open deviations that name the lot where others name a batch."""
    rows = case.known.rows("deviations", "batch_id", link.id)
    for row in rows[rows["closed_at"].isna()].to_dict("records"):
        yield Found(
            "lot_in_deviation",
            (f"deviations/{row['deviation_id']}",),
            f"deviation {row['deviation_id']} is open on {link.id}, which went in"
            + (f" through {' and '.join(link.path[1:-1])}" if link.depth > 1 else ""),
            row["opened_at"],
            {"lot": link.id, "path": list(link.path), "severity": word(row["severity"]) or None},
            recorded=word(row["severity"]),
            entries=0,
            table="deviations",
        )


def check_genealogy(case: Case) -> Outcome:
    """Entries: materials that were issued, or that the product's batches have by then; intermediates that went in."""
    known, peers = case.known, case.peers
    have = {word(r["material"]) for r in known.genealogy.issued(case.batch_id)}
    started = known.rows("batches", "batch_id", *peers).set_index("batch_id")["started_at"]
    usual: dict[str, list[float]] = {}
    for peer in peers:
        first: dict[str, pd.Timestamp] = {}
        for row in known.genealogy.issued(peer):
            first.setdefault(word(row["material"]), row["used_at"])
        for material, used in first.items():
            usual.setdefault(material, []).append((used - started[peer]) / pd.Timedelta(hours=1))
    least = case.rules.settings.peers_share * len(peers)
    expected = {
        m: case.started + pd.Timedelta(hours=float(np.quantile(hours, 0.95)))
        for m, hours in usual.items()
        if case.enough_peers and len(hours) >= least
    }
    overdue = sorted(m for m, due in expected.items() if m not in have and case.t > max(due, case.started))
    found: list[Found] = []
    if not have and (overdue or (case.ended is not None and not case.enough_peers)):
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
                f"no lot of {m.replace('_', ' ')} is recorded; {len(usual[m])} of the last {len(peers)} batches of "
                f"{case.product} have one",
                expected[m],
                {"material": m, "limit": "a lot"},
            )
            for m in overdue
        ]
    intermediates = [link for link in case.lots if len(known.rows("batches", "batch_id", link.id))]
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
