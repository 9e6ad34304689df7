"""Routes of the golden batch and of similar batches, JSON and page: framework only, what they say is made elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from governance.errors import Refused
from plant.errors import SteadylineError
from serving.golden import golden_batch
from serving.golden_chart import chart
from serving.problems import status_of
from serving.requests import asked
from serving.review_desk import ReviewDesk


def routes(desk: Callable[[], ReviewDesk], render: Callable[..., str]) -> list[Route]:
    """Routes of the golden batch and of similar batches. render: gives a template's text."""

    def golden(request: Request) -> dict[str, Any]:
        case = desk().case(request.path_params["batch_id"], **asked(request.query_params, "step", "signal"))
        query = request.query_params
        return golden_batch(case, query.get("step") or None, query.get("signal") or None)

    def similar(request: Request) -> dict[str, Any]:
        query, name = request.query_params, request.path_params["batch_id"]
        words = (query.get(k) or None for k in ("attribute", "gate", "model"))
        given = asked(query, "attribute", "gate", "model")
        return desk().similar(name, given["site"], given["at"], *words)

    def answer(make: Callable[[Request], dict[str, Any]]) -> Callable[[Request], Any]:
        async def act(request: Request) -> Response:
            try:
                return JSONResponse(await run_in_threadpool(make, request))
            except (SteadylineError, Refused) as problem:
                return JSONResponse(problem.as_dict(), status_code=status_of(problem))

        return act

    async def page(request: Request) -> Response:
        kept = {k: v for k in ("site", "at", "as_of") if (v := request.query_params.get(k))}
        query = f"?{urlencode(kept)}" if kept else ""
        try:
            shown = await run_in_threadpool(golden, request)
        except (SteadylineError, Refused) as problem:
            return HTMLResponse(render("problem.html", problem=problem.as_dict()), status_of(problem))
        return HTMLResponse(
            await run_in_threadpool(lambda: render("golden.html", golden=shown, draw=chart, query=query, style=None))
        )

    return [
        Route("/v1/batches/{batch_id:path}/golden", answer(golden)),
        Route("/v1/batches/{batch_id:path}/similar", answer(similar)),
        Route("/batches/{batch_id:path}/golden", page, name="golden"),
    ]


#: What the OpenAPI document says of the routes: summary, description, and the names of the query with their meaning.
OPENAPI: dict[str, tuple[str, str, dict[str, str]]] = {
    "/v1/batches/{batch_id}/golden": (
        "A batch against the golden batch",
        "Each signal along each step in the envelope of good batches of the same product, aligned by the share of the "
        "step's duration: quantiles, the batch's own curve, share of slots outside 5 to 95 %, longest stretch outside.",
        {"step": "Step of the batch; empty: all.", "signal": "Signal of the step's equipment; empty: all."},
    ),
    "/v1/batches/{batch_id}/similar": (
        "Similar batches",
        "The five nearest earlier batches by reason profile, for each attribute, with their results as known at the "
        "time, the distance and the reasons they share.",
        {
            "attribute": "Attribute of the quality model; empty: all.",
            "gate": "Stage gate; empty: the last one passed.",
            "model": "Quality model, where the site has several.",
        },
    ),
}
