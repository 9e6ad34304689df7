"""What the text model says of a site's orders, so that a person sees which words the rules still lack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from features.asof import Snapshot, last_versions
from features.text import OTHER, UNKNOWN, TextModel
from features.text_fill import FILL_CONFIDENCE, RULE, TEXT
from features.text_fit import fit
from features.text_rules import normalised, site_rules

_REASONS = 4


def report(snapshot: Snapshot, folder: Path, texts: Sequence[str] = (), most: int = 20) -> dict[str, Any]:
    """What a model that learnt from every coded order (in hindsight, for people) says of `texts`, or of uncoded orders.

    Of the orders, texts that would not fill a code come first: the unknown, then the least sure; equal texts are told
    once with their number. Raises SiteError where the site's text_rules.yaml is wrong.
    """
    frame = last_versions(snapshot, "work_orders")
    written = [t if isinstance(t, str) else None for t in frame["text"]]
    codes = [c if isinstance(c, str) else None for c in frame["failure_mode"]]
    model = fit(written, {"failure_mode": codes}, site_rules(folder))
    uncoded = frame[frame["failure_mode"].isna() & frame["text"].notna()]
    count = Counter(texts) if texts else Counter(str(t) for t in uncoded["text"])
    every = list(count)
    read = model.predict(every)
    mode = read["failure_mode"]
    sure = mode.confidence >= FILL_CONFIDENCE
    fills = [bool(ok) and c not in (UNKNOWN, OTHER) for ok, c in zip(sure, mode.code, strict=True)]
    order = list(range(len(every)))
    if not texts:
        order = sorted(order, key=lambda i: (fills[i], mode.confidence[i], -count[every[i]], every[i]))[:most]
    told = []
    for i in order:
        said = {
            f: {
                "code": str(r.code[i]), "confidence": round(float(r.confidence[i]), 3),
                "source": "" if r.code[i] == UNKNOWN else RULE if r.by_rule[i] else TEXT,
            }
            for f, r in read.items()
        }
        why = reasons(model, every[i], mode.code[i])
        told.append({"text": every[i], "orders": count[every[i]], **said, "why": why})
    return {
        "orders": len(frame), "uncoded": len(uncoded), "note": model.note,
        "filled": 0 if texts else sum(count[t] for t, ok in zip(every, fills, strict=True) if ok),
        "min_confidence": FILL_CONFIDENCE, "texts": told,
    }


def reasons(model: TextModel, text: str, code: str) -> list[str]:
    """The words that decided the failure mode: those of the fitted model, or the rules that hit."""
    if code in model.head("failure_mode").classes:
        terms = model.reasons(text, "failure_mode", code, 50)
        return [t.strip() for t, added in terms if added > 0 and (t in model.words or t.startswith("rule"))][:_REASONS]
    hits = model.rules.hits(normalised(text).split())
    pairs = [model.rules.targets[n] for n in sorted(hits)]
    return [f"rule: {f}={c}" for f, c in pairs if f == "failure_mode"][:_REASONS]


def render(console: Any, found: dict[str, Any]) -> None:
    """Print a report on a Rich console."""
    from rich.table import Table

    def tell(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    if found["note"]:
        tell(f"Note: {found['note']}")
    tell(
        f"{found['orders']} orders, {found['uncoded']} without a failure mode; {found['filled']} of these could be "
        f"filled at a confidence of {found['min_confidence']}"
    )
    table = Table("orders", "text", "failure mode", "confidence", "component", "action", "why")
    for row in found["texts"]:
        mode = row["failure_mode"]
        cells = (
            str(row["orders"]), row["text"], mode["code"], f"{mode['confidence']:.2f}",
            *(row[f]["code"] if f in row else "" for f in ("component", "action")), ", ".join(row["why"]),
        )
        table.add_row(*(c.replace("[", r"\[") for c in cells))
    console.print(table)
