"""Intermediates that the virtual plant makes for itself: batches of their own, which go into several batches.

A material lot reaches the batch through the intermediate: genealogy leads from the batch to the intermediate, and from
the intermediate to the supplier's lot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.virtual_catalogue import MATERIALS, Intermediate, SiteFacts

HOUR, DAY = 60, 1440
KEEPS = 4 * DAY  # an intermediate is used up or thrown away after this many minutes
SUPPLIER = "in-house"


@dataclass(frozen=True)
class MadeHere:
    """genealogy: that of batches and intermediates; batches: the intermediates as `batches` of the contract.

    results: of the laboratory on them, as for lots; driver: standardised true property in each batch; lots: the truth
    about each, tainted where the lot is that it was made of. Minutes.
    """

    genealogy: pd.DataFrame
    batches: pd.DataFrame
    results: pd.DataFrame
    driver: np.ndarray
    lots: pd.DataFrame


def make_intermediate(
    what: Intermediate,
    genealogy: pd.DataFrame,
    lots: pd.DataFrame,
    drivers: dict[str, np.ndarray],
    ids: list[str],
    water: np.ndarray,
    facts: SiteFacts,
    rng: np.random.Generator,
) -> MadeHere:
    """Puts the intermediate between the batches and the lots of its material, in the order of use.

    water: excess of conductivity at each hour. An intermediate is of one lot, for 2 to 4 batches within four days.
    """
    tainted = set(lots.loc[lots["tainted"], "material_lot"])
    truth: list[tuple[object, ...]] = []
    row_of = {b: n for n, b in enumerate(ids)}
    direct = genealogy["material"] == what.material
    of_material = next(m.properties[0].attribute for m in MATERIALS if m.name == what.material)
    p = what.attribute
    driver = np.zeros(len(ids))
    used: list[list[object]] = []
    batches: list[tuple[object, ...]] = []
    results: list[tuple[object, ...]] = []
    issued: list[list[object]] = []
    lot, left, made, z = "", 0, 0, 0.0
    for batch, its_lot, supplier, kg, at in genealogy.loc[
        direct, ["batch_id", "material_lot", "supplier", "quantity", "used_at"]
    ].itertuples(index=False):
        if its_lot != lot or left == 0 or at - made > KEEPS:
            lot, left = its_lot, int(rng.integers(*what.batches))
            made = int(at) - int(rng.integers(2 * HOUR, 20 * HOUR))
            began = made - int(rng.integers(3 * HOUR, 6 * HOUR))
            name = f"{what.prefix}{facts.number}{len(batches) + 1:04d}"
            z = what.carried * float(drivers[of_material][row_of[batch]]) + what.making * float(rng.normal())
            z = float(np.clip(z + what.water * float(water[began // HOUR]), -4.2, 4.2))
            batches.append((name, what.product, what.recipe, began, made, round(100.0 - float(rng.gamma(2.0, 0.4)), 1)))
            truth.append((name, what.name, p.attribute, z, its_lot in tainted))
            sampled = made + int(rng.integers(5, 40))
            value = round(p.mean + p.sd * z + p.error * float(rng.normal()), p.decimals)
            approved = sampled + int(rng.integers(HOUR, 8 * HOUR))
            results.append((name, name, p.attribute, value, p.unit, p.lower, p.upper, sampled, approved))
            issued.append([name, lot, what.material, supplier, 0.0, began - int(rng.integers(10, 60))])
        left -= 1
        issued[-1][4] = round(float(issued[-1][4]) + kg, 2)  # type: ignore[arg-type]
        driver[row_of[batch]] = z
        quantity = round(what.kg * float(rng.uniform(0.98, 1.02)), 2)
        used.append([batch, batches[-1][0], what.name, SUPPLIER, quantity, at])
    columns = list(genealogy.columns)
    frames = [genealogy[~direct], pd.DataFrame(used, columns=columns), pd.DataFrame(issued, columns=columns)]
    table = pd.DataFrame(batches, columns=["batch_id", "product", "recipe", "started_at", "ended_at", "yield_pct"])
    table = table.assign(size=np.nan, line="")
    columns = [
        "batch_id",
        "material_lot",
        "attribute",
        "value",
        "unit",
        "lower_spec",
        "upper_spec",
        "sampled_at",
        "approved_at",
    ]
    return MadeHere(
        pd.concat(frames, ignore_index=True),
        table[["batch_id", "product", "recipe", "size", "line", "started_at", "ended_at", "yield_pct"]],
        pd.DataFrame(results, columns=columns),
        driver,
        pd.DataFrame(truth, columns=list(lots.columns)),
    )
