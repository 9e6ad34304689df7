"""What the front door tells the service, through the environment of its process."""

from __future__ import annotations

SITES = "STEADYLINE_SITES"  # folders with a site.yaml, separated like PATH
HOSTS = "STEADYLINE_ALLOWED_HOSTS"  # names a request may ask for, separated by commas; * for any
LOOPBACK = ("127.0.0.1", "localhost", "::1")
