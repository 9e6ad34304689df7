"""What the machines' own systems record: historian readings, alarms and states, minor stops.

A machine that stands sends no readings (the historian stores by exception). While it runs, signal s shows
level + unit + set-up(batch) + product + Σ drift × g(x) + disturbance + noise × (1 + Σ spread × g(x)), with g of
`trace` and the disturbance that of a utility.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from plant.virtual_catalogue import START
from plant.virtual_machines import ROOM_SIGNALS, MachineClass, Signal
from plant.virtual_plant import Run
from plant.virtual_utilities import DISTURBED

ALARM_BASE, ALARM_WORN = 0.004, 0.10  # alarms per running hour of a mechanism, new and at state 1
MACHINE_STOPS = ("material_shortage", "operator_intervention", "sensor_fault", "jam", "limit_stop")
UTILITY_STOPS = ("operator_intervention", "sensor_fault", "limit_stop", "limit_stop")
"""Reasons of minor stops: those without a fault, then a fault, then a fault of a machine that is well worn."""
STOP_BASE, STOP_WORN = 0.010, 0.12  # minor stops per running hour of a machine, and per worn mechanism


def trace(state: np.ndarray) -> np.ndarray:
    """g(x) = (max(0, x - 0.3) / 0.7)^1.6: wear shows with a delay, then ever more."""
    return np.asarray((np.clip(state - 0.3, 0.0, None) / 0.7) ** 1.6)


def times(seconds: np.ndarray) -> pd.Series:
    """Seconds since START as UTC time stamps (datetime64[us, UTC])."""
    return pd.Series(pd.DatetimeIndex(_plain_times(seconds)).tz_localize("UTC"))


def _plain_times(seconds: np.ndarray) -> np.ndarray:
    """Seconds since START as datetime64[us], UTC understood (arrays of aware time stamps are slow)."""
    return np.asarray(np.datetime64(START.tz_localize(None), "us") + seconds.astype("timedelta64[s]"))


def _grid(run: Run, i: int, every_min: int, jitter: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since START of the readings of machine i, and the hour of each; only while it runs."""
    minutes = np.arange(0, run.hours * 60, every_min)
    hour, minute = minutes // 60, minutes % 60
    on = (minute >= run.run_from[hour, i]) & (minute + 1 < run.run_to[hour, i])
    minutes, hour = minutes[on], hour[on]
    return minutes * 60 + jitter.integers(0, 50, len(minutes)), hour


def _values(
    signal: Signal,
    state: np.ndarray,
    names: list[str],
    batch: np.ndarray,
    shift: np.ndarray,
    disturbance: np.ndarray | float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Values of one signal of one machine, (n,); state (n, 3), batch (n,), shift per batch (from 0)."""
    drift, spread = np.zeros(len(batch)) + disturbance, np.ones(len(batch))
    for m, name in enumerate(names):
        if name in signal.traces:
            d, s = signal.traces[name]
            g = trace(state[:, m])
            drift += d * g
            spread += s * g
    unit = rng.normal(0.0, 0.5 * signal.noise)
    setup = rng.normal(0.0, signal.setup, len(shift))
    noise = rng.normal(0.0, signal.noise, len(batch)) * spread
    value = signal.level + unit + setup[batch] + shift[batch] + drift + noise
    return np.round(np.maximum(value, 0.0) if signal.low >= 0.0 else value, signal.decimals)


def machine_readings(
    run: Run,
    every_min: int,
    product: np.ndarray,
    supply: Mapping[str, np.ndarray],
    outages: list[tuple[int, int]],
    rng: np.random.Generator,
) -> list[pd.DataFrame]:
    """One frame per machine and signal: equipment_id, signal, ts (UTC, without saying so), value, quality.

    product: index of the product of each batch, shape (batches,); loads differ a little between products.
    supply: what utilities disturb signals by, at each hour, by the names of `DISTURBED`.
    outages: seconds [from, to) in which the historian stored nothing.
    """
    out: list[pd.DataFrame] = []
    for i, unit in enumerate(run.units):
        kind = run.kind(i)
        seconds, hour = _grid(run, i, every_min, rng)
        keep = np.ones(len(seconds), dtype=bool)
        for begin, end in outages:
            keep &= (seconds < begin) | (seconds >= end)
        seconds, hour = seconds[keep], hour[keep]
        quality = _quality(seconds, rng)
        stamps, state, batch = _plain_times(seconds), run.state[hour, i].astype(np.float64), run.batch[hour, i]
        names = [m.state for m in kind.mechanisms]
        for j, signal in enumerate(kind.signals):
            shift = (product % 3 - 1) * (0.5 + 0.2 * j) * signal.setup
            source, change = DISTURBED.get((kind.name, signal.name), ("", 0.0))
            disturbance = change * supply[source][hour] if source else 0.0
            value = _values(signal, state, names, batch, shift, disturbance, rng)
            value = _stuck(value, rng)
            there = rng.random(len(value)) >= 0.002  # single readings get lost
            out.append(_frame(unit.equipment_id, signal.name, stamps[there], value[there], quality[there]))
    return out


def _quality(seconds: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """0 good, 1 uncertain, 2 bad: single uncertain readings, and hours of a disturbed connection."""
    quality = np.zeros(len(seconds), dtype=np.int8)
    quality[rng.random(len(seconds)) < 0.003] = 1
    if len(seconds):
        for begin in rng.uniform(seconds[0], seconds[-1], rng.poisson((seconds[-1] - seconds[0]) / 86400 / 120)):
            quality[(seconds >= begin) & (seconds < begin + rng.uniform(1, 5) * 3600)] = 2
    return quality


def _stuck(value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sensor that now and then repeats one value for a shift, without saying so."""
    if len(value) > 400 and rng.random() < 0.06:
        begin = int(rng.integers(0, len(value) - 30))
        value[begin : begin + 24] = value[begin]
    return value


def _frame(equipment: str, signal: str, ts: np.ndarray, value: np.ndarray, quality: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "equipment_id": pd.Categorical.from_codes(np.zeros(len(value), np.int8), [equipment]),
            "signal": pd.Categorical.from_codes(np.zeros(len(value), np.int8), [signal]),
            "ts": ts,
            "value": value,
            "quality": pd.Categorical.from_codes(quality, ["good", "uncertain", "bad"]),
        }
    )


