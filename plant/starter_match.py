"""Which canonical table an unknown export feeds, and which of its columns fill which of the table's.

Judged by the names of columns and files (`plant.guess_words`) and by what the columns hold. A proposal is a beginning
for a person: it says what it could not fill, and which other table would do as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from plant.guess import ColumnGuess, Guess
from plant.guess_words import COLUMNS, FILES, fold
from plant.tables import TABLES, Column, Table

_IDS = ("work_order_id", "event_id", "downtime_id", "result_id", "deviation_id")  # a row's own content can be the key
# Columns whose whole numbers tell rows apart and measure nothing.
_IDENTITY = (
    ("batches", ("batch_id", "product")), ("work_orders", ("work_order_id",)), ("lab_results", ("result_id",)),
    ("deviations", ("deviation_id",)), ("spare_parts", ("part_id",)),
)  # fmt: skip
_NUMBERED = re.compile("(no|nr|id|num|number|nummer|key|uid|uuid|guid)", re.IGNORECASE)  # ends of a row number's name
_NUMBERED_THINGS = "(?i)^.*(result|row|record|entry|event|order|test)"
_TOLD = 10  # filled cells below which it may be chance that no word stands twice
_ENOUGH = 1.5  # below this score no table is proposed


@dataclass(frozen=True)
class Proposal:
    """columns: canonical column -> source column. values: number columns of a wide export, a signal each.

    constants: canonical column -> word that the file's name suggests; made_up: keys taken from the row's content;
    numbers: keys taken from a column that only its name's end and its content speak for;
    missing: required columns that nothing fills, so that the item cannot be used yet; other: the next best table.
    """

    guess: Guess
    table: str
    score: float
    columns: dict[str, str]
    missing: tuple[str, ...] = ()
    made_up: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    constants: tuple[tuple[str, str], ...] = ()
    values: tuple[str, ...] = ()
    other: str = ""

    @property
    def mapped(self) -> set[str]:
        return {*self.columns.values(), *self.values}


def propose(guess: Guess) -> Proposal | None:
    """The best table for a source, or None where nothing speaks for any."""
    found = [p for name in TABLES if (p := _score(guess, name)) is not None]
    found.sort(key=lambda p: -p.score)
    if not found or found[0].score < _ENOUGH:
        return None
    near = [p for p in found[1:2] if p.score > 0.7 * found[0].score and not p.missing]
    return replace(found[0], other=near[0].table if near else "")


def _fits(column: ColumnGuess, target: Column) -> bool:
    """Whether what the column holds can be read as the target's kind."""
    if column.kind == "empty":
        return True
    if target.kind == "time":
        return column.kind == "time"
    if target.kind == "float":
        return column.kind == "number"
    if target.kind == "bool":
        return column.kind == "bool" or 0 < len(column.words) <= 3
    return column.kind not in ("time", "clock") and (not target.codes or 0 < len(column.words) <= 60)


def _alike(name: str, known: list[str]) -> float:
    """1 for the best name of a canonical column, less for later ones, 0.5 where only a part of the name is one."""
    folded = fold(name)
    if folded in known:
        return max(0.7, 1 - 0.02 * known.index(folded))
    either = [fold(w) for w in re.split("[/|]", re.sub(r"[\[(].*", "", name)) if fold(w)]  # Étiquette/Tag, Masse (kg)
    if either and all(w in known for w in either):
        return 0.65
    if known[0].endswith("id"):  # of an id, a part is not enough: `Batch Size` is no batch
        return 0.0
    words = [fold(w) for w in re.findall(r"[A-ZÄÖÜČŠŽ]?[^\WA-ZÄÖÜČŠŽ\d_]+|[^\W\d_]+", name)]
    if any(len(w) > 3 and w in known for w in words):
        return 0.5
    return 0.45 if any(len(k) > 5 and (folded.startswith(k) or folded.endswith(k)) for k in known) else 0.0


