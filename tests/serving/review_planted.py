"""Exceptions planted in the plant of `review_world`, in every system; what each concerns is found by brute force."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from tests.serving.review_world import (
    BATCHES,
    DAY,
    END,
    HOUR,
    LASTS,
    LOTS,
    ROOM,
    Planted,
    World,
    batch,
    begin,
    clean,
    lot_of,
    mixed,
    suspension,
    uses,
)

Tables = dict[str, pd.DataFrame]
Planter = Callable[[Tables, int], Planted]


def planted(seed: int, each: int = 4) -> World:
    """The clean plant with `each` exceptions of every kind, each kind in other batches."""
    rng = np.random.default_rng([seed, 1])
    tables, found = clean(seed), []
    # the first batches are left alone: nobody can know yet what is usual
    free = list(rng.permutation(np.arange(20, BATCHES - 4)))
    for planter in PLANTERS:
        for _ in range(each):
            found.append(planter(tables, int(free.pop())))
    for planter in ONCE:
        found.append(planter(tables, int(free.pop())))
    return World(tables, found)


def _result(t: Tables, i: int, attribute: str) -> int:
    lab = t["lab_results"]
    return int(lab.index[(lab["batch_id"] == batch(i)) & (lab["attribute"] == attribute)][0])


def _lab(kind: str, severity: str, attribute: str, **changes: object) -> Planter:
    def plant(t: Tables, i: int) -> Planted:
        row = _result(t, i, attribute)
        for column, value in changes.items():
            t["lab_results"].loc[row, column] = value
        return Planted(kind, severity, t["lab_results"].loc[row, "result_id"], frozenset([batch(i)]))
    return plant


def _lab_missing(t: Tables, i: int) -> Planted:
    t["lab_results"] = t["lab_results"].drop(index=_result(t, i, "dissolution"))
    return Planted("lab_missing", "critical", "dissolution", frozenset([batch(i)]))


def _lab_repeated(t: Tables, i: int) -> Planted:
    row = t["lab_results"].loc[[_result(t, i, "impurities")]]
    t["lab_results"].loc[row.index, ["value", "status"]] = [0.8, "invalidated"]
    again = row.assign(result_id=row["result_id"] + "b", sampled_at=row["sampled_at"] + DAY)
    t["lab_results"] = pd.concat([t["lab_results"], again], ignore_index=True)
    return Planted("lab_invalidated", "major", row["result_id"].iloc[0], frozenset([batch(i)]))


def _lab_corrected(t: Tables, i: int) -> Planted:
    row = t["lab_results"].loc[[_result(t, i, "assay")]]
    t["lab_results"].loc[row.index, ["value", "status"]] = [94.2, "out_of_spec"]
    later = row.assign(recorded_at=row["approved_at"] + 2 * DAY)
    t["lab_results"] = pd.concat([t["lab_results"], later], ignore_index=True)
    return Planted("lab_corrected", "major", row["result_id"].iloc[0], frozenset([batch(i)]))


def _no_genealogy(t: Tables, i: int) -> Planted:
    t["genealogy"] = t["genealogy"][t["genealogy"]["batch_id"] != batch(i)]
    return Planted("genealogy_missing", "critical", batch(i), frozenset([batch(i)]))


def _no_lot(t: Tables, i: int) -> Planted:
    g = t["genealogy"]
    t["genealogy"] = g[~((g["batch_id"] == batch(i)) & (g["material"] == "lactose"))]
    return Planted("material_missing", "critical", "lactose", frozenset([batch(i)]))


def _step(t: Tables, i: int, step: str) -> pd.Index:
    s = t["batch_steps"]
    return s.index[(s["batch_id"] == batch(i)) & (s["step"] == step)]


def _step_missing(t: Tables, i: int) -> Planted:
    t["batch_steps"] = t["batch_steps"].drop(index=_step(t, i, "compression"))
    return Planted("step_missing", "critical", f"{batch(i)}/compression", frozenset([batch(i)]))


def _step_value(t: Tables, i: int) -> Planted:
    t["batch_steps"].loc[_step(t, i, "coating"), "speed"] = np.nan
    return Planted("step_value_missing", "major", f"{batch(i)}/coating/speed", frozenset([batch(i)]))


def _no_equipment(t: Tables, i: int) -> Planted:
    t["batch_steps"].loc[_step(t, i, "coating"), "equipment_id"] = None
    return Planted("step_without_equipment", "major", f"{batch(i)}/coating", frozenset([batch(i)]))


def _no_record(t: Tables, i: int) -> Planted:
    t["dispositions"] = t["dispositions"][t["dispositions"]["batch_id"] != batch(i)]
    return Planted("record_incomplete", "major", batch(i), frozenset([batch(i)]))


def _of(i: int, step: str) -> tuple[str, pd.Timestamp, pd.Timestamp]:
    return next((m, s, e) for b, name, m, s, e in uses() if b == batch(i) and name == step)


def _breakdown(t: Tables, i: int) -> Planted:
    machine, start, _ = _of(i, "compression")
    row = {"downtime_id": f"X{i}", "equipment_id": machine, "started_at": start + HOUR, "ended_at": start + 2.5 * HOUR,
           "reason": "breakdown", "planned": False}
    t["downtime"] = pd.concat([t["downtime"], pd.DataFrame([row])], ignore_index=True)
    return Planted("breakdown", "major", f"X{i}", frozenset([batch(i)]))


def _alarms(t: Tables, i: int) -> Planted:
    machine, start, _ = _of(i, "compression")
    rows = [{"event_id": f"X{i}-{n}", "equipment_id": machine, "ts": start + HOUR + n * pd.Timedelta(minutes=9),
             "kind": "alarm", "code": "force_limit"} for n in range(16)]
    t["events"] = pd.concat([t["events"], pd.DataFrame(rows)], ignore_index=True)
    return Planted("alarms", "major", "force_limit", frozenset([batch(i)]))


def _excursion(t: Tables, i: int) -> Planted:
    machine, start, end = _of(i, "compression")
    r = t["readings"]
    during = (r["ts"] >= start + HOUR) & (r["ts"] <= end)
    t["readings"].loc[(r["equipment_id"] == machine) & (r["signal"] == "temperature") & during, "value"] = 66.0
    return Planted("limit_excursion", "major", f"{machine}/temperature", frozenset([batch(i)]))


def _no_readings(t: Tables, i: int) -> Planted:
    machine, start, end = _of(i, "coating")
    r = t["readings"]
    t["readings"] = r[~((r["equipment_id"] == machine) & (r["ts"] >= start) & (r["ts"] <= end))]
    return Planted("readings_missing", "critical", f"{machine}/coating", frozenset([batch(i)]))


def _deviation(t: Tables, **row: object) -> None:
    row = {"deviation_id": f"X{len(t['deviations'])}", "category": "equipment", "severity": "critical", **row}
    t["deviations"] = pd.concat([t["deviations"], pd.DataFrame([row])], ignore_index=True)


def _open_deviation(t: Tables, i: int) -> Planted:
    _deviation(t, batch_id=batch(i), opened_at=begin(i) + 6 * HOUR)
    return Planted("open_deviation", "critical", t["deviations"]["deviation_id"].iloc[-1], frozenset([batch(i)]))


def while_used(machine: str, start: pd.Timestamp, end: pd.Timestamp, whole: bool = False) -> frozenset[str]:
    """Batches of which a step on the machine (or in the room) overlaps [start, end), or with `whole` begins in it."""
    return frozenset(
        b for b, _, m, s, e in uses()
        if machine in (m, ROOM[m]) and ((start <= s < end) if whole else (s < end and e > start))
    )


def _equipment_deviation(t: Tables, i: int) -> Planted:
    machine, start, _ = _of(i, "granulation")
    _deviation(t, equipment_id=machine, opened_at=start - HOUR)
    name = t["deviations"]["deviation_id"].iloc[-1]
    return Planted("equipment_deviation", "critical", name, while_used(machine, start - HOUR, END))


def _room(t: Tables, i: int) -> Planted:
    _, start, _ = _of(i, "granulation")
    a, b = (start - 3 * HOUR).floor("h"), (start + 11 * HOUR).floor("h")
    r = t["readings"]
    where = (r["equipment_id"] == "room-1") & (r["signal"] == "relative_humidity") & (r["ts"] >= a) & (r["ts"] < b)
    t["readings"].loc[where, "value"] = 70.0
    return Planted("environment_excursion", "critical", "room-1/relative_humidity", while_used("room-1", a, b))


def _overdue(kind: str, days: int) -> Planter:
    def plant(t: Tables, i: int) -> Planted:
        machine, start, _ = _of(i, "coating" if kind == "calibration" else "granulation")
        opened, begun = start - (days + 1) * DAY, start + DAY
        row = {"work_order_id": f"X{kind}{i}", "equipment_id": machine, "kind": kind, "opened_at": opened,
               "started_at": begun, "closed_at": begun + HOUR}
        t["work_orders"] = pd.concat([t["work_orders"], pd.DataFrame([row])], ignore_index=True)
        name = "maintenance_overdue" if kind == "preventive" else "calibration_overdue"
        # critical while it is at least `days` old, major for some time before
        return Planted(name, "critical", f"X{kind}{i}", while_used(machine, opened + days * DAY, begun, whole=True),
                       frozenset({name}), while_used(machine, opened, begun))
    return plant


def made_of(t: Tables, lot: str) -> frozenset[str]:
    """Everything that holds the lot, by looking through the table until nothing new is found."""
    holds: set[str] = {lot}
    while True:
        more = set(t["genealogy"].loc[t["genealogy"]["material_lot"].isin(holds), "batch_id"]) - holds
        if not more:
            return frozenset(holds - {lot})
        holds |= more


def _tainted(material: str) -> Planter:
    def plant(t: Tables, i: int) -> Planted:
        lot = lot_of(material, i)
        lab = t["lab_results"]
        row = lab.index[lab["material_lot"] == lot][0]
        t["lab_results"].loc[row, ["value", "status"]] = [LOTS[material][2] * 1.1, "out_of_spec"]
        return Planted("lot_out_of_spec", "critical", t["lab_results"].loc[row, "result_id"], made_of(t, lot))
    return plant


def _bad_intermediate(t: Tables, i: int) -> Planted:
    lab, name = t["lab_results"], suspension(i // 2)
    row = lab.index[lab["batch_id"] == name][0]
    t["lab_results"].loc[row, ["value", "status"]] = [150.0, "in_spec"]  # nobody noticed
    return Planted("lot_out_of_spec", "critical", t["lab_results"].loc[row, "result_id"], made_of(t, name))


def _lot_deviation(t: Tables, i: int) -> Planted:
    name = suspension(i // 2)
    _deviation(t, batch_id=name, opened_at=mixed(i // 2)[1] + HOUR)
    return Planted("lot_in_deviation", "critical", t["deviations"]["deviation_id"].iloc[-1], made_of(t, name))


def _outage(t: Tables, i: int) -> Planted:
    a, b = begin(i), begin(i) + 20 * HOUR
    r = t["readings"]
    t["readings"] = r[~((r["ts"] > a) & (r["ts"] < b))]
    inside = frozenset(batch(k) for k in range(BATCHES) if begin(k) < b and begin(k) + LASTS > a)
    # of the batches that only touch it, how much of the silence reaches into them decides
    whole = frozenset(batch(k) for k in range(BATCHES) if begin(k) <= a and begin(k) + LASTS >= a + 18.5 * HOUR)
    assert whole <= inside
    return Planted("feed_silent", "critical", "readings", whole, frozenset({
        "feed_silent", "readings_missing", "readings_gap", "limit_excursion"}), inside)


PLANTERS: tuple[Planter, ...] = (
    _lab("lab_out_of_spec", "critical", "assay", value=93.1, status="out_of_spec"),
    _lab("lab_out_of_spec", "critical", "hardness", value=75.0),  # the verdict still says in_spec
    _lab("lab_without_value", "critical", "assay", value=np.nan),
    _lab("lab_not_repeated", "critical", "dissolution", status="invalidated"),
    _lab("lab_out_of_trend", "major", "impurities", value=0.27, status="out_of_trend"),
    _lab("lab_pending", "major", "assay", value=np.nan, approved_at=pd.NaT, status=None),
    _lab_missing, _lab_repeated, _lab_corrected, _no_genealogy, _no_lot, _step_missing, _step_value, _no_equipment,
    _no_record, _breakdown, _alarms, _excursion, _no_readings, _open_deviation, _room,
)
ONCE: tuple[Planter, ...] = (
    _overdue("calibration", 38), _overdue("preventive", 42), _tainted("film"), _tainted("api"), _bad_intermediate,
    _bad_intermediate, _lot_deviation, _outage,
)
