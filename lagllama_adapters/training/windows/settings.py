"""How training windows are drawn and changed."""

from dataclasses import dataclass, field, fields

__all__ = ["PLAIN_WINDOWS", "WindowSettings"]


@dataclass(frozen=True, kw_only=True)
class WindowSettings:
    """How windows are drawn and changed.

    Parameters
    ----------
    band_weights : dict or None
        Share of windows per frequency band; bands without data are left out. None: no balance, a
        band has what its data sets have.
    dataset_exponent : float
        A data set counts by its number of series to this power. As published: 1.
    dataset_weights : dict
        Factors on the share that a data set has of its band, by name or shell pattern (``m4_*``);
        the factors of all that fit are multiplied, 0 leaves a data set out.
    synthetic_share : float
        Share of windows from synthetic series, of those too by ``band_weights``; in [0, 1].
    min_observed : int
        Series with fewer observations are not used.
    min_steps : int or None
        Each batch has a random number of tokens, log-uniform from this to that of the run. None:
        always that of the run.
    max_rollout : int
        The forecast start lies up to this many tokens before the last token, so that the network
        also learns to go on from loc and scale that are some steps old.
    mix, time_flip, modulate, spike, censor, round, sign_flip : float
        Probability per window of each augmentation, in this order. Mixed and reversed windows lose
        their calendar.
    freq_mask, freq_mix, flatten, truncate, hide, decimate, resample, drop_calendar : float
        Likewise; flattened windows are constant, decimated ones have each second to sixth value,
        resampled ones a random rate, 1/4 to 4 values a step, and no calendar.
    far_rollout : float
        Probability per window that the forecast start lies much earlier, log-uniform up to
        ``max_far_rollout`` tokens before the last.
    max_far_rollout : int
        Likewise.
    long_lead : float
        Probability per batch that its windows begin ``long_lead_length`` values before the first
        token, so that long seasons are seen more than twice.
    long_lead_length : int
        Likewise.
    freq_mask_rate, freq_mix_rate : float
        Largest share of frequencies changed.
    freq_published : float
        Probability per batch that all its windows get Freq-Mask and then Freq-Mix at the full
        rates, as published.
    min_history : int
        Shortest history that truncation leaves.

    Raises
    ------
    ValueError
        If a share, rate or probability is not in [0, 1], or a number of steps or observations is
        below 1 (``max_rollout``: below 0).
    """

    band_weights: dict[str, float] | None = field(
        default_factory=lambda: {
            "minutely": 0.13,
            "quarter-hourly": 0.1,
            "hourly": 0.2,
            "daily": 0.16,
            "weekly": 0.11,
            "monthly": 0.16,
            "quarterly": 0.08,
            "yearly": 0.06,
        }
    )
    dataset_exponent: float = 0.5
    dataset_weights: dict[str, float] = field(default_factory=dict)
    synthetic_share: float = 0.0
    min_observed: int = 8
    min_steps: int | None = None
    max_rollout: int = 48
    mix: float = 0.0
    time_flip: float = 0.0
    modulate: float = 0.0
    spike: float = 0.0
    censor: float = 0.0
    round: float = 0.0
    sign_flip: float = 0.5
    freq_mask: float = 0.1
    freq_mask_rate: float = 0.5
    freq_mix: float = 0.1
    freq_mix_rate: float = 0.25
    freq_published: float = 0.0
    flatten: float = 0.01
    truncate: float = 0.3
    min_history: int = 1
    hide: float = 0.1
    decimate: float = 0.15
    resample: float = 0.0
    far_rollout: float = 0.0
    max_far_rollout: int = 800
    long_lead: float = 0.0
    long_lead_length: int = 8_192
    drop_calendar: float = 0.2

    def __post_init__(self) -> None:
        for name in _PROBABILITIES:
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected 0 to 1")
        for name, least in (
            ("min_observed", 1),
            ("min_steps", 1),
            ("min_history", 1),
            ("max_rollout", 0),
            ("max_far_rollout", 0),
            ("long_lead_length", 0),
        ):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name}: got {value}, expected at least {least}")


_PROBABILITIES = tuple(
    f.name for f in fields(WindowSettings) if f.type is float and f.name != "dataset_exponent"
)

PLAIN_WINDOWS = WindowSettings(
    band_weights=None,
    dataset_exponent=1.0,
    sign_flip=0.0,
    freq_mask=0.0,
    freq_mix=0.0,
    flatten=0.0,
    truncate=0.0,
    hide=0.0,
    decimate=0.0,
    drop_calendar=0.0,
)
"""Each series as likely as any other, and windows as they are."""
