"""Batches of the virtual plant: products, material lots, step values, and the drivers of quality that follow.

A *driver* is one number for each batch that moves a quality attribute: the standardised property of a material
lot, the standardised value of a step, the wear (g of `virtual_signals.trace`) of a machine while the step ran, or what
the utilities lacked then.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from plant.virtual_catalogue import MATERIALS, SUSPENSION, Property, SiteFacts
from plant.virtual_intermediates import make_intermediate
from plant.virtual_machines import MACHINES, MAKING, STEPS
from plant.virtual_plant import Run
from plant.virtual_signals import trace
from plant.virtual_supply import Supply, room_of

HOUR, DAY = 60, 1440
LOT_BATCHES = (8, 16)  # a lot lasts for about this many batches
TAINTED = 0.05  # share of lots with a property near its limit


SUPPLIED: dict[str, tuple[str, str]] = {
    "water": ("water", "granulation"),
    "compressed_air_coating": ("compressed_air", "coating"),
    "compressed_air_packaging": ("compressed_air", "packaging"),
}
"""Drivers from utilities: what they lack, on average while the step runs."""


@dataclass(frozen=True)
class Product:
    """Set-points that depend on the product; shift: of its quality attributes, in their noise."""

    recipe: str
    size: float
    force: float
    weight: float
    shift: float


PRODUCTS: dict[str, Product] = {
    "Cardivol 50 mg": Product("CV50-R3", 1_200_000, 13.0, 180.0, -0.3),
    "Cardivol 100 mg": Product("CV100-R3", 900_000, 15.0, 260.0, 0.0),
    "Febrilan 500 mg": Product("FE500-R2", 500_000, 18.5, 620.0, 0.3),
    "Dolorix 200 mg": Product("DX200-R1", 700_000, 16.0, 400.0, 0.1),
}


@dataclass(frozen=True)
class StepValue:
    """A value recorded in a step. True value = set-point + unit + Σ effect × driver + noise.

    effects: driver -> change at driver 1, in the unit of the value. set-point None: taken from the product.
    """

    name: str
    step: str
    unit: str
    decimals: int
    setpoint: float | None
    sd: float
    effects: dict[str, float] = field(default_factory=dict)


STEP_VALUES: tuple[StepValue, ...] = (
    StepValue("binder_spray_rate", "granulation", "g/min", 1, 320.0, 8.0, {"granulator.nozzle_clogging": -20.0}),
    StepValue("impeller_power_end", "granulation", "kW", 2, 11.5, 0.5, {"api_particle_size": -0.2, "water": 0.08}),
    StepValue("inlet_temperature_mean", "drying", "degC", 1, 62.0, 0.8, {"fluid_bed_dryer.heater_fouling": -2.8}),
    StepValue(
        "end_moisture",
        "drying",
        "%",
        2,
        1.95,
        0.17,
        {
            "fluid_bed_dryer.heater_fouling": 0.40,
            "fluid_bed_dryer.filter_clogging": 0.25,
            "humidity": 0.10,
            "lactose_moisture": 0.08,
            "starch_moisture": 0.05,
        },
    ),
    StepValue("blend_time", "blending", "min", 1, 18.0, 0.8),
    StepValue("main_force_mean", "compression", "kN", 2, None, 0.45),
    StepValue(
        "main_force_sd",
        "compression",
        "kN",
        3,
        0.45,
        0.05,
        {"tablet_press.feeder_clogging": 0.50, "tablet_press.punch_wear": 0.20},
    ),
    StepValue("tablet_weight_mean", "compression", "mg", 1, None, 0.9),
    StepValue(
        "coating_spray_rate",
        "coating",
        "g/min",
        0,
        180.0,
        5.0,
        {"coater.nozzle_clogging": -12.0, "compressed_air_coating": -3.0},
    ),
    StepValue("product_temperature_mean", "coating", "degC", 1, 44.0, 0.7, {"coater.exhaust_filter_clogging": 1.3}),
    StepValue(
        "sealing_temperature_mean", "packaging", "degC", 1, 185.0, 0.8, {"blister_line.sealing_plate_fouling": -3.2}
    ),
    StepValue(
        "blister_rejects",
        "packaging",
        "1",
        0,
        140.0,
        30.0,
        {"blister_line.feed_wear": 160.0, "compressed_air_packaging": 30.0},
    ),
)


@dataclass
class Made:
    """The batches of a run. Times in minutes since START, NaN where a step has not ended.

    start, end, unit: (batches, 6), unit -1 where the step has not begun. drivers: name -> (batches,).
    """

    ids: list[str]
    product: np.ndarray
    names: list[str]
    start: np.ndarray
    end: np.ndarray
    unit: np.ndarray
    drivers: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    genealogy: pd.DataFrame
    lot_results: pd.DataFrame
    intermediates: pd.DataFrame
    lots: pd.DataFrame


def make_batches(
    run: Run, facts: SiteFacts, supply: Supply, rng: np.random.Generator, making: np.random.Generator
) -> Made:
    """All batches that began before the end of the run, with lots, drivers and recorded step values."""
    n = 1 + max(s.batch for s in run.steps)
    start, end = np.full((n, 6), np.nan), np.full((n, 6), np.nan)
    unit = np.full((n, 6), -1)
    for s in run.steps:
        start[s.batch, s.step], unit[s.batch, s.step] = s.start * HOUR + s.start_minute, s.unit
        if s.end is not None:
            end[s.batch, s.step] = (s.end - 1) * HOUR + s.end_minute
    ids = [f"B{facts.first_batch + b}" for b in range(n)]
    product = campaigns(n, len(facts.products), rng)
    genealogy, lot_results, drivers, lots = _lots(start, product, ids, facts, rng)
    drivers |= _wear(run, n, supply)
    made = make_intermediate(SUSPENSION, genealogy, lots, drivers, ids, supply.by_name["water"], facts, making)
    drivers[SUSPENSION.attribute.attribute] = made.driver
    lot_results = pd.concat([lot_results, made.results], ignore_index=True)
    values, standardised = _step_values(run, facts, product, unit, drivers, rng)
    return Made(
        ids,
        product,
        list(facts.products),
        start,
        end,
        unit,
        drivers | standardised,
        values,
        made.genealogy,
        lot_results,
        made.batches,
        pd.concat([lots, made.lots], ignore_index=True),
    )


def campaigns(n: int, products: int, rng: np.random.Generator) -> np.ndarray:
    """Index of the product of each batch; products are made in campaigns of 3 to 8 batches."""
    out: list[int] = []
    while len(out) < n:
        out += [int(rng.integers(products))] * int(rng.integers(3, 9))
    return np.array(out[:n])


def _wear(run: Run, n: int, supply: Supply) -> dict[str, np.ndarray]:
    """Mean of g(x) of each mechanism while the step ran on its machine, and of what rooms and utilities gave then."""
    out = {f"{c.name}.{m.state}": np.zeros(n) for c in MACHINES for m in c.mechanisms}
    out |= {name: np.zeros(n) for name in ("humidity", *SUPPLIED)}
    humidity = supply.rooms["relative_humidity"]
    g = trace(run.state)
    for s in run.steps:
        hours = slice(s.start, s.end or run.hours)
        for m, mean in enumerate(g[hours, s.unit].mean(axis=0)):
            out[f"{MACHINES[s.step].name}.{MACHINES[s.step].mechanisms[m].state}"][s.batch] = mean
        if STEPS[s.step] == "drying":  # in units of 6 %
            room = room_of(STEPS[s.step], humidity.shape[1])
            out["humidity"][s.batch] = (humidity[hours, room].mean() - 42.0) / 6.0
        for name, (source, step) in SUPPLIED.items():
            if STEPS[s.step] == step:
                out[name][s.batch] = supply.by_name[source][hours].mean()
    return out


def _lots(
    start: np.ndarray, product: np.ndarray, ids: list[str], facts: SiteFacts, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, np.ndarray], pd.DataFrame]:
    """Genealogy, results of the lots, the standardised true property of the lot in each batch, and that of each lot."""
    used: list[tuple[object, ...]] = []
    results: list[tuple[object, ...]] = []
    lots: list[tuple[object, ...]] = []
    drivers = {p.attribute: np.zeros(len(ids)) for m in MATERIALS for p in m.properties}
    for material in MATERIALS:
        step = STEPS.index(material.step)
        suppliers = list(material.suppliers)
        current: dict[int, tuple[str, str, dict[str, float], int]] = {}
        number = 0
        for b in np.argsort(np.where(np.isnan(start[:, step]), np.inf, start[:, step]), kind="stable"):
            if np.isnan(start[b, step]):
                break
            at = int(start[b, step]) - int(rng.integers(20, 150))
            key = int(product[b]) if material.name == "api" else 0
            lot, supplier, z, left = current.get(key, ("", "", {}, 0))
            if left == 0:
                number += 1
                lot = f"{material.name[:3].upper()}{facts.number}{number:04d}"
                supplier, left = str(rng.choice(suppliers)), int(rng.integers(*LOT_BATCHES))
                drawn = {p.attribute: _property(p, material.suppliers[supplier], rng) for p in material.properties}
                z = {name: value for name, (value, _) in drawn.items()}
                lots += [(lot, material.name, name, value, tainted) for name, (value, tainted) in drawn.items()]
                received = at - int(rng.integers(14 * DAY, 40 * DAY))
                for p in material.properties:
                    sampled = received + int(rng.integers(4 * HOUR, 2 * DAY))
                    approved = sampled + int(rng.integers(3 * DAY, 10 * DAY))
                    value = round(p.mean + p.sd * z[p.attribute] + p.error * float(rng.normal()), p.decimals)
                    results.append((lot, p.attribute, value, p.unit, p.lower, p.upper, sampled, approved))
            current[key] = (lot, supplier, z, left - 1)
            used.append(
                (ids[b], lot, material.name, supplier, round(material.kg * float(rng.uniform(0.99, 1.01)), 2), at)
            )
            for name, value in z.items():
                drivers[name][b] = value
    genealogy = pd.DataFrame(used, columns=["batch_id", "material_lot", "material", "supplier", "quantity", "used_at"])
    columns = ["material_lot", "attribute", "value", "unit", "lower_spec", "upper_spec", "sampled_at", "approved_at"]
    truth = pd.DataFrame(lots, columns=["material_lot", "material", "attribute", "z", "tainted"])
    return genealogy, pd.DataFrame(results, columns=columns), drivers, truth


def _property(p: Property, shift: float, rng: np.random.Generator) -> tuple[float, bool]:
    """Standardised true property of a new lot, kept a little inside its specification (worse is not received).

    And whether the lot is tainted.
    """
    z = shift + float(rng.normal())
    tainted = bool(rng.random() < TAINTED)
    if tainted:
        z += float(rng.choice([-1.0, 1.0])) * 2.5
    high = np.inf if p.upper is None else (p.upper - p.mean) / p.sd - 4 * p.error / p.sd
    low = (0.0 if p.lower is None else p.lower) - p.mean
    return float(np.clip(z, low / p.sd + 4 * p.error / p.sd, high)), tainted


def setpoint(value: StepValue, product: Product) -> float:
    """Set-point of a step value for a product."""
    if value.setpoint is not None:
        return value.setpoint
    return product.force if value.name == "main_force_mean" else product.weight


def spread(value: StepValue, product: Product) -> float:
    """Standard deviation of a step value between batches; tablet weight scatters with the weight."""
    return 0.005 * product.weight if value.name == "tablet_weight_mean" else value.sd


def _step_values(
    run: Run,
    facts: SiteFacts,
    product: np.ndarray,
    unit: np.ndarray,
    drivers: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Recorded values (rounded, NaN where the step has not begun) and their standardised true values."""
    values, standardised = {}, {}
    facts_of = [PRODUCTS[name] for name in facts.products]
    for v in STEP_VALUES:
        on = unit[:, STEPS.index(v.step)]
        sd = np.array([spread(v, p) for p in facts_of])[product]
        offset = rng.normal(0.0, 0.4, len(run.units))[on] * sd
        effect = sum((c * drivers[name] for name, c in v.effects.items()), np.zeros(len(on)))
        target = np.array([setpoint(v, p) for p in facts_of])[product]
        true = target + offset + effect + rng.normal(0.0, 1.0, len(on)) * sd
        true = np.maximum(true, 0.02 * target)
        values[v.name] = np.where(on >= 0, np.round(true, v.decimals), np.nan)
        standardised[v.name] = (true - target) / sd
    return values, standardised


