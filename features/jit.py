"""Compiling with numba, and where the result is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config

Function = Callable[..., Any]
_HERE = Path(__file__).parent
# Files whose functions call each other across files.
KERNELS = ("summaries.py", "trees.py", "window_kernels.py")


def _folder() -> str:
    """Where compiled code is kept: a folder for each state of the kernels.

    numba compiles anew when the file of a function has changed, and does not see a change of a file that it calls.
    """
    base = Path(config.CACHE_DIR) if config.CACHE_DIR else _HERE / "__pycache__"
    state = hashlib.sha256(b"".join((_HERE / name).read_bytes() for name in KERNELS)).hexdigest()
    return str(base / f"kernels-{state[:12]}")


def jit(**options: Any) -> Callable[[Function], Function]:
    """A decorator: the function compiled on first use, without the interpreter's lock.

    It is kept on disk where numba finds a folder of ours that it may write; in a read-only installation each process
    compiles it anew.
    """

    def decorate(function: Function) -> Function:
        made: Function
        usual, config.CACHE_DIR = config.CACHE_DIR, _FOLDER
        try:
            made = numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:
            made = numba.njit(nogil=True, **options)(function)
        finally:
            config.CACHE_DIR = usual
        return made

    return decorate


_FOLDER = _folder()
compiled = jit()
