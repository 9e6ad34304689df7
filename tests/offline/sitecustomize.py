"""Run by every Python that starts with this folder on PYTHONPATH: no way out of this machine, every try is noted.

STEADYLINE_TEST_CALLS names the file of the tries; beside it, `<file>.guarded` gets a line for each process that is
watched. Libraries that swallow the refusal are caught all the same, by the file.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

_LOG = os.environ["STEADYLINE_TEST_CALLS"]
_WATCHED = {
    "socket.connect": lambda args: args[1],
    "socket.sendto": lambda args: args[1],
    "socket.sendmsg": lambda args: args[1],
    "socket.getaddrinfo": lambda args: args[0],
    "socket.gethostbyname": lambda args: args[0],
    "socket.gethostbyaddr": lambda args: args[0],
    "socket.getnameinfo": lambda args: args[0],
}


def _stays_here(target: Any) -> bool:
    """Whether a target lies on this machine: a path, a netlink socket, nothing at all, an address of its own."""
    host = target[0] if isinstance(target, tuple) and target else target
    if isinstance(target, (str, bytes)) and (not target or target[:1] in ("/", b"/", "\0", b"\0")):
        return True
    if host is None or isinstance(host, int) or host in ("", b"", "localhost", b"localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host)
        return address.is_loopback or address.is_unspecified
    except ValueError:
        return False


def _note(path: str, line: str) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write(line.replace("\n", " ") + "\n")


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event not in _WATCHED:
        return
    target = _WATCHED[event](args)
    if not _stays_here(target):
        _note(_LOG, f"{event} {target!r} by {' '.join(sys.orig_argv)[:300]}")
        raise OSError(f"no network in this test: {event} {target!r}")


sys.addaudithook(_watch)
_note(f"{_LOG}.guarded", " ".join(sys.orig_argv)[:300])
