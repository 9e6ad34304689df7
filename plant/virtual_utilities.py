"""Utilities of the virtual plant: air handling, purified water, compressed air; and what they do to rooms and machines.

Declarations only; `virtual_supply` runs them. They run all the time, so a life is given in hours of the year. Every
figure here is invented: this is a simulation, no plant's data.
"""

from __future__ import annotations

from plant.virtual_machines import MACHINES, ROOM_SIGNALS, MachineClass, Mechanism, Signal
from plant.virtual_machines import words_of as _words

# fmt: off
UTILITIES: tuple[MachineClass, ...] = (
    MachineClass(
        "air_handling_unit", "ahu", "air_handling", "", (0, 0),
        (
            Mechanism("filter_clogging", "supply_filter_blockage", "blockage", "expected_wear", 1100.0, _words(
                ("supply filter dp too high, room pressure low", "filter F9 blocked, no airflow"),
                ("Zuluftfilter zu, Raumdruck zu niedrig", "Filter F9 verstopft, kein Volumenstrom")),
                repair_h=3.0, part_price=310.0),
            Mechanism("belt_wear", "supply_fan_failure", "wear", "expected_wear", 1350.0, _words(
                ("fan belt torn, unit stopped", "fan bearing noisy, vibration alarm"),
                ("Keilriemen gerissen, Anlage steht", "Ventilatorlager laut, Schwingung Alarm")),
                repair_h=5.0, part_price=480.0),
            Mechanism("coil_fouling", "dehumidifier_failure", "degradation", "material_deposit", 1250.0, _words(
                ("humidity in room out of control, coil fouled", "dehumidifier coil leaking, valve fully open"),
                ("Raumfeuchte nicht regelbar, Register verschmutzt", "Entfeuchter undicht, Ventil ganz offen")),
                repair_h=6.0, part_price=920.0),
        ),
        (
            Signal("supply_filter_pressure_drop", "Pa", 0, 180.0, 8.0, 0.0, 80.0, 420.0,
                {"filter_clogging": (150.0, 0.5)}),
            Signal("supply_air_flow", "l/s", 0, 3300.0, 45.0, 0.0, 2600.0, 3800.0,
                {"filter_clogging": (-230.0, 0.3), "belt_wear": (-150.0, 0.6)}),
            Signal("supply_fan_vibration", "mm/s", 2, 1.9, 0.2, 0.0, 0.4, 5.0, {"belt_wear": (2.4, 0.7)}),
            Signal("coil_valve_position", "%", 1, 42.0, 2.2, 0.0, 5.0, 95.0, {"coil_fouling": (27.0, 0.6)}),
        ),
    ),
    MachineClass(
        "purified_water_system", "water", "utilities", "", (0, 0),
        (
            Mechanism("membrane_fouling", "membrane_blockage", "blockage", "material_deposit", 880.0, _words(
                ("RO conductivity above limit, membrane fouled", "RO feed pressure too high, low permeate"),
                ("RO Leitfähigkeit über Grenzwert, Membran verblockt", "RO Druck zu hoch, wenig Permeat")),
                repair_h=8.0, part_price=1400.0),
            Mechanism("pump_seal_wear", "loop_pump_leak", "leakage", "expected_wear", 1020.0, _words(
                ("loop pump leaking at mechanical seal", "no pressure in loop, pump tripped"),
                ("Loop-Pumpe undicht, Gleitringdichtung", "kein Druck im Loop, Pumpe ausgefallen")),
                repair_h=5.0, part_price=390.0),
            Mechanism("lamp_ageing", "uv_lamp_failure", "degradation", "expected_wear", 960.0, _words(
                ("UV lamp failed, TOC alarm", "UV intensity low"),
                ("UV-Lampe ausgefallen, TOC Alarm", "UV Intensität zu gering")),
                repair_h=2.5, part_price=260.0),
        ),
        (
            Signal("conductivity", "uS/cm", 2, 0.80, 0.04, 0.0, 0.3, 1.30, {"membrane_fouling": (0.45, 0.8)}),
            Signal("feed_pressure", "kPa", 0, 1150.0, 18.0, 0.0, 900.0, 1500.0, {"membrane_fouling": (210.0, 0.5)}),
            Signal("loop_flow", "l/min", 1, 210.0, 2.5, 0.0, 170.0, 240.0, {"pump_seal_wear": (-16.0, 0.6)}),
            Signal("loop_pump_vibration", "mm/s", 2, 1.4, 0.18, 0.0, 0.3, 4.5, {"pump_seal_wear": (1.9, 0.7)}),
            Signal("uv_intensity", "%", 1, 96.0, 1.2, 0.0, 60.0, 110.0, {"lamp_ageing": (-26.0, 0.8)}),
            Signal("toc", "ug/l", 0, 48.0, 4.0, 0.0, 5.0, 250.0, {"lamp_ageing": (36.0, 0.8)}),
        ),
    ),
    MachineClass(
        "compressed_air_system", "compressor", "utilities", "", (0, 0),
        (
            Mechanism("valve_wear", "compressor_valve_failure", "wear", "lubrication", 960.0, _words(
                ("compressor hot, discharge valve broken", "air pressure falls, compressor runs without end"),
                ("Verdichter heiß, Druckventil gebrochen", "Netzdruck fällt, Verdichter läuft durch")),
                repair_h=8.0, part_price=870.0),
            Mechanism("dryer_saturation", "air_dryer_failure", "degradation", "expected_wear", 860.0, _words(
                ("dew point alarm, desiccant saturated", "water in air lines, dryer does not switch"),
                ("Taupunkt Alarm, Trockenmittel gesättigt", "Wasser in Druckluft, Trockner schaltet nicht um")),
                repair_h=5.0, part_price=640.0),
            Mechanism("separator_clogging", "oil_separator_blockage", "blockage", "lubrication", 900.0, _words(
                ("oil separator blocked, dp high", "motor overload, separator to be changed"),
                ("Ölabscheider zu, dp hoch", "Motor Überlast, Abscheider wechseln")),
                repair_h=3.5, part_price=330.0),
        ),
        (
            Signal("air_pressure", "kPa", 1, 690.0, 5.0, 0.0, 600.0, 760.0,
                {"valve_wear": (-34.0, 0.8), "separator_clogging": (-8.0, 0.2)}),
            Signal("discharge_temperature", "degC", 1, 82.0, 1.4, 0.0, 60.0, 110.0, {"valve_wear": (15.0, 0.5)}),
            Signal("dew_point", "degC", 1, -40.0, 1.0, 0.0, -60.0, -20.0, {"dryer_saturation": (13.0, 0.9)}),
            Signal("separator_pressure_drop", "kPa", 1, 20.0, 1.4, 0.0, 5.0, 60.0,
                {"separator_clogging": (21.0, 0.6)}),
            Signal("motor_current", "A", 1, 145.0, 2.5, 0.0, 110.0, 185.0,
                {"separator_clogging": (11.0, 0.4), "valve_wear": (9.0, 0.3)}),
        ),
    ),
)
# fmt: on

