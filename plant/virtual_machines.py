"""Machines of the virtual plant: their mechanisms of wear, their signals, what people type when they break.

Declarations only; `virtual_plant` runs them. Units are those of the plant language. Every figure here is
invented: this is a simulation, no plant's data.
"""

from __future__ import annotations

from dataclasses import dataclass, field

STEPS = ("granulation", "drying", "blending", "compression", "coating", "packaging")
MAKING = "suspension"  # the one step of an in-house intermediate


@dataclass(frozen=True)
class Mechanism:
    """One way in which a machine wears: a latent state from 0 (new) that fails around 1.

    state: name of the latent state, used in the truth. life_h: mean running hours from 0 to 1.
    spread: coefficient of variation of that time. ceiling: hazard per running hour far above 1.
    width: how fast the hazard rises around 1. repair_h: median repair. renewal: share of
    preventive orders that renew it fully. symptoms: what people type, per language.
    """

    state: str
    failure_mode: str
    mechanism: str
    cause: str
    life_h: float
    symptoms: dict[str, tuple[str, ...]]
    spread: float = 0.17
    ceiling: float = 0.045
    width: float = 0.03
    repair_h: float = 6.0
    renewal: float = 0.5
    part_price: float = 350.0


@dataclass(frozen=True)
class Signal:
    """One measured quantity. Value = level + unit offset + set-up effect + noise + traces of wear.

    traces: latent state -> (drift at state 1, share of extra noise at state 1). `setup` is the standard
    deviation between batches, `noise` within. decimals: what the instrument resolves.
    """

    name: str
    unit: str
    decimals: int
    level: float
    noise: float
    setup: float
    low: float
    high: float
    traces: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class MachineClass:
    """A class of equipment: prefix of the ids, step it runs, hours of that step, mechanisms, signals."""

    name: str
    prefix: str
    area: str
    step: str
    step_h: tuple[int, int]
    mechanisms: tuple[Mechanism, ...]
    signals: tuple[Signal, ...]


