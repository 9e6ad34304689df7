"""Reading work-order texts on real ones (excavators): learnt on earlier orders, measured on the later 30 %.

    python -m benchmarks.text [--json]

Beside ours: always the most frequent code, and the rules alone (the shipped words and the site's own). These orders are
never closed, and their codes were assigned afterwards from the text: they are hindsight labels, so the last version of
each order is taken. Macro-F1 is over every code that a held-out order has, those never seen before included; of a code
that names several (`A_B`) each counts by itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import ROOT, Figure, machine
from features.asof import last_versions
from features.text import OTHER, UNKNOWN, Reading, TextModel, from_json
from features.text_fill import FILL_CONFIDENCE
from features.text_fit import MIN_EXAMPLES, fit
from features.text_rules import TextRules, site_rules
from plant.connect import connect
from plant.site import load_site
from plant.store import Store
from plant.yaml_text import read_yaml

TEST_SHARE, RESAMPLES = 0.3, 1000
Codes = list[str | None]


def data_folder() -> Path:
    """$STEADYLINE_DATA, or `shared/data` beside the project."""
    given = os.environ.get("STEADYLINE_DATA")
    return Path(given) if given else ROOT.parent / "shared" / "data"


def orders(data: Path) -> tuple[list[str], list[str], dict[str, Codes], TextRules]:
    """Day, text and codes by field of every order, sorted by day; and the rules of the site.

    The orders come through the site's mapping; what it leaves out is looked up in the export by file and line.
    """
    about = read_yaml(Path(__file__).with_name("text.yaml"))
    site = load_site(ROOT / "sites" / about["site"])
    with tempfile.TemporaryDirectory() as root:
        connect(site, data / about["data"], Path(root))
        frame = last_versions(Store(Path(root), site.name).snapshot(), "work_orders")
    frame = frame.sort_values(["opened_at", "work_order_id"], kind="stable", ignore_index=True)
    lines: dict[int, dict[str, str]] = {}
    with (data / about["data"] / about["export"]).open(encoding="utf-8", newline="") as f:
        reader = csv.DictReader(f)
        assert reader.fieldnames  # reads the header, so that the next row begins at line_num + 1
        begins = reader.line_num + 1
        for row in reader:
            lines[begins] = row
            begins = reader.line_num + 1
    codes: dict[str, Codes] = {"failure_mode": [c if isinstance(c, str) else None for c in frame["failure_mode"]]}
    for name, column in about["fields"].items():
        found = [lines[int(n)][column] for n in frame["source_line"]]
        codes[name] = [None if c in about["missing"] else c for c in found]
    texts = [t if isinstance(t, str) else "" for t in frame["text"]]
    return [str(d) for d in frame["opened_at"]], texts, codes, site_rules(site.folder)


def sets(codes: Sequence[str | None], separator: str) -> list[frozenset[str]]:
    """The codes that each entry names."""
    plain = ["" if c is None or c == UNKNOWN else c for c in codes]
    return [frozenset(p for p in (c.split(separator) if separator else [c]) if p) for c in plain]


def f1(truth: list[frozenset[str]], said: list[frozenset[str]], resamples: np.ndarray) -> np.ndarray:
    """Macro-F1 over the codes of `truth` for each row of `resamples` (times that each order is counted)."""
    classes = sorted({c for t in truth for c in t})
    t = np.array([[c in s for c in classes] for s in truth], dtype=np.float64)
    p = np.array([[c in s for c in classes] for s in said], dtype=np.float64)
    hit, wrong, there = resamples @ (t * p), resamples @ (p * (1 - t)), resamples @ t
    below = hit + wrong + there
    return np.nanmean(np.where(there > 0, 2 * hit / np.where(below > 0, below, 1), np.nan), axis=1)


def calibration_error(right: np.ndarray, confidence: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Naeini et al., AAAI 2015)."""
    at = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(right[at == b].mean() - confidence[at == b].mean()) * (at == b).mean() for b in set(at.tolist())]
    return float(sum(gaps))


def field_figures(
    name: str, separator: str, train: Codes, test: Codes, ours: Reading, rules: Reading
) -> dict[str, Any]:
    """Figures of one field on the held-out orders; see the keys in docs/how-to/teach-the-texts.md."""
    coded = np.array([i for i, c in enumerate(test) if c is not None])
    truth = sets([test[i] for i in coded], separator)
    seen = Counter(c for c in train if c is not None)
    majority = min(seen, key=lambda c: (-seen[c], c))
    said = {
        "": sets(list(ours.code[coded]), separator), "_rules": sets(list(rules.code[coded]), separator),
        "_majority": sets([majority] * len(coded), separator),
    }
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(coded), np.full(len(coded), 1 / len(coded)), size=RESAMPLES).astype(np.float64)
    out: dict[str, Any] = {}
    spread = {}
    for key, sides in said.items():
        out[f"macro_f1{key}"] = float(f1(truth, sides, np.ones((1, len(coded))))[0])
        spread[key] = f1(truth, sides, draws)
        out[f"macro_f1{key}_interval"] = [float(q) for q in np.quantile(spread[key], (0.025, 0.975))]
        out[f"accuracy{key}"] = float(np.mean([a == b for a, b in zip(truth, sides, strict=True)]))
    out["gain_over_rules_interval"] = [float(q) for q in np.quantile(spread[""] - spread["_rules"], (0.025, 0.975))]
    right = np.array([a == b for a, b in zip(truth, said[""], strict=True)])
    confidence = ours.confidence[coded]
    usable = np.array([OTHER not in s and bool(s) for s in sets(list(ours.code), separator)])
    fills = (ours.confidence >= FILL_CONFIDENCE) & usable
    uncoded = np.array([c is None for c in test])
    counts = Counter(c for s in sets(train, separator) for c in s)
    often = [c for c in sorted({c for t in truth for c in t}) if counts[c] >= MIN_EXAMPLES]
    whole = np.ones((1, len(coded)))
    of_often = [frozenset(t & set(often)) for t in truth]
    return out | {
        "macro_f1_learnable": float(f1(of_often, said[""], whole)[0]),
        "macro_f1_learnable_rules": float(f1(of_often, said["_rules"], whole)[0]),
        "fill_coverage": float(fills[coded].mean()), "fill_precision": float(right[fills[coded]].mean()),
        "fill_uncoded": float(fills[uncoded].mean()), "ece": calibration_error(right, confidence),
        "n_train": sum(c is not None for c in train), "n_test": len(coded),
        "classes": len({c for t in truth for c in t}),
    }


