"""The canonical tables: one plant language for every site.

Each column declares its type, its unit and *what makes it known*: the time column of the same row
that has to lie strictly before `t` for the as-of view at `t` to show the value. Something happens at
one time and becomes known at another; a downtime's end is not known at its start.

Times are UTC, time-zone aware, microseconds. Every stored row also carries the columns of `LINEAGE`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
import pyarrow as pa

Kind = Literal["string", "float", "bool", "time"]

TIME_DTYPE = "datetime64[us, UTC]"
_ARROW = {"string": pa.string(), "float": pa.float64(), "bool": pa.bool_(), "time": pa.timestamp("us", tz="UTC")}
_PANDAS = {"string": "object", "float": "float64", "bool": "boolean", "time": TIME_DTYPE}


@dataclass(frozen=True)
class Column:
    """One column of a canonical table.

    known_by: the time column that makes this value known; None means the table's `known_by`;
    "always" marks master data that is valid from the start of the records.
    """

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    required: bool = False
    known_by: str | None = None
    codes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A contract: columns, key, the time that makes a row known, references to other tables."""

    name: str
    meaning: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    known_by: str
    references: dict[str, str] = field(default_factory=dict)
    open_values: bool = False  # further float columns are allowed: values recorded with the row
    one_of: tuple[str, ...] = ()  # at least one of these must be filled

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column:
        """The contract of one column; a recorded value of an open table is a float known with the row."""
        for c in self.columns:
            if c.name == name:
                return c
        if self.open_values:
            return Column(name, "float", "value recorded in the step, known when it has ended", known_by="ended_at")
        raise KeyError(name)

    def known_column(self, name: str) -> str:
        """Name of the time column that makes `name` known, or "always"."""
        return self.column(name).known_by or self.known_by


LINEAGE: tuple[Column, ...] = (
    Column("recorded_at", "time", "when this version of the row was recorded; empty: as its own times say"),
    Column("source_file", "string", "file (or query) the row came from"),
    Column("source_line", "float", "line of that file, counted from 1"),
)


def _s(
    name: str, meaning: str, required: bool = False, known_by: str | None = None, codes: tuple[str, ...] = ()
) -> Column:
    return Column(name, "string", meaning, "", required, known_by, codes)


def _f(name: str, meaning: str, unit: str = "", required: bool = False, known_by: str | None = None) -> Column:
    return Column(name, "float", meaning, unit, required, known_by)


def _t(name: str, meaning: str, required: bool = False, known_by: str | None = None) -> Column:
    """A time is known once it has passed, unless another column makes it known."""
    return Column(name, "time", meaning, "UTC", required, known_by or name)