def _assign(guess: Guess, table: Table) -> dict[str, tuple[str, float]]:
    """Canonical column -> (source column, how alike), the best pairs first, each source column once."""
    pairs = []
    for order, target in enumerate(table.columns):
        known = [fold(w) for w in COLUMNS[table.name].get(target.name, target.name).split()]
        for place, column in enumerate(guess.columns):
            alike = _alike(column.name, known)
            if alike and _fits(column, target):
                weight = alike - (0.3 if column.kind == "empty" else 0.0)
                pairs.append((-weight, order, place, target.name, column.name))
    out: dict[str, tuple[str, float]] = {}
    for weight, _, _, target_name, name in sorted(pairs):
        if target_name not in out and name not in {n for n, _ in out.values()}:
            out[target_name] = (name, -weight)
    return out


def _hint(guess: Guess, table: str) -> float:
    """What the names of file, sheet and folder say."""
    known = {fold(w) for w in FILES[table].split()}
    parts = guess.path.split("/")
    words = [fold(w) for w in re.split(r"[\W_]+|\d+", f"{guess.label} {parts[-1].split('.')[0]} {guess.name}") if w]
    if any(w in known for w in words):
        return 1.5
    whole = fold(parts[-1].split(".")[0])
    if any(len(k) > 4 and k in whole for k in known):
        return 1.2
    return 0.6 if any(fold(w) in known for p in parts[:-1] for w in re.split(r"[\W_]+", p)) else 0.0


def _suggested(guess: Guess, table: str) -> tuple[tuple[str, str], ...]:
    """A kind that the file's name tells where no column does."""
    name = fold(guess.path)
    words = {
        "work_orders": (("failure", "corrective"), ("breakdown", "corrective"), ("storung", "corrective"),
                        ("maint", "preventive"), ("wartung", "preventive"), ("calib", "calibration")),
        "events": (("alarm", "alarm"), ("error", "error"), ("fehler", "error"), ("state", "state")),
    }  # fmt: skip
    return tuple(("kind", word) for part, word in words.get(table, ()) if part in name)[:1]


def _score(guess: Guess, name: str) -> Proposal | None:
    table = TABLES[name]
    found = _assign(guess, table)
    if name == "readings":
        return _readings(guess, found)
    if name == "signals" and "source_tag" in found and "signal" not in found:
        for target in ("equipment_id", "signal"):  # both are read from the tag
            found.setdefault(target, found["source_tag"])
    tag = found.get("source_tag", ("", 0.0))[0]
    if name == "signals" and any(c.name == tag and c.distinct < 0.5 * c.filled for c in guess.columns):
        return None  # a list of signals names each once
    score = _hint(guess, name) + 2 * len(found) / len(guess.columns)
    missing, made_up, constants = [], [], _suggested(guess, name)
    numbers: dict[str, str] = {}
    for column in table.columns:
        if column.name in found:
            score += found[column.name][1] * (2 if column.required else 1)
        elif column.required and column.name in _IDS:
            score -= 0.6
            if number := _row_number(guess, {source for source, _ in found.values()}):
                numbers[column.name] = number
            else:
                made_up.append(column.name)
        elif column.required and column.name in dict(constants):
            score -= 0.5
        elif column.required:
            missing.append(column.name)
            score -= 2
    if table.one_of and not set(table.one_of) & set(found):
        missing.append(" or ".join(table.one_of))
        score -= 2
    constants = tuple((c, w) for c, w in constants if c not in found)
    own = [c for c in table.columns if c.required and c.name in found]
    if not own:
        return None
    columns = {target: source for target, (source, _) in found.items()} | numbers
    return Proposal(guess, name, score, columns, tuple(missing), tuple(made_up), tuple(numbers), constants)


def _row_number(guess: Guess, taken: set[str]) -> str:
    """The first column that is named like a number of the row and different in each row of the sample, or nothing."""
    for column in guess.columns:
        words = re.findall(r"[A-ZÄÖÜČŠŽ]?[^\WA-ZÄÖÜČŠŽ\d_]+|[A-ZÄÖÜČŠŽ]+", column.name)
        last = words[-1] if len(words) > 1 else re.sub(_NUMBERED_THINGS, "", column.name)
        counted = column.kind in ("id", "code", "text") or (column.kind == "number" and column.whole)
        apart = column.filled == column.cells == column.distinct >= _TOLD
        if counted and apart and column.name not in taken and _NUMBERED.fullmatch(last.strip("_ .-#")):
            return column.name
    return ""


