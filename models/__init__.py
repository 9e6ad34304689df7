"""What is predicted, how sure, why, and what to do about it: failure risk and quality risk.

Arrays in, arrays out: this package knows features and labels, but neither sites, stores nor services.
Import names from the module that defines them (`from models.hazard import HazardModel`); nothing is imported here,
so that reading a model's YAML does not load the libraries that train it.
"""