KINDS: tuple[MachineClass, ...] = (*MACHINES, *UTILITIES)
"""All classes that fail. What is indexed by class (ids, codes, words) follows this order; rooms come last."""

STATES: tuple[tuple[str, Mechanism], ...] = tuple((c.name, m) for c in KINDS for m in c.mechanisms)
SIGNALS: dict[str, Signal] = {s.name: s for c in KINDS for s in c.signals} | {s.name: s for s in ROOM_SIGNALS}
"""By name. A name means the same quantity, unit and resolution on every class that has it."""

ROOM_WEAR: dict[str, dict[str, float]] = {
    "room_temperature": {"coil_fouling": 0.8, "belt_wear": 0.4},
    "relative_humidity": {"coil_fouling": 4.0},
    "differential_pressure": {"filter_clogging": -2.8, "belt_wear": -2.2},
}
"""What a worn air handling unit does to the rooms that it serves, at g = 1, in the unit of the signal."""

ROOM_FAILED: dict[str, tuple[float, float]] = {
    "room_temperature": (4.0, 5.0),
    "relative_humidity": (13.0, 6.0),
    "differential_pressure": (-12.5, 0.7),
}
"""Where a room drifts to while its unit has failed (change in the end), and the time constant of it in hours."""

AIR_WEAR = {"valve_wear": 0.60, "separator_clogging": 0.15, "dryer_saturation": 0.10}
AIR_FAILED = 1.2
"""Want of compressed air of one system, in units of 50 kPa at the point of use: at g = 1, and while it has failed."""

WATER_WEAR = {"membrane_fouling": 1.6, "lamp_ageing": 0.4}
WATER_FAILED = 0.8
"""Excess of conductivity in the loop, in units of 0.28 uS/cm: at g = 1, and while the system has failed."""

DISTURBED: dict[tuple[str, str], tuple[str, float]] = {
    ("coater", "atomising_pressure"): ("compressed_air", -9.0),
    ("coater", "spray_rate"): ("compressed_air", -3.0),
    ("blister_line", "forming_temperature"): ("compressed_air", -0.5),
    ("blister_line", "sealing_pressure"): ("compressed_air", -11.0),
    ("granulator", "spray_pressure"): ("water", 3.0),
    ("air_handling_unit", "coil_valve_position"): ("season", 6.0),
}
"""Signals that a utility (or the time of year) disturbs: (class, signal) -> supply, change at 1 in its unit."""
