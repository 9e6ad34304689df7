"""The answer of a connect, kept so that the same question is answered at once.

A connect that would find the same configuration, the same exports byte for byte and the store as it left it can only
say that everything is known. Seeing that takes the hashes of the files and nothing slow: no frames, no units.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ASKED_ANEW = ("sql", "delta")  # formats whose content has no file of its own to look at


def unchanged(store: Path, site: Path, data: Path) -> dict[str, Any] | None:
    """What `connect --json` answers when nothing has changed since the last one; None where it has to be run."""
    path = _path(store, site, data)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        same = (
            kept["code"] == _code()
            and kept["load"] == _last_load(store / kept["site"])
            and all(_sha(Path(p)) == sha for p, sha in kept["configuration"].items())
            and all(_sha(Path(p)) == sha for p, sha in kept["exports"].items())
            and sorted(kept["exports"]) == _found(data, kept["patterns"])
            and Path(kept["answer"]["report"]).is_file()
        )
    except (OSError, ValueError, KeyError):
        return None
    return _all_known(kept["answer"]) if same else None


def keep(
    store: Path,
    site: Any,
    data: Path,
    answer: Mapping[str, Any],
    manifest: Mapping[str, Any],
    labels: Mapping[str, list[str]],
) -> None:
    """Write the receipt of a connect. There is none where sources are asked anew each time, or where the folder holds
    other files than the connect has read: something came in meanwhile.

    manifest: that of the load, whose hashes are those of what was read. labels: source -> labels of its exports.
    """
    path = _path(store, site.folder, data)
    path.unlink(missing_ok=True)
    if any(s.format in _ASKED_ANEW for s in site.sources.values()):
        return
    patterns = sorted({s.path for s in site.sources.values()})
    known = {
        str((data / label).absolute()): manifest["sources"].get(f"{name}:{label}", {}).get("sha256")
        for name, several in labels.items()
        for label in several
    }
    if sorted(known) != _found(data, patterns) or None in known.values():
        return
    receipt = {
        "site": site.name,
        "code": _code(),
        "load": int(manifest["load"]),
        "configuration": {str(path.absolute()): sha for path, sha in site.files.items()},
        "patterns": patterns,
        "exports": known,
        "answer": answer,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(receipt, default=str), encoding="utf-8")
    os.replace(partial, path)


def _path(store: Path, site: Path, data: Path) -> Path:
    question = f"{site.absolute()}\n{data.absolute()}"
    return store / ".receipts" / f"{hashlib.sha256(question.encode()).hexdigest()[:24]}.json"


def _last_load(store: Path) -> int:
    return max((int(p.stem) for p in (store / "loads").glob("[0-9]*.json")), default=0)


def _found(data: Path, patterns: list[str]) -> list[str]:
    return sorted({str(p.absolute()) for pattern in patterns for p in data.glob(pattern) if p.is_file()})


def _sha(path: Path) -> str:
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def _code() -> list[list[Any]]:
    """The plant's own code, by name, size and time."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [[p.name, (s := p.stat()).st_size, s.st_mtime_ns] for p in files]


def _all_known(answer: dict[str, Any]) -> dict[str, Any]:
    tables = {
        name: {**count, "loaded": 0, "known": count["known"] + count["loaded"]}
        for name, count in answer["tables"].items()
    }
    return {**answer, "tables": tables}
