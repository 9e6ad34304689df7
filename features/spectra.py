"""Spectra of signals that are recorded at a high rate, such as vibration.

The readings of [t - window, t) are laid on a grid of their median distance (straight lines across what is missing),
their mean taken out, a Hann window laid over them; the power of a band is a share of the whole (periodogram; Welch, The
use of the fast Fourier transform for the estimation of power spectra, 1967, with one segment). Fewer than 32 usable
readings, or more than half of the grid without one, give NaN. Frequencies above half the sampling rate do not exist.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features.asof import Floats, History, Ints
from features.definitions import Ask, FeatureSet, Lines, Trace, Values, plain
from features.sensors import chosen, signal_values, signals_of, units_of, witnessed
from features.spec import FeatureSpec, Vocabulary, window_us
from features.windows import Series

LEAST_READINGS = 32
OVERALL = ("rms", "crest", "kurtosis", "peak_frequency", "centroid")


def words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: the signals that the spec names, and their units."""
    wanted = spec.spectra.signals if spec.spectra is not None else ()
    signals = chosen(wanted, {s for e, s in signals_of(history, t) if e in equipment})
    units = units_of(history, t)
    return {"spectra": signals, "spectra_units": {s: units[s] for s in signals if s in units}}


SPECTRA = FeatureSet("spectra", "equipment", "Spectra of signals recorded at a high rate.", words)


def _signals(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [signal_values(s, Vocabulary(units=words.spectra_units)) for s in words.spectra]


def _window(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"window": spec.spectra.window, "length": plain(spec.spectra.window)}] if spec.spectra else []


def _bands(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"low": f"{low:g}", "high": f"{high:g}"} for low, high in spec.spectra.bands] if spec.spectra else []


def spectrum(ts: Ints, x: Floats) -> tuple[Floats, Floats]:
    """Frequencies (Hz) and power of readings (microseconds, ascending); empty where they are too few or too patchy."""
    nothing = np.empty(0)
    if len(ts) < LEAST_READINGS:
        return nothing, nothing
    step = float(np.median(np.diff(ts)))
    count = int((ts[-1] - ts[0]) / step) + 1 if step > 0 else 0
    if count < LEAST_READINGS or count > 2 * len(ts):
        return nothing, nothing
    grid = np.interp(np.arange(count) * step, (ts - ts[0]).astype(np.float64), x)
    power = np.abs(np.fft.rfft((grid - grid.mean()) * np.hanning(count))) ** 2
    return np.asarray(np.fft.rfftfreq(count, step / 1e6), dtype=np.float64), np.asarray(power, dtype=np.float64)


def _of_window(s: Series, t: int, length: int, bands: tuple[tuple[float, float], ...]) -> Floats:
    """OVERALL and the share of each band, of the readings of a series in [t - length, t) that were known before t."""
    part = slice(int(np.searchsorted(s.ts, t - length)), int(np.searchsorted(s.ts, t)))
    ts, x = s.ts[part], s.x[part]
    if len(s.quality):
        usable = s.quality[part] > 0
        if len(s.since):
            usable &= (s.since[part] < t) & (t <= s.until[part])
        ts, x = ts[usable], x[usable]
    out = np.full(len(OVERALL) + len(bands), np.nan)
    frequency, power = spectrum(ts, x)
    if not len(frequency):
        return out
    apart = x - x.mean()
    rms = float(np.sqrt(np.mean(apart**2)))
    whole = float(power[1:].sum())
    if rms <= 0 or whole <= 0:
        return out
    out[:3] = rms, np.abs(apart).max() / rms, np.mean(apart**4) / rms**4
    out[3] = frequency[1 + int(np.argmax(power[1:]))]
    out[4] = (frequency[1:] * power[1:]).sum() / whole
    for k, (low, high) in enumerate(bands):
        inside = (frequency >= low) & (frequency < high) & (frequency > 0)
        out[len(OVERALL) + k] = power[inside].sum() / whole
    return out


def _values(ask: Ask) -> Floats:
    """(n, signals, values) of each row."""

    def make() -> Floats:
        spec = ask.spec.spectra
        if spec is None:
            return np.empty((len(ask.t), 0, 0))
        found, length = ask.readings(), window_us(spec.window)
        out = np.full((len(ask.t), len(ask.words.spectra), len(OVERALL) + len(spec.bands)), np.nan)
        for j, signal in enumerate(ask.words.spectra):
            series = found.numbers(ask.ids, signal)[ask.subject]
            for q in np.flatnonzero(series >= 0):
                out[q, j] = _of_window(found.series(int(series[q])), int(ask.t[q]), length, spec.bands)
        return out

    return ask.keep("spectra", make)


def _rows(trace: Trace) -> Lines:
    found = trace.known("readings", equipment_id=trace.subject, signal=trace.values["signal"])
    return {"readings": witnessed(found, found["ts"] >= trace.start)}


def _overall(name: str, meaning: str, unit: str) -> None:
    place = OVERALL.index(name)

    @SPECTRA.feature(f"{{signal}}.{name}.{{window}}", f"{meaning} of {{signal}} over the last {{length}}", unit,
                     source="readings", group="{signal}", look_back="{window}", over=(_signals, _window), at="ts",
                     rows=_rows)
    def _(ask: Ask) -> Floats:
        return _values(ask)[:, :, [place]]


_overall("rms", "root mean square about the mean", "{unit}")
_overall("crest", "largest distance from the mean, in root mean squares,", "")
_overall("kurtosis", "kurtosis", "")
_overall("peak_frequency", "strongest frequency", "Hz")
_overall("centroid", "mean frequency, weighted by power,", "Hz")


@SPECTRA.feature("{signal}.power.{low}_{high}hz", "share of the power of {signal} from {low} to {high} Hz", "share",
                 source="readings", group="{signal}", look_back="{window}", over=(_signals, _window, _bands), at="ts",
                 rows=_rows)
def _band(ask: Ask) -> Floats:
    return _values(ask)[:, :, None, len(OVERALL):]
