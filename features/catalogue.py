"""Every feature there is, with what it means in plain words; reasons, docs and drift reports read it from here.

A feature is defined by its line below and computed under the same name by the module of its source: `sensors`,
`maintenance`, `downtime` (stops and events), `batches`. `assemble` refuses a matrix in which the two disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from features.spec import BatchSpec, FeatureSpec, LagSpec, Vocabulary, window_us

CRITICALITY = ("low", "medium", "high")

_UNIT_WORDS = (("d", 86_400_000_000, "day"), ("h", 3_600_000_000, "hour"), ("min", 60_000_000, "minute"))

_SENSOR_WORDS = {
    "count": "number of usable readings of {s} {w}",
    "mean": "mean of {s} {w}",
    "std": "standard deviation of {s} {w}",
    "min": "lowest {s} {w}",
    "max": "highest {s} {w}",
    "first": "first {s} {w}",
    "last": "last {s} {w}",
    "slope": "trend of {s} {w}",
    "out_of_limits": "share of readings of {s} out of limits {w}",
    "gap": "longest time without a usable reading of {s} {w}",
    "share_good": "share of good readings of {s} {w}",
}


@dataclass(frozen=True)
class Feature:
    """One column of a matrix.

    group: what reasons are summed by (the signal, maintenance, the material, the step). look_back: how far back it
    reads. categories: where the value is a code, the words it counts through; NaN is another or no word.
    """

    name: str
    meaning: str
    unit: str
    source: str
    group: str
    look_back: str
    categories: tuple[str, ...] = ()


def plain(window: str) -> str:
    """`24h` as a user reads it: "24 h"; `7d`: "7 days"."""
    length = window_us(window)
    for suffix, size, word in _UNIT_WORDS:
        if window.endswith(suffix):
            count = length // size
            return f"{count} h" if suffix == "h" else f"{count} {word}{'s' if count != 1 else ''}"
    raise ValueError(window)


def _over(window: str) -> str:
    return f"over the last {plain(window)}"


def statistic_unit(statistic: str, unit: str) -> str:
    """Unit of a statistic of a signal whose readings are in `unit`."""
    fixed = {"count": "", "out_of_limits": "share", "share_good": "share", "gap": "h"}
    return fixed.get(statistic, f"{unit or '1'}/d" if statistic == "slope" else unit)


def equipment_features(spec: FeatureSpec, words: Vocabulary) -> list[Feature]:
    """Columns of an equipment row, in their order."""
    out: list[Feature] = []
    out += _sensors(spec, words)
    out += _maintenance(spec, words)
    out += _events(spec, words)
    out += _stops(spec, words)
    if spec.static:
        out += [
            Feature("equipment.class", "class of the equipment", "", "equipment", "equipment", "always", words.classes),
            Feature("equipment.criticality", "criticality of the equipment", "", "equipment", "equipment", "always",
                    CRITICALITY),
            Feature("equipment.in_service", "days in service", "d", "equipment", "equipment", "always"),
        ]
    if spec.calendar:
        out += _calendar()
    return out


def batch_features(spec: FeatureSpec, words: Vocabulary) -> list[Feature]:
    """Columns of a batch row, in their order."""
    if spec.batches is None:
        return []
    b = spec.batches
    out = [
        Feature("batch.product", "product", "", "batches", "product", "always", words.products),
        Feature("batch.size", "planned batch size", "units", "batches", "product", "always"),
        Feature("batch.running", "hours since the batch started", "h", "batches", "batch", "since start"),
    ]
    out += _steps(b, words)
    out += _materials(b, words)
    if b.results:
        out += [Feature(f"result.{a}", f"the batch's own {a}", words.units.get(f"result {a}", ""), "lab_results", a,
                        "since start") for a in words.own_results]
    if b.lags is not None:
        out += _lags(b.lags, words)
    if b.calendar or spec.calendar:
        out += _calendar()
    return out


def _calendar() -> list[Feature]:
    return [
        Feature("calendar.hour", "hour of the day (UTC)", "h", "calendar", "calendar", "always"),
        Feature("calendar.weekday", "day of the week (0 is Monday, UTC)", "", "calendar", "calendar", "always"),
    ]


def _sensors(spec: FeatureSpec, words: Vocabulary) -> Iterator[Feature]:
    if spec.sensors is None:
        return
    for s in words.signals:
        unit = words.units.get(s, "")
        for w in spec.sensors.windows:
            for statistic in spec.sensors.statistics:
                meaning = _SENSOR_WORDS[statistic].format(s=s, w=_over(w))
                yield Feature(f"{s}.{statistic}.{w}", meaning, statistic_unit(statistic, unit), "readings", s, w)
        if spec.sensors.change and len(spec.sensors.windows) > 1:
            short, long = spec.sensors.windows[0], spec.sensors.windows[-1]
            yield Feature(f"{s}.change.{short}", f"change of {s} in the last {plain(short)} against its own last "
                          f"{plain(long)}", "standard deviations", "readings", s, long)


def _maintenance(spec: FeatureSpec, words: Vocabulary) -> Iterator[Feature]:
    if spec.maintenance is None or not words.kinds:
        return

    def feature(name: str, meaning: str, unit: str = "", look_back: str = "since start") -> Feature:
        return Feature(f"maintenance.{name}", meaning, unit, "work_orders", "maintenance", look_back)

    for kind in words.kinds:
        yield feature(f"since.{kind}", f"hours since the last {kind} order", "h")
        for w in spec.maintenance.windows:
            yield feature(f"count.{kind}.{w}", f"number of {kind} orders {_over(w)}", "", w)
    for mode in words.modes if spec.maintenance.modes else ():
        yield feature(f"since_mode.{mode}", f"hours since an order for {mode} was last closed", "h")
        for w in spec.maintenance.windows:
            yield feature(f"count_mode.{mode}.{w}", f"number of orders for {mode} closed {_over(w)}", "", w)
    yield feature("open", "open orders now")
    if "corrective" in words.kinds:
        yield feature("last_repair", "hours from opening to closing of the last closed corrective order", "h")
        yield feature("between_corrective", "mean time between corrective orders so far", "h")
        yield feature("repeats", "share of corrective orders that repeat a failure mode within 30 days", "share")
    if "preventive" in words.kinds:
        yield feature("overdue", "time since the last preventive order, divided by its usual interval", "intervals")


def _events(spec: FeatureSpec, words: Vocabulary) -> Iterator[Feature]:
    if spec.events is None:
        return
    for code in words.codes:
        yield Feature(f"events.since.{code}", f"hours since {code} was last raised", "h", "events", "events",
                      "since start")
        for w in spec.events.windows:
            yield Feature(f"events.count.{code}.{w}", f"times that {code} was raised {_over(w)}", "", "events",
                          "events", w)
    for kind in words.event_kinds:
        for w in spec.events.windows:
            yield Feature(f"events.all.{kind}.{w}", f"number of {kind} events {_over(w)}", "", "events", "events", w)


def _stops(spec: FeatureSpec, words: Vocabulary) -> Iterator[Feature]:
    if spec.downtime is None or not words.stops:
        return

    def feature(name: str, meaning: str, unit: str, look_back: str) -> Feature:
        return Feature(f"downtime.{name}", meaning, unit, "downtime", "downtime", look_back)

    for w in spec.downtime.windows:
        yield feature(f"stops.{w}", f"number of stops {_over(w)}", "", w)
        yield feature(f"minor_stops.{w}", f"number of stops shorter than 10 minutes {_over(w)}", "", w)
        yield feature(f"hours.{w}", f"hours that it stood {_over(w)}", "h", w)
        yield feature(f"planned_share.{w}", f"planned share of the hours of ended stops {_over(w)}", "share", w)
    yield feature("since", "hours since the last stop began", "h", "since start")
    yield feature("standing", "stands now (1) or not (0)", "", "now")


def _steps(b: BatchSpec, words: Vocabulary) -> Iterator[Feature]:
    for s in words.steps:
        def feature(name: str, meaning: str, unit: str = "", source: str = "batch_steps", step: str = s) -> Feature:
            return Feature(f"step.{step}.{name}", meaning, unit, source, step, "since start")

        if b.step_values:
            yield feature("duration", f"hours that {s} took", "h")
            yield feature("pause", f"hours that the batch waited before {s}", "h")
            for step, value in words.step_values:
                if step == s:
                    yield feature(f"value.{value}", f"{value} recorded in {s}")
        if b.step_readings is not None:
            for step, signal in words.step_signals:
                if step == s:
                    for statistic in b.step_readings.statistics:
                        yield feature(
                            f"{signal}.{statistic}", _SENSOR_WORDS[statistic].format(s=signal, w=f"during {s}"),
                            statistic_unit(statistic, words.units.get(signal, "")), "readings",
                        )
        if b.equipment_state and words.orders:
            yield feature("since_corrective", f"hours since the last corrective order on the equipment of {s}", "h",
                          "work_orders")
            yield feature("open_orders", f"open orders on the equipment of {s}", "", "work_orders")


def _materials(b: BatchSpec, words: Vocabulary) -> Iterator[Feature]:
    for m in words.materials:
        def feature(
            name: str, meaning: str, unit: str = "", source: str = "genealogy", material: str = m,
            categories: tuple[str, ...] = (),
        ) -> Feature:
            return Feature(f"material.{material}.{name}", meaning, unit, source, material, "since start", categories)

        if b.materials:
            if words.suppliers.get(m):
                yield feature("supplier", f"supplier of {m}", categories=words.suppliers[m])
            yield feature("quantity", f"quantity of {m}", "kg")
            for material, attribute in words.lot_results:
                if material == m:
                    yield feature(f"result.{attribute}", f"{attribute} of the lot of {m}",
                                  words.units.get(f"result {attribute}", ""), "lab_results")
        if b.lots:
            yield feature("lot_age", f"days since the lot of {m} was first used", "d")
            yield feature("lot_batches", f"number of batches made before from the lot of {m}")


def lag_groups(spec: LagSpec, words: Vocabulary) -> Iterator[tuple[str, str]]:
    """What lags are taken by, as (name in the feature, material or ""): overall, product, lot.<material>."""
    materials: Iterable[str] = words.materials
    for by in spec.by:
        if by == "lots":
            yield from ((f"lot.{m}", m) for m in materials if f"lot:{m}" not in spec.by)
        elif by.startswith("lot:"):
            yield by.replace(":", ".", 1), by.removeprefix("lot:")  # LightGBM refuses a colon in a name
        else:
            yield by, ""


def _lags(spec: LagSpec, words: Vocabulary) -> Iterator[Feature]:
    for by, material in lag_groups(spec, words):
        of = {"overall": "of any batch", "product": "of the same product"}.get(by, f"from the same lot of {material}")
        for a in words.lagged:
            unit = words.units.get(f"result {a}", "")
            yield Feature(f"lag.{a}.{by}.last", f"last known {a} {of}", unit, "lab_results", f"earlier {a}",
                          "since start")
            yield Feature(f"lag.{a}.{by}.mean", f"mean of the last {spec.most} known {a} {of}", unit, "lab_results",
                          f"earlier {a}", "since start")
