"""The frame of a report for people: one HTML file that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif;color:#1b2733;
background:#f4f6f8;margin:0}
main,header{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .3rem}
h2{font-size:1.25rem;margin:0 0 .6rem}
p{margin:.3rem 0 .7rem}
.sub{color:#46535f}
.simulated{display:inline-block;background:#5b1f7a;color:#fff;font-weight:700;padding:.1rem .6rem;
border-radius:4px;letter-spacing:.06em;margin-left:.5rem;font-size:1rem;vertical-align:middle}
section{background:#fff;border:1px solid #d5dce3;border-radius:8px;padding:20px 24px;margin:20px 0}
svg{width:100%;height:auto;display:block;font-family:inherit;max-width:1070px}
table{border-collapse:collapse;width:100%;font-size:.93rem}
caption{text-align:left;color:#46535f;padding:0 0 .4rem}
th,td{text-align:left;vertical-align:top;padding:.4rem .7rem .4rem 0;border-bottom:1px solid #e4e9ee}
th[scope=col]{border-bottom:2px solid #9aa7b3;white-space:nowrap}
td{white-space:normal}#rows td,#rows th{font-size:.84rem}#rows td:nth-last-child(-n+2){white-space:nowrap}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;padding-right:1.1rem;white-space:nowrap}
.sev{display:inline-block;min-width:5rem;text-align:center;border-radius:4px;color:#fff;font-weight:600;
font-size:.85rem;padding:.05rem .4rem}
.high{background:#a4262c}.medium{background:#a05a00}.low{background:#1f5f8b}.info{background:#5a6875}
.finding{border-bottom:1px solid #e4e9ee;padding:.7rem 0;display:grid;grid-template-columns:6.2rem 1fr;
gap:.2rem .8rem}
.finding:last-child{border-bottom:0}
.finding h3{font-size:1rem;font-weight:600;margin:0}
.finding .more{grid-column:2;font-size:.9rem;color:#35424e;min-width:0}
.more ul{margin:.2rem 0;padding-left:1.2rem}
li{overflow-wrap:anywhere}
code{font:.9em ui-monospace,"SF Mono",Menlo,"Liberation Mono",monospace;color:#35424e;overflow-wrap:anywhere}
.tasks{display:grid;grid-template-columns:repeat(auto-fit,minmax(245px,1fr));gap:14px}
.task{border:1px solid #d5dce3;border-left:6px solid #5a6875;border-radius:6px;padding:.7rem .9rem}
.task.usable{border-left-color:#1d6b3a}.task.limited{border-left-color:#a05a00}.task.not{border-left-color:#a4262c}
.task h3{margin:0 0 .2rem;font-size:1.02rem}.task ul{padding-left:1.1rem;margin:.3rem 0;font-size:.9rem}
.status{font-weight:600}
nav a{color:#1f5f8b;margin-right:1rem}
a:focus-visible{outline:3px solid #1f5f8b;outline-offset:2px}
.scroll{overflow-x:auto}
footer{color:#46535f;font-size:.88rem;max-width:1120px;margin:0 auto;padding:0 24px 40px}
@media(max-width:640px){.finding{grid-template-columns:1fr}.finding .more{grid-column:1}}
@media print{body{background:#fff;font-size:11pt}section{border:0;padding:0;margin:14pt 0;break-inside:auto}
main,header,footer{max-width:none;
padding:0}nav{display:none}.finding,.task,tr,svg{break-inside:avoid}h2{break-after:avoid}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def document(
    title: str, simulated: bool, lead: str, links: Sequence[tuple[str, str]], body: str, made_by: str
) -> str:
    """A page: header with links to its parts, body, footer. lead, body: HTML, escaped by whoever made them.

    links: (id, words) of the parts; one whose id the body does not have is left out. A simulated page says so.
    """
    named = escape(title + " (SIMULATED)" if simulated else title)
    label = '<span class="simulated">SIMULATED</span>' if simulated else ""
    nav = "".join(f'<a href="#{i}">{escape(w)}</a>' for i, w in links if f'id="{i}"' in body)
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{named}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<style>{STYLE}</style></head><body><header><h1>{escape(title)}{label}</h1>{lead}"
        f'<nav aria-label="Parts">{nav}</nav></header><main>{body}</main>'
        f"<footer>Made by <code>{escape(made_by)}</code>. Nothing in this file is loaded from elsewhere.</footer>"
        "</body></html>\n"
    )