def words_of(en: tuple[str, ...], de: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """What people type, in both languages of the plants."""
    return {"en": en, "de": de}


_words = words_of


# fmt: off
MACHINES: tuple[MachineClass, ...] = (
    MachineClass(
        "granulator", "granulator", "granulation", "granulation", (12, 15),
        (
            Mechanism("nozzle_clogging", "nozzle_blockage", "blockage", "material_deposit", 470.0, _words(
                ("spray nozzle blocked", "no even spray, binder line pressure high"),
                ("Sprühdüse verstopft", "Sprühbild ungleichmäßig, Druck Binderleitung hoch")),
                repair_h=3.5, part_price=180.0),
            Mechanism("seal_wear", "shaft_seal_leak", "wear", "expected_wear", 670.0, _words(
                ("shaft seal leaking, seal air alarm", "powder in seal air, chopper side"),
                ("Wellendichtung undicht, Sperrluft Alarm", "Pulver in Sperrluft, Zerhackerseite")),
                repair_h=7.0, part_price=420.0),
            Mechanism("bearing_wear", "impeller_bearing_failure", "fatigue", "lubrication", 740.0, _words(
                ("impeller very loud, strong vibration", "impeller tripped on vibration"),
                ("Rührer sehr laut, starke Schwingung", "Rührwerk Abschaltung wegen Vibration")),
                repair_h=10.0, part_price=950.0),
        ),
        (
            Signal("impeller_power", "kW", 2, 11.0, 0.5, 0.275, 7.0, 16.0, {"bearing_wear": (1.2, 0.3)}),
            Signal("vibration", "mm/s", 2, 2.2, 0.25, 0.11, 0.5, 5.5, {"bearing_wear": (2.6, 0.6)}),
            Signal("seal_air_flow", "l/min", 1, 30.0, 1.2, 0.44, 22.0, 48.0, {"seal_wear": (13.0, 0.6)}),
            Signal("spray_pressure", "kPa", 1, 260.0, 7.0, 3.3, 200.0, 360.0, {"nozzle_clogging": (72.0, 1.0)}),
        ),
    ),
    MachineClass(
        "fluid_bed_dryer", "dryer", "granulation", "drying", (12, 16),
        (
            Mechanism("filter_clogging", "filter_blockage", "blockage", "material_deposit", 430.0, _words(
                ("filter bags blocked, dp too high", "no airflow, bags to be changed"),
                ("Filtersäcke zu, Differenzdruck zu hoch", "kaum Luft, Filter wechseln")),
                repair_h=4.0, part_price=260.0),
            Mechanism("fan_bearing_wear", "fan_failure", "fatigue", "lubrication", 700.0, _words(
                ("exhaust fan noisy and tripped", "fan motor trips on overload"),
                ("Abluftventilator laut und ausgefallen", "Ventilator Motorschutz ausgelöst")),
                repair_h=9.0, part_price=1250.0),
            Mechanism("heater_fouling", "heater_failure", "degradation", "expected_wear", 660.0, _words(
                ("inlet air does not reach temperature", "heater battery weak, temperature swings"),
                ("Zuluft erreicht Temperatur nicht", "Heizregister schwach, Temperatur schwankt")),
                repair_h=7.0, part_price=780.0),
        ),
        (
            Signal("inlet_temperature", "degC", 1, 62.0, 0.9, 0.385, 54.0, 70.0, {"heater_fouling": (-3.6, 1.6)}),
            Signal("filter_pressure_drop", "kPa", 2, 1.20, 0.08, 0.039, 0.5, 2.8, {"filter_clogging": (1.1, 0.6)}),
            Signal("fan_vibration", "mm/s", 2, 1.8, 0.22, 0.083, 0.4, 5.0, {"fan_bearing_wear": (2.4, 0.6)}),
            Signal("fan_current", "A", 1, 21.0, 0.7, 0.275, 15.0, 30.0,
                {"fan_bearing_wear": (2.4, 0.4), "filter_clogging": (1.5, 0.0)}),
            Signal("heater_power", "kW", 1, 38.0, 1.3, 0.66, 28.0, 55.0, {"heater_fouling": (9.0, 0.3)}),
        ),
    ),
    MachineClass(
        "blender", "blender", "blending", "blending", (11, 14),
        (
            Mechanism("gearbox_wear", "gearbox_failure", "wear", "lubrication", 580.0, _words(
                ("gearbox hot, oil smell", "drum stops by itself, gear noise"),
                ("Getriebe heiß, riecht nach Öl", "Trommel bleibt stehen, Getriebegeräusch")),
                repair_h=11.0, part_price=1650.0),
            Mechanism("brake_wear", "brake_failure", "wear", "expected_wear", 470.0, _words(
                ("drum overruns stop position", "brake does not hold"),
                ("Trommel läuft über Halteposition", "Bremse hält nicht")),
                repair_h=4.5, part_price=310.0),
            Mechanism("valve_seal_wear", "discharge_valve_leak", "leakage", "cleaning_damage", 530.0, _words(
                ("butterfly valve leaks powder", "discharge valve does not close"),
                ("Klappe staubt, undicht", "Entleerklappe schließt nicht")),
                repair_h=3.5, part_price=240.0),
        ),
        (
            Signal("gearbox_temperature", "degC", 1, 48.0, 1.2, 0.55, 30.0, 70.0, {"gearbox_wear": (14.0, 0.4)}),
            Signal("vibration", "mm/s", 2, 1.5, 0.2, 0.083, 0.3, 4.5, {"gearbox_wear": (1.4, 0.6)}),
            Signal("brake_stop_time", "s", 1, 3.5, 0.25, 0.11, 2.0, 7.0, {"brake_wear": (2.4, 0.8)}),
            Signal("valve_closing_time", "s", 1, 2.0, 0.2, 0.083, 1.0, 5.0, {"valve_seal_wear": (1.9, 0.9)}),
        ),
    ),
    MachineClass(
        "tablet_press", "press", "compression", "compression", (20, 30),
        (
            Mechanism("punch_wear", "punch_damage", "wear", "material_properties", 720.0, _words(
                ("punch tip broken, ejection force limit", "sticking and picking, punches damaged"),
                ("Stempel gebrochen, Ausstoßkraft Grenzwert", "Kleben am Stempel, Werkzeug beschädigt")),
                repair_h=5.0, part_price=880.0),
            Mechanism("bearing_wear", "bearing_seizure", "fatigue", "lubrication", 980.0, _words(
                ("turret bearing hot and noisy", "press stopped, vibration high"),
                ("Rundläufer Lager heiß und laut", "Presse steht, Schwingung hoch")),
                repair_h=12.0, part_price=2100.0),
            Mechanism("feeder_clogging", "feeder_blockage", "blockage", "material_properties", 600.0, _words(
                ("feeder jammed, weights out", "fill shoe blocked, overload"),
                ("Füllschuh blockiert, Gewichte schwanken", "Rührflügel Überlast")),
                repair_h=3.0, part_price=150.0),
        ),
        (
            Signal("main_force", "kN", 2, 15.0, 0.45, 0.275, 9.0, 24.0,
                {"punch_wear": (0.0, 0.9), "feeder_clogging": (0.0, 1.3)}),
            Signal("ejection_force", "N", 0, 310.0, 18.0, 8.8, 120.0, 650.0, {"punch_wear": (190.0, 0.6)}),
            Signal("vibration", "mm/s", 2, 2.0, 0.22, 0.099, 0.5, 5.5, {"bearing_wear": (2.3, 0.6)}),
            Signal("bearing_temperature", "degC", 1, 46.0, 1.1, 0.495, 30.0, 70.0, {"bearing_wear": (11.0, 0.3)}),
            Signal("feeder_torque", "N*m", 2, 6.0, 0.35, 0.165, 3.0, 13.0, {"feeder_clogging": (3.6, 1.0)}),
        ),
    ),
    MachineClass(
        "coater", "coater", "coating", "coating", (12, 16),
        (
            Mechanism("nozzle_clogging", "spray_nozzle_blockage", "blockage", "material_deposit", 410.0, _words(
                ("spray gun blocked, uneven film", "atomising air alarm on gun 3"),
                ("Sprühpistole verstopft, Film ungleichmäßig", "Zerstäuberluft Alarm Pistole 3")),
                repair_h=3.0, part_price=220.0),
            Mechanism("drum_bearing_wear", "drum_bearing_seizure", "fatigue", "lubrication", 680.0, _words(
                ("drum drive trips, grinding noise", "drum bearing worn, heavy vibration"),
                ("Trommelantrieb fällt aus, mahlt", "Trommellager verschlissen, starke Schwingung")),
                repair_h=12.0, part_price=1800.0),
            Mechanism("exhaust_filter_clogging", "exhaust_filter_blockage", "blockage", "material_deposit", 530.0,
                _words(
                ("exhaust filter dp high, airflow low", "dust collector blocked"),
                ("Abluftfilter dp hoch, wenig Luft", "Entstauber zugesetzt")),
                repair_h=4.0, part_price=330.0),
        ),
        (
            Signal("spray_rate", "g/min", 0, 180.0, 5.0, 2.75, 120.0, 240.0, {"nozzle_clogging": (-14.0, 1.4)}),
            Signal("atomising_pressure", "kPa", 1, 240.0, 6.0, 2.75, 180.0, 330.0, {"nozzle_clogging": (52.0, 0.8)}),
            Signal("drum_vibration", "mm/s", 2, 1.7, 0.2, 0.088, 0.3, 5.0, {"drum_bearing_wear": (2.2, 0.6)}),
            Signal("drum_current", "A", 1, 12.0, 0.5, 0.22, 8.0, 19.0, {"drum_bearing_wear": (2.6, 0.4)}),
            Signal("exhaust_pressure_drop", "kPa", 2, 0.90, 0.06, 0.028, 0.3, 2.2,
                {"exhaust_filter_clogging": (0.85, 0.6)}),
        ),
    ),
    MachineClass(
        "blister_line", "blister", "packaging", "packaging", (20, 28),
        (
            Mechanism("sealing_plate_fouling", "sealing_failure", "deposit", "material_deposit", 700.0, _words(
                ("leak test failed, sealing plate dirty", "sealing temperature not stable"),
                ("Dichtigkeitstest nicht bestanden, Siegelplatte verschmutzt", "Siegeltemperatur schwankt")),
                repair_h=4.0, part_price=540.0),
            Mechanism("forming_heater_ageing", "forming_heater_failure", "degradation", "expected_wear", 950.0, _words(
                ("forming station cold, blisters not formed", "heater cartridge defective"),
                ("Formstation kalt, Näpfe nicht ausgeformt", "Heizpatrone defekt")),
                repair_h=5.0, part_price=390.0),
            Mechanism("feed_wear", "feeder_jam", "wear", "expected_wear", 640.0, _words(
                ("tablets jam in feeder, empty pockets", "servo overload on foil feed"),
                ("Tabletten stauen im Füller, Näpfe leer", "Servo Überlast Folienvorzug")),
                repair_h=3.5, part_price=460.0),
        ),
        (
            Signal("sealing_temperature", "degC", 1, 185.0, 1.1, 0.495, 175.0, 195.0,
                {"sealing_plate_fouling": (-4.0, 1.5)}),
            Signal("sealing_pressure", "kPa", 1, 420.0, 9.0, 3.85, 350.0, 520.0,
                {"sealing_plate_fouling": (48.0, 0.5)}),
            Signal("forming_temperature", "degC", 1, 138.0, 1.0, 0.44, 128.0, 148.0,
                {"forming_heater_ageing": (-3.4, 1.2)}),
            Signal("heater_current", "A", 1, 9.5, 0.3, 0.138, 7.0, 13.0, {"forming_heater_ageing": (1.7, 0.5)}),
            Signal("feed_torque", "N*m", 2, 3.2, 0.2, 0.088, 1.5, 7.0, {"feed_wear": (1.9, 0.9)}),
        ),
    ),
)

# fmt: on

ROOM_SIGNALS: tuple[Signal, ...] = (
    Signal("room_temperature", "degC", 1, 21.0, 0.3, 0.0, 18.0, 25.0),
    Signal("relative_humidity", "%", 1, 42.0, 1.2, 0.0, 25.0, 60.0),
    Signal("differential_pressure", "Pa", 1, 15.0, 1.0, 0.0, 8.0, 25.0),
)
