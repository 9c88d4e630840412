"""How often each series of a corpus is drawn."""

from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import FREQUENCY_BANDS, Corpus, frequency_band
from lagllama_adapters.training.windows.settings import WindowSettings

__all__ = ["balance_bands", "series_probabilities"]

Probabilities = npt.NDArray[np.float64]


def series_probabilities(corpus: Corpus, settings: WindowSettings) -> Probabilities:
    """Probability of each series: by band, then data set, then equal.

    A data set has a share of its band's windows by its weight times the square root of its size
    (``dataset_exponent``). The published rule, without bands and with the exponent 1, lets a single
    collection of meters take 70 % of the windows; see the corpus in arXiv 2310.08278, appendix A.

    Returns
    -------
    ndarray of float64
        ``[n_series]``, sums to 1; 0 for series that are too short.

    Raises
    ------
    ValueError
        If no series is long enough, a band or data set to be weighted does not exist, or a weight
        is negative or not finite.
    """
    band_weights = settings.band_weights or {}
    for name, weight in (*band_weights.items(), *settings.dataset_weights.items()):
        if not 0 <= weight < np.inf:
            raise ValueError(f"weight of {name!r}: got {weight}, expected a finite number >= 0")
    unknown = set(band_weights) - set(FREQUENCY_BANDS)
    if unknown:
        raise ValueError(f"band_weights: got {sorted(unknown)}, expected {FREQUENCY_BANDS}")
    names = {name: i for i, name in enumerate(dict.fromkeys(corpus.dataset))}
    dataset = np.array([names[name] for name in corpus.dataset])
    group = dataset * len(FREQUENCY_BANDS) + _bands(corpus)
    usable = (corpus.observed >= settings.min_observed).astype(np.float64)
    size = np.bincount(group, weights=usable)
    factor = _dataset_factors(list(names), settings.dataset_weights)
    weight = (
        usable * factor[dataset] * np.maximum(size, 1)[group] ** (settings.dataset_exponent - 1)
    )
    probabilities = balance_bands(corpus, weight, settings.band_weights)
    if not probabilities.any():
        raise ValueError(
            f"corpus: got no series with at least {settings.min_observed} observations in the "
            f"bands {sorted(band_weights or FREQUENCY_BANDS)}; lower min_observed, raise weights "
            "or add data"
        )
    return probabilities


def balance_bands(
    corpus: Corpus, weight: Probabilities, band_weights: dict[str, float] | None
) -> Probabilities:
    """Scale the weights of series so that each frequency band has its share.

    Parameters
    ----------
    corpus : Corpus
        Series.
    weight : ndarray of float64
        ``[n_series]``: how they compare within a band.
    band_weights : dict or None
        Share per band; bands without weight in the corpus are left out. None: no balance.

    Returns
    -------
    ndarray of float64
        ``[n_series]``, sums to 1, or all 0 if nothing has weight.
    """
    balanced = weight
    if band_weights is not None:
        band = _bands(corpus)
        share = np.array([band_weights.get(name, 0.0) for name in FREQUENCY_BANDS])
        total = np.bincount(band, weights=weight, minlength=len(FREQUENCY_BANDS))
        balanced = weight * (share / np.maximum(total, 1e-12))[band]
    return np.asarray(balanced / max(balanced.sum(), 1e-12))


def _bands(corpus: Corpus) -> npt.NDArray[np.int64]:
    bands = {freq: frequency_band(freq) for freq in set(corpus.freq)}
    return np.array([bands[freq] for freq in corpus.freq])


def _dataset_factors(names: list[str], weights: dict[str, float]) -> Probabilities:
    factors = np.ones(len(names))
    for pattern, weight in weights.items():
        fits = np.array([fnmatchcase(name, pattern) for name in names])
        if not fits.any():
            raise ValueError(f"dataset_weights: got {pattern!r}, expected to fit one of {names}")
        factors[fits] *= weight
    return factors
