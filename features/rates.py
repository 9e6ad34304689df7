"""How often an equipment has needed work: orders a year in service, so far and lately, and those of its class.

An equipment counts as in service from `commissioned_at`, and not before the plant's first order: of the time before
that nobody knows. It ends with `retired_at`. Several orders at one moment are one. With n orders in y years, and r
orders a year of the others of its class, the rate so far is (n + r * 1) / (y + 1): one year of the class is laid before
the equipment's own (the mean of a gamma-Poisson model with that prior), so that a young equipment is taken for an
average one. Lately means weights that halve with every half-life, of orders and of time alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from features import kernels
from features.asof import ALWAYS, NEVER, Floats, History, Ints
from features.definitions import Ask, FeatureSet, Lines, Trace, Values, each, plain
from features.kernels import DAY_US
from features.maintenance import by_kind, words
from features.spec import FeatureSpec, Vocabulary, window_us
from features.timeline import Timeline, code, picked, picks, take, time, timeline, united

YEAR_US = 365.25 * DAY_US
PRIOR_US = YEAR_US  # how much of its class is laid before an equipment's own history

RATES = FeatureSet("rates", "equipment", "How often work was needed.", words)
_kinds = each("kind", "kinds")
_feature = partial(RATES.feature, source="work_orders", group="maintenance", at="opened_at", over=(_kinds,))


def _half_lives(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"half_life": h, "length": plain(h)} for h in spec.rates.half_lives] if spec.rates is not None else []


def moments(history: History, kinds: tuple[str, ...]) -> Timeline:
    """Orders by equipment * kinds, those at one moment as one."""

    def make() -> Timeline:
        line = by_kind(history, kinds)
        return united(line, line.order)

    return history.keep(("moments by kind", kinds), make)


def _first_order(history: History) -> Timeline:
    """All orders of the plant as one group."""

    def make() -> Timeline:
        log = history.log("work_orders")
        one = np.zeros(log.size, dtype=np.int64)
        return timeline(1, one, log.times["opened_at"], log.known("opened_at"), log.until)

    return history.keep(("orders of the plant",), make)


def _in_service(history: History, equipment: Ints, t: Ints) -> Ints:
    """Microseconds that equipment (codes in the log of equipment) had been in service and on record before t."""
    log = history.log("equipment")
    row = picked(picks(history, "equipment", ("equipment_id",)), equipment, t)[:, 0]
    begun, over = time(log, "commissioned_at", row, t), time(log, "retired_at", row, t)
    plant = _first_order(history)
    first = plant.latest(np.zeros(len(t), dtype=np.int64), t, first=True)[:, 0, 0]
    recorded = np.where(first >= 0, take(plant.order, first), t)
    begun = np.maximum(np.where(begun == NEVER, ALWAYS, begun), recorded)
    return np.where(row >= 0, np.maximum(np.minimum(over, t) - begun, 0), 0)


def _class_of(history: History, equipment: Ints, t: Ints) -> Ints:
    row = picked(picks(history, "equipment", ("equipment_id",)), equipment, t)[:, 0]
    return code(history.log("equipment"), "equipment_class", row, t)


@dataclass(frozen=True)
class _Classes:
    """Of every class at every cut-off of a matrix: orders (times, classes, kinds) and microseconds in service."""

    t: Ints
    orders: Ints
    service: Ints


def _classes(ask: Ask) -> _Classes:
    h, kinds = ask.history, ask.words.kinds
    log, line = h.log("equipment"), moments(ask.history, ask.words.kinds)
    t = np.unique(ask.matrix.t)
    ids, classes = log.words["equipment_id"], len(log.words["equipment_class"])
    base = h.log("work_orders").seek("equipment_id", np.array(ids, dtype=object))
    orders, service = np.zeros((len(t), classes, len(kinds)), np.int64), np.zeros((len(t), classes), np.int64)
    for e in range(len(ids)):
        own = np.full(len(t), e, dtype=np.int64)
        of = _class_of(h, own, t)
        there = np.flatnonzero(of >= 0)
        count = line.count(np.full(len(t), base[e]), t, len(kinds)).astype(np.int64)
        orders[there, of[there]] += count[there]
        service[there, of[there]] += _in_service(h, own, t)[there]
    return _Classes(t, orders, service)


def _own(ask: Ask) -> tuple[Ints, Ints]:
    """(n, kinds) orders so far and (n,) microseconds in service; whole numbers, so that own and class are exact."""
    line, kinds = moments(ask.history, ask.words.kinds), len(ask.words.kinds)
    count = line.count(ask.base("work_orders"), ask.t, kinds).astype(np.int64)
    return count, ask.keep("in service", lambda: _in_service(ask.history, ask.base("equipment"), ask.t))


def _of_class(ask: Ask) -> Floats:
    """(n, kinds) orders a year of the others of the class; NaN where there are none."""

    def make() -> Floats:
        pool, (own, service) = ask.matrix.keep("rates of classes", lambda: _classes(ask)), _own(ask)
        of, at = _class_of(ask.history, ask.base("equipment"), ask.t), np.searchsorted(pool.t, ask.t)
        others = (take(pool.orders, at)[np.arange(len(at)), of] if pool.orders.size else np.zeros_like(own)) - own
        years = ((pool.service[at, of] if pool.service.size else np.zeros_like(service)) - service) / YEAR_US
        told = (of >= 0) & (years > 0)
        return np.where(told[:, None], others / np.where(told, years, 1.0)[:, None], np.nan)

    return ask.keep("rates of the class", make)


def _rows(trace: Trace, *, own: bool) -> Lines:
    """Orders of the kind of the equipment's class, and the plant's first order, from which on there are records."""
    machines, orders = trace.known("equipment"), trace.known("work_orders")
    mine = machines.loc[machines["equipment_id"] == trace.subject, "equipment_class"]
    alike = machines["equipment_id"][machines["equipment_class"].isin(mine)]
    ours = {trace.subject} if own else {trace.subject, *alike}
    counts = orders["equipment_id"].isin(ours) & (orders["kind"] == trace.values["kind"])
    return {"work_orders": orders[counts | (orders["opened_at"] == orders["opened_at"].min())], "equipment": machines}


@_feature("rates.so_far.{kind}", "{kind} orders a year in service so far, with a year of its class before them",
          "per year", rows=partial(_rows, own=False))
def _so_far(ask: Ask) -> Floats:
    (count, service), of_class = _own(ask), _of_class(ask)
    years = service[:, None] / YEAR_US
    alone = np.where(years > 0, count / np.where(years > 0, years, 1.0), np.nan)
    prior = PRIOR_US / YEAR_US
    return np.where(np.isnan(of_class), alone, (count + of_class * prior) / (years + prior))


@_feature("rates.class.{kind}", "{kind} orders a year in service of the others of its class", "per year",
          rows=partial(_rows, own=False))
def _class(ask: Ask) -> Floats:
    return _of_class(ask)


@_feature("rates.lately.{kind}.{half_life}", "{kind} orders a year in service, those of {length} ago counting half",
          "per year", over=(_kinds, _half_lives), rows=partial(_rows, own=True))
def _lately(ask: Ask) -> Floats:
    line, kinds = moments(ask.history, ask.words.kinds), len(ask.words.kinds)
    base, (_, service) = ask.base("work_orders"), _own(ask)
    lengths = [float(window_us(h)) for h in ask.spec.rates.half_lives] if ask.spec.rates is not None else []
    return np.stack([_decayed(line, base, ask.t, kinds, h) / _weight(service, h)[:, None] for h in lengths], axis=2)


def _decayed(line: Timeline, base: Ints, t: Ints, width: int, half_life: float) -> Floats:
    out = np.empty((len(t), width))
    kernels.decayed(line.offsets, line.order, line.start, line.until, base, t, width, half_life, out)
    return out


def _weight(service: Ints, half_life: float) -> Floats:
    """Years in service, weighted as the orders are; NaN before there are any."""
    years = half_life / np.log(2.0) * -np.expm1(-np.log(2.0) * service / half_life) / YEAR_US
    return np.where(service > 0, years, np.nan)

