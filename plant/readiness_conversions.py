"""Which known conversion of unit turns the values of one stretch into those of the next."""

from __future__ import annotations

import functools

import numpy as np

from plant.readiness_pieces import Pieces, borders, quantiles

# name of the change, factor, constant: new = old * factor + constant
Conversion = tuple[str, float, float]
# How large one unit is in the first of its family.
_FAMILIES: dict[str, dict[str, float]] = {
    "pressure": {
        "mbar": 1.0,
        "bar": 1000.0,
        "psi": 68.9476,
        "kPa": 10.0,
        "Pa": 0.01,
        "MPa": 10_000.0,
        "inH2O": 2.49089,
    },
    "force": {"N": 1.0, "lbf": 4.44822, "kgf": 9.80665, "kN": 1000.0},
    "length": {"mm": 1.0, "inch": 25.4, "cm": 10.0, "m": 1000.0, "µm": 0.001},
    "speed": {"mm/s": 1.0, "inch/s": 25.4, "m/s": 1000.0},
    "mass": {"kg": 1.0, "lb": 0.453592, "g": 0.001, "t": 1000.0, "mg": 1e-6},
    "power": {"kW": 1.0, "hp": 0.7457, "W": 0.001},
    "flow": {"l/min": 1.0, "gpm": 3.78541, "m3/h": 16.6667, "cfm": 28.3168, "l/h": 1 / 60},
    "time": {"s": 1.0, "min": 60.0, "h": 3600.0, "ms": 0.001},
}
_TEMPERATURES: list[Conversion] = [
    ("degC to degF", 1.8, 32.0),
    ("degC to K", 1.0, 273.15),
    ("degF to K", 5 / 9, 459.67 * 5 / 9),
]
_SPELT = {
    "°C": "degC",
    "°F": "degF",
    "C": "degC",
    "F": "degF",
    "in": "inch",
    "in/s": "inch/s",
    "m³/h": "m3/h",
    "um": "µm",
}
_DECIMAL: list[Conversion] = [("× 10", 10.0, 0.0), ("× 100", 100.0, 0.0), ("× 1000", 1000.0, 0.0)]
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)  # quantiles that are compared
_AT_ONCE = 4096  # pairs that are compared at once
_MOST_BORDERS = 6  # beyond them a signal moves to and fro


@functools.cache
def conversions(unit: str) -> tuple[Conversion, ...]:
    """What values of this unit may turn into by mistake, both ways; all that is common where the unit is not known."""
    unit = _SPELT.get(unit.strip(), unit.strip())
    known = unit not in ("", "-", "None")
    chosen: list[Conversion] = []
    if not known or unit in ("degC", "degF", "K"):
        chosen += [t for t in _TEMPERATURES if not known or unit in t[0].split(" to ")]
    for family in _FAMILIES.values():
        pairs = [(a, b) for a in family for b in family if family[a] > family[b]]
        chosen += [(f"{a} to {b}", family[a] / family[b], 0.0) for a, b in pairs if not known or unit in (a, b)]
    chosen += _DECIMAL
    return tuple(chosen + [(_back(name), 1 / f, -c / f) for name, f, c in chosen])


def _back(name: str) -> str:
    if name.startswith("×"):
        return name.replace("×", "÷")
    one, _, other = name.partition(" to ")
    return f"{other} to {one}"


def matches(
    before: np.ndarray, after: np.ndarray, unit: str, tolerance: float = 0.12, wider: float = 2.5
) -> np.ndarray:
    """Of each pair of `LEVELS` quantiles (a row each) the conversion that leads from one to the other, -1 for none.

    The number is a place in `conversions(unit)`. Quantiles have to agree within `tolerance` of the level or the jump,
    spreads within a factor `wider`.
    """
    factor = np.array([f for _, f, _ in conversions(unit)])
    constant = np.array([c for _, _, c in conversions(unit)])
    # The jump has to stand out of the scatter, or a wide signal would match anything; a small factor even more.
    small = (constant == 0) & (np.abs(factor) > 0.5) & (np.abs(factor) < 2)
    out = np.full(len(before), -1)
    for some in np.split(np.arange(len(before)), range(_AT_ONCE, len(before), _AT_ONCE)):
        a, b = before[some, :, None], after[some, :, None]
        middle = a[:, 2] * factor + constant
        jump = np.abs(middle - a[:, 2])
        error = np.max([np.abs(b[:, i] - (a[:, i] * factor + constant)) for i in (1, 2, 3)], axis=0)
        # In units of the smaller of the two, or nothing would match as well as a division.
        error /= np.maximum(np.where(constant == 0, np.minimum(np.abs(middle), jump), jump), 1e-12)
        spread, spread_after = a[:, 4] - a[:, 0], b[:, 4] - b[:, 0]
        wide = spread * np.abs(factor)
        alike = (wide <= 1e-12) | (spread_after <= 1e-12)
        ratio = spread_after / np.where(alike, 1.0, wide)
        alike |= (ratio >= 1 / wider) & (ratio <= wider)
        stands_out = jump >= np.where(small, 5 * np.maximum(spread, spread_after), spread)
        error = np.where(alike & stands_out & (error <= tolerance), error, np.inf)
        best = np.argmin(error, axis=1)
        out[some] = np.where(np.isfinite(error[np.arange(len(some)), best]), best, -1)
    return out


