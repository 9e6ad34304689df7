"""A bundle is the same bytes from the same data and seed, and any change to it is noticed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import bundle as bundles
from models.explain import Reference
from models.hazard import HazardModel
from models.quality import AttributeModel
from plant.errors import SteadylineError


def make(folder: Path, threads: int = 1, seed: int = 7) -> bundles.Bundle:
    """A small version with a hazard of two modes and one attribute."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(1500, 6))
    x[rng.random(x.shape) < 0.05] = np.nan
    life = rng.exponential(100 * np.exp(-np.nan_to_num(x[:, 0])))
    mode = np.where(life < 168, (np.nan_to_num(x[:, 1]) + rng.normal(size=1500) > 0).astype(int), -1)
    params = {"num_leaves": 15}
    hazard = HazardModel((0, 24, 72, 168), params, 30, seed, num_threads=threads).fit(x, np.minimum(life, 168), mode)
    y = np.nan_to_num(x[:300, 2]) + rng.normal(size=300)
    attribute = AttributeModel(rounds=30, members=2, seed=seed, num_threads=threads).fit(x[:300], y)
    parts = {"hazard": hazard, "before_start/assay": attribute}
    return bundles.write(
        folder, name="press", task="failure", spec={"name": "press"}, plan={"features": []}, parts=parts,
        evidence={"auc": {"24h": np.float64(0.9), "none": float("nan")}}, data={"data_version": "7"},
        golden={name: bundles.golden_rows(part, x) for name, part in parts.items()},
        reference={"": Reference.of(x)},
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bundles.Bundle:
    return make(tmp_path_factory.mktemp("bundles") / "1")


@pytest.fixture
def copy(made: bundles.Bundle, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made.folder, tmp_path / "copy"))


def test_reads_back_what_was_written(made: bundles.Bundle) -> None:
    again = bundles.read(made.folder, made.sha256)
    assert (again.name, again.task, again.spec) == ("press", "failure", {"name": "press"})
    assert again.data == {"data_version": "7"}
    assert again.evidence == {"auc": {"24h": 0.9, "none": None}}
    assert set(again.parts) == {"hazard", "before_start/assay"}
    assert again.reference[""].low.shape == (6,)
    assert bundles.verify(again) == {"hazard": 0.0, "before_start/assay": 0.0}
    suffixes = {p.suffix for p in made.folder.rglob("*") if p.is_file()}
    assert suffixes == {".json", ".txt", ""}  # text only: nothing is pickled
    for path in made.folder.rglob("*"):
        if path.is_file():
            path.read_text(encoding="utf-8")
    assert not list(made.folder.parent.glob(".bundle-*"))


def test_the_hash_is_the_same_in_another_process_and_with_two_threads(made: bundles.Bundle, tmp_path: Path) -> None:
    code = ("import sys; from pathlib import Path; from tests.models.test_bundle import make;"
            "print(make(Path(sys.argv[1]), threads=2).sha256)")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "other")], capture_output=True, text=True,
                          cwd=root, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == made.sha256
    assert make(tmp_path / "seed", seed=8).sha256 != made.sha256


@pytest.mark.parametrize("change", ["content", "name", "extra", "missing", "json", "empty"])
def test_any_change_is_refused(copy: Path, change: str) -> None:
    text = copy / "parts" / "hazard" / "hazard.txt"
    if change == "content":
        text.write_bytes(text.read_bytes().replace(b"leaf_value=", b"leaf_value= ", 1))
    elif change == "name":
        text.rename(text.with_name("hazard2.txt"))
    elif change == "extra":
        (copy / "note").write_text("x")
    elif change == "missing":
        (copy / "parts" / "hazard" / "modes.txt").unlink()
    elif change == "json":
        path = copy / "bundle.json"
        path.write_text(path.read_text().replace('"7"', '"8"'))
    else:
        (copy / "parts" / "x").write_text("")
    with pytest.raises(SteadylineError) as refused:
        bundles.read(copy)
    assert refused.value.code == "bundle_altered"


def test_a_consistent_forgery_does_not_match_the_hash_kept_elsewhere(made: bundles.Bundle, copy: Path) -> None:
    path = copy / "bundle.json"
    path.write_text(path.read_text().replace('"7"', '"8"'))
    (copy / "SHA256").write_text(bundles.digest(copy))
    assert bundles.read(copy).data == {"data_version": "8"}
    with pytest.raises(SteadylineError, match="changed after"):
        bundles.read(copy, made.sha256)


def test_golden_rows_that_score_otherwise_are_reported_by_part(copy: Path) -> None:
    path = copy / "bundle.json"
    content = json.loads(path.read_text())
    content["golden"]["hazard"]["scores"][0][-1] += 0.001
    path.write_text(json.dumps(content))
    (copy / "SHA256").write_text(bundles.digest(copy))
    with pytest.raises(SteadylineError) as refused:
        bundles.verify(bundles.read(copy))
    assert refused.value.code == "bundle_disagrees"
    assert refused.value.details[0].startswith("hazard: differs by 0.001")


def test_files_cannot_be_moved_into_one_another(tmp_path: Path) -> None:
    for name, files in {"a": {"x": "yz", "w": ""}, "b": {"x": "y", "w": "z"}, "c": {"xy": "z", "w": ""}}.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    assert len({bundles.digest(tmp_path / name) for name in "abc"}) == 3


def test_a_version_never_changes_and_a_failed_write_leaves_nothing(made: bundles.Bundle, tmp_path: Path) -> None:
    hazard = made.parts["hazard"]
    common = {"name": "x", "task": "failure", "spec": {}, "plan": {}, "evidence": {}, "data": {}, "golden": {},
              "reference": {}}
    with pytest.raises(SteadylineError) as exists:
        bundles.write(made.folder, parts={"hazard": hazard}, **common)
    assert exists.value.code == "bundle_exists"
    with pytest.raises(SteadylineError, match="cannot be used"):
        bundles.write(tmp_path / "out", parts={"../hazard": hazard}, **common)
    with pytest.raises(SteadylineError, match="cannot stand"):
        bundles.write(tmp_path / "out", parts={"hazard": hazard}, **{**common, "data": {"x": object()}})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SteadylineError) as missing:
        bundles.read(tmp_path / "out")
    assert missing.value.code == "bundle_missing"


def test_no_setting_of_the_machine_stands_in_a_model(made: bundles.Bundle) -> None:
    for path in made.folder.rglob("*.txt"):
        assert "num_threads" not in path.read_text()
