"""The running of the virtual plant, hour by hour: batches, wear, failures, repairs, preventive orders.

State of machine i, mechanism m: x(h), 0 when new. In an hour in which the machine runs it grows by a gamma
increment; it fails with hazard base + ceiling / (1 + exp(-(x - 1) / width)) per running hour. Everything here
is in whole hours and minutes since START; times become time stamps in `virtual_history`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plant.virtual_catalogue import Size
from plant.virtual_machines import MACHINES, STEPS, MachineClass, Mechanism

BASE_HAZARD = 2.0e-5  # per running hour and mechanism: failures that no wear announces
WORST = 1.35  # a state is capped here: a machine in such a condition is stopped by its interlocks
MINUTES_IN_STEP = 26  # steps begin within the first and end within the last this many minutes of an hour


@dataclass(frozen=True)
class Unit:
    """A machine or utility: id, index of its class in KINDS (machines first), production line."""

    equipment_id: str
    kind: int
    line: str


@dataclass
class StepRun:
    """One step of one batch on one machine; hours [start, end), minute offsets of start and end within."""

    batch: int
    step: int
    unit: int
    start: int
    start_minute: int
    end: int | None = None
    end_minute: int = 0


@dataclass(frozen=True)
class Failure:
    """A breakdown: machine, mechanism, minute since START, minutes until it can run again, running batch."""

    unit: int
    mechanism: int
    minute: int
    repair_minutes: int
    batch: int
    state: float
    imperfect: bool


@dataclass(frozen=True)
class Service:
    """Preventive maintenance: start minute, length, mechanisms that came out as new."""

    unit: int
    minute: int
    minutes: int
    due_hour: int
    renewed: tuple[int, ...]


@dataclass
class Run:
    """What happened. state[h, i, m] at the start of hour h; batch[h, i] or -1; run_from/run_to: minutes
    of the hour between which machine i ran (equal: it stood). kinds: the classes of the units, by `Unit.kind`."""

    units: list[Unit]
    hours: int
    state: np.ndarray
    batch: np.ndarray
    run_from: np.ndarray
    run_to: np.ndarray
    steps: list[StepRun]
    failures: list[Failure]
    services: list[Service]
    rate: np.ndarray
    wear: float
    kinds: tuple[MachineClass, ...] = MACHINES

    @property
    def running(self) -> np.ndarray:
        return np.asarray(self.run_to > self.run_from)

    def kind(self, i: int) -> MachineClass:
        """The class of unit i."""
        return self.kinds[self.units[i].kind]


def hazard(mechanism: Mechanism, state: np.ndarray) -> np.ndarray:
    """True hazard per running hour at `state` (any shape)."""
    return BASE_HAZARD + mechanism.ceiling / (1.0 + np.exp(-(state - 1.0) / mechanism.width))


def make_units(size: Size) -> list[Unit]:
    """The machines of a size, classes in the order of MACHINES, numbered from 1 within a class."""
    lines = max(1, min(size.units) - 1)
    return [
        Unit(f"{MACHINES[k].prefix}-{n + 1}", k, f"line-{n % lines + 1}")
        for k, count in enumerate(size.units)
        for n in range(count)
    ]


def increments(rng: np.random.Generator, units: list[Unit], hours: int, wear: float) -> np.ndarray:
    """Growth of each state in each running hour, (hours, units, 3): gamma with mean wear / life_h."""
    out = np.empty((hours, len(units), 3), dtype=np.float32)
    for i, unit in enumerate(units):
        for m, mech in enumerate(MACHINES[unit.kind].mechanisms):
            shape = wear / (mech.spread**2 * mech.life_h)
            out[:, i, m] = rng.gamma(shape, mech.spread**2, hours)
    return out


class _Shop:
    """The mutable state of one run; `hour` advances it."""

    def __init__(self, size: Size, seeds: list[np.random.SeedSequence]):
        streams = [np.random.Generator(np.random.PCG64(s)) for s in seeds]
        self.dispatch, self.repair, chance, wear, arrivals = streams
        self.size, self.units = size, make_units(size)
        self.hours, n = size.days * 24, len(self.units)
        mechs = [MACHINES[u.kind].mechanisms for u in self.units]
        self.ceiling = np.array([[m.ceiling for m in row] for row in mechs])
        self.width = np.array([[m.width for m in row] for row in mechs])
        self.growth = increments(wear, self.units, self.hours, size.wear)
        self.chance = chance.random((self.hours, n, 3), dtype=np.float32)
        self.unit_rate = np.exp(wear.normal(0.0, 0.10, (n, 3)))
        self.rate = self.unit_rate * np.exp(wear.normal(0.0, 0.10, (n, 3)))
        self.x = wear.uniform(0.0, 0.9, (n, 3))
        shape = (self.hours, n)
        self.run = Run(
            self.units,
            self.hours,
            np.zeros((*shape, 3), np.float32),
            np.full(shape, -1, np.int32),
            np.zeros(shape, np.int8),
            np.zeros(shape, np.int8),
            [],
            [],
            [],
            self.unit_rate,
            size.wear,
        )
        self.left = np.zeros(n, np.int64)  # hours left of the step on each machine
        self.down = np.zeros(n, np.int64)  # first hour in which it can run again
        self.on: list[StepRun | None] = [None] * n
        self.queues: list[list[int]] = [[] for _ in STEPS]
        gaps = arrivals.gamma(8.0, size.batch_every_h / 8.0, int(self.hours / size.batch_every_h * 1.5) + 8)
        self.arrivals = np.cumsum(gaps)
        self.next_batch = 0
        every_h = size.preventive_every_h
        self.service_due = self.dispatch.integers(min(240, every_h // 2), every_h, n)
        self.of_step = [[i for i, u in enumerate(self.units) if MACHINES[u.kind].step == s] for s in STEPS]

    def hour(self, h: int) -> None:
        """Hand out work, let run what runs, let fail what fails, close what is done."""
        while self.arrivals[self.next_batch] <= h:
            self.queues[0].append(self.next_batch)
            self.next_batch += 1
        self.serve(h)
        self.hand_out(h)
        run = self.run
        run.state[h] = self.x
        running = (self.left > 0) & (self.down <= h)
        where = np.flatnonzero(running)
        if not len(where):
            return
        run.run_to[h, where] = 60
        for i in where:
            step = self.step_on(int(i))
            run.batch[h, i] = step.batch
            if step.start == h:
                run.run_from[h, i] = step.start_minute
        danger = BASE_HAZARD + self.ceiling[where] / (1.0 + np.exp(-(self.x[where] - 1.0) / self.width[where]))
        hit = self.chance[h, where] < 1.0 - np.exp(-danger)
        self.x[where] = np.minimum(self.x[where] + self.growth[h, where] * self.rate[where], WORST)
        failed = np.flatnonzero(hit.any(axis=1))
        stopped = {int(where[j]) for j in failed}
        for j in failed:
            self.fail(h, int(where[j]), int(np.argmax(hit[j])))
        for i in where:
            if int(i) in stopped:
                self.left[i] = max(self.left[i] - 1, 1)
                continue
            self.left[i] -= 1
            if self.left[i] == 0:
                self.finish(h, int(i))

    def step_on(self, i: int) -> StepRun:
        """The step that machine i is working on."""
        step = self.on[i]
        if step is None:
            raise LookupError(self.units[i].equipment_id)
        return step

    def serve(self, h: int) -> None:
        """Preventive maintenance of machines that are due and stand idle."""
        for i in np.flatnonzero((self.service_due <= h) & (self.left == 0) & (self.down <= h)):
            mechs = MACHINES[self.units[i].kind].mechanisms
            renewed = tuple(m for m, mech in enumerate(mechs) if self.repair.random() < mech.renewal)
            for m in range(3):
                if m in renewed:
                    self.renew(int(i), m, 0.0)
                else:  # cleaned and greased, not renewed
                    self.x[i, m] *= self.repair.uniform(0.7, 1.0)
            minutes = int(self.repair.integers(150, 420))
            start = h * 60 + int(self.repair.integers(0, 30))
            self.run.services.append(Service(int(i), start, minutes, int(self.service_due[i]), renewed))
            self.down[i] = -(-(start + minutes) // 60)
            self.service_due[i] = h + int(self.size.preventive_every_h * self.repair.uniform(0.9, 1.15))

    def hand_out(self, h: int) -> None:
        """Give waiting batches to idle machines, first come first served, machines by lot."""
        for s, queue in enumerate(self.queues):
            if not queue:
                continue
            free = [i for i in self.of_step[s] if self.left[i] == 0 and self.down[i] <= h]
            low, high = MACHINES[s].step_h
            while queue and free:
                i = free.pop(int(self.dispatch.integers(len(free))))
                self.on[i] = StepRun(queue.pop(0), s, i, h, int(self.dispatch.integers(1, MINUTES_IN_STEP)))
                self.left[i] = int(self.dispatch.integers(low, high + 1))
                self.run.steps.append(self.on[i])  # type: ignore[arg-type]

    def fail(self, h: int, i: int, m: int) -> None:
        """Machine i breaks down by mechanism m; its batch waits until the repair is done."""
        first, last = self.run.run_from[h, i] > 0, self.left[i] == 1
        minute = int(
            self.repair.integers(MINUTES_IN_STEP, 60 - MINUTES_IN_STEP)
            if first or last
            else self.repair.integers(1, 59)
        )
        mech = MACHINES[self.units[i].kind].mechanisms[m]
        minutes = int(60 * mech.repair_h * np.exp(self.repair.normal(0.0, 0.45))) + 15
        imperfect = bool(self.repair.random() < 0.12)
        at = float(self.x[i, m])
        self.run.run_to[h, i] = minute
        self.run.failures.append(Failure(i, m, h * 60 + minute, minutes, int(self.run.batch[h, i]), at, imperfect))
        self.down[i] = -(-(h * 60 + minute + minutes) // 60)
        self.renew(i, m, float(self.repair.uniform(0.35, 0.6)) if imperfect else 0.0)

    def renew(self, i: int, m: int, at: float) -> None:
        """A new part: state near `at`, a life of its own."""
        self.x[i, m] = at + self.repair.uniform(0.0, 0.06)
        self.rate[i, m] = self.unit_rate[i, m] * np.exp(self.repair.normal(0.0, 0.10))

    def finish(self, h: int, i: int) -> None:
        step = self.step_on(i)
        step.end = h + 1
        step.end_minute = 60 - int(self.dispatch.integers(1, MINUTES_IN_STEP))
        self.run.run_to[h, i] = step.end_minute
        if step.step + 1 < len(STEPS):
            self.queues[step.step + 1].append(step.batch)
        self.on[i] = None


def run_plant(size: Size, seed: np.random.SeedSequence) -> Run:
    """The whole history of a plant of this size; the same for the same seed."""
    shop = _Shop(size, seed.spawn(5))
    for h in range(shop.hours):
        shop.hour(h)
    return shop.run
