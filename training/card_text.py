"""Tables of a model card as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models.explain import number


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of a table; None is `n/a`, numbers have three significant digits."""
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head),
            *("| " + " | ".join(_cell(v) for v in row) + " |" for row in rows)]


def _cell(value: Any) -> str:
    if value is None:
        return "n/a"
    if isinstance(value, float):
        return number(value)
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
