"""Canonical words of the virtual plant that both dialects rename: ids, codes, attributes."""

from __future__ import annotations

from plant.virtual_batches import PRODUCTS
from plant.virtual_catalogue import INTERMEDIATES, MATERIALS, MAX_UNITS
from plant.virtual_machines import MAKING, ROOM_SIGNALS, STEPS, Signal
from plant.virtual_orders import CAUSES, PARTS
from plant.virtual_quality import ATTRIBUTES
from plant.virtual_signals import alarm_code
from plant.virtual_utilities import KINDS, STATES

ROOMS = [f"room-{n + 1}" for n in range(MAX_UNITS)]
UNITS = [f"{c.prefix}-{n + 1}" for c in KINDS for n in range(MAX_UNITS)]
CLASSES = [*(c.name for c in KINDS), "room"]
AREAS = list(dict.fromkeys(c.area for c in KINDS))
LINES = [f"line-{n + 1}" for n in range(MAX_UNITS)]
MODES = [m.failure_mode for _, m in STATES]
MECHANISM_OF = {m.failure_mode: m.mechanism for _, m in STATES}
CLASS_OF = {m.failure_mode: c for c, m in STATES}
EVENT_CODES = [
    *dict.fromkeys(alarm_code(c, m) for c in KINDS for m in range(3)),
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
MATERIAL_NAMES = [*(m.name for m in MATERIALS), *(i.name for i in INTERMEDIATES)]
_OF_LOTS = [*(p for m in MATERIALS for p in m.properties), *(i.attribute for i in INTERMEDIATES)]
TESTS = [*(a.name for a in ATTRIBUTES), *(p.attribute for p in _OF_LOTS)]
TEST_DECIMALS = {a.name: a.decimals for a in ATTRIBUTES} | {p.attribute: p.decimals for p in _OF_LOTS}
PRODUCT_NAMES = [*PRODUCTS, *(i.product for i in INTERMEDIATES)]
PART_IDS = list(PARTS.values())
CAUSE_NAMES = list(CAUSES)
STEP_NAMES = [*STEPS, MAKING]


def class_of_unit(equipment: str) -> int:
    """Index in CLASSES of the class of an equipment id."""
    prefix = equipment.rsplit("-", 1)[0]
    return next((k for k, c in enumerate(KINDS) if c.prefix == prefix), len(KINDS))


def signals_of(kind: int) -> tuple[Signal, ...]:
    """Signals of a class, by its index in CLASSES."""
    return KINDS[kind].signals if kind < len(KINDS) else ROOM_SIGNALS
