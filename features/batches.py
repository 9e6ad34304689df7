"""Context of a batch at a stage gate: what it is, its material lots, its own laboratory results.

A lot is known when it was issued, a laboratory value when it was approved: a lagged result carries the laboratory's
real delay. Invalidated results are no results. A batch's own results of the predicted attributes are never features. A
lot may be an intermediate, a batch of the plant itself: its results count as the lot's, whichever way they were booked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from features import batch_lineage, sensors
from features.asof import NEVER, Floats, History, Ints, Log, Mask
from features.batch_lineage import LOTS_A_MATERIAL
from features.definitions import Ask, FeatureSet, Values, each
from features.kernels import DAY_US, HOUR_US
from features.maintenance import KINDS
from features.spec import BatchSpec, FeatureSpec, Vocabulary
from features.timeline import (
    Timeline,
    code,
    hours_since,
    number,
    picked,
    picks,
    rows_of,
    time,
    timeline,
)

ALARMS = ("alarm", "error")


def _words_at(log: Log, column: str, t: int) -> tuple[str, ...]:
    shown = log.visible(column, t) & (log.codes[column] >= 0)
    return tuple(log.words[column][i] for i in np.unique(log.codes[column][shown]))


def _pairs_at(log: Log, first: str, second: str, shown: Mask) -> set[tuple[str, str]]:
    shown = shown & (log.codes[first] >= 0) & (log.codes[second] >= 0)
    pairs = np.unique(np.column_stack([log.codes[first][shown], log.codes[second][shown]]), axis=0)
    return {(log.words[first][a], log.words[second][b]) for a, b in pairs}


def words(history: History, asked: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t` (microseconds): products, steps and what they record, materials, attributes."""
    spec = asked.batches if asked.batches is not None else BatchSpec()
    steps, uses, results = (history.log(n) for n in ("batch_steps", "genealogy", "lab_results"))
    known_steps = _words_at(steps, "step", t)
    materials = _words_at(uses, "material", t)
    approved = results.visible("value", t) & ~np.isnan(results.floats["value"])
    attributes = {a for _, a in _pairs_at(results, "batch_id", "attribute", approved)}
    lagged = (spec.lags.attributes if spec.lags else ()) or spec.targets or tuple(sorted(attributes))
    units = {f"result {a}": u for a, u in sorted(_pairs_at(results, "attribute", "unit", results.visible("unit", t)),
                                                 reverse=True)}
    step_signals: tuple[tuple[str, str], ...] = ()
    if spec.step_readings is not None:
        ran = _pairs_at(steps, "step", "equipment_id", steps.visible("equipment_id", t))
        seen = sensors.signals_of(history, t)
        wanted = sensors.chosen(spec.step_readings.signals, {s for _, s in seen})
        step_signals = tuple(sorted({(s, g) for s, e in ran for m, g in seen if m == e and g in wanted}))
    return {
        "products": _words_at(history.log("batches"), "product", t),
        "recipes": _words_at(history.log("batches"), "recipe", t),
        "steps": known_steps,
        "step_values": tuple(
            (s, v) for s in known_steps for v in sorted(steps.floats) if _ever(steps, s, v, t)
        ),
        "step_signals": step_signals,
        "materials": materials,
        "suppliers": {m: tuple(sorted(s for n, s in _pairs_at(uses, "material", "supplier", uses.visible("supplier", t))
                                      if n == m)) for m in materials},
        "lot_results": _lot_results(history, t, approved),
        "own_results": tuple(sorted(attributes - set(lagged) - set(spec.targets))),
        "lagged": tuple(lagged),
        **_records(history, t),
        "units": units | sensors.units_of(history, t),
    }


def _records(history: History, t: int) -> dict[str, Any]:
    """Which records of equipment there are: orders and their kinds, stops, alarms."""
    orders, events = history.log("work_orders"), history.log("events")
    kind = orders.coded("kind", KINDS)[orders.visible("kind", t)]
    return {
        "orders": bool(orders.visible("opened_at", t).any()),
        "kinds": tuple(k for i, k in enumerate(KINDS) if (kind == i).any()),
        "stops": bool(history.log("downtime").visible("started_at", t).any()),
        "alarms": bool((events.visible("kind", t) & (events.coded("kind", ALARMS) >= 0)).any()),
    }


def _ever(steps: Log, step: str, value: str, t: int) -> bool:
    there = steps.visible(value, t) & (steps.coded("step", (step,)) == 0)
    return bool(np.isfinite(steps.floats[value][there]).any())


