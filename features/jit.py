"""Compiling with numba, and where the result is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba

Function = Callable[..., Any]


def jit(**options: Any) -> Callable[[Function], Function]:
    """A decorator: the function compiled on first use, without the interpreter's lock.

    It is kept on disk where numba finds a folder of ours that it may write; in a read-only installation each process
    compiles it anew.
    """

    def decorate(function: Function) -> Function:
        made: Function
        try:
            made = numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:
            made = numba.njit(nogil=True, **options)(function)
        return made

    return decorate


compiled = jit()
