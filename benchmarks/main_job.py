"""The main job, `steadyline demo --no-serve` in a fresh home: wall time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import COMMAND, ROOT, Figure, environment, main

LIMIT_S, LIMIT_GB = 240.0, 3.0


def measure(home: Path) -> list[Figure]:
    """Run the job; its state stays in `home`. Memory is that of its largest process."""
    begin = time.perf_counter()
    with (home.parent / f"{home.name}.log").open("w+") as log:
        process = subprocess.Popen(
            [*COMMAND, "demo", "--no-serve"], cwd=ROOT, env=environment(home), stdout=log, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - begin
        if process.returncode:
            log.seek(0)
            sys.exit(f"the job failed ({process.returncode}):\n{log.read()[-4000:]}")
    return [
        Figure("main job, wall", seconds, "s", LIMIT_S),
        Figure("main job, processor", usage.ru_utime + usage.ru_stime, "s"),
        Figure("main job, peak memory", usage.ru_maxrss / 1024**2, "GB", LIMIT_GB),
    ]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(lambda _: measure(Path(folder) / "home"), __doc__)