def _lot_results(history: History, t: int, approved: Mask) -> tuple[tuple[str, str], ...]:
    uses, results = history.log("genealogy"), history.log("lab_results")
    material = dict(_pairs_at(uses, "material_lot", "material", uses.visible("material", t)))
    tested = _pairs_at(results, "material_lot", "attribute", approved)
    tested |= _pairs_at(results, "batch_id", "attribute", approved & (results.codes["material_lot"] < 0))
    return tuple(sorted({(material[lot], a) for lot, a in tested if lot in material}))


BATCH = FeatureSet("batches", "batch", "What is made.", words)
MATERIALS = FeatureSet("batches", "batch", "Lots of material that went in.")
RESULTS = FeatureSet("batches", "batch", "Results of the laboratory: the batch's own, and those of earlier batches.")


def asks_for(switch: str) -> Callable[[FeatureSpec, Vocabulary], bool]:
    """Whether a spec's block `batches` has `switch` on."""
    return lambda spec, words: spec.batches is not None and bool(getattr(spec.batches, switch))


def row_of(ask: Ask) -> Ints:
    """(n,) row of each batch in the log of batches; -1 where it is not known."""
    line = picks(ask.history, "batches", ("batch_id",))
    return ask.keep("batch", lambda: picked(line, ask.base("batches", "batch_id"), ask.t)[:, 0])


_of_batch = partial(BATCH.feature, source="batches")


@_of_batch("batch.product", "product", group="product", look_back="always", categories=lambda words, _: words.products)
def _product(ask: Ask) -> Floats:
    product = code(ask.history.log("batches"), "product", row_of(ask), ask.t, ask.words.products)
    return np.where(product >= 0, product, np.nan)


def _recipes(spec: FeatureSpec, words: Vocabulary) -> bool:
    return len(words.recipes) > 1


@_of_batch("batch.recipe", "master recipe", group="product", look_back="always", when=_recipes,
           categories=lambda words, _: words.recipes)
def _recipe(ask: Ask) -> Floats:
    recipe = code(ask.history.log("batches"), "recipe", row_of(ask), ask.t, ask.words.recipes)
    return np.where(recipe >= 0, recipe, np.nan)


@_of_batch("batch.size", "planned batch size", "units", group="product", look_back="always")
def _size(ask: Ask) -> Floats:
    return number(ask.history.log("batches"), "size", row_of(ask), ask.t)


@_of_batch("batch.running", "hours since the batch started", "h", group="batch")
def _running(ask: Ask) -> Floats:
    started = time(ask.history.log("batches"), "started_at", row_of(ask), ask.t)
    return np.where(started != NEVER, (ask.t - started) / HOUR_US, np.nan)


_of_material = partial(MATERIALS.feature, group="{material}")


def _supplied(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"material": m} for m in words.materials if words.suppliers.get(m)]


def _lot_attributes(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"material": m, **result_values(a, words)} for m, a in words.lot_results]


def result_values(attribute: str, words: Vocabulary) -> Values:
    """What templates say of an attribute: its name and the unit of its results."""
    return {"attribute": attribute, "unit": words.units.get(f"result {attribute}", "")}


def issued(ask: Ask, material: str) -> tuple[Ints, Ints]:
    """Rows of genealogy (n, LOTS_A_MATERIAL) of a material of each batch, issued last first; code of that lot."""
    log, materials = ask.history.log("genealogy"), ask.words.materials

    def used() -> Timeline:
        kind, batch = log.coded("material", materials), log.codes["batch_id"]
        group = np.where(kind >= 0, batch * len(materials) + kind, -1)
        groups = len(log.words["batch_id"]) * len(materials)
        return timeline(groups, group, log.times["used_at"], log.known("material"), log.until)

    def make() -> tuple[Ints, Ints]:
        line, base = ask.history.keep(("issued", materials), used), ask.base("genealogy", "batch_id")
        of_this = np.where(base >= 0, base * len(materials) + materials.index(material), -1)
        rows = rows_of(line, line.latest(of_this, ask.t, most=LOTS_A_MATERIAL)[:, 0, :])
        return rows, code(log, "material_lot", rows[:, 0], ask.t)

    return ask.keep(("issued", material), make)


@_of_material("material.{material}.supplier", "supplier of {material}", source="genealogy", over=(_supplied,),
              when=asks_for("materials"), categories=lambda words, v: words.suppliers[v["material"]],
              where=(("material", "{material}"),), at="used_at", last=True)
def _supplier(ask: Ask) -> Floats:
    def of(material: str) -> Floats:
        last, known = issued(ask, material)[0][:, 0], ask.words.suppliers[material]
        supplier = code(ask.history.log("genealogy"), "supplier", last, ask.t, known)
        return np.where(supplier >= 0, supplier, np.nan)

    return np.stack([of(v["material"]) for v in _supplied(ask.spec, ask.words)], axis=1)