def matching(
    before: np.ndarray, after: np.ndarray, unit: str, tolerance: float = 0.12, wider: float = 2.5
) -> Conversion | None:
    """The conversion that turns the values of `before` into those of `after`, or None; see `matches`."""
    a, b = (np.quantile(x, LEVELS)[None] for x in (before, after))
    found = int(matches(a, b, unit, tolerance, wider)[0])
    return conversions(unit)[found] if found >= 0 else None


def jump(values: np.ndarray, unit: str, least: int = 4) -> tuple[int, int, Conversion] | None:
    """(first, behind, conversion) of a stretch of `values`, in order of time, in another unit than before it."""
    return jumps(values, Pieces(np.array([0]), np.array([len(values)])), np.array([unit], dtype=object), least).get(0)


def jumps(
    values: np.ndarray, pieces: Pieces, units: np.ndarray, least: int = 4
) -> dict[int, tuple[int, int, Conversion]]:
    """As `jump` for many pieces that follow each other in `values`; first and behind count from the piece's start.

    units: of each piece. Pieces with a value that is no number are left out.
    """
    some = np.flatnonzero(pieces.length >= 2 * least)
    inside = pieces.take(some)
    top = inside.most(np.abs(values))
    some = some[np.isfinite(top) & (inside.most(values) > inside.least(values))]
    if not len(some):
        return {}
    inside, top = pieces.take(some), pieces.take(some).most(np.abs(values))
    size = values.astype(float)
    for which, rows in inside.by_length():
        size[rows] = np.log10(np.abs(values[rows]) + 1e-9 * top[which][:, None])
    out: dict[int, tuple[int, int, Conversion]] = {}
    for scale in (size, values):
        left = np.array([k for k in some.tolist() if k not in out], dtype=np.int64)
        for k, first, behind, found in _at_borders(values, scale, pieces.take(left), units[left], least):
            start = int(pieces.start[left[k]])
            out.setdefault(int(left[k]), (first - start, behind - start, found))
    return out


def _at_borders(
    values: np.ndarray, scale: np.ndarray, pieces: Pieces, units: np.ndarray, least: int
) -> list[tuple[int, int, int, Conversion]]:
    """(piece, first, behind, conversion) where the level of `scale` changes and the values change by a conversion."""
    at = borders(scale, pieces)
    owner = np.searchsorted(pieces.start, at, "right") - 1
    few = np.bincount(owner, minlength=len(pieces))[owner] <= _MOST_BORDERS
    at, owner = at[few], owner[few]
    if not len(at):
        return []
    # Pieces of a few values beside a border are scatter: what lies before and after reaches over them.
    near = np.searchsorted(at, at - 2 * least, "right") - 1
    begin = np.maximum(np.where(near >= 0, at[near], 0), pieces.start[owner])
    near = np.searchsorted(at, at + 2 * least)
    end = np.where(near < len(at), at[np.minimum(near, len(at) - 1)], len(values))
    end = np.minimum(end, pieces.stop[owner])
    before = Pieces(begin, np.maximum(at - 1, begin + 1))
    after = Pieces(np.minimum(at + 1, end - 1), end)
    long = (before.length >= least - 1) & (after.length >= least - 1)
    at, owner, before, after = at[long], owner[long], before.take(long), after.take(long)
    levels, levels_after = quantiles(values, before, LEVELS), quantiles(values, after, LEVELS)
    out = []
    for unit in dict.fromkeys(units[owner]):
        rows = np.flatnonzero(units[owner] == unit)
        found = matches(levels[rows], levels_after[rows], unit)
        rows, found = rows[found >= 0], found[found >= 0]
        for i, conversion in zip(rows, (conversions(unit)[c] for c in found), strict=True):
            last, first = values[before.start[i] : before.stop[i]][-12:], values[after.start[i] : after.stop[i]][:12]
            close = matching(last, first, unit, 0.25, 8.0)
            if close and 0.95 < close[1] / conversion[1] < 1.05:
                out.append((int(owner[i]), int(at[i]), int(after.stop[i]), conversion))
    return sorted(out, key=lambda found: found[:2])
