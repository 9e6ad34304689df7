"""The readiness report for people: one HTML file that needs nothing but itself."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from plant import svg
from plant.errors import NotReady
from plant.page import document
from plant.readiness import Finding, Readiness
from plant.readiness_records import CountLike, SnapshotLike
from plant.site import Site

_SEVERITIES = ("high", "medium", "low", "info")
_MEANING = {
    "high": "predictions are wrong or impossible until this is mended",
    "medium": "some predictions are weaker than they could be",
    "low": "worth knowing; little is lost",
    "info": "a fact about the data, nothing to mend",
}
_STATUS = {"usable": "✔ usable", "limited": "▲ limited", "not possible": "✖ not possible"}
_MOST_MACHINES = 60
_PUT_ASIDE = ("quarantined", "unmapped_code")


def page(
    readiness: Readiness, site: Site, snapshot: SnapshotLike, counts: Mapping[str, CountLike] | None = None
) -> str:
    """The report as HTML. Times are UTC with the site's local time beside; figures of a simulated site say so."""
    counts = counts or {}
    title = f"Readiness of {site.title}"
    parts = [
        _tasks(readiness),
        _findings(readiness.findings),
        _rows(readiness, counts, site.time_zone),
        _time(readiness),
        _clocks(readiness),
        _quarantine(snapshot),
        _assumptions(site),
    ]
    links = [
        ("tasks", "What can be predicted"), ("findings", "Findings"), ("rows", "Rows"), ("time", "Over time"),
        ("clocks", "Clocks"), ("quarantine", "Quarantine"),
    ]  # fmt: skip
    present = "".join(parts)
    lead = (
        f'<p class="sub">data version <code>{escape(snapshot.data_version)}</code>, {_end(site, snapshot)}. '
        f"Times are UTC; the clock of the plant is {escape(site.time_zone)}.</p>"
    )
    return document(title, site.simulated, lead, links, present, "steadyline connect")


def _end(site: Site, snapshot: SnapshotLike) -> str:
    try:
        end = snapshot.data_end
    except NotReady:
        return "no row with a time"
    local = end.tz_convert(zoneinfo.ZoneInfo(site.time_zone))
    return f"data up to {end:%Y-%m-%d %H:%M} UTC ({local:%Y-%m-%d %H:%M} {escape(str(local.tzname()))})"


def _tasks(readiness: Readiness) -> str:
    cards = []
    for name, task in readiness.tasks.items():
        reasons = "".join(f"<li>{escape(r)}</li>" for r in task["reasons"][:8])
        n = len(task["weakened_by"])
        weaker = f"<p>Weakened by {n} finding(s) of medium severity, listed below.</p>" if n else ""
        uses = ", ".join(task["uses"]) or "nothing"
        lacks = f"<br>Not there: {escape(', '.join(task['lacks']))}" if task["lacks"] else ""
        cards.append(
            f'<div class="task {task["status"].split()[0]}"><h3>{escape(name)}</h3>'
            f'<div class="status">{_STATUS[task["status"]]}</div>'
            + (f"<ul>{reasons}</ul>" if reasons else "" if n else "<p>Nothing stands against it.</p>")
            + weaker
            + f'<div class="sub">Uses: {escape(uses)}{lacks}</div></div>'
        )
    return f'<section id="tasks"><h2>What can be predicted</h2><div class="tasks">{"".join(cards)}</div></section>'