@_of_material("material.{material}.quantity", "quantity of {material}", "kg", source="genealogy",
              over=(each("material", "materials"),), when=asks_for("materials"), rows=batch_lineage.lots)
def _quantity(ask: Ask) -> Floats:
    def of(material: str) -> Floats:
        quantity = number(ask.history.log("genealogy"), "quantity", issued(ask, material)[0], ask.t[:, None])
        return np.where(np.isnan(quantity).all(axis=1), np.nan, np.nansum(quantity, axis=1))

    return np.stack([of(m) for m in ask.words.materials], axis=1)


@_of_material("material.{material}.result.{attribute}", "{attribute} of the lot of {material}", "{unit}",
              source="lab_results", over=(_lot_attributes,), when=asks_for("materials"), rows=batch_lineage.lot_result)
def _lot_result(ask: Ask) -> Floats:
    def of(material: str) -> Floats:
        attributes = tuple(a for m, a in ask.words.lot_results if m == material)
        log, lot = ask.history.log("lab_results"), issued(ask, material)[1]
        own = ask.base("lab_results", "batch_id")
        line = _results(ask.history, "lot", attributes)
        at = line.latest(lot, ask.t, len(attributes), asks=np.where(own >= 0, own, -2))[:, :, 0]
        return number(log, "value", rows_of(line, at), ask.t[:, None])

    return np.concatenate([of(m) for m in dict.fromkeys(m for m, _ in ask.words.lot_results)], axis=1)


def _uses(history: History) -> Timeline:
    """Uses of lots by lot."""
    log = history.log("genealogy")
    return history.keep(("uses of lots",), lambda: timeline(
        len(log.words["material_lot"]), log.codes["material_lot"], log.times["used_at"], log.known("material_lot"),
        log.until,
    ))


@_of_material("material.{material}.lot_age", "days since the lot of {material} was first used", "d",
              source="genealogy", over=(each("material", "materials"),), when=asks_for("lots"),
              rows=batch_lineage.uses)
def _lot_age(ask: Ask) -> Floats:
    def of(material: str) -> Floats:
        uses = _uses(ask.history)
        first = uses.latest(issued(ask, material)[1], ask.t, first=True)[:, 0, 0]
        return hours_since(uses, first, ask.t) * (HOUR_US / DAY_US)

    return np.stack([of(m) for m in ask.words.materials], axis=1)


@_of_material("material.{material}.lot_batches", "number of batches made before from the lot of {material}",
              source="genealogy", over=(each("material", "materials"),), when=asks_for("lots"),
              rows=batch_lineage.uses)
def _lot_batches(ask: Ask) -> Floats:
    def of(material: str) -> Floats:
        lot = issued(ask, material)[1]
        others = _uses(ask.history).count(lot, ask.t)[:, 0] - 1.0  # its own use: batch and lot are the key
        return np.where(lot >= 0, others, np.nan)

    return np.stack([of(m) for m in ask.words.materials], axis=1)


def valid(results: Log) -> Mask:
    """Result versions that are results: with a value, and not invalidated."""
    return (results.coded("status", ("invalidated",)) < 0) & ~np.isnan(results.floats["value"])


def _results(history: History, of: str, attributes: tuple[str, ...]) -> Timeline:
    """Results by batch, or by lot (as coded in genealogy), * attributes, standing at their approval.

    A result without a lot is one of the lot that its batch is; it is owned by that batch.
    """

    def make() -> Timeline:
        log = history.log("lab_results")
        attribute = log.coded("attribute", attributes)
        subject, count, owner = log.codes["batch_id"], len(log.words["batch_id"]), None
        if of == "lot":
            lots, named = history.log("genealogy").words["material_lot"], log.codes["material_lot"] >= 0
            owner = np.where(named, -1, subject)
            subject, count = np.where(named, log.coded("material_lot", lots), log.coded("batch_id", lots)), len(lots)
        group = np.where(valid(log) & (attribute >= 0) & (subject >= 0), subject * len(attributes) + attribute, -1)
        return timeline(
            count * len(attributes), group, log.times["approved_at"], log.known("value"), log.until, owner=owner
        )

    return history.keep(("results", of, attributes), make)


def _own(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [result_values(a, words) for a in words.own_results]


@RESULTS.feature("result.{attribute}", "the batch's own {attribute}", "{unit}", source="lab_results",
                 group="{attribute}", over=(_own,), when=asks_for("results"), rows=batch_lineage.own_result)
def _own_result(ask: Ask) -> Floats:
    line, attributes = _results(ask.history, "batch", ask.words.own_results), ask.words.own_results
    rows = picked(line, ask.base("lab_results", "batch_id"), ask.t, len(attributes))
    return number(ask.history.log("lab_results"), "value", rows, ask.t[:, None])
