"""Context of a batch at a stage gate: its steps, material lots, equipment and earlier laboratory results.

What a step recorded is known when the step has ended, a lot when it was issued, a laboratory value when it was
approved: a lagged result carries the laboratory's real delay. Invalidated results are no results. A batch's own results
of the predicted attributes are never features.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from features import maintenance, sensors
from features.asof import NEVER, Columns, Floats, History, Ints, Log, Mask, Words
from features.catalogue import lag_groups
from features.kernels import DAY_US, HOUR_US
from features.spec import BatchSpec, LagSpec, Vocabulary
from features.timeline import (
    Timeline,
    code,
    hours_since,
    number,
    picked,
    picks,
    rows_of,
    take,
    time,
    timeline,
)

LOTS_A_MATERIAL = 8  # lots of one material whose quantities are added up


def _words_at(log: Log, column: str, t: int) -> tuple[str, ...]:
    shown = log.visible(column, t) & (log.codes[column] >= 0)
    return tuple(log.words[column][i] for i in np.unique(log.codes[column][shown]))


def _pairs_at(log: Log, first: str, second: str, shown: Mask) -> set[tuple[str, str]]:
    shown = shown & (log.codes[first] >= 0) & (log.codes[second] >= 0)
    pairs = np.unique(np.column_stack([log.codes[first][shown], log.codes[second][shown]]), axis=0)
    return {(log.words[first][a], log.words[second][b]) for a, b in pairs}


def words(history: History, spec: BatchSpec, t: int) -> dict[str, Any]:
    """Vocabulary before `t` (microseconds): products, steps and what they record, materials, attributes."""
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
        "orders": bool(history.log("work_orders").visible("opened_at", t).any()),
        "units": units | sensors.units_of(history, t),
    }


def _ever(steps: Log, step: str, value: str, t: int) -> bool:
    there = steps.visible(value, t) & (steps.coded("step", (step,)) == 0)
    return bool(np.isfinite(steps.floats[value][there]).any())


def _lot_results(history: History, t: int, approved: Mask) -> tuple[tuple[str, str], ...]:
    uses, results = history.log("genealogy"), history.log("lab_results")
    material = dict(_pairs_at(uses, "material_lot", "material", uses.visible("material", t)))
    tested = _pairs_at(results, "material_lot", "attribute", approved)
    return tuple(sorted({(material[lot], a) for lot, a in tested if lot in material}))


def columns(history: History, spec: BatchSpec, vocabulary: Vocabulary, ids: Words, b: Ints, t: Ints) -> Columns:
    """Features of the batches `ids[b]` at the gates' times `t`, by name."""
    log = history.log("batches")
    row = picked(picks(history, "batches", ("batch_id",)), log.seek("batch_id", ids)[b], t)[:, 0]
    product = code(log, "product", row, t, vocabulary.products)
    started = time(log, "started_at", row, t)
    out: Columns = {
        "batch.product": np.where(product >= 0, product, np.nan),
        "batch.size": number(log, "size", row, t),
        "batch.running": np.where(started != NEVER, (t - started) / HOUR_US, np.nan),
    }
    out |= _steps(history, spec, vocabulary, ids, b, t)
    lots: dict[str, Ints] = {}
    for k, material in enumerate(vocabulary.materials):
        out |= _material(history, spec, vocabulary, k, material, ids, b, t, lots)
    if spec.results and vocabulary.own_results:
        value = latest_result(history, "batch_id", vocabulary.own_results, ids, b, t)
        out |= {f"result.{a}": value[:, k] for k, a in enumerate(vocabulary.own_results)}
    if spec.lags is not None:
        results = history.log("lab_results")
        own = results.seek("batch_id", ids)[b]
        for by, material in lag_groups(spec.lags, vocabulary):
            keys = {"overall": np.zeros_like(b), "product": code(log, "product", row, t)}.get(by, lots.get(material))
            if keys is None:
                keys = np.full_like(b, -1)
            out |= _lags(history, spec.lags, vocabulary, by, keys, own, t)
    return out


