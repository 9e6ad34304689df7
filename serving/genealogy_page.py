"""The page of a lot's or batch's genealogy: what went in, and what it went into."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pandas as pd
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from features.genealogy import plain_name
from governance.errors import Refused
from plant.errors import NotReady, SteadylineError
from serving.problems import status_of
from serving.requests import parse_time
from serving.review_desk import ReviewDesk


def routes(desk: Callable[[], ReviewDesk], render: Callable[..., str]) -> list[Route]:
    """The route of the page. render: gives a template's text."""

    async def page(request: Request) -> Response:
        query = request.query_params
        name, site, at = request.path_params["name"], query.get("site") or None, query.get("at") or ""
        try:
            shown = await run_in_threadpool(lambda: genealogy_of(desk(), name, site, parse_time(at or None)))
        except (SteadylineError, Refused) as problem:
            return HTMLResponse(render("problem.html", problem=problem.as_dict()), status_of(problem))
        asked = f"?{urlencode({'site': shown['site'], **({'at': at} if at else {})})}"
        return HTMLResponse(render("genealogy.html", genealogy=shown, query=asked, style=None))

    return [Route("/genealogy/{name:path}", page, name="genealogy")]


def genealogy_of(
    desk: ReviewDesk, name: str, site: str | None = None, at: pd.Timestamp | None = None
) -> dict[str, Any]:
    """`ReviewDesk.genealogy` of the lot or batch as the records spell it, with the site's time zone.

    Names that differ in case, or in blanks around them, are the same; a blank within a name makes another one.
    """
    answer = desk.genealogy(_spelled(desk, name, site), site, at)
    return {**answer, "time_zone": desk.fleet.sites[answer["site"]].time_zone}


def _spelled(desk: ReviewDesk, name: str, site: str | None) -> str:
    """The name in the records: as it was given where that is there, else the first that means the same."""
    found: set[str] = set()
    for one, data in desk.fleet.data.items():
        if site not in (None, one):
            continue
        try:
            snapshot = data.current().whole()
        except NotReady:
            continue
        used = snapshot.table("genealogy")
        columns = (snapshot.table("batches")["batch_id"], used["batch_id"], used["material_lot"])
        found |= {n for c in columns for n in c.dropna().unique() if plain_name(n) == plain_name(name)}
    return name if name in found else min(found, default=name)
