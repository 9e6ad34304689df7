"""A measured figure, its limit, and how figures are shown."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, str(ROOT / "steadyline.py"))


@dataclass(frozen=True)
class Figure:
    """One measurement. limit: what it must stay below, or reach (`at_least`); None where it is only told."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.limit is None:
            return ""
        return "pass" if (self.value >= self.limit if self.at_least else self.value < self.limit) else "FAIL"


def environment(home: Path) -> dict[str, str]:
    """The environment of a command that keeps its state in `home`."""
    return {**os.environ, "STEADYLINE_HOME": str(home), "PYTHONPATH": str(ROOT)}


def machine() -> dict[str, Any]:
    """What the figures were measured on. load: processes that wanted a core during the last minute."""
    return {
        "cores": len(os.sched_getaffinity(0)), "machine": platform.machine(),
        "python": platform.python_version(), "load": round(os.getloadavg()[0], 2),
    }


def show(figures: Sequence[Figure], as_json: bool) -> None:
    """A table, or JSON, on standard output."""
    if as_json:
        rows = [{**asdict(f), "verdict": f.verdict} for f in figures]
        print(json.dumps({"machine": machine(), "figures": rows}, indent=1))
        return
    about = machine()
    print(f"{about['cores']} cores ({about['machine']}), Python {about['python']}, load {about['load']}")
    width = max((len(f.name) for f in figures), default=0)
    for f in figures:
        bound = "at least" if f.at_least else "below"
        limit = "" if f.limit is None else f"   {bound} {f.limit:g} {f.unit}: {f.verdict}"
        print(f"{f.name:<{width}}  {f.value:>9,.2f} {f.unit:<4}{limit}")


def arguments_of(about: str | None, *options: tuple[str, str]) -> argparse.Namespace:
    """Arguments of a benchmark's command: --json, and options as (name, help)."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    for name, text in options:
        parser.add_argument(name, help=text, nargs="?", const="1")
    return parser.parse_args()


def finish(figures: Sequence[Figure], quiet: bool = False) -> None:
    """Show the figures, unless `quiet`, and leave; exit code 1 when a limit is missed."""
    if not quiet:
        show(figures, False)
    sys.exit(any(f.verdict == "FAIL" for f in figures))


def main(measure: Callable[[argparse.Namespace], list[Figure]], about: str | None, *options: tuple[str, str]) -> None:
    """Run a benchmark as a command; exit code 1 when a limit is missed. options: (name, help) of further ones."""
    arguments = arguments_of(about, *options)
    figures = measure(arguments)
    if arguments.json:
        show(figures, True)
    finish(figures, quiet=arguments.json)


def seeded(
    measure: Callable[[int, str, str], dict[str, Any]], figures: Callable[[dict[str, Any]], list[Figure]],
    about: str | None, size: str = "demo",
) -> None:
    """Run a benchmark of virtual plants as a command: measure(seed, site, size) for each seed, and its figures.

    size: of the plants, where the command names none.
    """
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seeds", default="7,8,9", help="seeds, with commas")
    parser.add_argument("--site", default="virtual_dublin", help="virtual_dublin or virtual_graz")
    parser.add_argument("--size", default=size, choices=("tiny", "demo", "large"))
    asked = parser.parse_args()
    results = [measure(int(seed), asked.site, asked.size) for seed in asked.seeds.split(",")]
    listed = [figure for result in results for figure in figures(result)]
    if asked.json:
        print(json.dumps({"machine": machine(), "results": results}, indent=1, default=str))
    finish(listed, quiet=asked.json)
