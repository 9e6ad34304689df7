"""How long `steadyline --help` takes: what somebody waits who mistyped a command."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.figures import COMMAND, Figure, environment, main

LIMIT_S = 0.5
RUNS = 10


def measure() -> list[Figure]:
    """Median of ten runs, after one that fills the disk cache and writes the bytecode."""
    seconds = []
    with tempfile.TemporaryDirectory() as home:
        for _ in range(RUNS + 1):
            begin = time.perf_counter()
            subprocess.run([*COMMAND, "--help"], env=environment(Path(home)), check=True, capture_output=True)
            seconds.append(time.perf_counter() - begin)
    return [Figure("steadyline --help, median", statistics.median(seconds[1:]), "s", LIMIT_S)]


if __name__ == "__main__":
    main(lambda _: measure(), __doc__)
