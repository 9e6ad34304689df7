"""Lives as examples: one for each interval in which a row was watched (person-period form).

Source: Singer & Willett, It's about time (J. Educ. Stat. 18, 1993). Of the interval in which a row is censored it
brings the share that was watched, as the weight of an example without failure: dropping that part would overstate the
hazard, because failures in it would have been counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plant.errors import SteadylineError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def edges_from_horizons(horizons_h: Sequence[float]) -> tuple[float, ...]:
    """Interval edges (hours) that hold every horizon: [0, h1] is cut in four, each later gap in two.

    24, 72, 168 h give 0, 6, 12, 18, 24, 48, 72, 120, 168.
    """
    wanted = [float(h) for h in horizons_h]
    if not wanted or wanted[0] <= 0 or any(b <= a for a, b in itertools.pairwise(wanted)):
        raise SteadylineError("bad_horizons", f"The horizons are {wanted} hours.", "positive, strictly increasing")
    edges = [0.0, wanted[0] / 4, wanted[0] / 2, wanted[0] * 3 / 4, wanted[0]]
    for a, b in itertools.pairwise(wanted):
        edges += [(a + b) / 2, b]
    return tuple(edges)


def checked_edges(edges_h: Sequence[float]) -> Floats:
    """The edges as an array. Raises SteadylineError (`bad_horizons`) unless they rise strictly from 0."""
    edges = np.asarray(edges_h, dtype=np.float64)
    if edges.ndim != 1 or len(edges) < 2 or edges[0] != 0 or not np.all(np.diff(edges) > 0):
        raise SteadylineError("bad_horizons", f"The interval edges are {edges.tolist()} hours.",
                              "strictly increasing from 0")
    return edges


@dataclass(frozen=True)
class Examples:
    """Row and interval of each example, whether the row failed in it, and its weight."""

    row: Ints
    interval: Ints
    target: NDArray[np.float32]
    weight: NDArray[np.float32]


def examples(duration_h: Floats, mode: Ints, edges_h: Floats, most: int, seed: int) -> Examples:
    """Examples of rows that failed (`mode` >= 0) or were censored (-1) at `duration_h` (n,).

    A failure at an edge belongs to the interval that starts there. Where there would be more than `most` examples,
    those of rows that do not fail before the last edge are sampled and weighted up (never fewer than one in fifty);
    rows that fail keep all of theirs.
    """
    starts, widths = edges_h[:-1], np.diff(edges_h)
    seen = np.clip((duration_h[:, None] - starts) / widths, 0.0, 1.0)  # share of the interval the row was watched
    failing = (mode >= 0) & (duration_h < edges_h[-1])
    failed = failing[:, None] & (duration_h[:, None] >= starts) & (duration_h[:, None] < edges_h[1:])
    weight = np.where(failed, 1.0, np.where(failing[:, None] & (seen < 1.0), 0.0, seen))
    row, interval = np.nonzero(weight > 0)
    chosen, quiet = weight[row, interval], ~failing[row]
    if len(row) > most:
        share = float(np.clip((most - int((~quiet).sum())) / max(1, int(quiet.sum())), 0.02, 1.0))
        keep = ~quiet | (np.random.default_rng(seed).random(len(row)) < share)
        chosen = np.where(quiet, chosen / share, chosen)[keep]
        row, interval = row[keep], interval[keep]
    target = failed[row, interval].astype(np.float32)
    return Examples(row.astype(np.int64), interval.astype(np.int64), target, chosen.astype(np.float32))


def interval_hazard(duration_h: Floats, mode: Ints, edges_h: Floats) -> Floats:
    """(K,): share of the rows at risk that fail in each interval, with half a failure at the overall rate added.

    An interval without a failure is not safe; one that nobody was watched in has the overall rate (per hour).
    """
    starts, widths = edges_h[:-1], np.diff(edges_h)
    fails = (mode >= 0)[:, None] & (duration_h[:, None] >= starts) & (duration_h[:, None] < edges_h[1:])
    watched = np.clip((duration_h[:, None] - starts) / widths, 0.0, 1.0)
    failures = fails.sum(axis=0)
    # a row that fails in the interval was at risk at its start: it counts whole, as in `examples`
    at_risk = np.where(fails, 1.0, np.where((mode >= 0)[:, None] & (watched < 1.0), 0.0, watched)).sum(axis=0)
    overall = max(float(failures.sum()), 0.5) / max(float((at_risk * widths).sum()), 1e-9)
    expected = np.maximum(-np.expm1(-overall * widths), 1e-12)
    return np.asarray(np.clip((failures + 0.5) / (at_risk + 0.5 / expected), 1e-12, 1.0 - 1e-9))
