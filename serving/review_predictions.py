"""What the champions say of a batch under review: results that are not there yet, and its equipment's failure risk.

A champion speaks only of what it has not learnt from: of a time before the end of its training data it says nothing,
because that would be hindsight. That, and a model that is not there, is told and never hidden.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from governance.errors import Refused
from plant.errors import SteadylineError, UnknownId
from serving.fleet import Fleet
from serving.review_case import Case
from serving.review_equipment import used
from serving.review_finding import Found, Outcome
from serving.scoring import Scorer
from serving.words import expectation, percent, stage

_QUALITY, _FAILURE = "predicted results", "predicted failures"
_MOST_REASONS = 3
_EXPECTED = (
    "attribute", "target", "unit", "expected", "interval_50", "interval_80", "interval_90", "prob_out_of_spec",
    "prob_bounds", "prob_out_of_trend", "lower_spec", "upper_spec", "verdict",
)


def predict(case: Case, fleet: Fleet) -> tuple[list[Outcome], dict[str, Any], list[dict[str, Any]]]:
    """Outcomes of the two checks, the versions that were asked (name -> version, bundle, end of training data), and of
    each result that is still to come what is expected of it.
    """
    outcomes, models = [], {}
    expected: list[dict[str, Any]] = []
    for task, name, check in (("quality", _QUALITY, results), ("failure", _FAILURE, failures)):
        names = [n for n, spec in fleet.models[case.plant.site].items() if spec.task == task]
        if not names:
            outcomes.append(Outcome(name, 0, (), (f"the site has no {task} model",), done=False))
        parts = []
        for model in names:
            scorer = fleet.scorer(case.plant.site, task, model)
            try:
                served = scorer.served()
            except (SteadylineError, Refused) as refusal:
                parts.append(Outcome(name, 0, (), (refusal.found,), done=False))
                continue
            trained = pd.Timestamp(served.predictor.data["train_end"])
            models[model] = {
                "version": served.version.version,
                "bundle_sha256": served.version.sha256,
                "train_end": trained.isoformat(),
            }
            parts.append(check(case, scorer, trained, expected))
        if parts:
            outcomes.append(_together(name, parts))
    return outcomes, models, expected


def champions(site: str, fleet: Fleet) -> tuple[tuple[str, str], ...]:
    """(model, bundle) of each model of a site that would be asked; no bundle where none can be."""
    out = []
    for name, spec in fleet.models[site].items():
        bundle = ""
        with contextlib.suppress(SteadylineError, Refused):
            bundle = fleet.scorer(site, spec.task, name).served().version.sha256
        out.append((name, bundle))
    return tuple(out)


def _together(name: str, parts: Sequence[Outcome]) -> Outcome:
    notes = tuple(n for p in parts for n in p.notes)
    return Outcome(
        name, sum(p.entries for p in parts), tuple(f for p in parts for f in p.found), notes, any(p.done for p in parts)
    )


def results(case: Case, scorer: Scorer, trained: pd.Timestamp, expected: list[dict[str, Any]]) -> Outcome:
    """Entries: attributes of the model whose result is not approved yet; they are added to `expected`."""
    if case.t < trained:
        return Outcome(_QUALITY, 0, (), (_hindsight(scorer.model, trained),), done=False)
    try:
        score = scorer.batches([case.batch_id], case.t.to_pydatetime(), store=False)[0]
    except UnknownId as refusal:
        return Outcome(_QUALITY, 0, (), (refusal.found,), done=False)
    except SteadylineError as refusal:
        return Outcome(_QUALITY, 0, (), (refusal.found,), done=False)
    if score["hindsight"]:
        return Outcome(_QUALITY, 0, (), (_hindsight(scorer.model, trained),), done=False)
    rows = case.known.rows("lab_results", "batch_id", case.batch_id)
    status = rows["status"].astype(object)
    told = rows["value"].notna() | (rows["approved_at"].notna() & status.notna())  # it may say pass or fail and no more
    there = set(rows.loc[told & (status != "invalidated"), "attribute"])
    waiting = [a for a in score["attributes"] if a["attribute"] not in there]
    about = {"model": scorer.model, "gate": score["gate"]}
    expected += [about | {k: a[k] for k in _EXPECTED} for a in waiting]
    undecided = [a["attribute"] for a in waiting if a["verdict"] == "undecided"]
    found = [f for a in waiting if a["verdict"] in ("out_of_spec_expected", "at_risk") for f in _result(case, score, a)]
    notes = []
    if undecided:
        notes.append(f"undecided, as the model is not better than a naive guess: {', '.join(undecided)}")
    if not waiting:
        notes.append("every predicted result is there: the laboratory's own stand above")
    return Outcome(_QUALITY, len(waiting), found, tuple(notes))


def _result(case: Case, score: Mapping[str, Any], a: Mapping[str, Any]) -> list[Found]:
    kind = "predicted_out_of_spec" if a["verdict"] == "out_of_spec_expected" else "predicted_at_risk"
    said, unit = str(a["attribute"]).replace("_", " "), a["unit"]
    risk = a["prob_out_of_spec"]
    expected, sure = expectation(a)
    text = f"{said}: {expected} expected {stage(score['gate'])}, {sure}"
    if a["target"] == "pass_fail":
        text = f"{said}: {expected} {stage(score['gate'])}, {sure}"
    elif risk:
        text += f", {percent(risk)} out of specification"
    evidence = {
        "attribute": a["attribute"],
        "value": a["expected"],
        "unit": unit,
        "interval_90": a["interval_90"],
        "lower_spec": a["lower_spec"],
        "upper_spec": a["upper_spec"],
        "probability": risk,
        "gate": score["gate"],
        "model": score["model"],
        "model_version": score["model_version"],
        "reasons": [r["text"] for r in a["reasons"][:_MOST_REASONS]],
    }
    return [
        Found(
            kind,
            (f"predictions/{score['model']}/{a['attribute']}",),
            text,
            pd.Timestamp(score["gate_time"]),
            evidence,
            measure=risk,
        )
    ]


def failures(case: Case, scorer: Scorer, trained: pd.Timestamp, _: list[dict[str, Any]]) -> Outcome:
    """Entries: steps on equipment that the model is for, scored with what was known when the step began."""
    entries = 0
    found: list[Found] = []
    steps = used(case)
    late = [s for s in steps if s.start >= trained]
    early = len(steps) - len(late)
    for step, score in zip(late, scorer.equipment_then([(s.equipment_id, s.start) for s in late]), strict=True):
        if score is None:
            continue
        entries += 1
        if score["decision"]["action"] == "none":
            continue
        risk = next(r["probability"] for r in score["risks"] if r["horizon"] == score["decision_horizon"])
        mode = score["failure_modes"][0]["mode"].replace("_", " ") if score["failure_modes"] else ""
        found.append(
            Found(
                "failure_risk",
                (f"predictions/{scorer.model}/{step.equipment_id}/{step.name}",),
                f"{step.equipment_id} had a failure risk of {risk:.0%} within {score['decision_horizon']} when "
                f"{step.name.replace('_', ' ')} began" + (f", most likely {mode}" if mode else ""),
                step.start,
                {
                    "value": risk,
                    "limit": score["decision"]["threshold"]["watch_from"],
                    "horizon": score["decision_horizon"],
                    "action": score["decision"]["action"],
                    "model": scorer.model,
                    "model_version": score["model_version"],
                    "reasons": [r["text"] for r in score["reasons"][:_MOST_REASONS]],
                },
                measure=float(score["decision"]["action"] == "open_order"),
                step=step.name,
                equipment_id=step.equipment_id,
            )
        )
    notes = (f"{early} uses lie before the end of the model's training data: {_hindsight(scorer.model, trained)}",)
    return Outcome(_FAILURE, entries, found, notes if early else (), done=entries > 0)


def _hindsight(model: str, trained: pd.Timestamp) -> str:
    return f"'{model}' has learnt from data until {trained.isoformat()}; what it says of earlier times is hindsight"
