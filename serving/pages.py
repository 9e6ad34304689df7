"""The pages: today's risks on `/`, a batch's review, the API's documentation on `/docs`. Plain HTML, no network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from serving import genealogy_page, golden_page, review_page, words
from serving.fleet import Fleet
from serving.golden_chart import chart
from serving.overview import overview
from serving.problems import App, Message, Receive, Scope, Send
from serving.review_desk import ReviewDesk

STATIC = Path(__file__).with_name("static")
CLOSED = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; style-src 'self'"
STRICT = f"{CLOSED}; img-src 'self'"
# Swagger UI sets style attributes and asks the service for its OpenAPI document; nothing from elsewhere is allowed
DOCS = f"{CLOSED} 'unsafe-inline'; script-src 'self'; img-src 'self' data:; connect-src 'self'"
# The reviewer's word is sent with a plain form, to the page itself and nowhere else
REVIEW = STRICT.replace("form-action 'none'", "form-action 'self'")
HEADERS = {
    "Content-Security-Policy": STRICT, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
}


class SecurityHeaders:
    """ASGI middleware: every response forbids what its page does not need; a page may set its own policy."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                more = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items() if k.lower().encode() not in there]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self.app(scope, receive, add if scope["type"] == "http" else send)


def create_app(fleet: Callable[[], Fleet], openapi: Callable[[], dict[str, Any]]) -> Starlette:
    """The pages as an ASGI app.

    fleet: gives what is served; openapi: gives the document that `/docs` shows. Both are asked when a page is, not
    before.
    """

    desk = functools.cache(lambda: ReviewDesk(fleet()))

    async def home(_: Request) -> Response:
        return HTMLResponse(await run_in_threadpool(lambda: render_home(fleet())))

    async def docs(_: Request) -> Response:
        return HTMLResponse(_templates().get_template("docs.html").render(), headers={"Content-Security-Policy": DOCS})

    def static(name: str) -> Callable[[Request], Response]:
        return lambda _: FileResponse(STATIC / name)

    return Starlette(routes=[
        *genealogy_page.routes(desk, render),
        *golden_page.routes(desk, render),
        *review_page.routes(desk, render, REVIEW),
        Route("/", home, name="home"),
        Route("/docs", docs, name="docs"),
        Route("/docs.json", lambda _: JSONResponse(openapi())),
        Route("/steadyline.css", static("steadyline.css")),
        Route("/docs.js", static("docs.js")),
        Route("/icon.svg", static("icon.svg")),
    ])


def render_home(fleet: Fleet, now: datetime | None = None) -> str:
    """The start page as HTML. now: aware; the time at which the page is made."""
    page = _templates().get_template("home.html")
    return page.render(sites=overview(fleet), now=now or datetime.now(UTC))


def render_review(answer: dict[str, Any]) -> str:
    """The page of a review to be filed: its style in it, nothing to decide on."""
    style = (STATIC / "steadyline.css").read_text(encoding="utf-8")
    return render("review.html", review=answer, similar={}, at="", style=style)


def render_golden(answer: dict[str, Any]) -> str:
    """The page of a batch against the golden batch to be filed, its style in it."""
    style = (STATIC / "steadyline.css").read_text(encoding="utf-8")
    return render("golden.html", golden=answer, draw=chart, query="", style=style)


def render(template: str, **shown: Any) -> str:
    """A template's text."""
    return _templates().get_template(template).render(**shown)


def _templates() -> Environment:
    """Made once; templates are read from the installed package."""
    global _environment
    if _environment is None:
        _environment = Environment(
            loader=PackageLoader("serving"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )
        named = ("when", "percent", "number", "bar", "money", "days", "stage", "headline", "plain", "age",
                 "expectation", "specified", "shown", "found")
        _environment.filters.update({name: getattr(words, name) for name in named})
    return _environment


_environment: Environment | None = None
