"""How much of histories a forecast reads."""

from collections.abc import Sequence, Sized

from lagllama_adapters.model import LagLlamaConfig

__all__ = ["read_length"]


def read_length(config: LagLlamaConfig, context_length: int, series: Sequence[Sized]) -> int:
    """Values that a forecast of some series reads together.

    Weights that look for seasons read thousands of values where there are as many; padding of
    short series to that length would cost time.

    Parameters
    ----------
    config : LagLlamaConfig
        Of the weights.
    context_length : int
        Tokens of context.
    series : sequence
        Series, which have a length.

    Returns
    -------
    int
        At least the context and the longest lag.
    """
    longest = max(len(one) for one in series)
    most = config.past_length(context_length)
    return max(context_length + config.max_lag, min(longest, most))