def _findings(found: list[Finding]) -> str:
    by = [(s, sum(1 for f in found if f.severity == s)) for s in _SEVERITIES]
    told = ", ".join(f"{n} {s}" for s, n in by)
    chart = svg.tally(by, "Findings by severity", f"Number of findings: {told}.")
    meaning = "".join(f'<li><span class="sev {s}">{s}</span> {escape(_MEANING[s])}</li>' for s in _SEVERITIES)
    rows = []
    aside = [f for f in found if f.code in _PUT_ASIDE and f.severity == "low"]
    for f in found:
        if f in aside:
            continue  # a row or two each: the quarantine below lists them
        examples = "".join(f"<li>{escape(_short(e))}</li>" for e in f.examples)
        harms = f"Weakens: {escape(', '.join(f.harms))}. " if f.harms else ""
        where = f" in <code>{escape(f.table)}</code>" if f.table else ""
        rows.append(
            f'<div class="finding"><div><span class="sev {f.severity}">{f.severity}</span></div>'
            f"<h3>{escape(_capital(f.text))}</h3>"
            f'<div class="more">{harms}<code>{escape(f.code)}</code>{where}'
            + (f"<ul>{examples}</ul>" if examples else "")
            + "</div></div>"
        )
    if aside:
        rows.append(
            f'<div class="finding"><div><span class="sev low">low</span></div><h3>{len(aside)} kinds of rows were put '
            f'aside, {sum(f.count for f in aside):,} row(s) in all</h3><div class="more">They are listed under '
            '<a href="#quarantine">Quarantine</a>.</div></div>'
        )
    body = "".join(rows) or "<p>Nothing was found.</p>"
    legend = f'<ul class="sub" style="list-style:none;padding:0">{meaning}</ul>'
    return f'<section id="findings"><h2>Findings</h2>{chart}{legend}{body}</section>'


def _short(example: str) -> str:
    return example if len(example) <= 300 else example[:298] + "…"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _both(moment: str | None, zone: str) -> str:
    """A moment in UTC with the local time of the plant below it."""
    if moment is None:
        return "–"
    local = pd.Timestamp(moment.removesuffix(" UTC"), tz="UTC").tz_convert(zone)
    return f'{escape(moment)}<br><span class="sub">{local:%Y-%m-%d %H:%M} {escape(str(local.tzname()))}</span>'


def _rows(readiness: Readiness, counts: Mapping[str, CountLike], zone: str) -> str:
    tables: dict[str, Any] = readiness.coverage.get("tables", {})
    shown = [(n, float(t["rows"]), float(t["quarantined"])) for n, t in tables.items() if t["rows"] or t["quarantined"]]
    if not shown:
        return ""
    told = "; ".join(f"{n}: {r:,.0f} rows, {q:,.0f} in quarantine" for n, r, q in shown)
    chart = svg.bars(shown, "Rows of each table", told, ("rows", "in quarantine"), log=True)
    lines = []
    for name, t in tables.items():
        c = counts.get(name)
        loaded = f"{c.read:,} / {c.loaded:,} / {c.known:,}" if c is not None else "–"
        systems = escape(", ".join(t["systems"])) or "–"
        share = (
            f"{100 * t['quarantined'] / (t['rows'] + t['quarantined']):.2f} %" if t["rows"] + t["quarantined"] else "–"
        )
        lines.append(
            f'<tr><th scope="row">{escape(name)}</th><td>{systems}</td><td class="n">{t["rows"]:,}</td>'
            f'<td class="n">{t["quarantined"]:,}</td><td class="n">{share}</td><td class="n">{loaded}</td>'
            f"<td>{_both(t.get('first'), zone)}</td><td>{_both(t.get('last'), zone)}</td></tr>"
        )
    head = (
        '<tr><th scope="col">table</th><th scope="col">from</th><th scope="col" class="n">rows</th>'
        '<th scope="col" class="n">quarantine</th><th scope="col" class="n">share</th>'
        '<th scope="col" class="n">read /<br>loaded /<br>known</th>'
        '<th scope="col">first</th><th scope="col">last</th></tr>'
    )
    return (
        '<section id="rows"><h2>Rows of each table</h2><p class="sub">Lengths by the logarithm. Hatched: put aside in '
        f'quarantine.</p>{chart}<div class="scroll"><table><caption>Rows in the store; read, loaded and known are '
        f"those of this load</caption>{head}{''.join(lines)}</table></div></section>"
    )


