"""What people and systems ask for: scores, work orders, pages, monitoring.

Importing this package switches the usage reports of the frameworks below it off, before any of them is
imported: a plant is air-gapped, and nothing calls out.
"""

from __future__ import annotations

import os

for _name, _value in (("DO_NOT_TRACK", "1"), ("BENTOML_DO_NOT_TRACK", "True"), ("MLFLOW_DISABLE_TELEMETRY", "true")):
    os.environ[_name] = _value
