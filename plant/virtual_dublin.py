"""Dialect of the simulated Dublin site: a Maximo-shaped CMMS, a long Parquet historian in US units, UTF-8, English."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from plant import virtual_names as names
from plant.virtual_batches import STEP_VALUES
from plant.virtual_catalogue import MACHINES, ROOM_SIGNALS, SIGNALS
from plant.virtual_export import converted, crosswalk, digits, local, number, text, with_broken, words, write_csv

ZONE = "Europe/Dublin"
MINUTE, LAB, QMS = "%Y-%m-%d %H:%M", "%d/%m/%Y %H:%M", "%d-%b-%Y %H:%M"
HISTORIAN_ROUND = 4  # decimals that the mapping keeps after conversion
UNITS = {"degC": "degF", "kPa": "psi", "kN": "lbf", "mm/s": "inch/s", "kW": "hp"}

_SHORT = ("GR", "FB", "BL", "TP", "CT", "PK", "RM")
ASSETS = {e: f"{_SHORT[names.class_of_unit(e)]}-{100 + int(e.rsplit('-', 1)[1])}" for e in [*names.UNITS, *names.ROOMS]}
CLASSES = dict(zip(names.CLASSES, ("GRANULATOR", "FBDRYER", "BINBLENDER", "ROTARYPRESS", "FILMCOATER", "BLISTERLINE", "HVACROOM"), strict=True))
AREAS = {a: a.upper().replace("_", " ") for a in names.AREAS}
LINES = {line: line.replace("line-", "L") for line in names.LINES}
PROBLEMS = {m: f"{_SHORT[names.CLASSES.index(names.CLASS_OF[m])]}{n % 3 + 1:02d}" for n, m in enumerate(names.MODES)}
CAUSES = {c: f"C{10 * (n + 1)}" for n, c in enumerate(names.CAUSE_NAMES)}
REASONS = dict(zip(names.REASONS, ("BD", "PM", "JAM", "LIM", "MAT", "OPR", "SNS"), strict=True))
EVENTS = {c: c.upper().replace("_LIMIT", "_HI") for c in names.EVENT_CODES}
KINDS = {"corrective": "CM", "preventive": "PM", "inspection": "INSP", "calibration": "CAL"}
EVENT_KINDS = {"alarm": "ALM", "error": "ERR", "state": "STA"}
QUALITY = {"good": "Good", "uncertain": "Questionable", "bad": "Bad"}
STEPS = dict(zip(names.STEP_NAMES, ("GRAN", "DRY", "BLEND", "COMP", "COAT", "PACK"), strict=True))
PRODUCTS = {p: f"FG-{1001 + n}" for n, p in enumerate(names.PRODUCT_NAMES)}
MATERIALS = {m: f"RM-{m.upper()[:8]}" for m in names.MATERIAL_NAMES}
TESTS = {t: t.upper() for t in names.TESTS} | {"hardness": "HARD", "dissolution": "DISS30", "content_uniformity": "CU-AV", "loss_on_drying": "LOD"}
STATUS = {"in_spec": "PASS", "out_of_spec": "OOS", "out_of_trend": "OOT", "invalidated": "INVALID"}
CRITICALITY = {"high": "1", "medium": "2", "low": "3"}
SEVERITY = {"critical": "CRIT", "major": "MAJ", "minor": "MIN"}
CATEGORIES = {"laboratory_result": "LAB", "equipment": "EQUIP", "documentation": "DOC"}
DECISIONS = {"released": "REL", "rejected": "REJ", "reworked": "RWK"}
PLANNED = {True: "Y", False: "N"}


def tag(equipment: str, signal: str) -> str:
    """Historian tag, e.g. DUB.TP101.MAIN_FORCE.PV."""
    return f"DUB.{ASSETS[equipment].replace('-', '')}.{signal.upper()}.PV"


def crosswalks() -> dict[str, pd.DataFrame]:
    """Files of the site's `crosswalks` folder."""
    tags = []
    for e in [*names.UNITS, *names.ROOMS]:
        kind = names.class_of_unit(e)
        for s in MACHINES[kind].signals if kind < len(MACHINES) else ROOM_SIGNALS:
            tags.append((tag(e, s.name), e, s.name, s.unit, UNITS.get(s.unit, s.unit)))
    problems = crosswalk(PROBLEMS, "problem_code", "failure_mode")
    return {
        "assets.csv": crosswalk(ASSETS, "asset", "equipment_id"),
        "tags.csv": pd.DataFrame(tags, columns=["tag", "equipment_id", "signal", "unit", "source_unit"]),
        "problem_codes.csv": problems.assign(mechanism=problems["failure_mode"].map(names.MECHANISM_OF)),
        "cause_codes.csv": crosswalk(CAUSES, "cause_code", "cause"),
        "lines.csv": crosswalk(LINES, "line_code", "line"),
        "event_codes.csv": crosswalk(EVENTS, "event_code", "code"),
        "materials.csv": crosswalk(MATERIALS, "item", "material"),
        "products.csv": crosswalk(PRODUCTS, "item", "product"),
        "tests.csv": crosswalk(TESTS, "test", "attribute"),
    }


