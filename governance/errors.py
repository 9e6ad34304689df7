"""What the governed store says when it refuses.

Refused     a version, a signature or a record that the rules do not allow; nothing was changed
"""

from __future__ import annotations

from typing import Any


class Refused(Exception):
    """A refusal that says what was found, what is allowed and what to do next.

    It has the parts and the JSON form of every other refusal of Steadyline, and is defined here because
    governance depends on no other package. `code` is stable and machine-readable (`below_baseline`).
    """

    def __init__(self, code: str, found: str, allowed: str = "", hint: str = "", details: list[str] | None = None):
        self.code, self.found, self.allowed, self.hint = code, found, allowed, hint
        self.details = list(details or [])
        super().__init__(self.message())

    def message(self) -> str:
        """The refusal in plain words, one part a line."""
        lines = [self.found, *(f"  - {d}" for d in self.details)]
        if self.allowed:
            lines.append(f"Allowed: {self.allowed}")
        if self.hint:
            lines.append(f"Next: {self.hint}")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The JSON form, the same in the command line and over HTTP."""
        out: dict[str, Any] = {"code": self.code, "found": self.found, "allowed": self.allowed, "hint": self.hint}
        if self.details:
            out["details"] = self.details
        return out
