"""Every benchmark, one after the other."""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from benchmarks import features, fleet, kills, loading, main_job, online, service, startup, text
from benchmarks.figures import Figure, main


def measure() -> list[Figure]:
    """Start-up, the main job, the service on what it left; features, a small fleet; texts; loading, killed loads."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        figures = startup.measure()
        for name, run in (("main job", main_job.measure), ("service", service.measure)):
            print(f"measuring: {name} ...", file=sys.stderr)
            figures += run(home)
    figures += features.figures(features.measure(Namespace(rows=None, irregular=None, scale=None)))
    figures += fleet.measure(Namespace(share="0.02", keep=None))
    print("measuring: the online state ...", file=sys.stderr)
    figures += online.measure(Namespace())
    print("measuring: texts ...", file=sys.stderr)
    figures += text.measure()
    print("measuring: loading ...", file=sys.stderr)
    figures += loading.measure(Namespace(rows=None, large=None))
    print("measuring: killed loads ...", file=sys.stderr)
    return figures + kills.measure(Namespace(kills=None))


if __name__ == "__main__":
    main(lambda _: measure(), __doc__)
