"""What Steadyline says when it refuses.

SteadylineError                 every refusal that a user can act on; exit code 1, HTTP 4xx
├── SiteError                   site.yaml, a crosswalk or a model YAML is wrong (all problems at once)
├── SourceError                 an export is missing, unreadable or not as its mapping says
├── StoreError                  the store is locked, damaged or holds no such version
├── UnknownId                   an equipment, batch, site or model that is not there
└── NotReady                    the step that has to come first was not done (connect, train, promote)
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class SteadylineError(Exception):
    """A refusal that says what was found, what is allowed and what to do next.

    `code` is stable and machine-readable (`unknown_equipment`); the other parts are plain words.
    """

    def __init__(self, code: str, found: str, allowed: str = "", hint: str = "", details: list[str] | None = None):
        self.code, self.found, self.allowed, self.hint = code, found, allowed, hint
        self.details = list(details or [])
        super().__init__(self.message())

    def message(self) -> str:
        lines = [self.found]
        lines += [f"  - {d}" for d in self.details]
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


class SiteError(SteadylineError):
    """Configuration is wrong; nothing was read or changed."""


class SourceError(SteadylineError):
    """An export cannot be used as its mapping says; nothing was changed."""


class StoreError(SteadylineError):
    """The store cannot give or take what was asked."""


class UnknownId(SteadylineError):
    """No such equipment, batch, site or model."""


class NotReady(SteadylineError):
    """A step that has to come first was not done."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """`did you mean 'x'?` for the closest allowed word, or nothing."""
    known = [str(a) for a in allowed]
    if str(word) in known:
        return ""
    match = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    if not match:  # in another case: GOOD for good
        small = {k.lower(): k for k in known}
        match = [small[m] for m in difflib.get_close_matches(str(word).lower(), list(small), n=1, cutoff=0.6)]
    return f"did you mean '{match[0]}'?" if match else ""


def did_you_mean(word: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?`, to go on with in a sentence, or nothing."""
    found = nearest(word, allowed)
    return f"; {found}" if found else ""


def listing(words: Iterable[object], most: int = 12) -> str:
    """`a, b, c (and 7 more)`: a list short enough to be read in an error."""
    every = [str(w) for w in words]
    shown = ", ".join(every[:most])
    return f"{shown} (and {len(every) - most} more)" if len(every) > most else shown