def _steps(history: History, spec: BatchSpec, vocabulary: Vocabulary, ids: Words, b: Ints, t: Ints) -> Columns:
    steps, log, at = vocabulary.steps, history.log("batch_steps"), t[:, None]
    if not steps:
        return {}
    line = picks(history, "batch_steps", ("batch_id", "step"), steps)
    rows = picked(line, log.seek("batch_id", ids)[b], t, len(steps))
    started, ended = time(log, "started_at", rows, at), time(log, "ended_at", rows, at)
    over = ended != NEVER
    out: Columns = {}
    if spec.step_values:
        took = np.where(over, (np.where(over, ended, 0) - np.where(over, started, 0)) / HOUR_US, np.nan)
        for k, step in enumerate(steps):
            before = np.where(ended <= started[:, [k]], ended, -1)
            before[:, k] = -1
            last = before.max(axis=1)
            waits = (last >= 0) & (started[:, k] != NEVER)
            out[f"step.{step}.duration"] = took[:, k]
            out[f"step.{step}.pause"] = np.where(waits, (started[:, k] - last) / HOUR_US, np.nan)
        for step, value in vocabulary.step_values:
            out[f"step.{step}.value.{value}"] = number(log, value, rows[:, steps.index(step)], t)
    machine = code(log, "equipment_id", rows, at)
    machines = np.array(log.words["equipment_id"], dtype=object)
    if spec.step_readings is not None:
        found, statistics = sensors.readings(history), spec.step_readings.statistics
        for step, signal in vocabulary.step_signals:
            k = steps.index(step)
            series = np.append(found.numbers(machines, signal), -1)[machine[:, k]]
            once, again = _distinct(found, rows[:, k], over[:, k], t)
            done = over[once, k]
            begin, end = np.where(done, started[once, k], 0), np.where(done, ended[once, k], 0)
            values = sensors.during(found, statistics, np.where(done, series[once], -1), begin, end, t[once])
            for statistic, value_of in zip(statistics, values, strict=True):
                out[f"step.{step}.{signal}.{statistic}"] = value_of[again]
    if spec.equipment_state and vocabulary.orders:
        orders = history.log("work_orders")
        corrective, still_open = maintenance.by_kind(history, ("corrective",)), maintenance.open_orders(history)
        base_of = np.append(orders.seek("equipment_id", machines), -1)
        for k, step in enumerate(steps):
            base = base_of[machine[:, k]]
            out[f"step.{step}.since_corrective"] = hours_since(corrective, corrective.latest(base, t)[:, 0, 0], t)
            out[f"step.{step}.open_orders"] = np.where(machine[:, k] >= 0, still_open.count(base, t)[:, 0], np.nan)
    return out


def _distinct(found: sensors.Readings, row: Ints, over: Mask, t: Ints) -> tuple[Ints, Ints]:
    """Rows to compute and which of them each row takes: a finished step looks the same from every later gate.

    Not so where readings come late or are corrected: there every gate is computed for itself.
    """
    if len(found.since):
        return np.arange(len(t)), np.arange(len(t))
    _, once, again = np.unique(np.where(over, row, -1), return_index=True, return_inverse=True)
    return once, again.reshape(-1)


def _material(
    history: History, spec: BatchSpec, vocabulary: Vocabulary, k: int, material: str, ids: Words, b: Ints, t: Ints,
    lots: dict[str, Ints],
) -> Columns:
    """Features of one material; leaves the code of the lot issued last in `lots`."""
    log, materials = history.log("genealogy"), vocabulary.materials

    def used() -> Timeline:
        kind, batch = log.coded("material", materials), log.codes["batch_id"]
        group = np.where(kind >= 0, batch * len(materials) + kind, -1)
        groups = len(log.words["batch_id"]) * len(materials)
        return timeline(groups, group, log.times["used_at"], log.known("material"), log.until)

    line = history.keep(("issued", materials), used)
    base = log.seek("batch_id", ids)[b]
    of_this = np.where(base >= 0, base * len(materials) + k, -1)
    at = line.latest(of_this, t, most=LOTS_A_MATERIAL)[:, 0, :]
    rows = rows_of(line, at)
    last = rows[:, 0]
    lot = lots[material] = code(log, "material_lot", last, t)
    out: Columns = {}
    name = f"material.{material}."
    if spec.materials:
        if vocabulary.suppliers.get(material):
            supplier = code(log, "supplier", last, t, vocabulary.suppliers[material])
            out[name + "supplier"] = np.where(supplier >= 0, supplier, np.nan)
        quantity = number(log, "quantity", rows, t[:, None])
        out[name + "quantity"] = np.where(np.isnan(quantity).all(axis=1), np.nan, np.nansum(quantity, axis=1))
        attributes = tuple(a for m, a in vocabulary.lot_results if m == material)
        if attributes:
            lot_words = np.array(log.words["material_lot"], dtype=object)
            value = latest_result(history, "material_lot", attributes, lot_words, lot, t)
            out |= {f"{name}result.{a}": value[:, i] for i, a in enumerate(attributes)}
    if spec.lots:
        uses = history.keep(("uses of lots",), lambda: timeline(
            len(log.words["material_lot"]), log.codes["material_lot"], log.times["used_at"],
            log.known("material_lot"), log.until, owner=log.codes["batch_id"],
        ))
        first = uses.latest(lot, t, first=True)[:, 0, 0]
        out[name + "lot_age"] = hours_since(uses, first, t) * (HOUR_US / DAY_US)
        others = uses.count(lot, t)[:, 0] - 1.0  # one use is the batch's own: batch and lot are the key
        out[name + "lot_batches"] = np.where(lot >= 0, others, np.nan)
    return out


