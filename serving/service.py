"""The scoring service: two BentoML APIs, and the pages mounted beside them.

It reads which home and which sites to serve from STEADYLINE_HOME and STEADYLINE_SITES, so that it runs in
the same way from `steadyline serve` and from BentoML's own command. That command decides on its usage
reports before it reads this file: there, BENTOML_DO_NOT_TRACK=True has to come from the environment.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

import bentoml
from pydantic import ValidationError
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse

from governance.errors import Refused
from plant.errors import SteadylineError
from serving.fleet import current_fleet
from serving.openapi import describe
from serving.pages import SecurityHeaders, create_app
from serving.problems import OneErrorForm, status_of
from serving.requests import BatchesRequest, BatchScores, EquipmentRequest, Scores, parse_time
from serving.settings import HOSTS, LOOPBACK

Answer = Callable[[], list[dict[str, Any]]]


def _worth_a_line(record: logging.LogRecord) -> bool:
    """A body that breaks its contract is answered, not logged with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], ValidationError))


logging.getLogger("bentoml._internal.server.http_app").addFilter(_worth_a_line)


@bentoml.service(
    name="steadyline", workers=1, threads=4, traffic={"timeout": 60},
    logging={"access": {"enabled": False}}, http={"host": "127.0.0.1", "port": 3000},
)
@bentoml.asgi_app(create_app(current_fleet, lambda: describe(service)), path="/", name="pages")
class Steadyline:
    """Equipment failure risk and batch quality risk, each score with its reasons and its provenance."""

    def __init__(self) -> None:
        self.fleet = current_fleet()
        self.fleet.warm()

    @bentoml.api(route="/v1/score/equipment", input_spec=EquipmentRequest, output_spec=Scores)
    def score_equipment(
        self, site: str, equipment_ids: list[str] | None = None, model: str | None = None, as_of: str | None = None
    ) -> JSONResponse:
        """Failure risk of equipment: curve over horizons, failure modes, remaining life, reasons, decision."""
        return _answer(lambda: self.fleet.scorer(site, "failure", model).equipment(equipment_ids, parse_time(as_of)))

    @bentoml.api(route="/v1/score/batches", input_spec=BatchesRequest, output_spec=BatchScores)
    def score_batches(
        self, site: str, batch_ids: list[str] | None = None, model: str | None = None, as_of: str | None = None
    ) -> JSONResponse:
        """Quality risk of batches: per attribute what is expected, interval, probability out of spec, reasons."""
        return _answer(lambda: self.fleet.scorer(site, "quality", model).batches(batch_ids, parse_time(as_of)))

    def __is_ready__(self) -> bool:
        return self.fleet.ready()


def _answer(score: Answer) -> JSONResponse:
    try:
        return JSONResponse({"scores": score()})
    except (SteadylineError, Refused) as problem:
        return JSONResponse(problem.as_dict(), status_code=status_of(problem))


service: Any = Steadyline
service.add_asgi_middleware(OneErrorForm)
service.add_asgi_middleware(SecurityHeaders)
service.add_asgi_middleware(TrustedHostMiddleware, allowed_hosts=os.environ.get(HOSTS, ",".join(LOOPBACK)).split(","))
