"""Routes of reviews and of genealogy, JSON and page: framework only, what they say is made elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from governance.errors import Refused
from plant.errors import SteadylineError
from serving import golden_page
from serving.problems import invalid_body, status_of
from serving.requests import AsOf, SiteName, asked, parse_time
from serving.review_desk import ReviewDesk
from serving.review_queue import MOST

_MOST_BODY = 20_000  # bytes of a decision
_MOST_BATCHES = 200
_Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class Decision(BaseModel):
    """What a reviewer says of an exception. A reason is required to override."""

    model_config = ConfigDict(extra="forbid")

    decision: Annotated[Literal["agree", "override"], Field(description="Agree with the exception, or override it.")]
    reviewer: Annotated[_Word, Field(description="Who decides.")]
    reason: Annotated[str, Field(max_length=4000, description="Why; required to override.")] = ""
    site: SiteName | None = None
    at: AsOf = None
    evidence_hash: Annotated[
        str | None, Field(description="evidence_hash that was looked at; refused where it has changed since.")
    ] = None


def routes(desk: Callable[[], ReviewDesk], render: Callable[..., str], policy: str) -> list[Route]:
    """Routes of reviews and of genealogy.

    render: gives a template's text; policy: Content-Security-Policy of the page, which holds a form to itself.
    """
    async def review(request: Request) -> Response:
        name = request.path_params["batch_id"]
        return await _answer(lambda: desk().review(name, **asked(request.query_params)))

    def queued(request: Request) -> dict[str, Any]:
        most = request.query_params.get("limit") or str(MOST)
        if not most.isdigit() or not 1 <= int(most) <= _MOST_BATCHES:
            raise SteadylineError("bad_limit", f"limit is '{most[:20]}'", f"a whole number from 1 to {_MOST_BATCHES}")
        return desk().queue(**asked(request.query_params, "limit"), most=int(most))

    async def queue(request: Request) -> Response:
        return await _answer(lambda: queued(request))

    async def queue_page(request: Request) -> Response:
        names = sorted(desk().fleet.data)
        if len(names) > 1 and not request.query_params.get("site"):
            return HTMLResponse(render("queues.html", sites=names, at=_time(request), style=None))
        try:
            answer = await run_in_threadpool(lambda: queued(request))
        except (SteadylineError, Refused) as problem:
            return HTMLResponse(render("problem.html", problem=problem.as_dict()), status_of(problem))
        at = _time(request)
        return HTMLResponse(render("queue.html", queue=answer, at=at, most=_MOST_BATCHES, style=None))

    async def decide(request: Request) -> Response:
        try:
            body = Decision.model_validate_json(await _body(request))
        except ValidationError as error:
            problem = invalid_body([dict(e) for e in error.errors()])
            return JSONResponse(problem, status_code=HTTPStatus.UNPROCESSABLE_ENTITY)
        names = request.path_params
        return await _answer(lambda: _decide(desk(), names["batch_id"], names["exception_id"], body))

    async def genealogy(request: Request) -> Response:
        name = request.path_params["name"]
        return await _answer(lambda: desk().genealogy(name, **asked(request.query_params)))

    async def page(request: Request) -> Response:
        name = request.path_params["batch_id"]

        def act() -> tuple[dict[str, Any], dict[str, Any]]:
            answer = desk().review(name, **asked(request.query_params))
            return answer, desk().similar_by_exception(answer)

        return await _page(act, request, render, policy)

    async def decide_on_page(request: Request) -> Response:
        """The page's own form. Only the page itself may send it: a form elsewhere has another origin."""
        if urlsplit(request.headers.get("origin", "")).netloc != request.headers.get("host", ""):
            found = "the form was not sent from the page of this service"
            refusal = SteadylineError(
                "foreign_form", found, "the form on the page itself", "open the page and decide there"
            )
            return HTMLResponse(render("problem.html", problem=refusal.as_dict()), HTTPStatus.FORBIDDEN)
        given = {k: v[0] for k, v in parse_qs((await _body(request)).decode("utf-8", "replace")).items()}
        names = request.path_params

        def act() -> Any:
            try:
                body = Decision.model_validate({k: v for k, v in given.items() if v.strip()})
            except ValidationError as error:
                told = invalid_body([dict(e) for e in error.errors()])
                raise SteadylineError(
                    "invalid_request", told["found"], "a decision and a name", "", told["details"]
                ) from error
            return _decide(desk(), names["batch_id"], names["exception_id"], body)

        try:
            await run_in_threadpool(act)
        except (SteadylineError, Refused) as refusal_:
            return HTMLResponse(render("problem.html", problem=refusal_.as_dict()), status_of(refusal_))
        query = {k: v for k in ("site", "at") if (v := given.get(k, ""))}
        to = f"/batches/{quote(names['batch_id'])}/exceptions" + (f"?{urlencode(query)}" if query else "")
        return RedirectResponse(f"{to}#{names['exception_id']}", HTTPStatus.SEE_OTHER)

    return [
        Route("/v1/batches/{batch_id:path}/exceptions/{exception_id}/review", decide, methods=["POST"]),
        Route("/v1/batches/{batch_id:path}/exceptions", review),
        Route("/v1/batches", queue),
        Route("/batches", queue_page, name="queue"),
        Route("/v1/genealogy/{name:path}", genealogy),
        Route("/batches/{batch_id:path}/exceptions/{exception_id}/review", decide_on_page, methods=["POST"]),
        Route("/batches/{batch_id:path}/exceptions", page, name="exceptions"),
    ]


