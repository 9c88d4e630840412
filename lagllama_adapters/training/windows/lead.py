"""How much of the past training windows hold before their first token."""

from lagllama_adapters.model import LagLlamaConfig

__all__ = ["training_lead"]

_LONGEST = 2_048


def training_lead(config: LagLlamaConfig) -> int:
    """Values before the first token of training windows.

    Forecasts may look for seasons of a year of hours; windows of that length would cost many times
    the rest of a training step.

    Parameters
    ----------
    config : LagLlamaConfig
        Of the network.

    Returns
    -------
    int
        At least the longest lag.
    """
    return max(config.max_lag, min(config.inputs.season_reach, _LONGEST))