def _readings(guess: Guess, found: dict[str, tuple[str, float]]) -> Proposal | None:
    """A long export (tag, time, value) or a wide one (a column a signal)."""
    times = [c.name for c in guess.columns if c.kind == "time"]
    if "ts" not in found:
        if len(times) != 1:
            return None
        found["ts"] = (times[0], 0.6)
    score = _hint(guess, "readings") + 2 * found["ts"][1]
    _long(guess, found)
    if "signal" in found and "value" in found and found["signal"][1] > 0.5:
        columns = {target: source for target, (source, _) in found.items()}
        columns.setdefault("equipment_id", columns["signal"])  # a tag names both
        score += 2 * found["signal"][1] + found["value"][1] + 2 * len(found) / len(guess.columns) + 0.5
        return Proposal(guess, "readings", score, columns)
    kept = {"ts": found["ts"][0]}
    kept |= {t: found[t][0] for t in ("equipment_id", "quality") if t in found and found[t][1] > 0.5}
    identity = {fold(w) for table, names in _IDENTITY for name in names for w in COLUMNS[table][name].split()}
    values = [
        c.name for c in guess.columns
        if c.kind == "number" and c.name not in kept.values() and not (c.whole and fold(c.name) in identity)
    ]  # fmt: skip
    orders = {fold(w) for w in COLUMNS["work_orders"]["work_order_id"].split()}
    if "equipment_id" not in kept and any(c.whole and fold(c.name) in orders for c in guess.columns):
        return None
    if len(values) < 2 and not (values and "equipment_id" in kept):
        return None
    if guess.shape == "table" and not (len(times) == 1 and len(values) >= 0.3 * len(guess.columns)):
        return None  # several times, words and a few numbers: orders, batches, results
    if "equipment_id" in kept:
        score += 2 * found["equipment_id"][1]
    score += min(3.0, 0.5 * len(values)) - (0.0 if "equipment_id" in kept else 0.5)
    score += 2 * (len(values) + len(kept)) / len(guess.columns)
    return Proposal(guess, "readings", score, kept, values=tuple(values))


def _long(guess: Guess, found: dict[str, tuple[str, float]]) -> None:
    """What a tag, a time and a value are, where the names of some of them do not tell."""
    left = [c for c in guess.columns if c.name not in {n for n, _ in found.values()}]
    numbers = [c.name for c in left if c.kind == "number"]
    codes = [c.name for c in left if c.kind == "code"]
    if "signal" in found and "value" not in found and len(numbers) == 1:
        found["value"] = (numbers[0], 0.3)
    counted = any(c.times is not None and c.times.epoch is not None for c in guess.columns)
    if "signal" not in found and "equipment_id" not in found and len(codes) == 1 and guess.shape == "long" and counted:
        found["signal"] = (codes[0], 0.55)
        if "value" not in found and len(numbers) == 1:
            found["value"] = (numbers[0], 0.3)


def split_tag(tag: str, others: list[str]) -> tuple[str, str]:
    """(equipment, signal) that a tag seems to name: `DUB.GR101.VIBRATION.PV` is GR101 and vibration; or ("", "")."""
    parts = [re.split(r"[.:/\\|]|_(?=[A-Z0-9])|-(?=[A-Z]{3})", t) for t in (tag, *others)]
    kept = [i for i in range(len(parts[0])) if len({p[i] if i < len(p) else "" for p in parts}) > 1 or len(parts) == 1]
    words = [parts[0][i] for i in kept if parts[0][i].upper() not in ("PV", "VALUE", "VAL")]
    if len(words) < 2:
        return "", ""
    return words[0], re.sub(r"\W+", "_", "_".join(words[1:]).lower())
