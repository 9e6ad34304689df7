"""The one plant language: tables, site mappings, readers, store, readiness, the virtual plant.

Import names from the module that defines them (`from plant.store import Store`); nothing is imported here, so that
`steadyline --help` does not load what only a load needs.
"""
