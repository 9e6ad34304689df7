"""The service's OpenAPI document: BentoML's, in our own words and with our refusals."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from serving.problems import API_PREFIX
from serving.review_page import openapi_paths

REFUSALS = {
    "404": "An equipment, batch, site or model that is not there.",
    "409": "A step that has to come first was not done: connect, train, promote.",
    "415": "The body is not said to be JSON.",
    "422": "The body is not as declared, or the question has no meaning (a time without a zone).",
    "500": "The service failed; its log says where.",
}
PROBLEM = {
    "type": "object", "title": "Refusal", "required": ["code", "found", "allowed", "hint"],
    "properties": {
        "code": {"type": "string", "description": "Stable and machine-readable, for example unknown_equipment."},
        "found": {"type": "string", "description": "What was found."},
        "allowed": {"type": "string", "description": "What is allowed."},
        "hint": {"type": "string", "description": "What to do next."},
        "details": {"type": "array", "items": {"type": "string"}},
    },
}


def describe(service: Any) -> dict[str, Any]:
    """The OpenAPI document of a BentoML service, with our title, our errors, and no address outside the plant."""
    document: dict[str, Any] = service.openapi_spec.asdict()
    document["info"] = {
        "title": "Steadyline", "version": _version(),
        "description": "Equipment failure risk and batch quality risk. Every score names the model version, the bundle "
        "and the data version it was made from. Errors have one form: code, found, allowed, hint.",
    }
    document["servers"] = [{"url": "/"}]
    document["tags"] = [
        {"name": "Service APIs", "description": "Scores"},
        {"name": "Reviews", "description": "Review of batches by exception, genealogy"},
        {"name": "Infrastructure", "description": "Is the service alive, ready, and how is it doing"},
    ]
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Refusal"] = PROBLEM
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
    document["paths"] |= openapi_paths()
    for path, item in document["paths"].items():
        for operation in item.values() if path.startswith(API_PREFIX) else ():
            kept = {code: answer for code, answer in operation["responses"].items() if str(code) == "200"}
            operation["responses"] = kept | {
                code: {"description": text, "content": content} for code, text in REFUSALS.items()
            }
    return document


def _version() -> str:
    try:
        return version("steadyline")
    except PackageNotFoundError:  # run from a checkout
        return "0"
