"""Genealogy both ways, against a search that multiplies out the whole table."""

from __future__ import annotations

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from features.genealogy import Genealogy
from plant.tables import TABLES, conform

NAMES = [f"n{i}" for i in range(7)]
EDGES = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=14, unique=True)


def table(edges: list[tuple[str, str]]) -> pd.DataFrame:
    rows = [
        {"batch_id": b, "material_lot": m, "material": "x", "used_at": pd.Timestamp("2026-01-01T00:00Z")}
        for b, m in edges
    ]
    return conform(TABLES["genealogy"], pd.DataFrame(rows, columns=["batch_id", "material_lot", "material", "used_at"]))


def reach(edges: list[tuple[str, str]], start: str) -> dict[str, int]:
    """Name -> fewest steps from `start` along (from, to), by trying all walks up to the number of names."""
    out: dict[str, int] = {}
    here = {start}
    for steps in range(1, len(NAMES) + 1):
        here = {b for a, b in edges if a in here}
        for name in here:
            out.setdefault(name, steps)
    out.pop(start, None)
    return out


@given(EDGES, st.sampled_from(NAMES))
def test_both_searches_reach_what_can_be_reached_and_nothing_else(edges: list[tuple[str, str]], start: str) -> None:
    made = Genealogy(table(edges))
    up = {link.id: link.depth for link in made.ancestors(start)}
    down = {link.id: link.depth for link in made.descendants(start)}
    assert up == reach(edges, start)
    assert down == reach([(m, b) for b, m in edges], start)


@given(EDGES, st.sampled_from(NAMES))
def test_a_path_leads_from_the_one_to_the_other_by_rows_that_are_there(
    edges: list[tuple[str, str]], start: str
) -> None:
    made = Genealogy(table(edges))
    for link in made.ancestors(start):
        assert (link.path[0], link.path[-1], len(link.path)) == (start, link.id, link.depth + 1)
        assert all(pair in edges for pair in zip(link.path, link.path[1:], strict=False))
        assert (link.used["batch_id"], link.used["material_lot"]) == link.path[-2:]
    for link in made.descendants(start):
        assert all((b, a) in edges for a, b in zip(link.path, link.path[1:], strict=False))


@given(EDGES, st.sampled_from(NAMES), st.sampled_from(NAMES))
def test_what_went_in_is_what_it_went_into(edges: list[tuple[str, str]], one: str, other: str) -> None:
    made = Genealogy(table(edges))
    assert (other in {k.id for k in made.ancestors(one)}) == (one in {k.id for k in made.descendants(other)})
