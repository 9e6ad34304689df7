"""A model version as a folder: bundle.json, native LightGBM text files, and one SHA-256 over all of it.

Nothing in it is pickled and nothing hashed depends on when or where it was made, so the same data and seed give the
same bytes. The hash covers the sorted relative names and the contents of every file; it stands in `SHA256` beside
them, and whoever keeps a version elsewhere (registry, signature) keeps it too.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from models.explain import Reference
from models.hazard import HazardModel
from models.pass_fail import PassFailModel
from models.quality import AttributeModel
from plant.errors import SteadylineError

FORMAT = 1
_DIGEST = "SHA256"
_KINDS: dict[str, type[HazardModel] | type[AttributeModel] | type[PassFailModel]] = {
    "hazard": HazardModel, "attribute": AttributeModel, "pass_fail": PassFailModel,
}

Model = HazardModel | AttributeModel | PassFailModel


@dataclass(frozen=True)
class Bundle:
    """A version read from its folder.

    parts: models by part name ("hazard", "before_start/dissolution"); content: everything in bundle.json;
    sha256: of the folder. The other names are views into `content`.
    """

    folder: Path
    sha256: str
    content: dict[str, Any]
    parts: dict[str, Model]

    @property
    def name(self) -> str:
        """Name of the model, as in its YAML."""
        return str(self.content["name"])

    @property
    def task(self) -> Literal["failure", "quality"]:
        """failure or quality."""
        return "failure" if self.content["task"] == "failure" else "quality"

    @property
    def spec(self) -> dict[str, Any]:
        """The model's YAML with all defaults (`models.spec.parse_model_spec` reads it)."""
        return dict(self.content["spec"])

    @property
    def plan(self) -> dict[str, Any]:
        """The feature plan (`features.assemble.FeaturePlan.from_json` reads it)."""
        return dict(self.content["plan"])

    @property
    def evidence(self) -> dict[str, Any]:
        """Backtest, calibration, thresholds: whatever training recorded."""
        return dict(self.content["evidence"])

    @property
    def data(self) -> dict[str, Any]:
        """Data versions and periods it was trained on."""
        return dict(self.content["data"])

    @property
    def reference(self) -> dict[str, Reference]:
        """Usual ranges of the features by key: "" for equipment, the gate for batches."""
        return {k: Reference.from_dict(v) for k, v in self.content["reference"].items()}


def golden_rows(part: Model, values: ArrayLike, most: int = 5) -> dict[str, Any]:
    """Up to `most` rows of (n, p) values with this part's raw scores, to be checked where the bundle is used."""
    x = np.atleast_2d(np.asarray(values, dtype=np.float64))
    rows = x[np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).astype(int))] if len(x) else x
    return {"values": _plain(rows), "scores": _plain(_scores(part, rows))}


