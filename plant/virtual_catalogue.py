"""What else the virtual plant is made of: sizes, the two sites, products' materials.

Declarations only. Every figure here is invented: this is a simulation, no plant's data.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

START = pd.Timestamp("2025-01-01", tz="UTC")
"""Minute 0 and hour 0 of every simulated history."""


@dataclass(frozen=True)
class Size:
    """How much of a plant: days, machines per class (order of MACHINES), rooms, hours between batches.

    every_min: minutes between readings of a running machine. wear: factor on all wear rates.
    truth_h: hours between rows of the truth. utilities: systems per class (order of UTILITIES).
    preventive_every_h: hours between preventive orders of a machine or utility.
    """

    days: int
    units: tuple[int, int, int, int, int, int]
    rooms: int
    batch_every_h: float
    every_min: int
    wear: float = 1.0
    truth_h: int = 1
    utilities: tuple[int, int, int] = (1, 1, 1)
    preventive_every_h: int = 84 * 24


@dataclass(frozen=True)
class SiteFacts:
    """What makes one simulated site differ from the other in substance (names and formats are its dialect)."""

    number: int
    dialect: str
    language: str
    products: tuple[str, ...]
    sizes: dict[str, Size]
    humidity: float
    first_batch: int
    first_order: int


SITES: dict[str, SiteFacts] = {
    "virtual_dublin": SiteFacts(
        1,
        "dublin",
        "en",
        ("Cardivol 50 mg", "Cardivol 100 mg", "Febrilan 500 mg"),
        {
            "tiny": Size(60, (2, 2, 2, 3, 2, 3), 1, 15.0, 60, wear=1.7),
            "demo": Size(365, (3, 3, 3, 5, 3, 5), 3, 10.4, 20, utilities=(3, 2, 3)),
            "large": Size(730, (11, 11, 11, 19, 11, 19), 8, 2.75, 20, truth_h=6, utilities=(6, 4, 4)),
        },
        43.0,
        2500001,
        100201,
    ),
    "virtual_graz": SiteFacts(
        2,
        "graz",
        "de",
        ("Cardivol 100 mg", "Febrilan 500 mg", "Dolorix 200 mg"),
        {
            "tiny": Size(60, (2, 2, 2, 2, 2, 3), 1, 16.0, 60, wear=1.8),
            "demo": Size(365, (3, 4, 3, 4, 4, 4), 2, 11.2, 20, utilities=(3, 3, 2)),
            "large": Size(730, (11, 14, 11, 15, 14, 15), 6, 3.1, 20, truth_h=6, utilities=(6, 4, 4)),
        },
        41.0,
        7100001,
        400301,
    ),
}

MAX_UNITS = 20
"""Crosswalks of the site folders name this many machines of each class, enough for every size."""


@dataclass(frozen=True)
class Intermediate:
    """What the plant makes for itself of one material and water, a batch of its own that goes into several others.

    batches: how many it lasts for (from, below). kg: per batch that uses it. carried: share of the material's
    standardised property that shows in its own one, the rest is its making: z = carried * z + making * N(0, 1)
    + water * excess of conductivity. attribute: what the laboratory measures on it.
    """

    name: str
    product: str
    recipe: str
    prefix: str
    material: str
    step: str
    batches: tuple[int, int]
    kg: float
    carried: float
    making: float
    water: float
    attribute: Property


@dataclass(frozen=True)
class Property:
    """What the laboratory measures on a material lot. True value = mean + shift of the supplier + sd × z."""

    attribute: str
    unit: str
    decimals: int
    mean: float
    sd: float
    error: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Material:
    """A material, its suppliers with the shift of their lots (in sd), the step it is issued to, kg per batch."""

    name: str
    suppliers: dict[str, float]
    step: str
    kg: float
    properties: tuple[Property, ...]


MATERIALS: tuple[Material, ...] = (
    Material(
        "api",
        {"Astrachem": -0.3, "Novasynth": 0.5},
        "granulation",
        60.0,
        (
            Property("api_particle_size", "um", 1, 85.0, 9.0, 1.2, 50.0, 130.0),
            Property("api_impurity", "%", 3, 0.120, 0.030, 0.004, None, 0.300),
        ),
    ),
    Material(
        "lactose",
        {"Lactora": 0.0, "DairyPure": 0.4},
        "granulation",
        120.0,
        (Property("lactose_moisture", "%", 2, 5.00, 0.25, 0.05, 4.0, 6.5),),
    ),
    Material(
        "mcc",
        {"Cellutec": 0.0, "Fibramed": -0.4},
        "granulation",
        80.0,
        (Property("mcc_bulk_density", "g/ml", 3, 0.320, 0.015, 0.003, 0.25, 0.40),),
    ),
    Material(
        "starch",
        {"Amylon": 0.0},
        "granulation",
        30.0,
        (Property("starch_moisture", "%", 2, 11.0, 0.60, 0.10, 8.0, 14.0),),
    ),
    Material(
        "magnesium_stearate",
        {"Lubrisol": 0.0, "Peterhoff": 0.6},
        "blending",
        3.0,
        (Property("stearate_surface_area", "m2/g", 2, 7.50, 0.80, 0.15, 4.0, 12.0),),
    ),
    Material(
        "film_coat",
        {"Colorfilm": 0.0},
        "coating",
        9.0,
        (Property("film_viscosity", "mPa*s", 0, 250.0, 18.0, 4.0, 170.0, 330.0),),
    ),
)

SUSPENSION = Intermediate(
    "coating_suspension",
    "Coating suspension",
    "CS-R1",
    "CS",
    "film_coat",
    "coating",
    (2, 5),
    45.0,
    0.9,
    0.35,
    0.15,
    Property("suspension_viscosity", "mPa*s", 0, 310.0, 20.0, 4.0, 220.0, 400.0),
)
"""Made of film coat and purified water; its making is a step of its own (`suspension`), on no recorded equipment."""

INTERMEDIATES: tuple[Intermediate, ...] = (SUSPENSION,)