_TABLES = (
    Table(
        "equipment",
        "What can fail or be used: machines, rooms, utilities.",
        ("equipment_id",),
        (
            _s("equipment_id", "the plant's one name for it", True),
            _s("site", "site (ISA-95)"),
            _s("area", "area (ISA-95)"),
            _s("line", "production line"),
            _s("equipment_class", "class (ISO 14224), e.g. tablet_press", True),
            _s("criticality", "consequence of a failure", codes=("high", "medium", "low")),
            _t("commissioned_at", "in service from", known_by="always"),
            _t("retired_at", "out of service from"),
            _s("parent_id", "the equipment it is part of"),
        ),
        known_by="always",
        references={"parent_id": "equipment"},
    ),
    Table(
        "signals",
        "What is measured on an equipment.",
        ("equipment_id", "signal"),
        (
            _s("equipment_id", "measured equipment", True),
            _s("signal", "the plant's name of the signal", True),
            _s("unit", "unit of its readings"),
            _f("low", "lower limit of normal operation", "unit of the signal"),
            _f("high", "upper limit of normal operation", "unit of the signal"),
            _s("source_tag", "tag in the historian"),
        ),
        known_by="always",
        references={"equipment_id": "equipment"},
    ),
    Table(
        "readings",
        "Time series of signals.",
        ("equipment_id", "signal", "ts"),
        (
            _s("equipment_id", "measured equipment", True),
            _s("signal", "the plant's name of the signal", True),
            _t("ts", "time of the measurement", True),
            _f("value", "measured value", "unit of the signal"),
            _s("quality", "quality of the measurement", codes=("good", "uncertain", "bad")),
        ),
        known_by="ts",
        references={"equipment_id": "equipment"},
    ),
    Table(
        "events",
        "Alarms, errors and state changes.",
        ("event_id",),
        (
            _s("event_id", "key of the event", True),
            _s("equipment_id", "equipment that raised it", True),
            _t("ts", "when it was raised", True),
            _s("kind", "kind of event", True, codes=("alarm", "error", "state")),
            _s("code", "code of the alarm, error or state"),
            _f("value", "value carried by the event"),
        ),
        known_by="ts",
        references={"equipment_id": "equipment"},
    ),
    Table(
        "downtime",
        "Intervals in which an equipment stood.",
        ("downtime_id",),
        (
            _s("downtime_id", "key of the stop", True),
            _s("equipment_id", "equipment that stood", True),
            _t("started_at", "start of the stop", True),
            _t("ended_at", "end of the stop; empty: still standing"),
            _s("reason", "reason code, entered when the stop ends", known_by="ended_at"),
            Column("planned", "bool", "planned stop", known_by="ended_at"),
        ),
        known_by="started_at",
        references={"equipment_id": "equipment"},
    ),
    Table(
        "work_orders",
        "Maintenance orders.",
        ("work_order_id",),
        (
            _s("work_order_id", "order number", True),
            _s("equipment_id", "equipment the order is for", True),
            _s("kind", "kind of order", True, codes=("corrective", "preventive", "inspection", "calibration")),
            _t("opened_at", "reported or released", True),
            _t("started_at", "work began"),
            _t("closed_at", "work confirmed complete; empty: open"),
            _s("failure_mode", "failure mode (ISO 14224)", known_by="closed_at"),
            _s("mechanism", "failure mechanism (ISO 14224)", known_by="closed_at"),
            _s("cause", "failure cause (ISO 14224)", known_by="closed_at"),
            _s("text", "short text as typed when the order was opened"),
            _s("parts", "parts used", known_by="closed_at"),
            _f("labour_hours", "labour", "h", known_by="closed_at"),
            _f("cost", "cost of the order", "currency of the site", known_by="closed_at"),
        ),
        known_by="opened_at",
        references={"equipment_id": "equipment"},
    ),
    Table(
        "batches",
        "Production batches.",
        ("batch_id",),
        (
            _s("batch_id", "batch number", True),
            _s("product", "product, with strength where it has one", True),
            _s("recipe", "master recipe"),
            _f("size", "planned batch size", "units"),
            _s("line", "production line"),
            _t("started_at", "start of the first step", True),
            _t("ended_at", "end of the last step"),
            _f("yield_pct", "yield", "%", known_by="ended_at"),
        ),
        known_by="started_at",
    ),
    Table(
        "batch_steps",
        "Steps of a batch, with the values recorded in each.",
        ("batch_id", "step"),
        (
            _s("batch_id", "batch number", True),
            _s("step", "step of the recipe (ISA-88)", True),
            _s("equipment_id", "equipment the step ran on"),
            _t("started_at", "start of the step", True),
            _t("ended_at", "end of the step; recorded values are known then"),
        ),
        known_by="started_at",
        references={"batch_id": "batches", "equipment_id": "equipment"},
        open_values=True,
    ),
    Table(
        "genealogy",
        "Material lots that went into a batch.",
        ("batch_id", "material_lot"),
        (
            _s("batch_id", "batch number", True),
            _s("material_lot", "lot (or intermediate batch) that was used", True),
            _s("material", "material"),
            _s("supplier", "supplier of the lot"),
            _f("quantity", "quantity used", "kg"),
            _t("used_at", "when the lot was issued to the batch", True),
        ),
        known_by="used_at",
        references={"batch_id": "batches"},
    ),
    Table(
        "lab_results",
        "Results of the laboratory, for a batch or a material lot.",
        ("result_id",),
        (
            _s("result_id", "key of the result", True),
            _s("batch_id", "tested batch"),
            _s("material_lot", "tested lot"),
            _s("attribute", "tested attribute", True),
            _f("value", "result", "unit of the attribute", known_by="approved_at"),
            _s("unit", "unit of the result"),
            _f("lower_spec", "lower specification limit", "unit of the attribute", known_by="always"),
            _f("upper_spec", "upper specification limit", "unit of the attribute", known_by="always"),
            _t("sampled_at", "sample taken", True),
            _t("approved_at", "result approved; empty: not yet"),
            _s(
                "status",
                "verdict of the laboratory",
                known_by="approved_at",
                codes=("in_spec", "out_of_spec", "out_of_trend", "invalidated"),
            ),
        ),
        known_by="sampled_at",
        references={"batch_id": "batches"},
        one_of=("batch_id", "material_lot"),
    ),
    Table(
        "deviations",
        "Deviations raised on batches or equipment.",
        ("deviation_id",),
        (
            _s("deviation_id", "key of the deviation", True),
            _s("batch_id", "batch concerned"),
            _s("equipment_id", "equipment concerned"),
            _s("step", "step concerned"),
            _s("severity", "severity", codes=("critical", "major", "minor")),
            _s("category", "category"),
            _t("opened_at", "opened", True),
            _t("closed_at", "closed; empty: open"),
        ),
        known_by="opened_at",
        references={"batch_id": "batches", "equipment_id": "equipment"},
    ),
    Table(
        "dispositions",
        "Review and release of batches.",
        ("batch_id",),
        (
            _s("batch_id", "batch number", True),
            _t("record_complete_at", "batch record complete", True),
            _t("reviewed_at", "review finished"),
            _t("disposed_at", "decision taken"),
            _s(
                "decision",
                "decision, taken by a person",
                known_by="disposed_at",
                codes=("released", "rejected", "reworked"),
            ),
        ),
        known_by="record_complete_at",
        references={"batch_id": "batches"},
    ),
    Table(
        "spare_parts",
        "Parts that mend a failure mode, with stock.",
        ("part_id",),
        (
            _s("part_id", "part number", True),
            _s("equipment_class", "class it fits"),
            _s("failure_mode", "failure mode it mends"),
            _f("on_hand", "pieces in stock", "pieces"),
            _f("lead_time_days", "time to get one", "d"),
        ),
        known_by="always",
    ),
)