def write(tables: dict[str, pd.DataFrame], out: Path) -> None:
    """All exports of one history below `out`."""
    _cmms(tables, out / "cmms")
    _historian(tables, out / "historian")
    _mes(tables, out / "mes")
    _lims(tables["lab_results"], out / "lims" / "results.csv")
    _qms(tables, out / "qms")


def _minute(stamps: pd.Series, layout: str = MINUTE) -> np.ndarray:
    return local(stamps, ZONE, layout)


def _cmms(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["equipment"]
    write_csv(out / "assets.csv", with_broken(pd.DataFrame({
        "ASSETNUM": words(t["equipment_id"], ASSETS), "CLASSSTRUCTURE": words(t["equipment_class"], CLASSES), "AREA": words(t["area"], AREAS),
        "LINE": words(t["line"], LINES), "PRIORITY": words(t["criticality"], CRITICALITY),
        "INSTALLDATE": local(t["commissioned_at"], "UTC", "%Y-%m-%d"), "PARENT": words(t["parent_id"], ASSETS),
    }), [{"ASSETNUM": "TP-999", "PARENT": ""}]))
    t = tables["work_orders"]
    write_csv(out / "workorders.csv", with_broken(pd.DataFrame({
        "WONUM": t["work_order_id"], "ASSETNUM": words(t["equipment_id"], ASSETS), "WORKTYPE": words(t["kind"], KINDS),
        "STATUS": np.where(t["closed_at"].notna(), "CLOSE", "INPRG"), "DESCRIPTION": text(t["text"]),
        "REPORTDATE": _minute(t["opened_at"]), "ACTSTART": _minute(t["started_at"]), "ACTFINISH": _minute(t["closed_at"]),
        "FAILURECODE": [p[:2] for p in words(t["failure_mode"], PROBLEMS)], "PROBLEMCODE": words(t["failure_mode"], PROBLEMS),
        "CAUSECODE": words(t["cause"], CAUSES), "ITEMNUM": text(t["parts"]), "LABORHRS": number(t["labour_hours"], 1),
        "TOTALCOST": number(t["cost"], 2), "CHANGEDATE": _minute(t["recorded_at"]),
    }), [
        {"WONUM": "190001", "WORKTYPE": "EM2"}, {"WONUM": ""}, {"WONUM": "190002", "REPORTDATE": "2025-13-02 08:15"},
        {"WONUM": "190003", "ASSETNUM": "TP-999"}, {"WONUM": "190004", "TOTALCOST": "approx 400"},
        {"WONUM": "190005", "ACTFINISH": "2015-01-07 10:00"}, {"WONUM": "190006", "PROBLEMCODE": "TP1"},
    ]))
    t = tables["spare_parts"]
    write_csv(out / "inventory.csv", pd.DataFrame({
        "ITEMNUM": t["part_id"], "CLASSSTRUCTURE": words(t["equipment_class"], CLASSES), "PROBLEMCODE": words(t["failure_mode"], PROBLEMS),
        "CURBAL": number(t["on_hand"], 0), "LEADTIME": number(t["lead_time_days"], 0),
    }))


def _historian(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["signals"]
    unit = {name: (s.unit, UNITS.get(s.unit, s.unit)) for name, s in SIGNALS.items()}
    low, high = (
        [f"{converted(np.array([v]), *unit[s], HISTORIAN_ROUND)[0]:.{digits(*unit[s], HISTORIAN_ROUND)}f}" for v, s in zip(t[side], t["signal"], strict=True)]
        for side in ("low", "high")
    )
    write_csv(out / "tags.csv", pd.DataFrame({
        "TAG": [tag(e, s) for e, s in zip(t["equipment_id"], t["signal"], strict=True)], "ENGUNITS": [unit[s][1] for s in t["signal"]],
        "LOLIM": low, "HILIM": high,
    }))
    _readings(tables["readings"], unit, out)
    t = tables["events"]
    write_csv(out / "alarms.csv", with_broken(pd.DataFrame({
        "EventID": t["event_id"], "Source": words(t["equipment_id"], ASSETS), "Time": local(t["ts"], "UTC", "%Y-%m-%dT%H:%M:%SZ"),
        "Type": words(t["kind"], EVENT_KINDS), "Code": words(t["code"], EVENTS), "Value": number(t["value"], 1),
    }), [{"EventID": "E9000001", "Time": "0000-00-00T00:00:00Z"}, {"EventID": "E9000002", "Code": "TEST_ALARM"}]))


def _readings(readings: pd.DataFrame, unit: dict[str, tuple[str, str]], out: Path) -> None:
    """One Parquet file a month: tag, time (UTC), value, quality. A tag under test is nobody's equipment."""
    values = readings["value"].to_numpy().copy()
    signal = readings["signal"].cat
    for code, name in enumerate(signal.categories):
        rows = signal.codes.to_numpy() == code
        values[rows] = converted(values[rows], *unit[name], HISTORIAN_ROUND)
    equipment = readings["equipment_id"].cat
    pairs = equipment.codes.to_numpy().astype(np.int64) * len(signal.categories) + signal.codes.to_numpy()
    codes, distinct = pd.factorize(pairs)
    tags = [tag(equipment.categories[p // len(signal.categories)], signal.categories[p % len(signal.categories)]) for p in distinct]
    quality = [QUALITY[q] for q in readings["quality"].cat.categories]
    month = readings["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[M]")
    schema = pa.schema([("tag", pa.string()), ("time", pa.timestamp("us", tz="UTC")), ("value", pa.float64()), ("quality", pa.string())])
    for m in np.unique(month):
        rows = np.flatnonzero(month == m)
        rows = rows[np.argsort(readings["ts"].to_numpy()[rows], kind="stable")]
        under_test = pa.table({
            "tag": ["DUB.TP199.TEST.PV"] * 3, "time": pa.array([readings["ts"].iloc[rows[0]]] * 3, schema.field("time").type),
            "value": [0.0, 1.0, 2.0], "quality": ["Good"] * 3,
        }, schema=schema)
        table = pa.table({
            "tag": pa.DictionaryArray.from_arrays(codes[rows].astype(np.int32), tags).cast(pa.string()),
            "time": pa.array(readings["ts"].iloc[rows]).cast(schema.field("time").type),
            "value": values[rows],
            "quality": pa.DictionaryArray.from_arrays(readings["quality"].cat.codes.to_numpy()[rows].astype(np.int32), quality).cast(pa.string()),
        }, schema=schema)
        pq.write_table(pa.concat_tables([table, under_test]), out / f"readings_{m}.parquet", compression="zstd")


def _mes(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["downtime"]
    planned = ["" if pd.isna(p) else PLANNED[bool(p)] for p in t["planned"]]
    write_csv(out / "downtime.csv", with_broken(pd.DataFrame({
        "STOP_ID": t["downtime_id"], "ASSET": words(t["equipment_id"], ASSETS), "START": _minute(t["started_at"]), "END": _minute(t["ended_at"]),
        "REASON": words(t["reason"], REASONS), "PLANNED": planned,
    }), [{"STOP_ID": "590001", "END": "2015-02-03 07:00"}, {"STOP_ID": "590002", "REASON": "??"}, {"STOP_ID": "590003", "ASSET": ""}]))
    t = tables["batches"]
    write_csv(out / "batches.csv", with_broken(pd.DataFrame({
        "BATCH": t["batch_id"], "ITEM": words(t["product"], PRODUCTS), "RECIPE": t["recipe"], "QTY": number(t["size"], 0),
        "LINE": words(t["line"], LINES), "START": _minute(t["started_at"]), "END": _minute(t["ended_at"]), "YIELD": number(t["yield_pct"], 1),
    }), [{"BATCH": "TEST-1", "ITEM": "FG-TRIAL"}]))
    t = tables["batch_steps"]
    columns = {
        "BATCH": t["batch_id"], "STEP": words(t["step"], STEPS), "ASSET": words(t["equipment_id"], ASSETS), "START": _minute(t["started_at"]),
        "END": _minute(t["ended_at"]),
    }
    for v in STEP_VALUES:
        other = UNITS.get(v.unit, v.unit) if v.unit == "degC" else v.unit
        columns[v.name.upper()] = number(converted(t[v.name].to_numpy(), v.unit, other, v.decimals), digits(v.unit, other, v.decimals))
    write_csv(out / "steps.csv", with_broken(pd.DataFrame(columns), [
        {"BATCH": "TEST-1", "MAIN_FORCE_MEAN": "see attached"}, {"BATCH": "TEST-1", "START": ""},
    ]))
    t = tables["genealogy"]
    write_csv(out / "materials.csv", with_broken(pd.DataFrame({
        "BATCH": t["batch_id"], "LOT": t["material_lot"], "ITEM": words(t["material"], MATERIALS), "SUPPLIER": t["supplier"],
        "QTY_KG": number(t["quantity"], 2), "ISSUED": _minute(t["used_at"]),
    }), [{"LOT": ""}]))


def _lims(t: pd.DataFrame, path: Path) -> None:
    hard = (t["attribute"] == "hardness").to_numpy()
    cells: dict[str, np.ndarray] = {}
    for name in ("value", "lower_spec", "upper_spec"):
        values = t[name].to_numpy(dtype=np.float64)
        cells[name] = np.array(number(values, 3), dtype=object)
        cells[name][hard] = number(converted(values[hard], "N", "kgf", 1), digits("N", "kgf", 1))
    write_csv(path, with_broken(pd.DataFrame({
        "RESULT_ID": t["result_id"], "BATCH": text(t["batch_id"]), "LOT": text(t["material_lot"]), "TEST": words(t["attribute"], TESTS),
        "RESULT": cells["value"], "UOM": np.where(hard, "kgf", t["unit"]), "LSL": cells["lower_spec"], "USL": cells["upper_spec"],
        "SAMPLED": _minute(t["sampled_at"], LAB), "APPROVED": _minute(t["approved_at"], LAB), "STATUS": words(t["status"], STATUS),
    }), [{"RESULT_ID": "R990001", "RESULT": "<LOQ"}, {"RESULT_ID": "R990002", "STATUS": "HOLD"}, {"RESULT_ID": "R990003", "BATCH": "", "LOT": ""}]))


def _qms(tables: dict[str, pd.DataFrame], out: Path) -> None:
    t = tables["deviations"]
    write_csv(out / "deviations.csv", with_broken(pd.DataFrame({
        "DEV": t["deviation_id"], "BATCH": t["batch_id"], "ASSET": words(t["equipment_id"], ASSETS), "STEP": words(t["step"], STEPS),
        "SEVERITY": words(t["severity"], SEVERITY), "CATEGORY": words(t["category"], CATEGORIES),
        "OPENED": _minute(t["opened_at"], QMS), "CLOSED": _minute(t["closed_at"], QMS),
    }), [{"DEV": "D90001", "SEVERITY": "MEDIUM"}]))
    t = tables["dispositions"]
    write_csv(out / "dispositions.csv", with_broken(pd.DataFrame({
        "BATCH": t["batch_id"], "RECORD_COMPLETE": _minute(t["record_complete_at"], QMS), "REVIEWED": _minute(t["reviewed_at"], QMS),
        "DISPOSED": _minute(t["disposed_at"], QMS), "DECISION": words(t["decision"], DECISIONS),
    }), [{"BATCH": "TEST-1", "DECISION": "QUARANTINE?"}]))
