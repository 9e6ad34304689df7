"""Canonical words of the virtual plant that both dialects rename: ids, codes, attributes."""

from __future__ import annotations

from plant.virtual_batches import PRODUCTS
from plant.virtual_catalogue import MATERIALS, MAX_UNITS
from plant.virtual_machines import MACHINES, STATES, STEPS
from plant.virtual_orders import CAUSES, PARTS
from plant.virtual_quality import ATTRIBUTES
from plant.virtual_signals import alarm_code

ROOMS = [f"room-{n + 1}" for n in range(MAX_UNITS)]
UNITS = [f"{c.prefix}-{n + 1}" for c in MACHINES for n in range(MAX_UNITS)]
CLASSES = [*(c.name for c in MACHINES), "room"]
AREAS = [*dict.fromkeys(c.area for c in MACHINES), "air_handling"]
LINES = [f"line-{n + 1}" for n in range(MAX_UNITS)]
MODES = [m.failure_mode for _, m in STATES]
MECHANISM_OF = {m.failure_mode: m.mechanism for _, m in STATES}
CLASS_OF = {m.failure_mode: c for c, m in STATES}
EVENT_CODES = [
    *dict.fromkeys(alarm_code(k, m) for k in range(len(MACHINES)) for m in range(3)),
    "safety_stop",
    "drive_fault",
    "process_limit",
    "execute",
    "complete",
    "aborted",
]
REASONS = [
    "breakdown",
    "preventive_maintenance",
    "jam",
    "limit_stop",
    "material_shortage",
    "operator_intervention",
    "sensor_fault",
]
MATERIAL_NAMES = [m.name for m in MATERIALS]
TESTS = [*(a.name for a in ATTRIBUTES), *(p.attribute for m in MATERIALS for p in m.properties)]
TEST_DECIMALS = {a.name: a.decimals for a in ATTRIBUTES} | {
    p.attribute: p.decimals for m in MATERIALS for p in m.properties
}
PRODUCT_NAMES = list(PRODUCTS)
PART_IDS = list(PARTS.values())
CAUSE_NAMES = list(CAUSES)
STEP_NAMES = list(STEPS)


def class_of_unit(equipment: str) -> int:
    """Index in MACHINES of the class of an equipment id; rooms have the next index."""
    prefix = equipment.rsplit("-", 1)[0]
    return next((k for k, c in enumerate(MACHINES) if c.prefix == prefix), len(MACHINES))