def _decide(desk: ReviewDesk, batch_id: str, exception_id: str, body: Decision) -> dict[str, Any]:
    return desk.decide(
        batch_id,
        exception_id,
        body.decision,
        body.reviewer,
        body.reason,
        body.site,
        parse_time(body.at),
        body.evidence_hash,
    )


async def _body(request: Request) -> bytes:
    """At most so many bytes of the body; of a longer one what is read is no JSON any more."""
    read = b""
    async for part in request.stream():
        read += part
        if len(read) > _MOST_BODY:
            break
    return read[: _MOST_BODY + 1]


async def _answer(act: Callable[[], dict[str, Any]]) -> Response:
    try:
        return JSONResponse(await run_in_threadpool(act))
    except (SteadylineError, Refused) as problem:
        return JSONResponse(problem.as_dict(), status_code=status_of(problem))


async def _page(
    act: Callable[[], tuple[dict[str, Any], dict[str, Any]]], request: Request, render: Callable[..., str], policy: str
) -> Response:
    # without a referrer of its own a browser would say that the form comes from nowhere (Origin: null)
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "same-origin"}
    try:
        answer, similar = await run_in_threadpool(act)
    except (SteadylineError, Refused) as problem:
        return HTMLResponse(render("problem.html", problem=problem.as_dict()), status_of(problem))
    at = _time(request)
    return HTMLResponse(render("review.html", review=answer, similar=similar, at=at, style=None), headers=headers)


def _time(request: Request) -> str:
    """The time that a page was asked for, to be kept in its links."""
    return request.query_params.get("at") or request.query_params.get("as_of") or ""


OPENAPI: dict[str, dict[str, Any]] = {
    "/v1/batches": {
        "get": {
            "summary": "Batches that wait for a disposition",
            "tags": ["Reviews"],
            "description": "The newest of the last sixty days, each with its review in short; the gravest first.",
        }
    },
    "/v1/batches/{batch_id}/exceptions": {
        "get": {
            "summary": "Review by exception",
            "tags": ["Reviews"],
            "description": "What of a batch a person has to look at, from all systems, and what was cleared.",
        }
    },
    "/v1/batches/{batch_id}/exceptions/{exception_id}/review": {
        "post": {
            "summary": "What a reviewer says of an exception",
            "tags": ["Reviews"],
            "description": "Agree or override, with a reason. Kept in the operational database and the audit trail.",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": Decision.model_json_schema()}},
            },
        }
    },
    "/v1/genealogy/{id}": {
        "get": {
            "summary": "Genealogy of a lot or batch",
            "tags": ["Reviews"],
            "description": "What went into it and what it went into, through intermediates, each with its path.",
        }
    },
}


def openapi_paths() -> dict[str, dict[str, Any]]:
    """The routes above for the OpenAPI document, without their refusals."""
    out: dict[str, dict[str, Any]] = json.loads(json.dumps(OPENAPI))
    limit = {"type": "integer", "minimum": 1, "maximum": _MOST_BATCHES, "default": MOST}
    asked: dict[str, list[dict[str, Any]]] = {
        "/v1/batches": [{"name": "limit", "in": "query", "schema": limit, "description": "Most batches to review."}]
    }
    for path, (summary, told, words) in golden_page.OPENAPI.items():
        out[path] = {"get": {"summary": summary, "tags": ["Reviews"], "description": told}}
        asked[path] = [
            {"name": n, "in": "query", "schema": {"type": "string"}, "description": d} for n, d in words.items()
        ]
    query = [
        {
            "name": "site",
            "in": "query",
            "schema": {"type": "string"},
            "description": "Site; may be left out where one site has it.",
        },
        {
            "name": "at",
            "in": "query",
            "schema": {"type": "string", "format": "date-time"},
            "description": "What was known strictly before this time; empty: the end of the data.",
        },
    ]
    for path, item in out.items():
        for method, operation in item.items():
            names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
            operation["parameters"] = [
                *({"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names),
                *(query if method == "get" else []),
                *asked.get(path, []),
            ]
            operation["responses"] = {
                "200": {
                    "description": "The answer",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }
            }
    return out
