"""Changes to training windows that keep them plausible.

Each takes windows ``[batch, time]`` with the mask of observed values and a numpy generator, and
returns new arrays; nothing is changed in place.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["flatten", "freq_mask", "freq_mix", "hide_spans", "sign_flip", "truncate_history"]

Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]
Spectra = npt.NDArray[np.complex128]

_PROTECTED = 3  # the strongest frequencies carry the season and stay


def _spectrum(values: Floats, observed: Bools) -> tuple[Spectra, npt.NDArray[np.float64]]:
    """Spectrum around each row's mean (missing values at the mean), and the mean."""
    count = np.maximum(observed.sum(1, keepdims=True), 1)
    mean = np.where(observed, values, 0).sum(1, keepdims=True, dtype=np.float64) / count
    centred = np.where(observed, values - mean, 0.0)
    return np.fft.rfft(centred, axis=1), mean


def _strongest(spectrum: Spectra) -> Bools:
    power = np.abs(spectrum)
    threshold = np.partition(power, -_PROTECTED, axis=1)[:, -_PROTECTED, None]
    return np.asarray(power >= threshold)


def _back(spectrum: Spectra, mean: npt.NDArray[np.float64], values: Floats) -> Floats:
    # n is given so that an odd length keeps its last step (the published code shifts there).
    return (np.fft.irfft(spectrum, n=values.shape[1], axis=1) + mean).astype(values.dtype)


def freq_mask(
    values: Floats, observed: Bools, rate: float, generator: np.random.Generator
) -> Floats:
    """Remove random frequencies (FrAug, Chen et al., arXiv 2302.09292), the three strongest never.

    Parameters
    ----------
    values, observed : ndarray
        ``[batch, time]``.
    rate : float
        Share of frequencies removed.
    generator : numpy Generator
        Source of randomness.
    """
    spectrum, mean = _spectrum(values, observed)
    removed = (generator.random(spectrum.shape) < rate) & ~_strongest(spectrum)
    return _back(np.where(removed, 0, spectrum), mean, values)


def freq_mix(
    values: Floats, observed: Bools, rate: float, generator: np.random.Generator
) -> Floats:
    """Replace random frequencies by those of another row at this row's power, strongest kept.

    Parameters and source as in `freq_mask`.
    """
    spectrum, mean = _spectrum(values, observed)
    other = spectrum[generator.permutation(len(values))]
    own_power = np.sqrt((np.abs(spectrum) ** 2).sum(1, keepdims=True))
    other_power = np.sqrt((np.abs(other) ** 2).sum(1, keepdims=True))
    other = other * (own_power / np.maximum(other_power, 1e-30))
    mixed = (generator.random(spectrum.shape) < rate) & ~_strongest(spectrum)
    return _back(np.where(mixed, other, spectrum), mean, values)


def sign_flip(values: Floats, chosen: Bools) -> Floats:
    """Negate the chosen rows (``[batch]``)."""
    return np.where(chosen[:, None], -values, values)


def flatten(values: Floats, observed: Bools, chosen: Bools) -> Floats:
    """Make the chosen rows (``[batch]``) constant at their first observed value."""
    first = np.take_along_axis(values, observed.argmax(1)[:, None], axis=1)
    return np.where(chosen[:, None], first, values)


def truncate_history(
    inputs_observed: Bools, history: npt.NDArray[np.int64], kept: npt.NDArray[np.int64]
) -> Bools:
    """Hide all but the last ``kept`` values (``[batch]``) before each row's forecast start."""
    index = np.arange(inputs_observed.shape[1])
    return inputs_observed & (index >= (history - kept)[:, None])


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
