"""The command that shows the genealogy of a lot or batch; `steadyline.py` hangs it in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from plant.commands import AsJson, SiteFolder
from serving.review_command import At

if TYPE_CHECKING:
    from rich.console import Console


def genealogy(
    site: SiteFolder,
    name: Annotated[str, typer.Argument(metavar="LOT_OR_BATCH", help="Material lot, intermediate or batch.")],
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Show what went into a lot or batch, and every batch that it went into, through intermediates."""
    from plant.home import state_home
    from plant.terminal import open_site, show
    from serving.fleet import Fleet
    from serving.genealogy_page import genealogy_of
    from serving.requests import parse_time
    from serving.review_desk import ReviewDesk

    chosen = open_site(site)
    desk = ReviewDesk(Fleet(state_home(), [chosen.folder]))
    answer = genealogy_of(desk, name, chosen.name, parse_time(at))
    show(answer, as_json, lambda console: render(console, answer))


def render(console: Console, answer: dict[str, Any]) -> None:
    """Both directions at a terminal, each with its path."""
    from rich.markup import escape
    from rich.table import Table

    from serving.words import when

    zone = answer["time_zone"]
    simulated = " (simulated)" if answer["simulated"] else ""
    console.print(
        f"{answer['kind']} {answer['id']} of site {answer['site']}{simulated}, as known before "
        f"{when(answer['as_of'], zone)}",
        highlight=False,
        markup=False,
    )
    for way, title, nothing in (
        ("ancestors", "Went in", "no lot or intermediate is recorded as issued to it"),
        ("descendants", "Went into", "it is not recorded as issued to any batch"),
    ):
        if not answer[way]:
            console.print(f"{title}: {nothing}", highlight=False, markup=False)
            continue
        table = Table(title=f"{title}: {len(answer[way])}", title_justify="left")
        for column in ("id", "kind", "what", "used", "steps away", "path"):
            table.add_column(column, overflow="fold")
        for link in answer[way]:
            what = link["product"] or link["material"] or ""
            table.add_row(
                escape(link["id"]), link["kind"], escape(what), when(link["used_at"], zone) if link["used_at"] else "",
                str(link["depth"]), escape(" → ".join(link["path"])),
            )
        console.print(table)
