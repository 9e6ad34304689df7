"""The backtest for people: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from models.explain import number
from plant.page import document
from training.backtest_charts import amount, cost_curve, histogram, intervals, weeks

_LINKS = (
    ("money", "Money"), ("policies", "Policies"), ("events", "Warning time"), ("orders", "Orders"),
    ("who", "For whom"), ("threshold", "Threshold"), ("quality", "Probabilities"), ("how", "How it was made"),
)
_MOST_ROWS = 40


def page(answer: Mapping[str, Any]) -> str:
    """The report of `training.backtest_command.run` as HTML; every word of the site is escaped."""
    m = answer["money"]
    body = "".join((
        _money(m), _policies(m), _events(m), _orders(m), _who(m, answer["decision_horizon"]), _threshold(m),
        _quality(answer), _how(answer),
    ))
    t = m["tested"]
    lead = (
        f'<p class="sub">{escape(answer["title"])}. Tested on {_day(t["from"])} to {_day(t["to"])}: {t["equipment"]} '
        f'equipment, {number(t["equipment_years"])} equipment-years, data version '
        f'<code>{escape(answer["data_version"])}</code>. The model never saw this time: it learnt from what was known '
        f'before each of {t["folds"]} fold(s).</p>'
    )
    return document(f"Backtest of {answer['model']} at {answer['site']}", bool(answer["simulated"]), lead, _LINKS, body,
                    "steadyline backtest")


def _money(m: Mapping[str, Any]) -> str:
    unit = m["terms"]["costs"]["currency"]
    rows = [(f"against {m['policies'][n]['title']}", s["saving"], s["interval_90"]) for n, s in m["savings"].items()]
    first = m["savings"]["run_to_failure"]
    verb = "would have saved" if first["saving"] >= 0 else "would have cost"
    sure = [n for n, s in m["savings"].items() if s["interval_90"] and s["interval_90"][0] > 0]
    shown = {3: "against all three", 0: "against none of them"}.get(len(sure)) or "against " + ", ".join(
        m["policies"][n]["title"] for n in sure
    )
    return (
        f'<section id="money"><h2>What it {verb}</h2><p>Over the tested time the '
        f'model {verb} <strong>{amount(abs(first["saving"]), escape(unit))}</strong> against running to failure, '
        f'{amount(abs(first["per_equipment_year"] or 0.0), escape(unit))} per equipment and year. The saving is above '
        f"zero with 90 % confidence {escape(shown)}.</p>"
        + intervals(rows, unit, "Net saving of the model")
        + '<p class="sub">Bars: net saving over the tested time. Lines: 90 % interval, from drawing whole equipment '
        "again and again (bootstrap).</p></section>"
    )


def _policies(m: Mapping[str, Any]) -> str:
    unit = m["terms"]["costs"]["currency"]
    lines = []
    for p in m["policies"].values():
        lines.append([
            p["title"], f"{p['caught']} of {p['failures']}", f"{p['too_late']}", f"{p['orders']}",
            f"{p['orders_per_week']:.1f}", f"{p['false_alarms']}", _number(p["false_alarms_per_equipment_year"]),
            amount(p["cost"]), amount(p["cost_per_equipment_year"] or 0.0),
        ])
    head = ("policy", "failures prevented", "too late", "orders", "orders a week", "false alarms",
            "false alarms per equipment-year", f"cost, {unit}", f"cost per equipment-year, {unit}")
    chosen = m["chosen"]
    days = ", ".join(f"{d:g}" for d in dict.fromkeys(chosen["interval_days"]))
    never = all(a is None for a in chosen["age_order_at"])
    by_age = "no order by age alone would have paid, so it runs to failure" if never else (
        "an order from the risk by age that would have cost least before each fold"
    )
    longer = [
        [f"{r['protects_days']:g} days", *(amount(v) for v in r["savings"].values())] for r in m["longer_protection"]
    ]
    return (
        '<section id="policies"><h2>The model beside what a plant would do without it</h2>'
        + _table("Every policy was played over the same time, under the same terms", head, lines, 1)
        + f'<ul class="sub"><li>Fixed interval: work every {days} days, the interval that would have cost least before '
        f"each fold.</li><li>By age: a Weibull distribution of lives for each class; {escape(by_age)}.</li></ul>"
        "<h3>If work protected for longer</h3>"
        + _table(f"Net saving of the model in {unit}, if an order prevented what comes within a longer time, for every "
                 "policy alike",
                 ("an order protects", *(f"against {m['policies'][n]['title']}" for n in m["savings"])), longer, 1)
        + "</section>"
    )


def _events(m: Mapping[str, Any]) -> str:
    mine, terms = m["policies"]["model"], m["terms"]
    most = 24.0 * float(m["longer_protection"][0]["protects_days"])
    lead = mine["lead_h"]
    told = (
        f"Half of the prevented failures were ordered more than {lead['median']:.0f} h ahead, nine of ten more than "
        f"{lead['p10']:.0f} h." if lead else "No failure was prevented."
    )
    return (
        f'<section id="events"><h2>How early</h2><p>{mine["caught"]} of {mine["failures"]} failures had an order at '
        f'least {terms["lead_h"]:g} h before; {mine["too_late"]} orders came later than that. {told}</p>'
        + histogram(m["leads_h"], most / 12, "Time from the order to the failure", most, terms["lead_h"])
        + "</section>"
    )


def _orders(m: Mapping[str, Any]) -> str:
    mine, capacity = m["policies"]["model"], m["terms"]["orders_per_week"]
    room = "" if capacity is None else f" The crew can do {capacity:g}; {mine['no_room']} times there was no room."
    return (
        f'<section id="orders"><h2>Orders for the crew</h2><p>{mine["orders_per_week"]:.1f} orders a week on average, '
        f'at most {mine["most_orders_in_a_week"]} within seven days.{room}</p>'
        + weeks(m["weeks"], capacity, "Orders by week")
        + '<p class="sub">Full: a failure came while the order stood. Outlined: none came, a false alarm. The last '
        "week may be a part of one.</p></section>"
    )


def _who(m: Mapping[str, Any], horizon: str) -> str:
    unit = m["terms"]["costs"]["currency"]
    parts = ['<section id="who"><h2>For which equipment, for which failures</h2>']
    for by, rows in m["strata"].items():
        if len(rows) < 2 and by != "class":
            continue
        told = [(_words(r["name"]), r["saving_against_run_to_failure"]["saving"],
                 r["saving_against_run_to_failure"]["interval_90"]) for r in rows[:_MOST_ROWS]]
        lines = [[
            _words(r["name"]), f"{r['equipment']}", f"{r['caught']} of {r['failures']}", f"{r['orders']}",
            _number(r["false_alarms_per_equipment_year"]), _number(r["auc"]), _number(r["calibration_error"]),
        ] for r in rows[:_MOST_ROWS]]
        parts.append(f"<h3>By {escape(by)}</h3>")
        parts.append(intervals(told, unit, f"Net saving against running to failure, by {by}"))
        parts.append(_table(
            f"By {by}, at {horizon}",
            (by, "equipment", "failures prevented", "orders", "false alarms per equipment-year", "AUC",
             "calibration error"), lines, 1))
    modes = sorted(m["modes"], key=lambda r: -r["failures"])[:_MOST_ROWS]
    parts.append("<h3>By failure mode</h3>" + _table(
        "The mode is the one that the order of the failure names",
        ("mode", "failures", "prevented"),
        [[_words(r["name"]), f"{r['failures']}", f"{r['caught']}"] for r in modes], 1))
    return "".join(parts) + "</section>"


def _threshold(m: Mapping[str, Any]) -> str:
    t, unit = m["threshold"], m["terms"]["costs"]["currency"]
    return (
        '<section id="threshold"><h2>From which risk an order is opened</h2>'
        "<p>Cost of the whole tested time by the risk from which an order is opened. The version is served with the "
        "one that costs least; in the shaded band below it the two cannot be told apart, and the answer is "
        "<em>watch</em>.</p>"
        + cost_curve(t["curve"], t["order_at"], t["watch_from"], t["expected_cost"], t["never_cost"], unit,
                     "Cost by threshold")
        + '<p class="sub">The savings above were not made with this threshold, but with those chosen before each fold: '
        + escape(", ".join(f"{100 * v:.3g} %" if v <= 1 else "never" for v in m["chosen"]["folds"]))
        + ".</p></section>"
    )


def _quality(answer: Mapping[str, Any]) -> str:
    lines = [
        [h, _number(p["auc"]), _number(p["average_precision"]), _number(p["ece"]), _number(p["brier"]),
         *(_number(b["brier"]) for b in p["baselines"].values()), _number(p["base_rate"]), f"{p['n']:,}"]
        for h, p in answer["horizons"].items()
    ]
    rivals = next(iter(answer["horizons"].values()))["baselines"]
    head = ("within", "AUC", "average precision", "calibration error", "Brier score",
            *(f"Brier score of {n.replace('_', ' ')}" for n in rivals), "base rate", "rows")
    return (
        '<section id="quality"><h2>The probabilities themselves</h2>'
        + _table("On unseen time; calibration error: mean distance of the predicted from the observed share over ten "
                 "groups of equal size", head, lines, 1)
        + "</section>"
    )


def _how(answer: Mapping[str, Any]) -> str:
    terms = answer["money"]["terms"]
    costs, unit = terms["costs"], terms["costs"]["currency"]
    limits = "".join(f"<li>{escape(x)}</li>" for x in answer["card"]["limits"])
    capacity = terms["orders_per_week"]
    return (
        '<section id="how"><h2>How it was made</h2><ul>'
        f"<li>A failure that no order prevented costs {amount(costs['missed_failure'], escape(unit))}, an order that "
        f"prevents one {amount(costs['planned_intervention'], escape(unit))}, an order that no failure follows "
        f"{amount(costs['false_alarm'], escape(unit))}.</li>"
        f"<li>An order stands for {escape(terms['protects'])}, or until the failure; one at a time for each equipment. "
        f"It prevents a failure that comes at least {terms['lead_h']:g} h after it, in "
        f"{100 * terms['effectiveness']:.0f} of 100 cases.</li>"
        f"<li>The crew can carry out {'any number of orders' if capacity is None else f'{capacity:g} orders a week'}; "
        "the most urgent go first.</li>"
        "<li>An order whose failure was forestalled by planned work counts as a false alarm: nobody knows what would "
        "have come.</li><li>All of this is a simulation over recorded time. History goes on as recorded.</li></ul>"
        f"<h3>Limits</h3><ul>{limits}</ul></section>"
    )


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], words: int) -> str:
    """The first `words` columns are text, the others numbers."""
    top = "".join(
        f'<th scope="col"{"" if i < words else " class=" + chr(34) + "n" + chr(34)} style="white-space:normal">'
        f"{escape(h)}</th>" for i, h in enumerate(head)
    )
    lines = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f'<td class="n">{escape(v)}</td>' for v in row[1:]) + "</tr>"
        for row in rows
    )
    return (f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead>'
            f"<tbody>{lines}</tbody></table></div>")


def _words(name: str) -> str:
    return name.replace("_", " ") or "not known"


def _day(moment: str) -> str:
    return escape(moment[:10])


def _number(value: float | None) -> str:
    return "n/a" if value is None else number(value)