TABLES: dict[str, Table] = {t.name: t for t in _TABLES}


def arrow_schema(table: Table, extra: tuple[str, ...] = ()) -> pa.Schema:
    """Arrow schema of the stored table: contract columns, recorded values `extra`, lineage."""
    columns = [*table.columns, *(table.column(e) for e in extra), *LINEAGE]
    return pa.schema([pa.field(c.name, _ARROW[c.kind]) for c in columns])


def empty_frame(table: Table) -> pd.DataFrame:
    """A frame without rows and with the dtypes of the contract."""
    return pd.DataFrame({c.name: pd.Series(dtype=_PANDAS[c.kind]) for c in (*table.columns, *LINEAGE)})


def conform(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with every contract and lineage column present and of the contract's dtype.

    Columns that the contract does not know are kept where the table is open, and refused elsewhere.
    Categorical strings stay categorical (readings are large). Raises ValueError on a naive time.
    """
    known = {c.name: c for c in (*table.columns, *LINEAGE)}
    out: dict[str, pd.Series] = {}
    for name in [*known, *(n for n in frame.columns if n not in known)]:
        column = known.get(name) or table.column(name)
        if name not in frame:
            out[name] = pd.Series(
                pd.NA if column.kind == "bool" else None, index=frame.index, dtype=_PANDAS[column.kind]
            )
            continue
        values = frame[name]
        if column.kind == "time":
            if getattr(values.dtype, "tz", None) is None and values.notna().any():
                raise ValueError(f"{table.name}.{name} holds times without a time zone")
            values = pd.to_datetime(values, utc=True)
        if column.kind == "string" and isinstance(values.dtype, pd.CategoricalDtype):
            out[name] = values
        else:
            out[name] = values.astype(_PANDAS[column.kind])
    return pd.DataFrame(out, index=frame.index)
