"""The kinds of exception that a review can raise: the check each belongs to, what it means, what its size is.

How severe each is stands in `review_rules.yaml`, not here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["critical", "major", "minor"]
SEVERITIES: tuple[Severity, ...] = ("critical", "major", "minor")
STEADYLINE = "Steadyline"


@dataclass(frozen=True)
class Check:
    """One thing that is looked at. table: the records it reads, which name its system; entry: what is counted."""

    name: str
    table: str
    what: str
    entry: str


@dataclass(frozen=True)
class Kind:
    """One kind of exception. measure: what its size is, for rules by size; "" where it has none."""

    name: str
    check: str
    meaning: str
    measure: str = ""
    recorded: bool = False  # its severity may be the one that the record itself carries


_CHECKS = (
    Check("laboratory", "lab_results", "results of the batch against specification, trend and completeness", "results"),
    Check("materials", "lab_results", "results of its material lots and intermediates, to the last lot", "lots"),
    Check("genealogy", "genealogy", "materials that were issued to it", "materials"),
    Check("record", "batch_steps", "steps, recorded values and yield", "entries"),
    Check("release record", "dispositions", "batch record complete and handed over", "records"),
    Check("entries", "", "entries that were made or changed after the batch had ended", "rows"),
    Check("maintenance", "work_orders", "orders on the equipment when it was used", "equipment uses"),
    Check("downtime", "downtime", "stops of the equipment during the steps", "stops"),
    Check("alarms", "events", "alarms and errors of the equipment during the steps", "alarms"),
    Check("signals", "readings", "readings of the equipment against the limits of normal operation", "signals"),
    Check("environment", "readings", "readings of the rooms against their limits", "signals"),
    Check("deviations", "deviations", "deviations of the batch, its intermediates and its equipment", "deviations"),
    Check("predicted results", STEADYLINE, "risk of results that the laboratory has not approved", "attributes"),
    Check("predicted failures", STEADYLINE, "failure risk of the equipment when its step began", "equipment uses"),
    Check("feeds", "", "whether each system has sent data while the batch was made and tested", "tables"),
)
CHECKS: dict[str, Check] = {c.name: c for c in _CHECKS}

_SD = "robust standard deviations from their median"
_UNTIL = "1 where it has come until now, or stopped no longer ago than it came before, else 0"
_KINDS = (
    Kind(
        "lab_out_of_spec", "laboratory", "a result outside its specification, by value or by the laboratory's verdict"
    ),
    Kind("lab_out_of_trend", "laboratory", "a result that the laboratory calls out of trend"),
    Kind("lab_unusual", "laboratory", "a result within specification, beyond all of the product's earlier ones", _SD),
    Kind(
        "lab_limits_changed", "laboratory", "a result whose unit or limits are not those of the product's earlier ones"
    ),
    Kind(
        "lab_missing",
        "laboratory",
        "no sample of an attribute that the product's batches have, and it is overdue",
        _UNTIL,
    ),
    Kind(
        "lab_to_come", "laboratory", "no sample yet of attributes that the product's batches have, and none is overdue"
    ),
    Kind("lab_pending", "laboratory", "samples that the laboratory has not approved"),
    Kind(
        "lab_without_value",
        "laboratory",
        "an approved result that carries no value",
        _UNTIL,
    ),
    Kind(
        "lab_invalidated",
        "laboratory",
        "an invalidated result that was repeated",
        "1 where the invalidated value lies outside its specification, else 0",
    ),
    Kind("lab_not_repeated", "laboratory", "an invalidated result that no valid one follows"),
    Kind(
        "lab_corrected",
        "laboratory",
        "a result that was changed after its approval",
        "1 where the change moved it into or out of specification, else 0",
    ),
    Kind(
        "lab_approved_late",
        "laboratory",
        "a result whose approval took long",
        "times what nineteen in twenty of the product's results take",
    ),
    Kind(
        "lot_out_of_spec",
        "materials",
        "a lot that went in, directly or through an intermediate, is out of specification",
    ),
    Kind("lot_out_of_trend", "materials", "a lot that went in is out of trend by the laboratory's verdict"),
    Kind("lot_unusual", "materials", "a lot that went in lies beyond all earlier lots of its material", _SD),
    Kind("lot_untested", "materials", "a lot without a valid result that other lots of its material have"),
    Kind("lots_never_tested", "materials", "no lot of any batch has a result here"),
    Kind("lot_used_before_result", "materials", "a lot that was used before its result was approved"),
    Kind("lot_in_deviation", "materials", "an open deviation names a lot or intermediate that went in", recorded=True),
    Kind("genealogy_missing", "genealogy", "no material is recorded"),
    Kind(
        "material_missing",
        "genealogy",
        "no lot of a material that the product's batches have",
        _UNTIL,
    ),
    Kind(
        "step_missing",
        "record",
        "a step that the product's batches have is not recorded",
        _UNTIL,
    ),
    Kind("step_open", "record", "a step without an end in a batch that has ended"),
    Kind("step_without_equipment", "record", "a step names no equipment, as the product's other batches do"),
    Kind("step_value_missing", "record", "a value that the product's batches have was not recorded"),
    Kind("step_value_unusual", "record", "a recorded value beyond all of the product's earlier batches", _SD),
    Kind("yield_unusual", "record", "a yield beyond all of the product's earlier batches", _SD),
    Kind(
        "record_incomplete",
        "release record",
        "the batch has ended and its record is not complete",
        "time since its end, as a multiple of what nineteen in twenty of the product's records take",
    ),
    Kind("entered_late", "entries", "a row that was entered long after the batch had ended", "days after"),
    Kind(
        "entry_changed",
        "entries",
        "a row that was changed after the batch had ended",
        "1 where a time, an equipment, a lot, a step or a severity was changed, else 0",
    ),
    Kind(
        "maintenance_overdue",
        "maintenance",
        "equipment used with a released preventive order that was not begun",
        "days from its release to the end of the use",
    ),
    Kind(
        "maintenance_lapsed",
        "maintenance",
        "equipment used long after its last preventive work, and no order is open",
        "time since, as a multiple of its usual interval",
    ),
    Kind(
        "calibration_overdue",
        "maintenance",
        "equipment used with a released calibration that was not begun",
        "days from its release to the end of the use",
    ),
    Kind(
        "inspection_overdue",
        "maintenance",
        "equipment used with a released inspection that was not begun",
        "days from its release to the end of the use",
    ),
    Kind("used_with_open_corrective", "maintenance", "equipment used while a corrective order was open on it"),
    Kind("repair_during_step", "maintenance", "a corrective order was opened during the step, and no stop tells of it"),
    Kind("breakdown", "downtime", "equipment broke down during the step"),
    Kind("downtime", "downtime", "equipment stood during the step", "hours within the step"),
    Kind("short_stops", "downtime", "many short stops", "share of the step"),
    Kind("downtime_without_reason", "downtime", "stops that have ended without a reason"),
    Kind("alarms", "alarms", "alarms of one code during a step", "number of them"),
    Kind("alarm_rare", "alarms", "an alarm or error that the equipment has had in hardly any of its uses before"),
    Kind("errors", "alarms", "errors during a step that no recorded breakdown explains", "number of them"),
    Kind("limit_excursion", "signals", "a signal outside the limits of normal operation", "hours of the longest one"),
    Kind(
        "readings_missing",
        "signals",
        "no usable reading of signals of the equipment during the step",
        "1 where not one signal was recorded, else 0",
    ),
    Kind(
        "readings_gap",
        "signals",
        "signals of the equipment were not recorded for a while",
        "hours without a usable reading, stops taken off",
    ),
    Kind(
        "environment_excursion",
        "environment",
        "a room outside its limits while the batch was in it",
        "hours of the longest one, from its beginning to its end",
    ),
    Kind("open_deviation", "deviations", "an open deviation of the batch", recorded=True),
    Kind(
        "equipment_deviation",
        "deviations",
        "a deviation on the equipment, open while it was used and still open",
        recorded=True,
    ),
    Kind("deviation_of_others", "deviations", "open deviations of other batches on equipment while it was used here"),
    Kind(
        "closed_deviation",
        "deviations",
        "a deviation of the batch, or on its equipment while it was used, that is closed by now",
        "1 for a critical one, and for a major one of the batch itself, else 0",
    ),
    Kind("predicted_out_of_spec", "predicted results", "the expected result lies outside the specification"),
    Kind(
        "predicted_at_risk",
        "predicted results",
        "the result may lie outside the specification",
        "probability that it does",
    ),
    Kind(
        "failure_risk",
        "predicted failures",
        "equipment was at elevated failure risk when the step began",
        "1 where the decision was to open an order, 0 where it was to watch",
    ),
    Kind("feed_missing", "feeds", "a connected system has sent nothing at all"),
    Kind(
        "feed_silent",
        "feeds",
        "a connected system sent nothing for longer than it may",
        "times the longest silence that is allowed",
    ),
    Kind("system_not_connected", "feeds", "the site connects no source for these records"),
    Kind("not_expected", "feeds", "the site has declared that there are no such records here"),
)
KINDS: dict[str, Kind] = {k.name: k for k in _KINDS}

# Results of material lots, which stand in lab_results and which a site may have none of
LOT_RESULTS = "lot_results"

# What says where rooms are and what limits are -> the records that are looked at with it
REFERENCE: dict[str, frozenset[str]] = {
    "equipment": frozenset({"batch_steps", "readings"}), "signals": frozenset({"readings"}),
}
# What a batch is reviewed on, and the system it usually lies in where the site's mapping does not say
RECORDS: dict[str, str] = {
    "batch_steps": "MES",
    "genealogy": "MES",
    "downtime": "MES",
    "lab_results": "LIMS",
    "deviations": "QMS",
    "dispositions": "QMS",
    "work_orders": "CMMS",
    "events": "historian",
    "readings": "historian",
}
