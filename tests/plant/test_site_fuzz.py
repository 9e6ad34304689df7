"""Whatever stands in a site.yaml, the answer is a site or a refusal that names the file; never a traceback."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant.errors import SiteError
from plant.site import Site, load_site
from plant.site_diff import diff

BASE: dict[str, Any] = {
    "site": "base",
    "title": "Base",
    "sources": {"log": {"system": "a", "path": "log.csv", "format": "csv", "missing": ["NA"]}},
    "crosswalks": {"kinds": {"A": "error"}, "codes": {"file": "codes.csv", "key": "code"}},
    "tables": {
        "events": [
            {
                "source": "log",
                "name": "alarms",
                "each": [{"n": 1}],
                "where": {"K": {"not": ["x"]}},
                "columns": {
                    "event_id": {"template": "{id}-${n}"},
                    "equipment_id": "a",
                    "ts": {"column": "t", "format": "iso", "offset": {"column": "n", "unit": "h"}},
                    "kind": {"column": "k", "crosswalk": "kinds"},
                    "code": {"lookup": {"source": "log", "on": {"a": "b"}, "take": "c"}},
                    "value": {"column": "v", "unit": {"from": {"column": "u"}, "to": "kPa"}, "round": 1},
                },
            }
        ]
    },
}
OWN: dict[str, Any] = {
    "extends": "../base",
    "site": "own",
    "sources": {"log": {"delimiter": ";"}},
    "crosswalks": {"kinds": {"B": "alarm"}, "codes": {"key": "code"}},
    "tables": {"events": {"alarms": {"columns": {"value": {"round": 2}, "code": None}}}},
}
WORDS = ["", "x", "log", "kinds", "codes", "alarms", "events", "file", "key", "column", "${n}", "../base", "%Y", "1d"]
SCALARS = st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.sampled_from(WORDS) | st.text(max_size=4)
KEYS = st.sampled_from([*WORDS, "columns", "source", "each", "unit", "from"]) | st.integers(0, 3) | st.none()
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=8
)  # fmt: skip


def spots(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path below a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, one in inner for p in ((*path, key), *spots(one, (*path, key)))]


def changed(raw: dict[str, Any], path: tuple[Any, ...], value: Any, beside: bool) -> None:
    """Another value at a path, or under a mistyped key beside it; nothing where an earlier change took it away."""
    spot: Any = raw
    try:
        for key in path[:-1]:
            spot = spot[key]
        spot["colum" if beside and isinstance(spot, dict) else path[-1]] = value
    except (TypeError, LookupError):
        return


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_site_or_a_refusal(data: st.DataObject) -> None:
    raw = {"base": copy.deepcopy(BASE), "own": copy.deepcopy(OWN)}
    for _ in range(data.draw(st.integers(1, 3))):
        one = data.draw(st.sampled_from(["base", "own"]))
        path = data.draw(st.sampled_from(spots({"base": BASE, "own": OWN}[one])))
        changed(raw[one], path, data.draw(VALUES), data.draw(st.booleans()))
    with tempfile.TemporaryDirectory() as made:
        sites = Path(made)
        for name, content in raw.items():
            (sites / name).mkdir()
            (sites / name / "site.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
            (sites / name / "codes.csv").write_text("code,word\nA,a\n", encoding="utf-8")
        base, own = loaded(sites / "base"), loaded(sites / "own")
        if base is not None and own is not None:
            assert len(diff(base, own).differences) == len(diff(own, base).differences)


def loaded(folder: Path) -> Site | None:
    try:
        return load_site(folder)
    except SiteError as refused:
        told = refused.message()
    assert "site.yaml" in told
    return None


def test_nothing_changed_is_a_site(tmp_path: Path) -> None:
    for name, content in {"base": BASE, "own": OWN}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "site.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        (tmp_path / name / "codes.csv").write_text("code,word\nA,a\n", encoding="utf-8")
    assert [d.path[-1] for d in diff(load_site(tmp_path / "base"), load_site(tmp_path / "own")).differences] == [
        "delimiter",
        "B",
        "columns.code",
        "columns.value",
    ]
