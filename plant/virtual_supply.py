"""The running of the utilities, and what reaches rooms and machines of their wear and failures.

A utility runs all the time. Hour by hour it wears and fails by the equations of `virtual_plant`; it stands only for
repairs and for preventive work, which planners sometimes forget for weeks. Each utility has random numbers of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from plant.virtual_catalogue import Size
from plant.virtual_machines import STEPS
from plant.virtual_plant import BASE_HAZARD, WORST, Failure, Run, Service, Unit
from plant.virtual_signals import trace
from plant.virtual_utilities import (
    AIR_FAILED,
    AIR_WEAR,
    KINDS,
    ROOM_FAILED,
    ROOM_WEAR,
    UTILITIES,
    WATER_FAILED,
    WATER_WEAR,
)

FORGOTTEN = 0.10  # share of preventive orders of utilities that are done weeks late
_AHU, _WATER, _AIR = (len(KINDS) - len(UTILITIES) + n for n in range(len(UTILITIES)))


def run_utilities(size: Size, seed: np.random.SeedSequence) -> Run:
    """The whole history of the utilities of a plant of this size; the same for the same seed."""
    units = [
        Unit(f"{c.prefix}-{n + 1}", _AHU + k, "")
        for k, (c, count) in enumerate(zip(UTILITIES, size.utilities, strict=True))
        for n in range(count)
    ]
    hours, shape = size.days * 24, (size.days * 24, len(units))
    run = Run(
        units,
        hours,
        np.zeros((*shape, 3), np.float32),
        np.full(shape, -1, np.int32),
        np.zeros(shape, np.int8),
        np.full(shape, 60, np.int8),
        [],
        [],
        [],
        np.ones((len(units), 3)),
        size.wear,
        KINDS,
    )
    children = [s for c, n in zip(seed.spawn(len(UTILITIES)), size.utilities, strict=True) for s in c.spawn(n)]
    for i, child in enumerate(children):
        _live(run, i, size, child)
    run.failures.sort(key=lambda f: (f.minute, f.unit))
    run.services.sort(key=lambda s: (s.minute, s.unit))
    return run


def _live(run: Run, i: int, size: Size, seed: np.random.SeedSequence) -> None:
    """The life of utility i, into `run`."""
    wear, repair, planner = (np.random.Generator(np.random.PCG64(s)) for s in seed.spawn(3))
    mechs = run.kind(i).mechanisms
    growth = np.stack(
        [wear.gamma(size.wear / (m.spread**2 * m.life_h), m.spread**2, run.hours) for m in mechs], axis=1
    ).tolist()
    chance = wear.random((run.hours, 3)).tolist()
    own = np.exp(wear.normal(0.0, 0.10, 3))
    run.rate[i] = own
    rate = (own * np.exp(wear.normal(0.0, 0.10, 3))).tolist()
    x: list[float] = wear.uniform(0.0, 0.9, 3).tolist()

    def renew(m: int, at: float) -> None:
        x[m] = at + repair.uniform(0.0, 0.06)
        rate[m] = float(own[m] * math.exp(repair.normal(0.0, 0.10)))

    def due_after(h: int) -> tuple[int, int]:
        """Hour at which the next preventive order is due, and hour at which it is done."""
        due = h + int(size.preventive_every_h * planner.uniform(0.9, 1.15))
        late = int(planner.integers(15 * 24, 45 * 24)) if planner.random() < FORGOTTEN else 0
        return due, due + late

    first = int(planner.integers(min(240, size.preventive_every_h // 2), size.preventive_every_h))
    due, done, down = first, first, 0
    for h in range(run.hours):
        if h >= done and h >= down:
            start, minutes = h * 60 + int(repair.integers(0, 30)), int(repair.integers(120, 300))
            renewed = tuple(m for m in range(3) if repair.random() < mechs[m].renewal)
            for m in range(3):
                if m in renewed:
                    renew(m, 0.0)
                else:
                    x[m] *= repair.uniform(0.7, 1.0)
            run.services.append(Service(i, start, minutes, due, renewed))
            run.state[h, i] = x
            run.run_to[h, i] = start - h * 60
            down = -(-(start + minutes) // 60)
            due, done = due_after(h)
            continue
        run.state[h, i] = x
        if h < down:
            run.run_to[h, i] = 0
            continue
        failed = -1
        for m, mech in enumerate(mechs):
            danger = BASE_HAZARD + mech.ceiling / (1.0 + math.exp(-(x[m] - 1.0) / mech.width))
            if failed < 0 and chance[h][m] < 1.0 - math.exp(-danger):
                failed = m
        at = x[failed]
        for m in range(3):
            x[m] = min(x[m] + growth[h][m] * rate[m], WORST)
        if failed >= 0:
            minute = int(repair.integers(1, 59))
            minutes = int(60 * mechs[failed].repair_h * math.exp(repair.normal(0.0, 0.45))) + 15
            imperfect = bool(repair.random() < 0.12)
            run.run_to[h, i] = minute
            run.failures.append(Failure(i, failed, h * 60 + minute, minutes, -1, at, imperfect))
            down = -(-(h * 60 + minute + minutes) // 60)
            renew(failed, float(repair.uniform(0.35, 0.6)) if imperfect else 0.0)


@dataclass(frozen=True)
class Supply:
    """What the utilities give, at each hour. rooms: signal -> (hours, rooms), the true condition of each room.

    by_name: what disturbs signals and batches, (hours,): `compressed_air`, its want in units of 50 kPa; `water`, its
    excess of conductivity in units of 0.28 uS/cm; `season`, -1 to 1. unit_of_room: the air handling unit that serves
    a room, an index in the utilities' run. failed: share of each hour in which a unit stood broken, (hours, units).
    """

    rooms: dict[str, np.ndarray]
    by_name: dict[str, np.ndarray]
    unit_of_room: list[int]
    failed: np.ndarray


def failed_hours(run: Run) -> np.ndarray:
    """Share of each hour in which unit i stood broken down, (hours, units)."""
    out = np.zeros(run.running.shape)
    for f in run.failures:
        begin, end = f.minute, min(f.minute + f.repair_minutes, run.hours * 60)
        for h in range(begin // 60, -(-end // 60)):
            out[h, f.unit] += (min(end, (h + 1) * 60) - max(begin, h * 60)) / 60.0
    return np.minimum(out, 1.0)


def room_of(step: str, rooms: int) -> int:
    """Index of the room in which the machines of a step stand."""
    return STEPS.index(step) % rooms


def make_supply(utilities: Run, humidity: np.ndarray) -> Supply:
    """What rooms and machines see of the utilities. humidity: (hours, rooms), as the weather alone would have it."""
    hours, rooms = humidity.shape
    g, failed = trace(utilities.state).astype(np.float64), failed_hours(utilities)
    of = {k: [i for i, u in enumerate(utilities.units) if u.kind == k] for k in (_AHU, _WATER, _AIR)}
    serving = [of[_AHU][r % len(of[_AHU])] for r in range(rooms)]
    day = np.sin(2 * np.pi * np.arange(hours) / 24.0)[:, None]
    levels = {
        "room_temperature": 21.0 + 0.4 * day + np.zeros((hours, rooms)),
        "relative_humidity": humidity.copy(),
        "differential_pressure": np.full((hours, rooms), 15.0),
    }
    for name, level in levels.items():
        level += _seen(g, utilities, serving, ROOM_WEAR[name])
        change, hours_to = ROOM_FAILED[name]
        level += change * _lagged(failed[:, serving], hours_to)
    by_name = {
        "compressed_air": (_seen(g, utilities, of[_AIR], AIR_WEAR) + AIR_FAILED * failed[:, of[_AIR]]).mean(axis=1),
        "water": (_seen(g, utilities, of[_WATER], WATER_WEAR) + WATER_FAILED * failed[:, of[_WATER]]).mean(axis=1),
        "season": np.sin(2 * np.pi * (np.arange(hours) / 8766.0 - 0.3)),
    }
    return Supply(levels, by_name, serving, failed)


def _seen(g: np.ndarray, run: Run, units: list[int], weights: dict[str, float]) -> np.ndarray:
    """Σ weight · g of the named mechanisms of `units`, (hours, units)."""
    out = np.zeros((len(g), len(units)))
    for j, i in enumerate(units):
        for m, mech in enumerate(run.kind(i).mechanisms):
            out[:, j] += weights.get(mech.state, 0.0) * g[:, i, m]
    return out


def _lagged(cause: np.ndarray, hours: float) -> np.ndarray:
    """First-order answer to `cause`, (hours, n), with the time constant `hours`."""
    keep, out = math.exp(-1.0 / hours), np.zeros(cause.shape)
    level = np.zeros(cause.shape[1])
    for h in range(len(cause)):
        level = keep * level + (1.0 - keep) * cause[h]
        out[h] = level
    return out