def write(folder: Path | str, *, name: str, task: str, spec: Mapping[str, Any], plan: Mapping[str, Any],
          parts: Mapping[str, Model], evidence: Mapping[str, Any], data: Mapping[str, Any],
          golden: Mapping[str, Mapping[str, Any]], reference: Mapping[str, Reference],
          environment: Mapping[str, str] | None = None) -> Bundle:
    """Write a version into `folder`, whole or not at all, and read it back.

    spec, plan: their JSON forms. parts: fitted models by name; a name may hold "/" and becomes a folder below
    `parts/`. golden: by part name, from `golden_rows`. reference: usual ranges of the features, "" for equipment; for
    batches by gate, and by gate and product. evidence: the backtest, and under `scoring` what `models.predict` reads.
    Everything must be JSON; NaN becomes null. Put no clock times of the run into it: they would change the hash.
    Raises SteadylineError `bundle_exists` (a version never changes) and `bad_bundle`.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise SteadylineError("bundle_exists", f"{folder} holds a version already.", "a new folder",
                              "A version never changes; write the new one elsewhere.")
    bad = [p for p in parts if "\\" in p or any(s in ("", ".", "..") for s in p.split("/"))]
    if bad or set(golden) - set(parts):
        raise SteadylineError("bad_bundle", f"Part names {bad + sorted(set(golden) - set(parts))} cannot be used.",
                              "names such as hazard or before_start/dissolution; golden rows of those only")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".bundle-", dir=folder.parent))
    try:
        listed = {}
        for part_name, part in sorted(parts.items()):
            files = part.save(work / "parts" / part_name)
            listed[part_name] = {"kind": _kind(part), "files": sorted(files)}
        content = {
            "format": FORMAT, "name": name, "task": task, "spec": spec, "plan": plan, "parts": listed,
            "evidence": evidence, "data": data, "golden": golden, "environment": environment or {},
            "reference": {key: usual.as_dict() for key, usual in reference.items()},
        }
        text = json.dumps(_plain(content), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        (work / "bundle.json").write_bytes(text.encode("utf-8"))
        (work / _DIGEST).write_bytes((digest(work) + "\n").encode("ascii"))
        work.chmod(0o755)  # a temporary folder is its maker's alone; a bundle is read by the service
        if folder.exists():
            folder.rmdir()
        work.rename(folder)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return read(folder)


def read(folder: Path | str, sha256: str | None = None) -> Bundle:
    """Read a version, after its content was found to match its hash (and `sha256`, where the caller knows it).

    Raises SteadylineError `bundle_missing`, `bundle_altered`, `bundle_damaged`.
    """
    folder = Path(folder)
    recorded = folder / _DIGEST
    if not recorded.is_file() or not (folder / "bundle.json").is_file():
        raise SteadylineError("bundle_missing", f"{folder} holds no model version.", "a folder written by training",
                              "Train the model, or correct the path.")
    found, expected = digest(folder), recorded.read_text(encoding="ascii", errors="replace").strip()
    if found != expected or (sha256 is not None and found != sha256):
        raise SteadylineError(
            "bundle_altered", f"{folder} was changed after it was written: its content hashes to {found[:12]}….",
            f"{(sha256 or expected)[:12]}…", "Restore it from the registry, or train a new version.")
    content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    if content.get("format") != FORMAT:
        raise SteadylineError("bundle_damaged", f"The bundle's format is {content.get('format')!r}.", str(FORMAT),
                              "Read it with the release that wrote it.")
    parts = {name: _KINDS[p["kind"]].load(folder / "parts" / name) for name, p in content["parts"].items()}
    return Bundle(folder, found, content, parts)


def verify(bundle: Bundle, tolerance: float = 1e-9) -> dict[str, float]:
    """Score the golden rows again: the largest difference by part.

    Raises SteadylineError `bundle_disagrees` naming every part that differs by more than `tolerance` (relative):
    another library or processor computes something else than what was tested.
    """
    differences, wrong = {}, []
    for name, golden in sorted(bundle.content["golden"].items()):
        rows = np.array(golden["values"], dtype=np.float64)  # null is NaN
        if not rows.size:
            continue
        expected = np.array(golden["scores"], dtype=np.float64)
        found = _scores(bundle.parts[name], rows)
        gap = float(np.max(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))
        differences[name] = gap
        if not gap <= tolerance:
            wrong.append(f"{name}: differs by {gap:.3g}")
    if wrong:
        raise SteadylineError("bundle_disagrees", "The golden rows do not score as they did in training.",
                              f"a difference up to {tolerance:g}", "Use the environment named in the bundle.", wrong)
    return differences


def digest(folder: Path | str) -> str:
    """SHA-256 over the sorted relative names and contents of all files of a folder, `SHA256` itself left out.

    Name and content are each preceded by their length, so that no two different folders give the same stream.
    """
    folder = Path(folder)
    total = hashlib.sha256()
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file() or p.is_symlink()}
    files.pop(_DIGEST, None)
    for name in sorted(files):
        content = files[name].read_bytes()
        for piece in (name.encode("utf-8"), content):
            total.update(len(piece).to_bytes(8, "big"))
            total.update(piece)
    return total.hexdigest()


def _kind(part: Model) -> str:
    return next(kind for kind, cls in _KINDS.items() if isinstance(part, cls))


def _scores(part: Model, rows: np.ndarray) -> np.ndarray:
    if not len(rows):
        return np.empty(0)
    return part.predict_survival(rows) if isinstance(part, HazardModel) else part.predict(rows)


def _plain(value: Any) -> Any:
    """JSON types only; a number that is not one becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int, bool)):
        return value
    raise SteadylineError("bad_bundle", f"{value!r} ({type(value).__name__}) cannot stand in a bundle.",
                          "text, numbers, true and false, lists and mappings")
