"""Every benchmark, one after the other."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks import main_job, service, startup
from benchmarks.figures import Figure, main


def measure() -> list[Figure]:
    """Start-up, the main job, then the service on what the main job left."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        figures = startup.measure()
        for name, run in (("main job", main_job.measure), ("service", service.measure)):
            print(f"measuring: {name} ...", file=sys.stderr)
            figures += run(home)
    return figures


if __name__ == "__main__":
    main(lambda _: measure(), __doc__)
