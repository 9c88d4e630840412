"""How many series and paths are computed at a time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lagllama_adapters.inference.sampler import read_back_steps
from lagllama_adapters.model import LagLlama, LagLlamaConfig

if TYPE_CHECKING:  # options may hold a pool, whose estimate needs `chunks`
    from lagllama_adapters.inference.options import ForecastOptions

__all__ = [
    "batches",
    "chunks",
    "encoded_at_once",
    "histories_at_once",
    "paths_at_once",
    "series_at_once",
]

# Bounds of memory: of samples in float64, and of histories, whose tables are many times as large.
_VALUES_AT_ONCE = 4_000_000
_HISTORY_AT_ONCE = 1_200_000


class _Cap(NamedTuple):
    """What decoding takes at a time."""

    drawn: int  # paths that one block serves
    tokens: int
    cached: int  # numbers in the caches of paths
    encoded: int  # tokens of histories


# Larger temporaries fall out of a processor's cache, and cost more than larger products save.
_ON_CPU = _Cap(drawn=2_000, tokens=500, cached=64_000_000, encoded=2_000)
_ON_ACCELERATOR = _Cap(drawn=200_000, tokens=25_000, cached=1_000_000_000, encoded=100_000)


def histories_at_once(length: int, batch_size: int) -> int:
    """How many histories of a length are read at a time, at most ``batch_size``."""
    return max(1, min(batch_size, _HISTORY_AT_ONCE // length))


def chunks(count: int, size: int) -> Iterator[slice]:
    """Slices of at most ``size`` that cover ``count`` rows."""
    return (slice(start, start + size) for start in range(0, count, size))


def batches(
    horizons: Sequence[int],
    lengths: Sequence[int],
    config: LagLlamaConfig,
    options: "ForecastOptions",
) -> Iterator[list[int]]:
    """Rows of series that are forecast together.

    Series whose last steps fall into the same block take the same number of decoding steps: they
    share batches, and none of them waits for a longer one. Nor do short histories wait for those
    that are several times as long.

    Parameters
    ----------
    horizons : sequence of int
        Steps ahead of each series.
    lengths : sequence of int
        Values that each series has.
    config : LagLlamaConfig
        Of the weights.
    options : ForecastOptions
        ``batch_size``, ``num_samples`` and the context.

    Yields
    ------
    list of int
        Each row is in one of them.
    """
    context = options.context_tokens(config)
    least, most = context + config.max_lag, config.past_length(context)
    read = [max(least, min(length, most)) for length in lengths]
    groups: dict[tuple[int, int], list[int]] = {}
    for row, horizon in enumerate(horizons):
        doublings = (read[row] // (2 * least)).bit_length()
        groups.setdefault(((horizon - 1) // config.block_length, doublings), []).append(row)
    for rows in groups.values():
        longest = max(horizons[row] for row in rows)
        fitting = series_at_once(options, longest)
        histories = histories_at_once(max(read[row] for row in rows), options.batch_size)
        for part in chunks(len(rows), min(fitting, histories)):
            yield rows[part]


def series_at_once(options: "ForecastOptions", horizon: int) -> int:
    """How many series have their paths of a horizon prepared at a time."""
    fitting = _VALUES_AT_ONCE // (options.num_samples * horizon)
    return max(1, min(fitting, options.batch_size))


def encoded_at_once(model: LagLlama, context_length: int) -> int:
    """How many histories of a context the network encodes at a time where no paths are drawn."""
    cap = _ON_CPU if model.device.type == "cpu" else _ON_ACCELERATOR
    tokens = len(model.config.sampling.context_positions(context_length))
    return max(1, cap.encoded // tokens)


def paths_at_once(model: LagLlama, horizon: int) -> int:
    """How many paths of a horizon the network decodes at a time unless told otherwise."""
    config = model.config
    cap = _ON_CPU if model.device.type == "cpu" else _ON_ACCELERATOR
    if horizon <= config.block_length:
        return cap.drawn
    tokens = len(read_back_steps(0, config.block_length, config.sampling.path_stride))
    cached = (
        2 * config.decoder.n_layer * config.d_model * tokens * (horizon - 1) // config.block_length
    )
    return max(1, min(cap.tokens // tokens, cap.cached // cached))