def _valid(results: Log) -> Mask:
    """Result versions that are results: with a value, and not invalidated."""
    return (results.coded("status", ("invalidated",)) < 0) & ~np.isnan(results.floats["value"])


def latest_result(
    history: History, subject: str, attributes: tuple[str, ...], ids: Words, i: Ints, t: Ints
) -> Floats:
    """Value of each attribute approved last before `t` for the batches or lots `ids[i]` (i = -1: none)."""
    log = history.log("lab_results")

    def make() -> Timeline:
        attribute = log.coded("attribute", attributes)
        group = np.where(_valid(log) & (attribute >= 0) & (log.codes[subject] >= 0),
                         log.codes[subject] * len(attributes) + attribute, -1)
        groups = len(log.words[subject]) * len(attributes)
        return timeline(groups, group, log.times["approved_at"], log.known("value"), log.until)

    line = history.keep(("results", subject, attributes), make)
    base = np.append(log.seek(subject, ids), -1)[i]
    return number(log, "value", picked(line, base, t, len(attributes)), t[:, None])


def _lags(
    history: History, spec: LagSpec, vocabulary: Vocabulary, by: str, keys: Ints, own: Ints, t: Ints
) -> Columns:
    """Last and mean of the last known results of other batches with the same key (code of product or lot, 0: any)."""
    attributes, log = vocabulary.lagged, history.log("lab_results")
    if not attributes:
        return {}
    how = by if by in ("overall", "product") else "lot"
    line = history.keep(("earlier results", how, attributes), lambda: _earlier(history, how, attributes))
    at = line.latest(keys, t, len(attributes), most=spec.most, asks=own)
    value = np.where(at >= 0, take(log.floats["value"], take(line.row, at)), np.nan)
    there = at >= 0
    count = there.sum(axis=2)
    mean = np.where(there, value, 0.0).sum(axis=2) / np.where(count > 0, count, 1)
    out: Columns = {}
    for k, attribute in enumerate(attributes):
        out[f"lag.{attribute}.{by}.last"] = value[:, k, 0]
        out[f"lag.{attribute}.{by}.mean"] = np.where(count[:, k] > 0, mean[:, k], np.nan)
    return out


def _earlier(history: History, how: str, attributes: tuple[str, ...]) -> Timeline:
    """Results of batches by product (or lot, or all together) * attributes, owned by their batch.

    A result carries its batch's product while both are visible: the intersection of the two rows' visibility.
    """
    log = history.log("lab_results")
    attribute = log.coded("attribute", attributes)
    rows = np.flatnonzero(_valid(log) & (attribute >= 0) & (log.codes["batch_id"] >= 0))
    words = np.array(log.words["batch_id"], dtype=object)
    left = pd.DataFrame({
        "row": rows, "batch": words[log.codes["batch_id"][rows]], "attribute": attribute[rows],
        "owner": log.codes["batch_id"][rows], "order": log.times["approved_at"][rows],
        "start": log.known("value")[rows], "until": log.until[rows],
    })
    if how == "overall":
        left["group"], groups = 0, 1
    else:
        name, column = ("batches", "product") if how == "product" else ("genealogy", "material_lot")
        other = history.log(name)
        right = pd.DataFrame({
            "batch": np.array(other.words["batch_id"], dtype=object)[other.codes["batch_id"]],
            "group": other.codes[column], "from": other.known(column), "to": other.until,
        })
        left = left.merge(right[right["group"] >= 0], on="batch").sort_values(["row", "from"], kind="stable")
        left["start"], left["until"] = left[["start", "from"]].max(axis=1), left[["until", "to"]].min(axis=1)
        groups = len(other.words[column])
    group = left["group"].to_numpy(np.int64) * len(attributes) + left["attribute"].to_numpy(np.int64)
    a = {c: left[c].to_numpy(np.int64) for c in ("order", "start", "until", "row", "owner")}
    return timeline(groups * len(attributes), group, a["order"], a["start"], a["until"], a["row"], a["owner"])
