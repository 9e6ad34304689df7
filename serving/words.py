"""How scores are told to people, on the page and at a terminal: order, times, probabilities, figures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

# Verdicts of an attribute, what needs attention first
ATTENTION = {"out_of_spec_expected": 0, "at_risk": 1, "undecided": 2, "in_spec_expected": 3, "no_limits": 4}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00")


def decision_risk(score: Mapping[str, Any]) -> float:
    """Probability of a failure within the horizon at which orders are decided."""
    return next(float(r["probability"]) for r in score["risks"] if r["horizon"] == score["decision_horizon"])


def worst_attribute(score: Mapping[str, Any]) -> dict[str, Any]:
    """The attribute of a batch that needs attention first: of those without a result, as long as there is one."""
    return by_attention(score)[0]


def by_attention(score: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The attributes of a batch, those that need attention first, each with its approved `result` (None: to come)."""
    results = score.get("results", {})
    return sorted(({**a, "result": results.get(a["attribute"])} for a in score["attributes"]), key=attention)


def attention(a: Mapping[str, Any]) -> tuple[bool, int, float]:
    """Sorts predicted attributes: those without a result first, the verdict that wants a look most, the risk."""
    return a["result"] is not None, ATTENTION[a["verdict"]], -(a["prob_out_of_spec"] or 0.0)


def found(a: Mapping[str, Any]) -> str:
    """The approved result of an attribute of `by_attention`; empty where it is outstanding."""
    result = a["result"]
    if result is None:
        return ""
    status = plain(result["status"] or "")
    told = "" if result["value"] is None else f"{number(result['value'])} {a['unit']}".rstrip()
    return f"{told} ({status})" if told and status else told or status


def when(value: datetime | str | None, time_zone: str) -> str:
    """A time as the site's clock shows it, beside UTC: `1 Mar 2026, 07:00 CET (06:00 UTC)`."""
    if value is None:
        return "never"
    utc = pd.Timestamp(value).tz_convert("UTC")
    local = utc.tz_convert(ZoneInfo(time_zone))
    zone = "UTC" if time_zone == "UTC" else local.tzname()
    told = f"{local.day} {local:%b %Y, %H:%M} {zone}"
    if zone == "UTC":
        return told
    return f"{told} ({utc:%H:%M} UTC)" if utc.date() == local.date() else f"{told} ({utc.day} {utc:%b, %H:%M} UTC)"


def percent(value: float | None) -> str:
    """A probability for people: whole percents, one decimal below ten, and never a rounded certainty."""
    if value is None:
        return "not known"
    if value >= 0.995:
        return "over 99 %"
    if value < 0.001:
        return "under 0.1 %"
    return f"{value * 100:.0f} %" if value >= 0.0995 else f"{value * 100:.1f} %"


def number(value: float | None) -> str:
    """A measured value with four significant digits, without an exponent."""
    if value is None or pd.isna(value):
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def shown(value: Any, time_zone: str) -> str:
    """One value of an exception's evidence: a time on both clocks, a figure, words, or several of them."""
    if isinstance(value, Mapping):
        return "; ".join(f"{plain(str(k))}: {shown(v, time_zone)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return "; ".join(shown(v, time_zone) for v in value)
    if isinstance(value, float | int) and not isinstance(value, bool):
        return number(value)
    return when(value, time_zone) if isinstance(value, str) and _MOMENT.fullmatch(value) else str(value)


def bar(value: float, width: int = 120) -> int:
    """Length of a bar in pixels for a share of one; what is there at all is visible."""
    return max(1, round(min(max(value, 0.0), 1.0) * width))


def money(value: float, currency: str) -> str:
    """An amount in whole units of its currency."""
    return f"under 1 {currency}" if 0 < abs(value) < 1 else f"{value:,.0f} {currency}"


def plain(name: str) -> str:
    """A code of the plant language as people write it: `nozzle_blockage` is "nozzle blockage". Never for ids."""
    return name.replace("_", " ")


def age(value: datetime | str, now: datetime) -> str:
    """How long before `now` a time was: hours below two days, days above."""
    return days(max(0.0, (pd.Timestamp(now) - pd.Timestamp(value)) / pd.Timedelta(days=1)))


def days(value: float) -> str:
    """A length of life: hours below two days, days above."""
    return f"{value * 24:.0f} h" if value < 2 else f"{value:,.0f} d" if value >= 10 else f"{value:.1f} d"


def limits(low: float | None, high: float | None) -> str:
    """A specification, one-sided or two-sided."""
    if low is None:
        return "none" if high is None else f"at most {number(high)}"
    return f"at least {number(low)}" if high is None else f"{number(low)} to {number(high)}"


def expectation(a: Mapping[str, Any]) -> tuple[str, str]:
    """What is expected of an attribute, and how sure that is: the result and its interval, or how likely it fails."""
    if a.get("target") == "pass_fail":
        low, high = (percent(v) for v in a["prob_bounds"])
        return f"{percent(a['expected'])} likely to fail", low if low == high else f"between {low} and {high}"
    low, high = (number(v) for v in a["interval_90"])
    return f"{number(a['expected'])} {a['unit']}".rstrip(), f"90 % interval {low} to {high}"


def specified(a: Mapping[str, Any]) -> str:
    """The specification of an attribute, or that it only passes or fails."""
    return "pass or fail" if a.get("target") == "pass_fail" else limits(a["lower_spec"], a["upper_spec"])


def stage(gate: str) -> str:
    """A stage gate in words: `after:compression` is "after compression"."""
    return gate.replace("before_start", "before start").replace(":", " ")


def headline(evidence: Mapping[str, Any]) -> list[str]:
    """What the backtest showed, one line each; empty where the evidence tells nothing of it."""
    lines = []
    horizon = evidence.get("decision_horizon")
    judged = evidence.get("horizons", {}).get(horizon)
    if judged:
        known = {name: b["auc"] for name, b in judged["baselines"].items() if b["auc"] is not None}
        others = ", ".join(f"{name.replace('_', ' ')} {number(auc)}" for name, auc in known.items())
        lines.append(f"AUC {number(judged['auc'])} within {horizon} ({others})")
    events = evidence.get("events")
    if events:
        caught, false = f"{events['caught']} of {events['failures']} failures caught", events["false_alarms"]
        lines.append(f"{caught}, {false} false alarms")
    for name, a in evidence.get("attributes", {}).items():
        kind = "squared error (Brier)" if a.get("target") == "pass_fail" else "error"
        own = f"{number(a['mae'])} {a['unit']}".rstrip()
        error = f"{kind} {own} against {number(a['mae_naive'])} by the best naive guess"
        lines.append(f"{name}: {a['verdict']}, {error}")
    return lines
