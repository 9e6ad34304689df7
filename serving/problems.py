"""Refusals over HTTP: the JSON form and the status of each, the same wherever a request fails."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

from governance.errors import Refused
from plant.errors import NotReady, SteadylineError, StoreError, UnknownId

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

API_PREFIX = "/v1/"


def status_of(problem: SteadylineError | Refused) -> int:
    """404 what is not there, 409 what was not done yet, 422 what cannot be asked like this."""
    if isinstance(problem, UnknownId) or problem.code.startswith("unknown_"):
        return HTTPStatus.NOT_FOUND
    if problem.code in ("incomplete_record", "bad_decision"):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if isinstance(problem, NotReady | StoreError | Refused):
        return HTTPStatus.CONFLICT
    return HTTPStatus.UNPROCESSABLE_ENTITY


def invalid_body(details: list[dict[str, Any]]) -> dict[str, Any]:
    """The refusal of a body that does not have the declared form, from pydantic's list of what is wrong."""
    lines = []
    for one in details:
        where = ".".join(str(part) for part in one.get("loc", ())) or "body"
        lines.append(f"{where}: {one.get('msg', 'is wrong')}")
    return {
        "code": "invalid_request", "found": "the body of the request is not as the route declares it",
        "allowed": "the JSON object that /docs.json describes", "hint": "correct what is listed", "details": lines,
    }


class OneErrorForm:
    """ASGI middleware: every error of the API, the framework's own included, has the form of a refusal."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not str(scope["path"]).startswith(API_PREFIX):
            await self.app(scope, receive, send)
            return
        if scope["method"] == "POST" and not _is_json(scope):
            # a form on a foreign web page can post anything but JSON to a service on the same machine
            await _send(send, *one_form(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, b""))
            return
        start: Message | None = None
        parts: list[bytes] = []

        async def rewrite(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                start = message
                return
            if start is None:
                await send(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                status, body = one_form(int(start["status"]), b"".join(parts))
                kept = [(k, v) for k, v in start["headers"] if k.lower() not in (b"content-length", b"content-type")]
                headers = [*kept, (b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, rewrite)


def _is_json(scope: Scope) -> bool:
    for name, value in scope["headers"]:
        if name.lower() == b"content-type":
            return bytes(value).split(b";")[0].strip().lower() == b"application/json"
    return False


async def _send(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def one_form(status: int, body: bytes) -> tuple[int, bytes]:
    """Status and body of an error in the form of a refusal; one that has it already stays as it is."""
    try:
        found = json.loads(body)
    except ValueError:
        found = {}
    if isinstance(found, dict) and "code" in found:
        return status, body
    detail = found.get("detail") if isinstance(found, dict) else None
    if status == HTTPStatus.BAD_REQUEST and isinstance(detail, list):
        return HTTPStatus.UNPROCESSABLE_ENTITY, json.dumps(invalid_body(detail)).encode()
    code, what, allowed, hint = _KNOWN.get(status, _BAD if status < HTTPStatus.INTERNAL_SERVER_ERROR else _FAILED)
    return status, json.dumps({"code": code, "found": what, "allowed": allowed, "hint": hint}).encode()


_BUSY = ("busy", "the service has too much to do", "a request a little later", "")
_BAD = ("bad_request", "the request cannot be read", "a JSON object as /docs.json describes it", "")
_FAILED = ("internal_error", "the service failed", "", "its log says where")
_KNOWN: dict[int, tuple[str, str, str, str]] = {
    HTTPStatus.NOT_FOUND: ("unknown_route", "there is no such route", "the routes that /docs lists", ""),
    HTTPStatus.METHOD_NOT_ALLOWED: ("wrong_method", "this route does not take this method", "what /docs lists", ""),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: (
        "wrong_media_type", "the body is not said to be JSON", "application/json",
        "send the header Content-Type: application/json",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: _BUSY,
    HTTPStatus.SERVICE_UNAVAILABLE: _BUSY,
    HTTPStatus.GATEWAY_TIMEOUT: _BUSY,
}