def room_humidity(hours: int, rooms: int, mean: float, rng: np.random.Generator) -> np.ndarray:
    """Relative humidity in % at each hour in each room, (hours, rooms): season, day and weather."""
    h = np.arange(hours)
    season = 5.0 * np.sin(2 * np.pi * (h / 8766.0 - 0.3)) + 1.2 * np.sin(2 * np.pi * h / 24.0)
    weather = np.repeat(np.cumsum(rng.normal(0.0, 0.8, hours // 12 + 1)), 12)[:hours]
    weather -= np.convolve(weather, np.ones(336) / 336.0, mode="same")  # no drift over weeks
    return np.asarray(mean + (season + weather)[:, None] + rng.normal(0.0, 0.6, rooms))


def room_readings(rooms: Mapping[str, np.ndarray], rng: np.random.Generator) -> list[pd.DataFrame]:
    """Hourly readings of every room, as `machine_readings` gives them. rooms: signal -> true values (hours, rooms)."""
    hours, count = next(iter(rooms.values())).shape
    out = []
    for r in range(count):
        seconds = np.arange(hours) * 3600 + int(rng.integers(5, 55))
        for signal in ROOM_SIGNALS:
            noise = signal.noise * rng.normal(0.0, 1.0 if signal.name != "relative_humidity" else 0.4, hours)
            value = np.round(np.maximum(rooms[signal.name][:, r] + noise, 0.0), signal.decimals)
            there = np.flatnonzero(rng.random(hours) >= 0.002)
            good = np.zeros(len(there), np.int8)
            out.append(_frame(f"room-{r + 1}", signal.name, _plain_times(seconds[there]), value[there], good))
    return out


def join_readings(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """All readings in one frame with shared categories, in the order of the frames (machine, signal, time)."""
    equipment = list(dict.fromkeys(str(f["equipment_id"].cat.categories[0]) for f in frames))
    signals = list(dict.fromkeys(str(f["signal"].cat.categories[0]) for f in frames))
    lengths = [len(f) for f in frames]
    eq = np.repeat([equipment.index(f["equipment_id"].cat.categories[0]) for f in frames], lengths).astype(np.int16)
    sg = np.repeat([signals.index(f["signal"].cat.categories[0]) for f in frames], lengths).astype(np.int16)
    ts = np.concatenate([f["ts"].to_numpy() for f in frames])
    return pd.DataFrame(
        {
            "equipment_id": pd.Categorical.from_codes(eq, equipment),
            "signal": pd.Categorical.from_codes(sg, signals),
            "ts": pd.Series(pd.DatetimeIndex(ts).tz_localize("UTC")),
            "value": np.concatenate([f["value"].to_numpy() for f in frames]),
            "quality": pd.Categorical.from_codes(
                np.concatenate([f["quality"].cat.codes.to_numpy() for f in frames]), ["good", "uncertain", "bad"]
            ),
        }
    )


def alarm_code(kind: MachineClass, m: int) -> str:
    """Alarm that mechanism m of a class raises: the limit of the signal that shows it best."""
    state = kind.mechanisms[m].state
    signals = [s for s in kind.signals if state in s.traces]
    return max(signals, key=lambda s: abs(s.traces[state][0]) / s.noise).name + "_limit"


def events(run: Run, rng: np.random.Generator) -> pd.DataFrame:
    """Alarms (ever more with wear), errors (one at each failure), states (execute, held, complete).

    Columns: seconds, equipment_id, kind, code, value; `seconds` since START. Sorted by time.
    """
    parts: list[pd.DataFrame] = []
    length = (run.run_to - run.run_from).astype(np.float64) / 60.0
    for i, unit in enumerate(run.units):
        for m in range(3):
            rate = (ALARM_BASE + ALARM_WORN * trace(run.state[:, i, m]) ** 1.5) * length[:, i]
            count = rng.poisson(rate)
            hour = np.repeat(np.arange(run.hours), count)
            minute = run.run_from[hour, i] + rng.random(len(hour)) * (run.run_to[hour, i] - run.run_from[hour, i])
            value = np.round(1.0 + 4.0 * trace(run.state[hour, i, m]) + rng.exponential(0.6, len(hour)), 1)
            alarms = {"seconds": (hour * 3600 + minute * 60).astype(np.int64), "equipment_id": unit.equipment_id}
            parts.append(pd.DataFrame(alarms | {"kind": "alarm", "code": alarm_code(run.kind(i), m), "value": value}))
    records: list[tuple[int, str, str, str]] = []
    for f in run.failures:
        unit = run.units[f.unit]
        # The controller shuts the machine down; it does not know which part it was.
        code = "safety_stop" if rng.random() < 0.3 else "drive_fault" if rng.random() < 0.5 else "process_limit"
        records.append((f.minute * 60 + int(rng.integers(0, 20)), unit.equipment_id, "error", code))
        records.append((f.minute * 60 + 25, unit.equipment_id, "state", "aborted"))
    for s in run.steps:
        unit = run.units[s.unit]
        records.append(((s.start * 60 + s.start_minute) * 60, unit.equipment_id, "state", "execute"))
        if s.end is not None:
            records.append((((s.end - 1) * 60 + s.end_minute) * 60, unit.equipment_id, "state", "complete"))
    parts.append(pd.DataFrame(records, columns=["seconds", "equipment_id", "kind", "code"]))
    parts[-1]["value"] = np.nan
    table = pd.concat([p for p in parts if len(p)], ignore_index=True)
    return table.sort_values(["seconds", "equipment_id", "kind", "code"], kind="stable", ignore_index=True)


def minor_stops(run: Run, rng: np.random.Generator, reasons: tuple[str, ...], share: float = 1.0) -> pd.DataFrame:
    """Short stops of running machines: equipment_id, start and end (minutes since START), reason.

    reasons: as in MACHINE_STOPS; share: of the usual rate. At most one an hour, inside whole running hours, so that
    stops never overlap each other or a breakdown.
    """
    whole = (run.run_from == 0) & (run.run_to == 60)
    wear = trace(run.state).astype(np.float64)
    rate = share * (STOP_BASE + STOP_WORN * wear.sum(axis=2))
    hour, i = np.nonzero(whole & (rng.random(whole.shape) < 1.0 - np.exp(-rate)))
    start = hour * 60 + rng.integers(0, 40, len(hour))
    minutes = np.minimum(2 + rng.exponential(4.0, len(hour)).astype(np.int64), 18)
    worn = rng.random(len(hour)) < share * STOP_WORN * wear.sum(axis=2)[hour, i] / rate[hour, i]
    *usual, fault, worse = reasons
    other = np.array(usual)[rng.integers(0, len(usual), len(hour))]
    mine = np.where(wear[hour, i].max(axis=1) > 0.5, worse, fault)
    names = np.array([u.equipment_id for u in run.units])
    frame = {"equipment_id": names[i], "start": start, "end": start + minutes, "reason": np.where(worn, mine, other)}
    return pd.DataFrame(frame)
