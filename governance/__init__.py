"""What keeps predictions accountable: database, model versions, prediction log, audit trail.

The public names are resolved on first use: the command line imports this package for its help text and
must not wait for SQLAlchemy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from governance.database import connect, reading
    from governance.errors import Refused
    from governance.versions import ModelVersion, Promotion, champion, promote, register_version

__all__ = [
    "ModelVersion", "Promotion", "Refused", "champion", "connect", "promote", "reading", "register_version",
]

_HOME = {
    "connect": "governance.database", "reading": "governance.database", "Refused": "governance.errors",
    "ModelVersion": "governance.versions", "Promotion": "governance.versions", "champion": "governance.versions",
    "promote": "governance.versions", "register_version": "governance.versions",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'governance' has no attribute '{name}'")
    return getattr(import_module(_HOME[name]), name)
