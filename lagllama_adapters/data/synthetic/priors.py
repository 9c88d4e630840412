"""What synthetic series are drawn from."""

from dataclasses import dataclass, field, fields

from lagllama_adapters.data.corpus import FREQUENCY_BANDS, frequency_band
from lagllama_adapters.data.synthetic.gaussian_process import KERNELS

__all__ = ["SHORTEST", "SyntheticPriors"]

SHORTEST = 4
"""Steps that a series must have."""

Range = tuple[float, float]


def _families() -> dict[str, float]:
    return {
        "gaussian_process": 3.0,
        "trend_season": 4.0,
        "calendar": 2.0,
        "shifts": 1.5,
        "diffusion": 1.5,
        "arma": 2.0,
        "gaussian": 3.0,
        "counts": 1.5,
        "intermittent": 1.0,
        "pulses": 1.0,
        "steps": 1.0,
        "censored": 1.0,
    }


def _slow_factors() -> dict[str, float]:
    return {
        "calendar": 0.5,
        "shifts": 0.5,
        "counts": 0.4,
        "intermittent": 0.4,
        "pulses": 0.3,
        "steps": 0.3,
        "censored": 0.3,
    }


def _frequencies() -> dict[str, tuple[str, ...]]:
    return {
        "minutely": ("s", "10s", "min", "5min"),
        "quarter-hourly": ("10min", "15min", "30min"),
        "hourly": ("h",),
        "daily": ("D", "D", "D", "B"),
        "weekly": ("W-SUN", "W-MON", "W-FRI"),
        "monthly": ("MS",),
        "quarterly": ("QS",),
        "yearly": ("YS",),
    }


def _lengths() -> dict[str, tuple[int, int]]:
    return {
        "minutely": (200, 4000),
        "quarter-hourly": (200, 4000),
        "hourly": (100, 4000),
        "daily": (30, 4000),
        "weekly": (12, 1500),
        "monthly": (10, 800),
        "quarterly": (8, 300),
        "yearly": (8, 150),
    }


