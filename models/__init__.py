"""What is predicted, how sure, why, and what to do about it: failure risk and quality risk.

Arrays in, arrays out: this package knows features and labels, but neither sites, stores nor services.
Import names from the module that defines them (`from models.hazard import HazardModel`); nothing is imported here,
so that reading a model's YAML does not load the libraries that train it.
"""

import os

# LightGBM's OpenMP threads would wait for each other by spinning: beside any other busy process, training then takes
# several times as long. The library reads this when it is loaded, so it is set before anything here imports it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
