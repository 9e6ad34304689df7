"""The source rows of batch features that take a join: what ran on the step's equipment, lots, earlier results.

Each function gives, from what was known strictly before the cut-off, the rows of each table that a value was made of.
They say the same as the computations in `batches` and `batch_steps`, the slow and obvious way, one batch at a time.
"""

from __future__ import annotations

import pandas as pd

from features.definitions import Lines, Trace
from features.sensors import witnessed

LOTS_A_MATERIAL = 8  # lots of one material whose quantities are added up
ALARMS = ("alarm", "error")


def _step(trace: Trace) -> tuple[pd.DataFrame, str, pd.Timestamp, pd.Timestamp]:
    """The step's row, its equipment ("" for none), start and end; both NaT where it has not ended, or has no row."""
    row = trace.known("batch_steps", batch_id=trace.subject, step=trace.values["step"])
    if row.empty:
        return row, "", pd.NaT, pd.NaT
    machine, ended = row["equipment_id"].iloc[0], row["ended_at"].iloc[0]
    begun = row["started_at"].iloc[0] if pd.notna(ended) else pd.NaT
    return row, "" if pd.isna(machine) else str(machine), begun, ended


def readings(trace: Trace) -> Lines:
    """Readings of the step's equipment while it ran."""
    row, machine, begun, ended = _step(trace)
    if not machine or pd.isna(ended):
        return {"batch_steps": row}
    found = trace.known("readings", equipment_id=machine, signal=trace.values["signal"])
    return {"batch_steps": row, "readings": witnessed(found, (found["ts"] >= begun) & (found["ts"] <= ended))}


def on_equipment(trace: Trace, kinds: tuple[str, ...], at_end: bool = False) -> Lines:
    """The last order of a kind on the step's equipment: until now, or until the step's end."""
    row, machine, _, ended = _step(trace)
    if not machine or (at_end and pd.isna(ended)):
        return {"batch_steps": row}
    orders = trace.known("work_orders", equipment_id=machine)
    orders = orders[orders["kind"].isin(kinds)]
    return {"batch_steps": row, "work_orders": last(orders[orders["opened_at"] <= ended] if at_end else orders,
                                                    "opened_at")}


def open_on_equipment(trace: Trace) -> Lines:
    """Orders on the step's equipment that are open."""
    row, machine, _, _ = _step(trace)
    if not machine:
        return {"batch_steps": row}
    orders = trace.known("work_orders", equipment_id=machine)
    return {"batch_steps": row, "work_orders": orders[orders["closed_at"].isna()]}


def alarms(trace: Trace) -> Lines:
    """Alarms and errors of the step's equipment while it ran."""
    row, machine, begun, ended = _step(trace)
    if not machine or pd.isna(ended):
        return {"batch_steps": row}
    events = trace.known("events", equipment_id=machine)
    inside = (events["ts"] >= begun) & (events["ts"] <= ended) & events["kind"].isin(ALARMS)
    return {"batch_steps": row, "events": events[inside]}


def stops(trace: Trace) -> Lines:
    """Stops of the step's equipment of which some part lies in its run."""
    row, machine, begun, ended = _step(trace)
    if not machine or pd.isna(ended):
        return {"batch_steps": row}
    found = trace.known("downtime", equipment_id=machine)
    inside = (found["started_at"] < ended) & (found["ended_at"].fillna(trace.t) > begun)
    return {"batch_steps": row, "downtime": found[inside]}


def last(rows: pd.DataFrame, at: str, most: int = 1) -> pd.DataFrame:
    """The `most` last rows by the time `at`; of rows at the same time those whose keys come last."""
    return rows[rows[at].notna()].sort_values(at, kind="stable").tail(most)


def lots(trace: Trace) -> Lines:
    """Lots of the material that were issued to the batch."""
    return {"genealogy": _issued(trace, LOTS_A_MATERIAL)}


def _issued(trace: Trace, most: int = 1) -> pd.DataFrame:
    rows = trace.known("genealogy", batch_id=trace.subject)
    return last(rows[rows["material"] == trace.values["material"]], "used_at", most)


def _lot(trace: Trace) -> str:
    issued = _issued(trace)
    return str(issued["material_lot"].iloc[0]) if len(issued) else ""


def uses(trace: Trace) -> Lines:
    """All that was made of the lot issued last."""
    return {"genealogy": trace.known("genealogy", material_lot=_lot(trace))}


def _valid(results: pd.DataFrame, attribute: str) -> pd.DataFrame:
    good = results["value"].notna() & (results["status"].astype(object) != "invalidated")
    return results[good & (results["attribute"] == attribute)]


def lot_result(trace: Trace) -> Lines:
    """The last approved result of the lot issued last; that of an intermediate may be booked on it as a batch."""
    lot, results = _lot(trace), trace.known("lab_results")
    as_batch = (results["batch_id"] == lot) & results["material_lot"].isna() & (lot != trace.subject)
    of_lot = _valid(results[(results["material_lot"] == lot) | as_batch], trace.values["attribute"])
    return {"genealogy": _issued(trace), "lab_results": last(of_lot, "approved_at")}


def own_result(trace: Trace) -> Lines:
    """The batch's own result that was approved last."""
    results = trace.known("lab_results")
    of_batch = results[results["batch_id"] == trace.subject]
    return {"lab_results": last(_valid(of_batch, trace.values["attribute"]), "approved_at")}


def earlier(trace: Trace) -> Lines:
    """The last results of other batches: of any, of the same product, recipe, lot, or supplier of a material."""
    results, by = trace.known("lab_results"), trace.values["by"]
    others = results[results["batch_id"].notna() & (results["batch_id"] != trace.subject)]
    others, out = _valid(others, trace.values["attribute"]), {}
    if by in ("product", "recipe"):
        batches = trace.known("batches")
        product = batches.loc[batches["batch_id"] == trace.subject, by]
        same = batches[batches[by].isin(product.dropna())]
        others = others[others["batch_id"].isin(same["batch_id"])]
    elif by.startswith("supplier."):
        uses = trace.known("genealogy")
        supplier = _issued(trace)["supplier"].dropna()
        same = uses[(uses["material"] == trace.values["material"]) & uses["supplier"].isin(supplier)]
        others = others[others["batch_id"].isin(same["batch_id"])]
    elif by != "overall":
        same = trace.known("genealogy", material_lot=_lot(trace))
        others = others[others["batch_id"].isin(same["batch_id"])]
    lags = trace.spec.batches.lags if trace.spec.batches is not None else None
    made_of = last(others, "approved_at", lags.most if lags is not None else 1)
    if by in ("product", "recipe"):
        out["batches"] = batches[batches["batch_id"].isin({trace.subject, *made_of["batch_id"]})]
    elif by != "overall":
        out["genealogy"] = same[same["batch_id"].isin({trace.subject, *made_of["batch_id"]})]
    return {**out, "lab_results": made_of}
