"""The four engine sets have one configuration: they differ in nothing but the set."""

from __future__ import annotations

from pathlib import Path

from models.spec import FailureSpec, load_models

ROOT = Path(__file__).parents[2]


def test_one_configuration_for_all_four_sets() -> None:
    specs = load_models(ROOT / "sites" / "cmapss")
    assert len(specs) == 4
    told = []
    for number, (name, spec) in enumerate(sorted(specs.items()), 1):
        assert isinstance(spec, FailureSpec)
        assert name == f"engines_fd00{number}"
        assert spec.population.line == (f"FD00{number}",)
        assert "simulated" in spec.title
        rest = spec.as_dict()
        del rest["name"], rest["title"], rest["population"]
        told.append(rest)
    assert all(rest == told[0] for rest in told)
