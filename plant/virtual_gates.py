"""The true risk of a batch at each stage gate: what is fixed after a step, and the rest as it usually is.

The mean of an attribute is a sum of contributions. Each is fixed at a gate: the product and the lots of granulation
when the batch starts, the others when their step has ended. With m the sum of the fixed ones and R that of the others,
which is taken to differ from batch to batch without regard to m, P(out of specification) at the gate is E[risk(m + R)]
over the batches of the history.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from plant.virtual_batches import PRODUCTS, STEP_VALUES, SUPPLIED, Made, spread
from plant.virtual_catalogue import INTERMEDIATES, MATERIALS
from plant.virtual_machines import MACHINES, STEPS
from plant.virtual_quality import ATTRIBUTES, Attribute, attribute_mean, risk

GATES = ("before_start", *(f"after:{s}" for s in STEPS))
_QUANTILES = 200


def _own_gates() -> dict[str, int]:
    """Driver -> index in GATES of the gate at which it is fixed."""
    out = {f"{c.name}.{m.state}": STEPS.index(c.step) + 1 for c in MACHINES for m in c.mechanisms}
    for material in MATERIALS:
        step = STEPS.index(material.step)
        out |= {p.attribute: step + 1 if step else 0 for p in material.properties}
    out |= {i.attribute.attribute: STEPS.index(i.step) + 1 for i in INTERMEDIATES}
    out |= {name: STEPS.index(step) + 1 for name, (_, step) in SUPPLIED.items()}
    return out | {"humidity": STEPS.index("drying") + 1} | {v.name: STEPS.index(v.step) + 1 for v in STEP_VALUES}


FIXED_AT = _own_gates()


def parts(name: str, made: Made) -> dict[int, np.ndarray]:
    """The driver `name` as a sum of what is fixed at each gate; a step value carries what moved it."""
    value = next((v for v in STEP_VALUES if v.name == name), None)
    out: dict[int, np.ndarray] = {}
    if value is not None:
        sd = np.array([spread(value, PRODUCTS[p]) for p in made.names])[made.product]
        for driver, effect in value.effects.items():
            gate = FIXED_AT[driver]
            out[gate] = out.get(gate, np.zeros(len(sd))) + effect * made.drivers[driver] / sd
    rest = made.drivers[name] - sum(out.values(), np.zeros(len(made.ids)))
    gate = FIXED_AT[name]
    out[gate] = out.get(gate, np.zeros(len(made.ids))) + rest
    return out


def gates_truth(made: Made) -> pd.DataFrame:
    """batch_id, attribute, gate, expected_mean, p_out_of_spec of every batch that was sampled, gate by gate."""
    return pd.concat([_of_attribute(a, made) for a in ATTRIBUTES], ignore_index=True)


def _of_attribute(a: Attribute, made: Made) -> pd.DataFrame:
    last = STEPS.index(a.sampled) + 1
    done = np.flatnonzero(~np.isnan(made.end[:, last - 1]))
    by_gate = np.zeros((last + 1, len(made.ids)))
    for name, coefficient in a.effects.items():
        for gate, part in parts(name, made).items():
            by_gate[gate] += coefficient * part
    mean = attribute_mean(a, made)
    level = np.linspace(mean[done].min() - 12 * a.noise, mean[done].max() + 12 * a.noise, 4000)
    danger = risk(a, level)
    ids = np.array(made.ids, dtype=object)[done]
    out = []
    for g in range(last + 1):
        rest = by_gate[g + 1 :].sum(axis=0)[done]
        fixed = mean[done] - rest
        if g == last:
            p, expected = risk(a, mean[done]), mean[done]
        else:
            usual = np.quantile(rest, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)
            p = np.mean([np.interp(fixed + r, level, danger) for r in usual], axis=0)
            expected = fixed + rest.mean()
        frame = {"batch_id": ids, "attribute": a.name, "gate": GATES[g], "expected_mean": expected, "p_out_of_spec": p}
        out.append(pd.DataFrame(frame))
    return pd.concat(out, ignore_index=True)