@dataclass(frozen=True, kw_only=True)
class SyntheticPriors:
    """Distributions of the parameters of synthetic series.

    Ranges are (low, high), of a log-uniform distribution unless said otherwise. A strength is a
    standard deviation relative to others of the same series, a time is in steps or, where said, a
    share of the series' length.

    Parameters
    ----------
    family_weights : dict
        Share of series per family; a family that is left out is not drawn.
    slow_family_factors : dict
        Factors of these weights, above 0, for monthly, quarterly and yearly series: fewer events
        and more trends. A family that is not named keeps its weight.
    band_weights : dict
        Share of series per frequency band (of `corpus.FREQUENCY_BANDS`).
    frequencies : dict
        Band to the pandas aliases that are drawn in it, each as likely; one may stand twice.
    lengths : dict
        Band to the shortest and longest series in a corpus.
    first_year, last_year : int
        Series end between them; those that would begin before the year 1700 begin there instead.
    kernel_weights : tuple of float
        Shares of the `gaussian_process.KERNELS`.
    max_kernels : int
        Kernels in an expression, 1 to this (KernelSynth: 5).
    product_probability : float
        Probability that a kernel multiplies what is before it instead of being added; white noise
        is always added.
    kernel_length : tuple of float
        Length scale of kernels, a share of the length, but two steps at least.
    n_waves : int
        Random waves of a Gaussian process.
    trend_factors : dict
        Band to a factor of the trends' strength; 1 for other bands.
    season_probability : float
        That a natural season of the frequency is present.
    free_season_probability : float
        That a cycle of any period is present besides.
    harmonic_decay : tuple of float
        Amplitude of harmonic h is ``exp(-decay * (h - 1))``, decay uniform.
    sharp_season_probability : float
        That a season is pressed into a peaked, one-sided form.
    changing_season_probability : float
        That the season's amplitude wanders.
    trend_strength, season_strength, noise_strength : tuple of float
        Of the parts of a series.
    heavy_tail_probability : float
        That noise is Student-t.
    heavy_tail_df : tuple of float
        Its degrees of freedom.
    multiplicative_probability : float
        That trend, season and noise multiply.
    segment_length : tuple of float
        Mean time between shifts and breaks, a share of the length.
    slowest_reversion : float
        Longest time constant of Ornstein-Uhlenbeck processes, a multiple of the length; the
        shortest is two steps.
    count_mean : tuple of float
        Mean of counts.
    demand_rate : tuple of float
        Probability that a step of an intermittent series is not zero.
    at_zero_probability, positive_probability : float
        That a series stays around zero, or is lifted to be positive; others lie
        ``relative_level`` standard deviations off zero.
    relative_level : tuple of float
        See above.
    unit : tuple of float
        Factor of the whole series.

    Raises
    ------
    ValueError
        If a field cannot be used; the message names it.
    """

    family_weights: dict[str, float] = field(default_factory=_families)
    slow_family_factors: dict[str, float] = field(default_factory=_slow_factors)
    band_weights: dict[str, float] = field(
        default_factory=lambda: {
            "minutely": 0.1,
            "quarter-hourly": 0.1,
            "hourly": 0.18,
            "daily": 0.17,
            "weekly": 0.12,
            "monthly": 0.17,
            "quarterly": 0.08,
            "yearly": 0.08,
        }
    )
    frequencies: dict[str, tuple[str, ...]] = field(default_factory=_frequencies)
    lengths: dict[str, tuple[int, int]] = field(default_factory=_lengths)
    first_year: int = 1995
    last_year: int = 2025

    kernel_weights: tuple[float, ...] = (0.04, 0.08, 0.18, 0.14, 0.12, 0.14, 0.3)
    max_kernels: int = 5
    product_probability: float = 0.5
    kernel_length: Range = (0.01, 5.0)
    n_waves: int = 64

    trend_factors: dict[str, float] = field(
        default_factory=lambda: {"weekly": 2.0, "monthly": 5.0, "quarterly": 8.0, "yearly": 8.0}
    )
    season_probability: float = 0.75
    free_season_probability: float = 0.3
    harmonic_decay: Range = (0.2, 2.5)
    sharp_season_probability: float = 0.25
    changing_season_probability: float = 0.4
    trend_strength: Range = (0.05, 5.0)
    season_strength: Range = (0.1, 3.0)
    noise_strength: Range = (0.02, 1.0)
    heavy_tail_probability: float = 0.25
    heavy_tail_df: Range = (2.5, 8.0)
    multiplicative_probability: float = 0.4
    segment_length: Range = (0.03, 0.7)
    slowest_reversion: float = 3.0
    count_mean: Range = (0.5, 1000.0)
    demand_rate: Range = (0.02, 0.6)
    at_zero_probability: float = 0.15
    positive_probability: float = 0.6
    relative_level: Range = (0.3, 50.0)
    unit: Range = (1e-2, 1e5)

    def __post_init__(self) -> None:
        _check_weights("family_weights", self.family_weights, tuple(_families()))
        _check_weights("band_weights", self.band_weights, FREQUENCY_BANDS)
        _check_factors("slow_family_factors", self.slow_family_factors, tuple(_families()))
        _check_factors("trend_factors", self.trend_factors, FREQUENCY_BANDS)
        for band, weight in self.band_weights.items():
            if weight:
                self._check_band(band)
        for item in fields(self):
            value = getattr(self, item.name)
            if item.type == Range and not 0 < value[0] <= value[1]:
                raise ValueError(f"{item.name}: got {value}, expected (low, high), 0 < low <= high")
            if item.name.endswith("_probability") and not 0 <= value <= 1:
                raise ValueError(f"{item.name}: got {value}, expected a probability")
            if item.type in (int, float) and value < 0:
                raise ValueError(f"{item.name}: got {value}, expected no negative number")
        if len(self.kernel_weights) != len(KERNELS):
            raise ValueError(
                f"kernel_weights: got {self.kernel_weights}, expected one for each of {KERNELS}"
            )

    def _check_band(self, band: str) -> None:
        freq = self.frequencies.get(band, ())
        if {frequency_band(name) for name in freq} != {FREQUENCY_BANDS.index(band)}:
            raise ValueError(
                f"frequencies[{band!r}]: got {freq}, expected pandas frequencies of that band; add "
                "one or give the band no weight"
            )
        low, high = self.lengths.get(band, (0, 0))
        if not SHORTEST <= low <= high:
            raise ValueError(
                f"lengths[{band!r}]: got {self.lengths.get(band)}, expected (low, high), "
                f"{SHORTEST} <= low <= high"
            )


def _check_weights(name: str, weights: dict[str, float], known: tuple[str, ...]) -> None:
    _check_names(name, weights, known)
    if min(weights.values(), default=-1) < 0 or sum(weights.values()) <= 0:
        raise ValueError(f"{name}: got {weights}, expected weights of 0 or more, one above 0")


def _check_factors(name: str, factors: dict[str, float], known: tuple[str, ...]) -> None:
    _check_names(name, factors, known)
    if min(factors.values(), default=1) <= 0:
        raise ValueError(f"{name}: got {factors}, expected factors above 0")


def _check_names(name: str, given: dict[str, float], known: tuple[str, ...]) -> None:
    unknown = set(given) - set(known)
    if unknown:
        raise ValueError(f"{name}: got {sorted(unknown)}, expected some of {known}")
