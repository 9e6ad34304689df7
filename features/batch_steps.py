"""Steps of a batch: what they recorded, the readings of their equipment, and the state that the equipment was in.

What a step recorded, and what happened on its equipment while it ran, is known when the step has ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from features import batch_lineage, maintenance, sensors
from features.asof import NEVER, Floats, History, Ints, Mask, Words
from features.batches import ALARMS, asks_for
from features.definitions import Ask, FeatureSet, Values, each
from features.kernels import HOUR_US, count_between, hours_between, last_between
from features.readings import ReadingsLike
from features.spec import FeatureSpec, Vocabulary
from features.timeline import Timeline, code, hours_since, number, picked, picks, take, time, timeline

STEPS = FeatureSet("batches", "batch", "Steps of the batch, and their equipment while they ran.")
_feature = partial(STEPS.feature, group="{step}")
_EACH = each("step", "steps")


@dataclass(frozen=True)
class Steps:
    """The steps of each row's batch as known at t: (n, steps) each. started, ended: NEVER where not known.

    rows: in the log of batch_steps, -1 for none. machine: index into `machines`, -1 for none.
    """

    rows: Ints
    started: Ints
    ended: Ints
    over: Mask
    machine: Ints
    machines: Words

    def on(self, history: History, table: str) -> Ints:
        """(n, steps) code of the step's equipment in another table's log; -1 for none."""
        base: Ints = np.append(history.log(table).seek("equipment_id", self.machines), -1)[self.machine]
        return base


def _steps(ask: Ask) -> Steps:
    def make() -> Steps:
        log, at, names = ask.history.log("batch_steps"), ask.t[:, None], ask.words.steps
        line = picks(ask.history, "batch_steps", ("batch_id", "step"), names)
        rows = picked(line, ask.base("batch_steps", "batch_id"), ask.t, len(names))
        ended = time(log, "ended_at", rows, at)
        machine = code(log, "equipment_id", rows, at)
        machines = np.array(log.words["equipment_id"], dtype=object)
        return Steps(rows, time(log, "started_at", rows, at), ended, ended != NEVER, machine, machines)

    return ask.keep("steps", make)


@_feature("step.{step}.duration", "hours that {step} took", "h", source="batch_steps", over=(_EACH,),
          when=asks_for("step_values"), where=(("step", "{step}"),))
def _duration(ask: Ask) -> Floats:
    s = _steps(ask)
    return np.where(s.over, (np.where(s.over, s.ended, 0) - np.where(s.over, s.started, 0)) / HOUR_US, np.nan)


@_feature("step.{step}.pause", "hours that the batch waited before {step}", "h", source="batch_steps", over=(_EACH,),
          when=asks_for("step_values"))
def _pause(ask: Ask) -> Floats:
    s, out = _steps(ask), np.empty((len(ask.t), len(ask.words.steps)))
    for k in range(out.shape[1]):
        before = np.where(s.ended <= s.started[:, [k]], s.ended, -1)
        before[:, k] = -1
        last = before.max(axis=1)
        waits = (last >= 0) & (s.started[:, k] != NEVER)
        out[:, k] = np.where(waits, (s.started[:, k] - last) / HOUR_US, np.nan)
    return out


def _recorded(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"step": step, "value": value} for step, value in words.step_values]


@_feature("step.{step}.value.{value}", "{value} recorded in {step}", source="batch_steps", over=(_recorded,),
          when=asks_for("step_values"), where=(("step", "{step}"),))
def _value(ask: Ask) -> Floats:
    log, s, names = ask.history.log("batch_steps"), _steps(ask), ask.words.steps
    return np.stack([number(log, value, s.rows[:, names.index(step)], ask.t) for step, value in ask.words.step_values],
                    axis=1)


def _measured(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"step": step, **sensors.signal_values(signal, words)} for step, signal in words.step_signals]


def _wanted(statistic: str, spec: FeatureSpec, words: Vocabulary) -> bool:
    readings = spec.batches.step_readings if spec.batches is not None else None
    return readings is not None and statistic in readings.statistics


def _during(ask: Ask) -> dict[str, list[Floats]]:
    """For each wanted statistic its values (n,) for each pair of step and signal."""

    def make() -> dict[str, list[Floats]]:
        statistics = tuple(name for name in sensors.STATISTICS if _wanted(name, ask.spec, ask.words))
        found, s = ask.readings(), _steps(ask)
        out: dict[str, list[Floats]] = {name: [] for name in statistics}
        for step, signal in ask.words.step_signals:
            k = ask.words.steps.index(step)
            series = np.append(found.numbers(s.machines, signal), -1)[s.machine[:, k]]
            once, again = _distinct(found, s.rows[:, k], s.over[:, k], ask.t)
            done = s.over[once, k]
            begin, end = np.where(done, s.started[once, k], 0), np.where(done, s.ended[once, k], 0)
            values = sensors.during(found, statistics, np.where(done, series[once], -1), begin, end, ask.t[once])
            for name, value_of in zip(statistics, values, strict=True):
                out[name].append(value_of[again])
        return out

    return ask.keep("during", make)


def _distinct(found: ReadingsLike, row: Ints, over: Mask, t: Ints) -> tuple[Ints, Ints]:
    """Rows to compute and which of them each row takes: a finished step looks the same from every later gate.

    Not so where readings come late or are corrected: there every gate is computed for itself.
    """
    if not found.in_time:
        return np.arange(len(t)), np.arange(len(t))
    _, once, again = np.unique(np.where(over, row, -1), return_index=True, return_inverse=True)
    return once, again.reshape(-1)


def _statistic(statistic: str, ask: Ask) -> Floats:
    return np.stack(_during(ask)[statistic], axis=1)


for _name, (_meaning, _unit) in sensors.STATISTICS.items():
    _feature(f"step.{{step}}.{{signal}}.{_name}", f"{_meaning} during {{step}}", _unit, source="readings",
             over=(_measured,), when=partial(_wanted, _name), rows=batch_lineage.readings)(partial(_statistic, _name))


def _state_of(record: str) -> Callable[[FeatureSpec, Vocabulary], bool]:
    """Whether a spec asks for the state of equipment, and the plant has records of that kind."""
    return lambda spec, words: asks_for("equipment_state")(spec, words) and bool(getattr(words, record))


@_feature("step.{step}.since_corrective", "hours since the last corrective order on the equipment of {step}", "h",
          source="work_orders", over=(_EACH,), when=_state_of("orders"),
          rows=partial(batch_lineage.on_equipment, kinds=("corrective",)))
def _since_corrective(ask: Ask) -> Floats:
    line, base = maintenance.by_kind(ask.history, ("corrective",)), _steps(ask).on(ask.history, "work_orders")
    return np.stack([hours_since(line, line.latest(b, ask.t)[:, 0, 0], ask.t) for b in base.T], axis=1)


@_feature("step.{step}.open_orders", "open orders on the equipment of {step}", source="work_orders", over=(_EACH,),
          when=_state_of("orders"), rows=batch_lineage.open_on_equipment)
def _open_orders(ask: Ask) -> Floats:
    line, s = maintenance.open_orders(ask.history), _steps(ask)
    counts = np.stack([line.count(b, ask.t)[:, 0] for b in s.on(ask.history, "work_orders").T], axis=1)
    return np.where(s.machine >= 0, counts, np.nan)


def _while_running(ask: Ask, table: str) -> tuple[Ints, Ints, Ints, Ints, Mask]:
    """(n * steps) base in a table's log, begin, end, cut-off, and whether the step has run on a known equipment.

    base is -1 where the table has nothing of the equipment, or the step has not ended.
    """
    s = _steps(ask)
    ran = (s.over & (s.machine >= 0)).reshape(-1)
    base = np.where(ran, s.on(ask.history, table).reshape(-1), -1)
    t = np.repeat(ask.t, len(ask.words.steps))
    return base, np.where(ran, s.started.reshape(-1), 0), np.where(ran, s.ended.reshape(-1), 0), t, ran


@_feature("step.{step}.alarms", "alarms and errors of the equipment of {step} while it ran", source="events",
          over=(_EACH,), when=_state_of("alarms"),
          rows=batch_lineage.alarms)
def _alarms(ask: Ask) -> Floats:
    log = ask.history.log("events")

    def make() -> Timeline:
        group = np.where(log.coded("kind", ALARMS) >= 0, log.codes["equipment_id"], -1)
        return timeline(len(log.words["equipment_id"]), group, log.times["ts"], log.known("kind"), log.until)

    line = ask.history.keep(("alarms",), make)
    base, begin, end, t, ran = _while_running(ask, "events")
    out = np.empty(len(base), dtype=np.int64)
    count_between(line.offsets, line.order, line.start, line.until, base, begin, end, t, out)
    return np.where(ran, out, np.nan).reshape(len(ask.t), -1)


@_feature("step.{step}.stopped", "hours that the equipment of {step} stood while it ran", "h", source="downtime",
          over=(_EACH,), when=_state_of("stops"), rows=batch_lineage.stops)
def _stopped(ask: Ask) -> Floats:
    log = ask.history.log("downtime")
    line = ask.history.keep(("stops",), lambda: timeline(
        len(log.words["equipment_id"]), log.codes["equipment_id"], log.times["started_at"], log.known("started_at"),
        log.until,
    ))
    base, begin, end, t, ran = _while_running(ask, "downtime")
    over = take(log.times["ended_at"], line.row)
    out = np.empty(len(base), dtype=np.int64)
    hours_between(line.offsets, line.order, line.start, line.until, over, base, begin, end, t, out)
    return np.where(ran, out / HOUR_US, np.nan).reshape(len(ask.t), -1)


def _preventive(spec: FeatureSpec, words: Vocabulary) -> bool:
    return asks_for("equipment_state")(spec, words) and "preventive" in words.kinds


@_feature("step.{step}.since_preventive",
          "hours from the last preventive order on the equipment of {step} to the end of {step}", "h",
          source="work_orders", over=(_EACH,), when=_preventive,
          rows=partial(batch_lineage.on_equipment, kinds=("preventive",), at_end=True))
def _since_preventive(ask: Ask) -> Floats:
    line = maintenance.by_kind(ask.history, ("preventive",))
    base, _, end, t, _ = _while_running(ask, "work_orders")
    at = np.empty(len(base), dtype=np.int64)
    last_between(line.offsets, line.order, line.start, line.until, base, end, t, at)
    return hours_since(line, at, end).reshape(len(ask.t), -1)
