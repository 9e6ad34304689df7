"""Results of the laboratory, deviations and dispositions of the virtual plant, and the true risk behind them.

Result = base + Σ coefficient × driver + noise × N(0, 1), rounded. The true probability of a result out of
specification is that of the normal distribution around base + Σ, rounding included.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.virtual_batches import DAY, HOUR, PRODUCTS, Made
from plant.virtual_machines import MACHINES, STEPS
from plant.virtual_plant import Run

INVALIDATED, LATE = 0.008, 0.05


@dataclass(frozen=True)
class Attribute:
    """One tested attribute. sampled: step at whose end the sample is taken; median_h: time to approval.

    trend: half width around base outside of which a result within specification is called out of trend.
    """

    name: str
    unit: str
    decimals: int
    sampled: str
    median_h: float
    base: float
    noise: float
    trend: float
    lower: float | None
    upper: float | None
    effects: dict[str, float]


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute("loss_on_drying", "%", 2, "drying", 4.0, 1.95, 0.10, 0.65, 1.0, 2.7, {"end_moisture": 0.17}),
    Attribute(
        "hardness",
        "N",
        1,
        "compression",
        12.0,
        111.0,
        4.0,
        18.0,
        91.0,
        133.0,
        {"main_force_mean": 5.0, "mcc_bulk_density": 2.2, "end_moisture": -1.6, "tablet_press.punch_wear": -13.0},
    ),
    Attribute(
        "assay",
        "%",
        1,
        "coating",
        120.0,
        99.4,
        0.9,
        4.0,
        95.0,
        105.0,
        {
            "tablet_weight_mean": 1.1,
            "granulator.seal_wear": -2.4,
            "tablet_press.feeder_clogging": -1.4,
            "api_particle_size": 0.25,
        },
    ),
    Attribute(
        "dissolution",
        "%",
        1,
        "coating",
        120.0,
        90.8,
        1.5,
        9.5,
        80.0,
        None,
        {
            "api_particle_size": -1.7,
            "main_force_mean": -1.1,
            "stearate_surface_area": -1.1,
            "suspension_viscosity": -0.9,
            "granulator.nozzle_clogging": -5.0,
            "coater.nozzle_clogging": -5.0,
        },
    ),
    Attribute(
        "content_uniformity",
        "%",
        1,
        "coating",
        130.0,
        9.5,
        1.1,
        5.2,
        None,
        15.0,
        {
            "api_particle_size": 0.8,
            "blend_time": -0.8,
            "mcc_bulk_density": 0.4,
            "blender.gearbox_wear": 2.0,
            "tablet_press.feeder_clogging": 4.0,
        },
    ),
    Attribute(
        "impurities_total",
        "%",
        3,
        "coating",
        150.0,
        0.240,
        0.018,
        0.145,
        None,
        0.400,
        {
            "api_impurity": 0.040,
            "end_moisture": 0.022,
            "product_temperature_mean": 0.016,
            "starch_moisture": 0.008,
            "water": 0.006,
        },
    ),
)


@dataclass(frozen=True)
class Quality:
    """Tables of the contract (times in minutes since START) and the true risk of each batch and attribute."""

    lab_results: pd.DataFrame
    deviations: pd.DataFrame
    dispositions: pd.DataFrame
    truth: pd.DataFrame


def _below(x: np.ndarray) -> np.ndarray:
    """Distribution function of the standard normal."""
    return np.array([0.5 * math.erfc(-v / math.sqrt(2.0)) for v in x])


def risk(attribute: Attribute, mean: np.ndarray) -> np.ndarray:
    """True P(out of specification) of a rounded result around `mean`, shape kept."""
    half = 0.5 * 10.0**-attribute.decimals
    out = np.zeros(len(mean))
    if attribute.lower is not None:
        out += _below((attribute.lower - half - mean) / attribute.noise)
    if attribute.upper is not None:
        out += 1.0 - _below((attribute.upper + half - mean) / attribute.noise)
    return out


def _status(a: Attribute, value: float) -> str:
    if (a.lower is not None and value < a.lower) or (a.upper is not None and value > a.upper):
        return "out_of_spec"
    return "out_of_trend" if abs(value - a.base) > a.trend else "in_spec"


def attribute_mean(a: Attribute, made: Made) -> np.ndarray:
    """True mean of an attribute in each batch."""
    shift = np.array([PRODUCTS[name].shift for name in made.names])[made.product]
    effects = sum((c * made.drivers[d] for d, c in a.effects.items()), np.zeros(len(made.ids)))
    return np.asarray(np.maximum(a.base + shift * a.noise + effects, 0.0))


def make_quality(made: Made, run: Run, environment: pd.DataFrame, rng: np.random.Generator) -> Quality:
    """Everything the laboratory and the quality unit record, in order of sampling.

    environment: deviations that rooms have caused, columns as in the contract, without `deviation_id`.
    """
    rows: list[dict[str, object]] = []
    truth: list[pd.DataFrame] = []
    last_approved = np.full(len(made.ids), np.nan)
    out_of_spec: list[tuple[int, float, str]] = []
    for a in ATTRIBUTES:
        step = STEPS.index(a.sampled)
        done = np.flatnonzero(~np.isnan(made.end[:, step]))
        mean = attribute_mean(a, made)
        truth.append(
            pd.DataFrame(
                {
                    "batch_id": [made.ids[b] for b in done],
                    "attribute": a.name,
                    "true_mean": mean[done],
                    "noise_sd": a.noise,
                    "p_out_of_spec": risk(a, mean[done]),
                }
            )
        )
        for b in done:
            value = round(max(float(mean[b] + a.noise * rng.normal()), 0.0), a.decimals)
            sampled = float(made.end[b, step]) + int(rng.integers(5, 90))
            delay = a.median_h * HOUR * math.exp(0.45 * float(rng.normal())) * (3.0 if rng.random() < LATE else 1.0)
            row = {
                "batch_id": made.ids[b],
                "attribute": a.name,
                "value": value,
                "unit": a.unit,
                "lower_spec": a.lower,
                "upper_spec": a.upper,
                "sampled_at": sampled,
                "approved_at": sampled + int(delay),
                "status": _status(a, value),
            }
            if rng.random() < INVALIDATED:  # a laboratory error, found and repeated on a new sample
                wrong = round(max(value * float(rng.choice([0.7, 0.85, 1.2])), 0.0), a.decimals)
                rows.append({**row, "value": wrong, "status": "invalidated"})
                again = int(rng.integers(DAY, 3 * DAY))
                row = {**row, "sampled_at": sampled + again, "approved_at": sampled + again + int(delay)}
            rows.append(row)
            last_approved[b] = np.nanmax([last_approved[b], float(row["approved_at"])])  # type: ignore[arg-type]
            if row["status"] == "out_of_spec":
                out_of_spec.append((int(b), float(row["approved_at"]), a.sampled))  # type: ignore[arg-type]
    batch_results = pd.DataFrame(rows)
    lots = made.lot_results.assign(status="in_spec")
    results = pd.concat([batch_results, lots], ignore_index=True).sort_values(
        ["sampled_at", "attribute"], kind="stable", ignore_index=True
    )
    results.insert(0, "result_id", [f"R{700001 + i}" for i in range(len(results))])
    deviations = _deviations(made, run, out_of_spec, environment, rng)
    rejected = {b for b, _, _ in out_of_spec}
    return Quality(
        results,
        deviations,
        _dispositions(made, last_approved, deviations, rejected, rng),
        pd.concat(truth, ignore_index=True),
    )


def _deviations(
    made: Made,
    run: Run,
    out_of_spec: list[tuple[int, float, str]],
    environment: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    rows: list[tuple[object, ...]] = []
    for b, at, step in out_of_spec:
        opened = at + int(rng.integers(30, DAY))
        severity = "critical" if rng.random() < 0.15 else "major"
        rows.append(
            (
                made.ids[b],
                "",
                step,
                severity,
                "laboratory_result",
                opened,
                opened + int(rng.integers(8 * DAY, 35 * DAY)),
            )
        )
    for f in run.failures:
        if f.batch >= 0 and rng.random() < 0.35:
            unit = run.units[f.unit]
            opened = f.minute + int(rng.integers(30, 12 * HOUR))
            severity = "major" if rng.random() < 0.3 else "minor"
            step = MACHINES[unit.kind].step
            closed = opened + int(rng.integers(3 * DAY, 25 * DAY))
            rows.append((made.ids[f.batch], unit.equipment_id, step, severity, "equipment", opened, closed))
    for b in np.flatnonzero(rng.random(len(made.ids)) < 0.05).tolist():
        if not np.isnan(made.end[b, 5]):
            opened = made.end[b, 5] + int(rng.integers(HOUR, 2 * DAY))
            rows.append(
                (
                    made.ids[b],
                    "",
                    "packaging",
                    "minor",
                    "documentation",
                    opened,
                    opened + int(rng.integers(2 * DAY, 14 * DAY)),
                )
            )
    columns = ["batch_id", "equipment_id", "step", "severity", "category", "opened_at", "closed_at"]
    table = pd.concat([pd.DataFrame(rows, columns=columns), environment[columns]], ignore_index=True)
    table = table.sort_values(["opened_at", "batch_id"], kind="stable", ignore_index=True)
    table.insert(0, "deviation_id", [f"D{30001 + i}" for i in range(len(table))])
    return table


def _dispositions(
    made: Made, last_approved: np.ndarray, deviations: pd.DataFrame, suspicious: set[int], rng: np.random.Generator
) -> pd.DataFrame:
    """Record complete, then reviewed when the last result is approved and the last deviation closed, then decided."""
    closed = deviations.groupby("batch_id")["closed_at"].max()
    rows = []
    for b in np.flatnonzero(~np.isnan(made.end[:, 5])):
        complete = made.end[b, 5] + int(DAY * math.exp(0.6 * float(rng.normal()) + 0.5))
        ready = np.nanmax([complete, last_approved[b], closed.get(made.ids[b], np.nan)])
        reviewed = ready + int(rng.integers(4 * HOUR, 6 * DAY))
        decision = "released" if int(b) not in suspicious else "rejected" if rng.random() < 0.7 else "reworked"
        rows.append((made.ids[b], complete, reviewed, reviewed + int(rng.integers(HOUR, 3 * DAY)), decision))
    return pd.DataFrame(rows, columns=["batch_id", "record_complete_at", "reviewed_at", "disposed_at", "decision"])
