"""Start the service in the foreground, in this process: no supervisor, no second copy of the data in memory."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from plant.errors import SteadylineError
from plant.home import HOME_VARIABLE
from serving.settings import HOSTS, LOOPBACK, SITES


def run(home: Path, sites: Sequence[Path], host: str = "127.0.0.1", port: int = 3000) -> None:
    """Serve `sites` (folders with a site.yaml) from the state in `home` until interrupted.

    host: an address of this machine; anything but loopback makes the service reachable from outside.
    Raises SteadylineError (`port_in_use`) when something else listens there.
    """
    if threading.current_thread() is threading.main_thread():
        # uvicorn stops gracefully and then sends itself the signal again, which by default ends before we tidy up
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="steadyline-metrics-") as metrics:
        os.environ.update({
            HOME_VARIABLE: str(home.resolve()),
            SITES: os.pathsep.join(str(site.resolve()) for site in sites),
            HOSTS: ",".join(LOOPBACK) if host in LOOPBACK else "*",
            "BENTOML_HOME": str(home.resolve() / "bentoml"),  # BentoML would make one in the user's home
            "PROMETHEUS_MULTIPROC_DIR": metrics,
        })
        import uvicorn  # after the environment: BentoML reads it while it is imported

        from serving.service import service

        _refuse_a_taken_port(host, port)
        config = uvicorn.Config(
            service.to_asgi(), host=host, port=port, log_config=None, access_log=False, server_header=False,
            date_header=True, timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run()


def _refuse_a_taken_port(host: str, port: int) -> None:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SteadylineError(
                "port_in_use", f"{host}:{port} cannot be used: {error.strerror}", "a free port of this machine",
                f"steadyline serve --port {port + 1}",
            ) from error
