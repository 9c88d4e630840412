"""Changes to training windows that keep them plausible.

Each takes windows ``[batch, time]`` with the mask of observed values and a numpy generator, and
returns new arrays; nothing is changed in place.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "censor",
    "flatten",
    "freq_mask",
    "freq_mix",
    "hide_spans",
    "mix_series",
    "modulate_amplitude",
    "round_values",
    "sign_flip",
    "spike",
    "time_flip",
    "truncate_history",
]

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Spectra = npt.NDArray[np.complex128]

_PROTECTED = 3  # the strongest frequencies carry the season and stay
_MIXED = 3  # series in a mixture, at most
_MIX_CONCENTRATION = 1.5
_LEVELS = (2, 200)
_KNOTS = (2, 5)
_LOG_AMPLITUDE = 0.5  # standard deviation at a knot
_SPIKES = (1, 8)  # expected in a row
_SPIKE_SHARE = 0.05  # of a row's values, at most
_SPIKE_SIZE = 2.0  # standard deviations, at least


def _mean(values: Floats | Doubles, observed: Bools) -> Doubles:
    """Mean of each row's observed values, 0 where there are none: ``[batch, 1]``."""
    count = np.maximum(observed.sum(1, keepdims=True), 1)
    total = np.where(observed, values, 0).sum(1, keepdims=True, dtype=np.float64)
    return np.asarray(total / count)


def _range(values: Floats, observed: Bools) -> tuple[Floats, Floats]:
    """Least and largest observed value of each row: ``[batch, 1]``; inf and -inf without any."""
    low = np.where(observed, values, np.inf).min(1, keepdims=True)
    return low, np.where(observed, values, -np.inf).max(1, keepdims=True)


def _span(observed: Bools) -> tuple[Ints, Ints]:
    """First and last observed step of each row: ``[batch, 1]``; the whole row without any."""
    last = observed.shape[1] - 1 - observed[:, ::-1].argmax(1)
    return observed.argmax(1)[:, None], last[:, None]


def _replace_rows(values: Floats, chosen: Bools, changed: Floats | Doubles) -> Floats:
    """Copy of the values with chosen rows ``changed`` (``[chosen rows, time]``)."""
    result = values.copy()
    result[chosen] = changed
    return result


def _replace(values: Floats, observed: Bools, chosen: Bools, changed: Floats | Doubles) -> Floats:
    """`_replace_rows` where they are observed."""
    return _replace_rows(values, chosen, np.where(observed[chosen], changed, values[chosen]))


def _spectrum(values: Floats, observed: Bools) -> tuple[Spectra, Doubles]:
    """Spectrum around each row's mean (missing values at the mean), and the mean."""
    mean = _mean(values, observed)
    centred = np.where(observed, values - mean, 0.0)
    return np.fft.rfft(centred, axis=1), mean


def _strongest(spectrum: Spectra) -> Bools:
    power = np.abs(spectrum)
    threshold = np.partition(power, -_PROTECTED, axis=1)[:, -_PROTECTED, None]
    return np.asarray(power >= threshold)


def _back(spectrum: Spectra, mean: Doubles, values: Floats) -> Floats:
    # n is given so that an odd length keeps its last step (the published code shifts there).
    return (np.fft.irfft(spectrum, n=values.shape[1], axis=1) + mean).astype(values.dtype)


