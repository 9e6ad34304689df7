"""The model card of a version: what it is for, made of, how good for whom, where it must not be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from models.explain import number
from models.spec import FailureSpec, ModelSpec, QualitySpec
from training import card_quality
from training.card_text import table

FEW_FAILURES = 20


def make(spec: ModelSpec, site: str, simulated: bool, data_version: str, evidence: Mapping[str, Any],
         features: int) -> dict[str, Any]:
    """The card as JSON values, from the specification and what training recorded as evidence."""
    card: dict[str, Any] = {
        "model": spec.name, "site": site, "simulated": simulated, "task": spec.task, "title": spec.title,
        "intended_use": spec.intended_use, "risk_class": spec.risk_class,
        "data": {
            "version": data_version, "train": evidence["train"], "test": evidence.get("test"), "features": features,
            "seed": spec.seed,
        },
        "verdict": evidence.get("verdict"), "beats_baseline": evidence.get("beats_baseline"),
        "audit": _audit(evidence.get("audit")),
    }
    if isinstance(spec, FailureSpec):
        card |= _failure(spec, evidence)
    elif isinstance(spec, QualitySpec):
        card["population"] = {"product": spec.population.product, "gates": list(spec.gates)}
        card["attributes"] = card_quality.attributes(evidence)
    card["limits"] = _limits(card)
    return card


def _failure(spec: FailureSpec, evidence: Mapping[str, Any]) -> dict[str, Any]:
    money = evidence["money"] or {}  # none where the policies could not be played
    equipment = money["tested"]["equipment"] if money else evidence["test"]["units"]
    of = spec.population
    measures = ("auc", "average_precision", "ece", "brier", "base_rate", "n", "failures")
    return {
        "population": {"equipment_class": of.equipment_class, "area": of.area, "line": of.line, "equipment": equipment},
        "labels": evidence.get("labels"),
        "decision_horizon": str(spec.decision_horizon),
        "performance": {
            h: {k: one[k] for k in measures}
            | {"baselines": {n: {k: b[k] for k in measures} for n, b in one.get("baselines", {}).items()}}
            for h, one in evidence["horizons"].items()
        },
        "strata": {by: rows for by, rows in money.get("strata", {}).items() if len(rows) > 1 or by == "class"},
        "modes": money.get("modes", []), "remaining_life": evidence.get("remaining_life"),
        "tested": money.get("tested"), "terms": money.get("terms"), "savings": money.get("savings"),
        "no_money": evidence.get("no_money"),
        "decision": {k: v for k, v in evidence["threshold"].items() if k != "curve"},
        "calibration": evidence.get("calibration"),
        "can_be_changed": list(spec.what_if),
    }


def _audit(audit: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if audit is None:
        return None
    findings = audit.get("findings", [])
    return {"passed": audit.get("passed"), "findings": [
        {k: f.get(k) for k in ("kind", "check", "feature", "level", "severity", "accepted") if k in f} for f in findings
    ]}


def _limits(card: Mapping[str, Any]) -> list[str]:
    """Where the model must not be trusted, told from the figures."""
    out = []
    if card["simulated"]:
        out.append("Trained and tested on simulated data: no figure here says how it does in a real plant.")
    if card["task"] != "failure":
        weak = [n for n, a in card["attributes"].items() if a["verdict"] == "undecided"]
        if weak:
            out.append(f"Undecided, no better than the naive guess: {', '.join(weak)}.")
        out.append("Advice for a reviewer; a person decides on a batch.")
        return out
    if not card["beats_baseline"]:
        out.append("It did not beat its baselines: it must not be promoted.")
    out.append("Risks hold for equipment that goes on being maintained as in the training period.")
    out += _limits_of_play(card) if card["terms"] else [f"No figure in money: it is {card['no_money']}."]
    out.append("Reasons and what-if answers tell what moves the score. They are not causal.")
    return out


def _limits_of_play(card: Mapping[str, Any]) -> list[str]:
    """What the played policies showed no good of."""
    out = []
    thin = [f"{r['name']} ({r['failures']})" for r in card["strata"]["class"] if r["failures"] < FEW_FAILURES]
    if thin:
        out.append(f"Fewer than {FEW_FAILURES} failures in the test, figures are rough: {', '.join(thin)}.")
    lost = [
        r["name"] for r in card["strata"]["class"]
        if (span := r["saving_against_run_to_failure"]["interval_90"]) is not None and span[0] <= 0
    ]
    if lost:
        out.append(f"No saving shown with 90 % confidence for: {', '.join(lost)}.")
    off = [f"{r['name']} ({number(r['calibration_error'])})" for r in card["strata"]["class"]
           if (r["calibration_error"] or 0) > 0.05]
    if off:
        out.append(f"Calibration error above 0.05 at {card['decision_horizon']}: {', '.join(off)}.")
    rare = [m["name"] for m in card["modes"] if m["failures"] and not m["caught"]]
    if rare:
        out.append(f"No failure of these modes was prevented in the test: {', '.join(rare)}.")
    out.append("Savings are of a simulation over recorded time; it credits no policy with what a renewed part would "
               f"have gained beyond {card['terms']['protects']}.")
    return out


def markdown(card: Mapping[str, Any], version: str | None = None) -> str:
    """The card as Markdown."""
    named = f"{card['model']} of {card['site']}" + (f", version {version}" if version else "")
    data = card["data"]
    lines = [
        f"# Model card: {named}", "", f"**{card['title']}**" + (" (SIMULATED data)" if card["simulated"] else ""), "",
        card["intended_use"].strip(), "", f"Risk class: {card['risk_class']}. Verdict: {card['verdict']}.", "",
        "## Data", "", f"* data version `{data['version']}`, seed {data['seed']}, {data['features']} features",
        f"* trained on {_span(data['train'])}" + (f"; tested on {_span(data['test'])}" if data["test"] else ""),
    ]
    audit = card["audit"]
    if audit is not None:
        passed = "passed" if audit["passed"] else "not passed"
        lines.append(f"* leakage audit: {passed}, {len(audit['findings'])} finding(s)")
    lines += _failure_lines(card) if card["task"] == "failure" else card_quality.lines(card)
    lines += ["", "## Limits", "", *(f"* {limit}" for limit in card["limits"]), ""]
    return "\n".join(lines)


def _span(period: Mapping[str, Any]) -> str:
    return f"{str(period['start'])[:10]} to {str(period['end'])[:10]}"


def _failure_lines(card: Mapping[str, Any]) -> list[str]:
    population, life = card["population"], card.get("remaining_life")
    kinds = [f"{key} {', '.join(population[key])}" for key in ("area", "line") if population.get(key, "all") != "all"]
    classes = population["equipment_class"]
    of = " of ".join([classes if classes == "all" else ", ".join(classes), *kinds])
    out = ["", "## Population", "", f"{population['equipment']} equipment of {of}", ""]
    for period, report in (card["labels"] or {}).items():
        if period == "texts":
            continue
        failed, censored = sum(report["failures"].values()), sum(report["censored"].values())
        out.append(f"* {period}: {report['rows']:,} cut-offs, {failed} failures, {censored:,} cut-offs censored")
    out += ["", f"## Performance on unseen {'time' if card['terms'] else 'units'}", "",
            *table(("horizon", "AUC", "average precision", "calibration error", "Brier score", "base rate", "rows"), [
                (h, p["auc"], p["average_precision"], p["ece"], p["brier"], p["base_rate"], p["n"])
                for h, p in card["performance"].items()]), *_baseline_lines(card)]
    if life is not None:
        cap = f", both lives capped at {life['cap']:g} d" if life["cap"] else ""
        out += ["", f"Remaining life at the last record of {life['n']} units: RMSE {life['rmse']:.2f} d{cap}; "
                f"{life['rmse_uncapped']:.2f} d without a cap; the {life['interval']:.0%} interval held "
                f"{life['coverage']:.0%}."]
    return out + (_play_lines(card) if card["terms"] else ["", "## Decisions", "", _decision_line(card)])


def _baseline_lines(card: Mapping[str, Any]) -> list[str]:
    """What is worth knowing no more than the time since the last failure, or who fails how often."""
    rows = [(h, n.replace("_", " "), b["auc"], b["average_precision"], b["brier"])
            for h, p in card["performance"].items() for n, b in p.get("baselines", {}).items()]
    return ["", "Baselines, each alone:", "", *table(
        ("horizon", "baseline", "AUC", "average precision", "Brier score"), rows)] if rows else []


def _play_lines(card: Mapping[str, Any]) -> list[str]:
    """What the model did for whom, and in money."""
    terms, costs, out = card["terms"], card["terms"]["costs"], []
    unit = costs["currency"]
    for by, rows in card["strata"].items():
        out += ["", f"### By {by}, at {card['decision_horizon']}", "", *table(
            (by, "equipment", "failures", "caught", "false alarms per equipment-year", "AUC", "calibration error",
             f"saving against run to failure, {unit} (90 % interval)"),
            [(r["name"] or "not known", r["equipment"], r["failures"], r["caught"],
              r["false_alarms_per_equipment_year"], r["auc"], r["calibration_error"],
              money(r["saving_against_run_to_failure"])) for r in rows])]
    out += ["", "### By failure mode", "", *table(
        ("mode", "failures", "caught"), [(m["name"] or "not known", m["failures"], m["caught"]) for m in card["modes"]]
    )]
    capacity = terms["orders_per_week"]
    out += [
        "", "## Decisions and money", "",
        f"* a missed failure {costs['missed_failure']:,.0f}, a planned intervention "
        f"{costs['planned_intervention']:,.0f}, a false alarm {costs['false_alarm']:,.0f} {unit}",
        f"* work begins {terms['lead_h']:g} h after an order and prevents {100 * terms['effectiveness']:.0f} % of the "
        f"failures it precedes; capacity {'without a limit' if capacity is None else f'{capacity:g} orders a week'}",
        _decision_line(card),
        *(f"* saved against {name.replace('_', ' ')}: {money(s)} {unit}" for name, s in card["savings"].items()),
    ]
    return out


def _decision_line(card: Mapping[str, Any]) -> str:
    decision = card["decision"]
    return (f"* an order from a risk of {100 * decision['order_at']:.3g} % within {card['decision_horizon']}, "
            f"undecided from {100 * decision['watch_from']:.3g} %")


def money(saving: Mapping[str, Any]) -> str:
    """`12,000 (9,000 to 15,000)`."""
    span = saving["interval_90"]
    return f"{saving['saving']:,.0f}" + (f" ({span[0]:,.0f} to {span[1]:,.0f})" if span else "")