def batch_table(made: Made, rng: np.random.Generator) -> pd.DataFrame:
    """`batches` of the contract, times in minutes."""
    facts_of = [PRODUCTS[made.names[p]] for p in made.product]
    loss = (
        2.0
        + rng.gamma(2.0, 0.5, len(made.ids))
        + 1.2 * made.drivers["tablet_press.feeder_clogging"]
        + 0.8 * made.drivers["blister_line.feed_wear"]
    )
    own = pd.DataFrame(
        {
            "batch_id": made.ids,
            "product": [made.names[p] for p in made.product],
            "recipe": [p.recipe for p in facts_of],
            "size": [p.size for p in facts_of],
            "line": [f"line-{int(p) % 3 + 1}" for p in made.product],
            "started_at": made.start[:, 0],
            "ended_at": made.end[:, 5],
            "yield_pct": np.round(100.0 - loss, 1),
        }
    )
    return pd.concat([own, made.intermediates], ignore_index=True)


def step_table(made: Made, run: Run) -> pd.DataFrame:
    """`batch_steps` of the contract with recorded values, times in minutes, in the order in which steps began."""
    names = [u.equipment_id for u in run.units]
    parts = []
    for s, step in enumerate(STEPS):
        begun = np.flatnonzero(made.unit[:, s] >= 0)
        part = pd.DataFrame(
            {
                "batch_id": [made.ids[b] for b in begun],
                "step": step,
                "equipment_id": [names[u] for u in made.unit[begun, s]],
                "started_at": made.start[begun, s],
                "ended_at": made.end[begun, s],
            }
        )
        for v in STEP_VALUES:
            part[v.name] = made.values[v.name][begun] if v.step == step else np.nan
        parts.append(part)
    making = made.intermediates[["batch_id", "started_at", "ended_at"]].assign(step=MAKING, equipment_id="")
    parts.append(making.reindex(columns=parts[0].columns))
    return pd.concat(parts, ignore_index=True).sort_values(["started_at", "batch_id"], kind="stable", ignore_index=True)