def _drawn(values: Floats, rate: float, generator: np.random.Generator) -> Bools:
    """Which frequencies of each row are changed: drawn for all rows, whichever are chosen."""
    return np.asarray(generator.random((len(values), values.shape[1] // 2 + 1)) < rate)


def freq_mask(
    values: Floats, observed: Bools, chosen: Bools, rate: float, generator: np.random.Generator
) -> Floats:
    """Remove random frequencies (FrAug, Chen et al., arXiv 2302.09292), the three strongest never.

    Parameters
    ----------
    values, observed : ndarray
        ``[batch, time]``.
    chosen : ndarray of bool
        ``[batch]``: rows that are changed, missing values too.
    rate : float
        Share of frequencies removed.
    generator : numpy Generator
        Source of randomness.
    """
    drawn = _drawn(values, rate, generator)[chosen]
    spectrum, mean = _spectrum(values[chosen], observed[chosen])
    kept = np.where(drawn & ~_strongest(spectrum), 0, spectrum)
    return _replace_rows(values, chosen, _back(kept, mean, values))


def freq_mix(
    values: Floats, observed: Bools, chosen: Bools, rate: float, generator: np.random.Generator
) -> Floats:
    """Replace random frequencies by those of another row at this row's power, strongest kept.

    Parameters and source as in `freq_mask`; the other rows are any of the batch.
    """
    partner = generator.permutation(len(values))[chosen]
    drawn = _drawn(values, rate, generator)[chosen]
    spectrum, mean = _spectrum(values[chosen], observed[chosen])
    other, _ = _spectrum(values[partner], observed[partner])
    own_power = np.sqrt((np.abs(spectrum) ** 2).sum(1, keepdims=True))
    other_power = np.sqrt((np.abs(other) ** 2).sum(1, keepdims=True))
    other = other * (own_power / np.maximum(other_power, 1e-30))
    mixed = np.where(drawn & ~_strongest(spectrum), other, spectrum)
    return _replace_rows(values, chosen, _back(mixed, mean, values))


def sign_flip(values: Floats, chosen: Bools) -> Floats:
    """Negate the chosen rows (``[batch]``)."""
    return np.where(chosen[:, None], -values, values)


def flatten(values: Floats, observed: Bools, chosen: Bools) -> Floats:
    """Make the chosen rows (``[batch]``) constant at their first observed value."""
    first = np.take_along_axis(values, observed.argmax(1)[:, None], axis=1)
    return np.where(chosen[:, None], first, values)


def time_flip(values: Floats, observed: Bools, chosen: Bools) -> tuple[Floats, Bools]:
    """Reverse the chosen rows in time, each from its first to its last observed step.

    What lies outside of these is mostly padding, where a window reaches beyond its series. It
    stays where it is: reversed too, the padding before a short series would take the place of
    the targets.

    The calendar of a reversed row is wrong; the caller must drop it.

    Parameters
    ----------
    values, observed : ndarray
        ``[batch, time]``; True where observed.
    chosen : ndarray of bool
        ``[batch]``.

    Returns
    -------
    values, observed : ndarray
        As given, chosen rows reversed.
    """
    first, last = _span(observed[chosen])
    step = np.arange(values.shape[1])
    index = np.where((step >= first) & (step <= last), first + last - step, step)
    values, observed = values.copy(), observed.copy()
    values[chosen] = np.take_along_axis(values[chosen], index, axis=1)
    observed[chosen] = np.take_along_axis(observed[chosen], index, axis=1)
    return values, observed


def mix_series(
    values: Floats, observed: Bools, chosen: Bools, generator: np.random.Generator
) -> Floats:
    """Mix each chosen row with none, one or two other rows (TSMixup).

    Each part is divided by its mean absolute value, the parts are summed with weights from a
    symmetric Dirichlet distribution (1.5), and the sum gets the scale of the chosen row.

    Only rows that are observed wherever the chosen one is are mixed into it, so that no part sets
    in or out on the way: that would make jumps, or cost observations. Rows with too few such
    partners are mixed with fewer, or stay. The published procedure, too, takes parts of one
    length; it leaves the sum at scale 1.

    The calendar of a mixed row is that of one of its parts; the caller should drop it.

    Parameters
    ----------
    values, observed : ndarray
        ``[batch, time]``; True where observed. Partners are taken from the whole batch.
    chosen : ndarray of bool
        ``[batch]``.
    generator : numpy Generator
        Source of randomness.

    Returns
    -------
    ndarray
        As ``values``; what is not observed is unchanged.

    References
    ----------
    Ansari et al., *Chronos: Learning the Language of Time Series*, arXiv 2403.07815, section 4.1
    and algorithm 1.
    """
    rows = np.flatnonzero(chosen)
    shown = observed[rows]
    fits = shown.astype(np.float32) @ (~observed).T.astype(np.float32) == 0  # [chosen, batch]
    fits[np.arange(len(rows)), rows] = False
    # In random order, those that fit first.
    partners = np.argsort(generator.random(fits.shape) + ~fits, axis=1)[:, : _MIXED - 1]
    size = generator.integers(1, _MIXED + 1, (len(rows), 1))
    used = np.take_along_axis(fits, partners, axis=1)
    used &= np.arange(1, partners.shape[1] + 1) < size
    used = np.concatenate([np.ones_like(size, dtype=bool), used], axis=1)
    index = np.concatenate([rows[:, None], partners], axis=1)  # [chosen, parts]
    # What is not used must not bring in values that are not observed, not even times zero.
    index = np.where(used, index, rows[:, None])
    # Gamma draws over their sum are a Dirichlet draw, whatever the number of parts.
    weight = np.where(used, generator.gamma(_MIX_CONCENTRATION, size=index.shape), 0.0)
    weight /= weight.sum(1, keepdims=True)
    parts = np.where(shown[:, None], values[index], 0.0).astype(np.float64)
    scale = np.abs(parts).sum(2)  # all over the same steps: sums do for means
    factor = weight * (scale[:, :1] / np.where(scale > 0, scale, np.inf))
    return _replace(values, observed, chosen, (factor[:, None] @ parts)[:, 0])


def censor(
    values: Floats, observed: Bools, chosen: Bools, generator: np.random.Generator
) -> Floats:
    """Clip the chosen rows from below, from above or from both sides, as saturated sensors do.

    The limits are two random quantiles of a row's observed values (themselves observed values);
    each of the three ways uses its part of them. Rows that would become constant stay.

    Parameters and result as in `round_values`.

    References
    ----------
    Auer et al., *TiRex: Zero-Shot Forecasting Across Long and Short Horizons with Enhanced
    In-Context Learning*, arXiv 2505.23719 (there from one side).
    """
    shown, x = observed[chosen], values[chosen]
    levels = np.sort(generator.random((len(x), 2)), axis=1)
    way = generator.integers(0, 3, (len(x), 1))
    ordered = np.sort(np.where(shown, x, np.inf), axis=1)
    at = (levels * shown.sum(1, keepdims=True)).astype(np.int64)
    limits = np.take_along_axis(ordered, at, axis=1)
    low = np.where(way == 0, -np.inf, limits[:, :1])
    high = np.where(way == 1, np.inf, limits[:, 1:])
    least, most = _range(x, shown)
    constant = np.minimum(high, most) <= np.maximum(low, least)
    clipped = np.where(constant, x, np.minimum(np.maximum(x, low), high))
    return _replace(values, observed, chosen, clipped)


def round_values(
    values: Floats, observed: Bools, chosen: Bools, generator: np.random.Generator
) -> Floats:
    """Round the chosen rows to a grid, as sensors, prices and counts are.

    The step of the grid is such that it has 2 to 200 levels (log-uniform) over the range of a
    row. Values become multiples of the step, so zeros and signs stay. Constant rows stay.

    Parameters
    ----------
    values, observed : ndarray
        ``[batch, time]``; True where observed.
    chosen : ndarray of bool
        ``[batch]``.
    generator : numpy Generator
        Source of randomness.

    Returns
    -------
    ndarray
        As ``values``; what is not observed is unchanged.
    """
    shown, x = observed[chosen], values[chosen]
    low, high = _range(x, shown)
    fewest, most = _LEVELS
    levels = np.exp(generator.uniform(np.log(fewest), np.log(most + 1), (len(x), 1))).astype(int)
    step = np.subtract(high, low, dtype=np.float64) / (levels - 1)
    grid = np.where(step > 0, step, 1.0)
    rounded = np.where(step > 0, np.rint(x / grid) * grid, x)
    return _replace(values, observed, chosen, rounded)


def modulate_amplitude(
    values: Floats, observed: Bools, chosen: Bools, generator: np.random.Generator
) -> Floats:
    """Let the amplitude of the chosen rows grow and shrink over time.

    The deviation from a row's mean is multiplied by a positive factor. Its logarithm is linear
    between 2 to 5 knots with normal heights (0.5): two lie at the row's first and last observed
    step, the others anywhere between. Rows that touch 0 from one side (counts, rain, solar power)
    deviate from 0, so that their zeros and signs stay. Constant rows stay.

    Parameters and result as in `round_values`.

    References
    ----------
    After Auer et al., *TiRex: Zero-Shot Forecasting Across Long and Short Horizons with Enhanced
    In-Context Learning*, arXiv 2505.23719.
    """
    shown, x = observed[chosen], values[chosen]
    n, (fewest, most) = len(x), _KNOTS
    # Knots that a row has too many lie at its end, where they change nothing.
    extra = np.arange(fewest, most) >= generator.integers(fewest, most + 1, (n, 1))
    inner = np.sort(np.where(extra, 1.0, generator.random(extra.shape)), axis=1)
    knots = np.concatenate([np.zeros((n, 1)), inner, np.ones((n, 1))], axis=1)
    heights = generator.normal(0, _LOG_AMPLITUDE, knots.shape)
    first, last = _span(shown)
    time = (np.arange(x.shape[1]) - first) / np.maximum(last - first, 1)
    factor = np.exp(_piecewise_linear(time.astype(np.float32), knots, heights))
    low, high = _range(x, shown)
    centre = np.where((low == 0) | (high == 0), 0.0, _mean(x, shown))
    return _replace(values, observed, chosen, centre + (x - centre) * factor)


def _piecewise_linear(time: Floats, knots: Doubles, heights: Doubles) -> Floats:
    """`numpy.interp` by rows: ``[batch, time]`` at ascending ``[batch, knots]`` from 0 to 1."""
    result = np.broadcast_to(heights[:, :1].astype(np.float32), time.shape)
    rise = np.diff(heights, axis=1).astype(np.float32)
    width = np.maximum(np.diff(knots, axis=1), 1e-9).astype(np.float32)
    for i, start in enumerate(knots[:, :-1].T.astype(np.float32)):
        done = np.clip((time - start[:, None]) / width[:, i, None], 0, 1)
        result = result + rise[:, i, None] * done
    return result


def spike(values: Floats, observed: Bools, chosen: Bools, generator: np.random.Generator) -> Floats:
    """Add a few outliers to the chosen rows, in the history and among the targets alike.

    One to eight are expected in a row (log-uniform), among short ones at most one in 20 values.
    Their size is twice the row's standard deviation times a Pareto number (at least 1, exponent
    2: one in a hundred exceeds 20 standard deviations). How many of them point upwards differs
    from row to row. Constant rows stay.

    Parameters and result as in `round_values`.
    """
    shown, x = observed[chosen], values[chosen]
    n, (fewest, most) = len(x), _SPIKES
    expected = np.exp(generator.uniform(np.log(fewest), np.log(most), (n, 1)))
    share = np.minimum(expected / np.maximum(shown.sum(1, keepdims=True), 1), _SPIKE_SHARE)
    row, step = np.nonzero(shown & (generator.random(x.shape, dtype=np.float32) < share))
    spread = np.sqrt(_mean((x - _mean(x, shown)) ** 2, shown))[:, 0]
    size = _SPIKE_SIZE * spread[row] * (1 + generator.pareto(2, len(row)))
    upwards = generator.random(len(row)) < generator.random(n)[row]
    changed = x.astype(np.float64)
    changed[row, step] += np.where(upwards, size, -size)
    return _replace(values, observed, chosen, changed)


def truncate_history(inputs_observed: Bools, forecast_start: Ints, kept: Ints) -> Bools:
    """Hide all but the last ``kept`` values (``[batch]``) before each row's forecast start."""
    index = np.arange(inputs_observed.shape[1])
    return inputs_observed & (index >= (forecast_start - kept)[:, None])


def hide_spans(inputs_observed: Bools, chosen: Bools, generator: np.random.Generator) -> Bools:
    """Hide values of the chosen rows: half of them single values, half spans of 1-64 steps.

    Parameters
    ----------
    inputs_observed : ndarray of bool
        ``[batch, time]``.
    chosen : ndarray of bool
        ``[batch]``.
    generator : numpy Generator
        Source of randomness.
    """
    batch, time = inputs_observed.shape
    share = generator.uniform(0.02, 0.6, size=(batch, 1))
    singles = generator.random((batch, time)) < share
    length = np.exp(generator.uniform(0, np.log(64), size=(batch, 1)))
    starts = (generator.random((batch, time)) < share / length).cumsum(1)
    # A span begins at each start and lasts `length` steps: hidden while a start lies that near.
    lag = np.ceil(length).astype(np.int64)
    earlier = np.take_along_axis(
        np.pad(starts, ((0, 0), (time, 0))), np.arange(time) + time - lag, axis=1
    )
    spans = starts > earlier
    hidden = np.where(generator.random((batch, 1)) < 0.5, singles, spans)
    return inputs_observed & ~(hidden & chosen[:, None])
