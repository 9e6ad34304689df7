"""Batches, results and orders: what lies outside of what, overlaps, late approval and entry, what is left unsaid."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from plant.readiness_records import (
    ACTIONS,
    DAY,
    FAILURE,
    QUALITY,
    Finding,
    Records,
    finding,
    micros,
    share,
    span,
)  # fmt: skip
from plant.tables import TABLES

_FEW_FAILURES, _FEW_OF_A_MODE = 20, 5


def batches(records: Records) -> Iterator[Finding]:
    """Steps outside their batch, steps that overlap on one machine, batches without steps or end."""
    steps, runs = records.rows("batch_steps"), records.rows("batches")
    if len(steps) and len(runs):
        by = runs.set_index("batch_id")
        start, end = steps["batch_id"].map(by["started_at"]), steps["batch_id"].map(by["ended_at"])
        minute = pd.Timedelta(1, "min")  # records are kept in minutes
        outside = steps[(steps["started_at"] < start - minute) | (steps["ended_at"] > end + minute)]
        if len(outside):
            yield finding(
                "step_outside_batch",
                "high" if len(outside) > 0.2 * len(steps) else "medium",
                "batch_steps",
                len(outside),
                f"{len(outside)} step(s) lie outside the run of their batch: one of the two times is wrong",
                [f"{r.batch_id}/{r.step}" for r in outside.head(5).itertuples()],
            )
        empty = sorted(set(runs["batch_id"]) - set(steps["batch_id"]))
        if empty:
            yield finding(
                "batch_without_steps",
                "low" if len(empty) <= 0.1 * len(runs) else "medium",
                "batches",
                len(empty),
                f"{len(empty)} batch(es) have no step: nothing is known of what they ran on",
                empty,
                [QUALITY],
            )
    if len(runs) and len(records.rows("lab_results")):
        tested = set(records.rows("lab_results")["batch_id"].dropna())
        untested = runs[runs["ended_at"].notna() & ~runs["batch_id"].isin(tested)]
        if len(untested) > 0.05 * len(runs):
            yield finding(
                "batch_without_results",
                "medium" if len(untested) > 0.5 * len(runs) else "low",
                "batches",
                len(untested),
                f"{len(untested)} finished batch(es) have no laboratory result: they teach a model nothing",
                untested["batch_id"],
                [QUALITY],
            )
    yield from _overlaps(steps, "batch_steps", "batch_overlap", "step(s) run on a machine that is busy with another")


def downtime(records: Records) -> Iterator[Finding]:
    """Stops of one machine that overlap."""
    yield from _overlaps(
        records.rows("downtime"), "downtime", "downtime_overlap", "stop(s) begin before the one before has ended"
    )


def _overlaps(rows: pd.DataFrame, table: str, code: str, what: str) -> Iterator[Finding]:
    rows = rows[rows["equipment_id"].notna() & rows["ended_at"].notna()]
    if len(rows) < 2:
        return
    ordered = rows.sort_values(["equipment_id", "started_at", "ended_at"], kind="stable")
    same = ordered["equipment_id"].to_numpy()[1:] == ordered["equipment_id"].to_numpy()[:-1]
    start, end = micros(ordered["started_at"]), micros(ordered["ended_at"])
    # The latest end so far on the machine, not only that of the row before.
    furthest = pd.Series(end).groupby(ordered["equipment_id"].to_numpy()).cummax().to_numpy()
    busy = np.concatenate(([False], same & (start[1:] < furthest[:-1] - 60e6)))
    n = int(busy.sum())
    if not n:
        return
    often = n > 0.2 * len(ordered)
    key = TABLES[table].key[0]
    at = np.flatnonzero(busy)[:5]
    yield finding(
        code,
        "info" if often and table == "batch_steps" else "medium",
        table,
        n,
        f"{n} {what}"
        + (": these machines seem to take several batches at once" if often and table == "batch_steps" else
           ": one of the two times is wrong, or time is counted twice"),
        [
            f"{ordered['equipment_id'].iloc[i]}: {ordered[key].iloc[i]} begins "
            f"{ordered['started_at'].iloc[i]:%Y-%m-%d %H:%M} UTC, before {ordered[key].iloc[i - 1]} has ended"
            for i in at
        ],
    )  # fmt: skip


def results(records: Records) -> Iterator[Finding]:
    """Approval: not yet, late, before the sample; limits that are missing or contradict the verdict."""
    rows = records.rows("lab_results")
    if not len(rows):
        return
    waiting = int(rows["approved_at"].isna().sum())
    if waiting == len(rows):
        yield finding(
            "never_approved",
            "high",
            "lab_results",
            waiting,
            "no result has a time of approval: none counts as known, so no quality risk can be learned",
        )
    elif waiting:
        yield finding(
            "not_approved",
            "info",
            "lab_results",
            waiting,
            f"{waiting} result(s) ({share(waiting, len(rows))}) are not approved yet; they are used once they are",
            rows.loc[rows["approved_at"].isna(), "result_id"],
        )
    yield from _late_approval(rows)
    if rows[["lower_spec", "upper_spec"]].isna().all(axis=None):
        yield finding(
            "no_specification",
            "medium",
            "lab_results",
            len(rows),
            "no result has a specification limit: values are predicted, a risk of leaving the specification cannot be",
        )
    value = rows["value"]
    out = (value < rows["lower_spec"]) | (value > rows["upper_spec"])
    denied = rows[(out & (rows["status"] == "in_spec")) | (~out & value.notna() & (rows["status"] == "out_of_spec")
                  & (rows["lower_spec"].notna() | rows["upper_spec"].notna()))]  # fmt: skip
    if len(denied):
        yield finding(
            "verdict_contradicts_limits",
            "medium",
            "lab_results",
            len(denied),
            f"{len(denied)} result(s) carry a verdict that their own value and limits deny: "
            "a wrong limit, unit or number",
            [f"{r.result_id}: {r.attribute} {r.value:g}, {r.status}" for r in denied.head(5).itertuples()],
        )


def _late_approval(rows: pd.DataFrame) -> Iterator[Finding]:
    done = rows[rows["approved_at"].notna()]
    took = (micros(done["approved_at"]) - micros(done["sampled_at"])) / DAY
    early = done[took < 0]
    if len(early):
        yield finding(
            "approved_before_sampled",
            "medium",
            "lab_results",
            len(early),
            f"{len(early)} result(s) were approved before their sample was taken: one of the two times is wrong",
            early["result_id"],
        )
    if len(took) < 10:
        return
    median, late, last = np.quantile(took, [0.5, 0.95, 1.0])
    slow = [
        f"{attribute}: {span(float(np.median(took[at])) * DAY)} in the median, 5 % later than "
        f"{span(float(np.quantile(took[at], 0.95)) * DAY)}"
        for attribute, at in done.groupby("attribute", sort=True).indices.items()
    ]
    yield finding(
        "late_approval",
        "low" if median > 30 else "info",
        "lab_results",
        int((took > max(3 * median, 1.0)).sum()),
        f"results are approved {span(median * DAY)} after the sample in the median, 5 % later than {span(late * DAY)}, "
        f"the last after {span(last * DAY)}: until then a prediction cannot know them",
        slow,
    )


def late_entries(records: Records) -> Iterator[Finding]:
    """Records that were entered long after what they tell, by the time their source gives for the entry."""
    for name, table in TABLES.items():
        frame = (
            records.every_version(name) if name not in ("readings", "equipment") else records.rows("equipment").iloc[:0]
        )
        if not len(frame) or frame["recorded_at"].isna().all():
            continue
        first = frame.drop_duplicates(list(table.key), keep="first")
        first = first[first["recorded_at"].notna()]
        times = [c.name for c in table.columns if c.kind == "time" and c.known_by == c.name]
        last = first[times].max(axis=1)
        late = (first["recorded_at"] - last) > pd.Timedelta(1, "D")
        if 0 < late.sum():
            delay = (first["recorded_at"] - last)[late].sort_values(ascending=False)
            examples = [
                f"{'/'.join(str(first.loc[i, k]) for k in table.key)}: {span(d.total_seconds() * 1e6)} later"
                for i, d in delay.head(5).items()
            ]
            yield finding(
                "late_entry",
                "low",
                name,
                int(late.sum()),
                f"{int(late.sum())} row(s) of {name} were entered more than a day after what they tell "
                f"({share(late.sum(), len(frame))}): a prediction in between could not know them",
                examples,
            )


def orders(records: Records) -> Iterator[Finding]:
    """Failures without a mode or an end, modes too rare to learn, texts that hide what codes do not say."""
    rows = records.rows("work_orders")
    corrective = rows[rows["kind"] == "corrective"]
    if len(rows) and not len(corrective):
        yield finding(
            "no_failures", "high", "work_orders", len(rows),
            "no order is corrective: without failures no failure risk can be learned",
        )  # fmt: skip
    if not len(corrective):
        return
    uncoded = corrective["failure_mode"].isna()
    if uncoded.any():
        told = int((uncoded & corrective["text"].notna()).sum())
        yield finding(
            "uncoded_failures",
            "high" if uncoded.mean() > 0.5 else "medium" if uncoded.mean() > 0.05 else "low",
            "work_orders",
            int(uncoded.sum()),
            f"{int(uncoded.sum())} corrective order(s) ({share(uncoded.sum(), len(corrective))}) carry no failure "
            f"mode, {told} of them a free text: they count as failures, of which part is not known",
            [f"{r.work_order_id}: {r.text}" for r in corrective[uncoded].head(5).itertuples()],
        )
    if corrective["closed_at"].isna().all():
        yield finding(
            "no_closing_time", "medium", "work_orders", len(corrective),
            "no order has a closing time: repair times are unknown",
        )  # fmt: skip
    elif records.end is not None:
        age = (records.end - corrective["opened_at"]).dt.total_seconds() / 86400
        done = (corrective["closed_at"] - corrective["opened_at"]).dt.total_seconds() / 86400
        limit = max(30.0, 5 * float(done.quantile(0.99))) if done.notna().any() else 30.0
        old = corrective[corrective["closed_at"].isna() & (age > limit)]
        if len(old):
            yield finding(
                "forgotten_orders",
                "low",
                "work_orders",
                len(old),
                f"{len(old)} corrective order(s) are open for more than {limit:.0f} days: done and never closed? "
                "Their machine counts as waiting for repair",
                old["work_order_id"],
            )
    classes = records.rows("equipment").drop_duplicates("equipment_id").set_index("equipment_id")["equipment_class"]
    kinds = corrective["equipment_id"].map(classes).fillna("(no class)").astype(str)
    modes = corrective.assign(kind_of=kinds).groupby(["kind_of", "failure_mode"]).size()
    few = modes[modes < _FEW_OF_A_MODE]
    if len(few):
        yield finding(
            "few_failures",
            "info",
            "work_orders",
            len(few),
            f"{len(few)} failure mode(s) of a class have fewer than {_FEW_OF_A_MODE} failures: "
            "what share of the risk they have can hardly be learned",
            [f"{mode} of {kind}: {n}" for (kind, mode), n in few.items()],
            [FAILURE, ACTIONS],
        )
    if len(corrective) < _FEW_FAILURES:
        yield finding(
            "few_failures", "medium", "work_orders", len(corrective),
            f"only {len(corrective)} failure(s) in all: a model has little to learn from", [], [FAILURE],
        )  # fmt: skip