def evaluate(
    days: Sequence[str], texts: Sequence[str], codes: Mapping[str, Codes], rules: TextRules, seed: int = 0
) -> dict[str, Any]:
    """Fit on the orders before the day at which the latest 30 % begin, measure on the others."""
    first = days[int(len(days) * (1 - TEST_SHARE))]
    cut = next(i for i, d in enumerate(days) if d >= first)
    before, after = slice(None, cut), slice(cut, None)
    begin = time.perf_counter()
    model = fit(texts[before], {f: c[before] for f, c in codes.items()}, rules, seed)
    fit_seconds = time.perf_counter() - begin
    alone = fit((), dict.fromkeys(codes, ()), rules)
    ours, ruled = model.predict(texts[after]), alone.predict(texts[after])
    fields = {
        f: field_figures(f, rules.separator.get(f, ""), c[before], c[after], ours[f], ruled[f])
        for f, c in sorted(codes.items())
    }
    return {"test_from": first[:10], "fit_seconds": fit_seconds, **speed(model, texts), "fields": fields}


def speed(model: TextModel, texts: Sequence[str]) -> dict[str, float]:
    """Texts a second of a model just read from JSON, microseconds of one text alone, and the size of the JSON."""
    written = json.dumps(model.to_json())
    fresh = from_json(json.loads(written))
    distinct = sorted(set(texts))
    begin = time.perf_counter()
    fresh.predict(distinct)
    took = time.perf_counter() - begin
    one = []
    for text in distinct[:: max(1, len(distinct) // 300)]:
        begin = time.perf_counter()
        fresh.predict([text])
        one.append(time.perf_counter() - begin)
    return {
        "texts_per_second": len(distinct) / took, "one_text_us": float(np.median(one)) * 1e6,
        "json_bytes": float(len(written)),
    }


def measure() -> list[Figure]:
    """What was found, as figures; none, and a word about it, where the data is not there."""
    data = data_folder()
    if not data.is_dir():
        print(_missing(data), file=sys.stderr)
        return []
    found = evaluate(*orders(data))
    out = [Figure("texts read, one thread", found["texts_per_second"], "texts/s"),
           Figure("one text alone, median", found["one_text_us"], "us")]
    for name, f in found["fields"].items():
        out += [
            Figure(f"texts: {name}, macro-F1 (rules alone {f['macro_f1_rules']:.3f})", f["macro_f1"], ""),
            Figure(f"texts: {name}, right among the filled", f["fill_precision"], "share"),
        ]
    return out


def _missing(data: Path) -> str:
    return f"no folder {data}: put the public data sets there, or name theirs in STEADYLINE_DATA"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json = parser.parse_args().json
    data = data_folder()
    if not data.is_dir():
        sys.exit(_missing(data))
    found = evaluate(*orders(data))
    if as_json:
        print(json.dumps({"machine": machine(), **found}, indent=1))
        return
    print(f"held out: orders from {found['test_from']} on; fitted in {found['fit_seconds']:.1f} s, "
          f"{found['texts_per_second']:,.0f} texts a second, one text {found['one_text_us']:.0f} us, "
          f"JSON {found['json_bytes'] / 1e6:.2f} MB")
    for name, f in found["fields"].items():
        low, high = f["macro_f1_interval"]
        more, most = f["gain_over_rules_interval"]
        print(f"{name} ({f['n_train']} coded orders learnt from, {f['n_test']} held out, {f['classes']} codes)")
        print(f"  macro-F1   ours {f['macro_f1']:.3f} [{low:.3f}, {high:.3f}]  rules {f['macro_f1_rules']:.3f}  "
              f"majority {f['macro_f1_majority']:.3f}  gain over rules [{more:+.3f}, {most:+.3f}]")
        print(f"  of codes with {MIN_EXAMPLES} earlier orders: ours {f['macro_f1_learnable']:.3f}  "
              f"rules {f['macro_f1_learnable_rules']:.3f}")
        print(f"  accuracy   ours {f['accuracy']:.3f}  rules {f['accuracy_rules']:.3f}  "
              f"majority {f['accuracy_majority']:.3f}  calibration error {f['ece']:.3f}")
        print(f"  at {FILL_CONFIDENCE}: {f['fill_coverage']:.1%} of the coded orders would be filled, "
              f"{f['fill_precision']:.1%} of them rightly; of orders without a code {f['fill_uncoded']:.1%}")


if __name__ == "__main__":
    main()
