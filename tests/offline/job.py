"""The whole circle on one plant, for `test_offline.py`: connect, train, promote, score, monitor, serve, ask.

    python job.py EXPORTS SITE

with STEADYLINE_HOME set. Ends with one JSON line of what was answered.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout

MODEL = "equipment_failures"
IFF_UP, SIOCSIFFLAGS = 0x1, 0x8914


def loopback_up() -> None:
    """A new network namespace has a loopback interface, but it is down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


def main(exports: str, site: str) -> None:
    import steadyline
    from tests.running import running

    def command(*words: str) -> None:
        steadyline.app(list(words), standalone_mode=False)

    command("connect", site, "--data", exports, "--json")
    command("train", site, MODEL, "--json")
    command("promote", MODEL, "1", "--as", "tester", "--json")
    command("score", "equipment", site, "press-1", "--json")
    command("monitor", site, "--model", MODEL, "--recent", "10d", "--json")
    with running(Path(os.environ["STEADYLINE_HOME"]), [Path(site)]) as service:
        question = {"site": "virtual_dublin", "equipment_ids": ["press-1"]}
        asked = service.ask("/v1/score/equipment", question)
        pages = [service.ask(path).status for path in ("/", "/docs", "/metrics")]
    print(json.dumps({"version": asked.json["scores"][0]["model_version"], "pages": pages}))


if __name__ == "__main__":
    if os.environ.get("STEADYLINE_TEST_NAMESPACE") == "1":
        loopback_up()
    main(*sys.argv[1:])