def _time(readiness: Readiness) -> str:
    cover = readiness.coverage
    periods: list[str] = cover.get("periods", [])
    if not periods:
        return ""
    rows = [(n, t["per_period"]) for n, t in cover["tables"].items() if "per_period" in t]
    described = "; ".join(
        f"{n}: {sum(1 for v in values if v == 0)} of {len(values)} periods without a row" for n, values in rows
    )
    length = (pd.Timestamp(periods[1][:16]) - pd.Timestamp(periods[0][:16])).total_seconds() / 86400
    out = [
        '<section id="time"><h2>When records come from</h2><p class="sub">Darker is more rows (each line against its '
        f"own most); a thin line is a period without any. One cell is {length:.1f} days.</p>",
        svg.strips(rows, periods, "Rows of each table over time", described),
    ]
    machines = list(cover.get("readings_of_equipment", {}).items())
    if machines:
        shown = machines[:_MOST_MACHINES]
        more = f" The first {len(shown)} of {len(machines)}." if len(shown) < len(machines) else ""
        told = "; ".join(
            f"{n}: {sum(1 for v in values if v == 0)} of {len(values)} periods without a reading" for n, values in shown
        )
        out.append(f'<h3>Readings of each equipment</h3><p class="sub">{more}</p>')
        out.append(svg.strips(shown, periods, "Readings of each equipment over time", told))
    return "".join(out) + "</section>"


def _clocks(readiness: Readiness) -> str:
    if not readiness.clocks:
        return ""
    skewed = " ".join(f.text for f in readiness.findings if f.code == "clock_skew")
    rows = []
    for c in readiness.clocks:
        one, other = c["systems"]
        marked = bool(re.search(re.escape(f"of {other} "), skewed)) and abs(c["offset_min"]) >= 2
        rows.append((f"{other} against {one}", c["offset_min"], c["spread_min"], marked))
    told = "; ".join(f"{n}: {v:+.1f} min, ± {s:.1f} min" for n, v, s, _ in rows)
    chart = svg.offsets(rows, "min", "Clocks against each other", told)
    return (
        '<section id="clocks"><h2>Clocks of the systems against each other</h2><p class="sub">Measured from moments '
        "that both systems record of the same machine, in minutes. A diamond is a clock that is wrong; the bar is the "
        f"spread.</p>{chart}</section>"
    )


def _quarantine(snapshot: SnapshotLike) -> str:
    read = getattr(snapshot, "quarantine", None)
    aside = read() if read is not None else None
    if aside is None or not len(aside):
        return '<section id="quarantine"><h2>Quarantine</h2><p>No row was put aside.</p></section>'
    groups = aside.groupby(["table", "reason"], sort=False).agg(n=("reason", "size"), file=("file", "first"),
                                                               line=("line", "first")).reset_index()  # fmt: skip
    groups = groups.sort_values("n", ascending=False, kind="stable")
    lines = []
    for r in groups.head(40).itertuples():
        line = "" if pd.isna(r.line) else f" line {int(float(r.line))}"
        lines.append(
            f'<tr><th scope="row">{escape(str(r.table))}</th><td class="n">{r.n:,}</td>'
            f"<td>{escape(_short(str(r.reason)))}</td>"
            f"<td><code>{escape(str(r.file))}{line}</code></td></tr>"
        )
    more = f"<p>And {len(groups) - 40:,} more reasons.</p>" if len(groups) > 40 else ""
    return (
        f'<section id="quarantine"><h2>Quarantine</h2><p>{len(aside):,} row(s) were put aside, nothing was dropped. '
        "Mend the mapping or the export, then <code>steadyline quarantine release</code>.</p>"
        '<div class="scroll"><table><tr><th scope="col">table</th><th scope="col" class="n">rows</th>'
        f'<th scope="col">reason</th><th scope="col">first seen in</th></tr>{"".join(lines)}</table></div>'
        f"{more}</section>"
    )


def _assumptions(site: Site) -> str:
    if not site.assumptions:
        return ""
    lines = "".join(f"<li>{escape(a)}</li>" for a in site.assumptions)
    return f"<section><h2>Assumed by the mapping</h2><ul>{lines}</ul></section>"
