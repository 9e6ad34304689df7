"""The readiness report: each thing that does not fit is found, counted, and said to harm something."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
from rich.console import Console

from plant.readiness import Finding
from plant.show import render_connected
from tests.plant.workshop import EVENT, Workshop

MACHINE = {"equipment_id": "id", "equipment_class": {"constant": "press"}, "parent_id": "parent"}
READING = {"equipment_id": "machine", "signal": "signal", "ts": "t", "value": "v", "quality": "q"}


def source(path: str) -> dict[str, Any]:
    return {"system": "MES", "path": path, "format": "csv", "time_zone": "UTC"}


def found(workshop: Workshop) -> dict[str, Finding]:
    return {f.code if not f.table else f"{f.code} {f.table}": f for f in workshop.connect().findings}


def test_coverage(workshop: Workshop) -> None:
    workshop.export("log.csv", "id\n")
    workshop.one(EVENT)
    findings = workshop.connect().findings
    told = {(f.code, f.table): f for f in findings}
    assert told["table_empty", "events"].severity == "high"
    assert told["table_empty", "events"].harms == ["failure risk"]
    assert told["table_not_connected", "lab_results"].severity == "info"
    assert [f.severity for f in findings] == sorted(
        [f.severity for f in findings], key=["high", "medium", "low", "info"].index
    )


def test_quarantine_is_told_by_kind_with_examples(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,k,v\n1,ZZ,1\n2,YY,2\n3,ok,x\n")
    workshop.one(EVENT | {"kind": {"column": "k", "crosswalk": "k"}, "value": "v"}, crosswalks={"k": {"ok": "error"}})
    told = found(workshop)
    assert told["unmapped_code events"].count == 2
    assert told["unmapped_code events"].examples[0] == "log.csv line 2: code 'ZZ' is not in the crosswalk 'k'"
    assert told["quarantined events"].count == 1


def test_orphans(workshop: Workshop) -> None:
    workshop.export("machines.csv", "id,parent\nline-1,\npress-1,line-1\npress-2,line-9\n")
    workshop.export("log.csv", "id,machine\n1,press-1\n2,press-7\n3,press-7\n")
    workshop.site(
        {"machines": source("machines.csv"), "log": source("log.csv")},
        {
            "equipment": [{"source": "machines", "columns": MACHINE}],
            "events": [{"source": "log", "columns": EVENT | {"equipment_id": "machine"}}],
        },
    )
    told = found(workshop)
    assert (told["orphans events"].count, told["orphans events"].examples) == (2, ["press-7"])
    assert (told["orphans equipment"].count, told["orphans equipment"].examples) == (1, ["line-9"])


def test_readings(workshop: Workshop) -> None:
    times = pd.date_range("2025-01-01", periods=500, freq="min").strftime("%Y-%m-%dT%H:%M")
    moving = [f"p,a,{t},{i},good" for i, t in enumerate(times)]
    stuck = [f"p,b,{t},{7 if i >= 150 else i % 9},{'bad' if i < 3 else 'good'}" for i, t in enumerate(times[:400])]
    zero = [f"p,c,{t},0,good" for t in times]
    late = ["p,a,2025-02-01T00:00,1,good"]
    workshop.export("log.csv", "machine,signal,t,v,q\n" + "\n".join([*stuck, *moving, *zero, *late]) + "\n")
    workshop.one(READING, "readings")
    told = found(workshop)
    assert told["stuck_sensor readings"].count == 1, (
        "standing still at zero is a machine that stands, not a dead sensor"
    )
    assert told["stuck_sensor readings"].examples[0].startswith("p b = 7 from 2025-01-01 02:30 UTC")
    assert told["bad_quality readings"].count == 3
    assert told["gaps readings"].count == 1


def test_batches_and_results(workshop: Workshop) -> None:
    workshop.export("b.csv", "b,s,e\nB1,2025-01-01,2025-01-02\n")
    workshop.export("s.csv", "b,step,s,e\nB1,mix,2025-01-01,2025-01-01T06:00\nB1,coat,2025-01-01T06:00,2025-01-03\n")
    workshop.export("l.csv", "id,b,t,a\n1,B1,2025-01-02,2025-01-03\n2,B1,2025-01-02,\n")
    workshop.site(
        {n: source(f"{n}.csv") for n in "bsl"},
        {
            "batches": [
                {
                    "source": "b",
                    "columns": {"batch_id": "b", "product": {"constant": "p"}, "started_at": "s", "ended_at": "e"},
                }
            ],
            "batch_steps": [
                {"source": "s", "columns": {"batch_id": "b", "step": "step", "started_at": "s", "ended_at": "e"}}
            ],
            "lab_results": [
                {
                    "source": "l",
                    "columns": {
                        "result_id": "id",
                        "batch_id": "b",
                        "attribute": {"constant": "assay"},
                        "sampled_at": "t",
                        "approved_at": "a",
                    },
                }
            ],
        },
    )
    told = found(workshop)
    assert told["step_outside_batch batch_steps"].count == 1
    assert told["not_approved lab_results"].count == 1
    assert told["no_specification lab_results"].count == 2


def test_orders(workshop: Workshop) -> None:
    workshop.export(
        "log.csv", "id,t,k,m\n1,2025-01-01,corrective,\n2,2025-01-01,corrective,leak\n3,2025-01-01,preventive,\n"
    )
    columns = {
        "work_order_id": "id",
        "equipment_id": {"constant": "p"},
        "kind": "k",
        "opened_at": "t",
        "failure_mode": "m",
    }
    workshop.one(columns, "work_orders")
    told = found(workshop)
    assert told["uncoded_failures work_orders"].count == 1
    assert told["no_closing_time work_orders"].count == 2


def test_what_a_person_sees(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,k\n1,ok\n2,[red]ZZ\n")
    columns = EVENT | {"kind": {"column": "k", "crosswalk": "k"}}
    workshop.site(
        {"log": source("log.csv")},
        {"events": [{"source": "log", "columns": columns}]},
        {"k": {"ok": "error"}},
        simulated=True,
        assumptions=["the clock is right"],
    )
    console = Console(record=True, width=160, force_terminal=False, file=io.StringIO())
    render_connected(console, workshop.connect())
    text = console.export_text()
    for expected in (
        "A works for tests SIMULATED",
        "works@1",
        "from MES: log (1 file)",
        "1 row(s) put aside, nothing dropped",
        "1× events: code '[red]ZZ' is not in the crosswalk 'k' (log.csv line 3)",
        "the clock is right",
    ):
        assert expected in text


def test_exports_that_say_the_same_twice(workshop: Workshop) -> None:
    rows = "id,k\n" + "\n".join(f"{i},x" for i in range(40))
    workshop.export("log_1.csv", rows + "\n")
    workshop.export("log_2.csv", rows + "\n")
    workshop.export("log_3.csv", rows + "\n41,x\n")
    workshop.one(EVENT, path="log_*.csv")
    told = found(workshop)
    assert told["duplicate_export"].examples == ["log:log_1.csv = log:log_2.csv"]
    assert told["overlapping_exports events"].count == 80
    assert "log_3.csv: 40 of 41 rows (97.6 %)" in told["overlapping_exports events"].examples
    assert found(workshop)["overlapping_exports events"].count == 80, "a second connect tells the same"


def test_rows_that_repeat_within_an_export_are_no_overlap(workshop: Workshop) -> None:
    columns = {"equipment_id": "e", "equipment_class": {"constant": "press"}}
    workshop.export("log_1.csv", "id,k,e\n" + "".join(f"{i},x,press-{i % 3}\n" for i in range(60)))
    sources = {"log": source("log_*.csv")}
    tables = {"events": [{"source": "log", "columns": EVENT}], "equipment": [{"source": "log", "columns": columns}]}
    workshop.site(sources, tables)
    told = found(workshop)
    assert not [code for code in told if code.startswith("overlapping_exports")]
    assert (told["repeated_rows equipment"].severity, told["repeated_rows equipment"].count) == ("info", 57)
    workshop.export("log_2.csv", "id,k,e\n" + "".join(f"{i},x,press-{i % 3}\n" for i in range(50, 80)))
    told = found(workshop)
    assert told["overlapping_exports events"].examples == ["log_2.csv: 10 of 30 rows (33.3 %)"]
    assert "overlapping_exports equipment" not in told
    assert told["repeated_rows equipment"].count == 87


def test_steps_that_name_their_batch_again_and_again(workshop: Workshop) -> None:
    rows = [f"B{i // 4},S{i % 4},2025-03-{1 + i // 4:02d}" for i in range(80)]
    workshop.export("steps_1.csv", "\n".join(["b,s,d", *rows[:40]]) + "\n")
    workshop.export("steps_2.csv", "\n".join(["b,s,d", *rows[40:]]) + "\n")
    columns = {
        "batch_id": "b", "product": {"constant": "p"}, "started_at": {"column": "d", "format": "%Y-%m-%d"},
    }  # fmt: skip
    workshop.one(columns, "batches", path="steps_*.csv")
    told = found(workshop)
    assert told["repeated_rows batches"].count == 60
    assert "overlapping_exports batches" not in told


def test_numbers_that_a_spreadsheet_has_mangled(workshop: Workshop) -> None:
    cells = ["1.926.183.442", "1.9E", "12. Jan", "Mar-24", "#REF!", "about 3", "7.5"]
    workshop.export("log.csv", "id,v\n" + "\n".join(f"{i},{c}" for i, c in enumerate(cells)) + "\n")
    workshop.one(EVENT | {"value": "v"})
    told = found(workshop)
    assert len(workshop.aside()) == 6
    assert told["mangled_numbers events"].count == 4
    assert told["mangled_numbers events"].examples[0] == "log.csv line 2: value reads '1.926.183.442'"


def test_swapped_dates_among_what_was_put_aside(workshop: Workshop) -> None:
    rows = "\n".join(f"{i},{1 + i % 28:02d}.03.2025,{2 + i % 28:02d}.03.2025" for i in range(20))
    workshop.export("log.csv", f"id,s,e\n{rows}\n90,04.03.2025,03.05.2024\n91,04.06.2025,06.05.2025\n")
    workshop.one(
        {
            "downtime_id": "id", "equipment_id": {"constant": "p"},
            "started_at": {"column": "s", "format": "%d.%m.%Y"}, "ended_at": {"column": "e", "format": "%d.%m.%Y"},
        },
        "downtime",
    )  # fmt: skip
    told = found(workshop)
    assert told["day_month_swapped downtime"].count == 1
    assert "line 23" in told["day_month_swapped downtime"].examples[0]


def test_codes_that_nobody_has_reviewed(workshop: Workshop) -> None:
    workshop.beside("k.csv", "code,kind,review\nA,alarm,reviewed\nE,error,draft\nS,state,draft\n")
    workshop.export("log.csv", "id,k\n1,A\n2,E\n")
    workshop.one(
        EVENT | {"kind": {"column": "k", "crosswalk": "k"}}, crosswalks={"k": {"file": "k.csv", "key": "code"}}
    )
    draft = found(workshop)["crosswalk_draft events"]
    assert (draft.count, draft.examples) == (1, ["E"])
