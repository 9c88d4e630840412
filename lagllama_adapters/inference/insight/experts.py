"""Which copies of the past a forecast is a mixture of, in words."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.insight.lag_maps import describe_lag_map
from lagllama_adapters.inference.insight.reading import read, token_states
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama

__all__ = ["COPY_WORDS", "ExpertShares", "expert_shares"]

COPY_WORDS = {
    "last": "the last cycle of {period} steps",
    "two": "the mean of the last 2 cycles of {period} steps",
    "four": "the mean of the last 4 cycles of {period} steps",
    "eight": "the mean of the last 8 cycles of {period} steps",
    "sixteen": "the mean of the last 16 cycles of {period} steps",
    "smooth": "the smoothed mean of the last 4 cycles of {period} steps",
    "drift": "the cycle of {period} steps, moved on by its change from cycle to cycle",
    "level": "the last cycle of {period} steps, at the level of now",
    "level_four": "the mean of the last 4 cycles of {period} steps, at the level of now",
    "step": "the last cycle of {period} steps, moved to the last value",
    "narrow": "the smoothed mean of the last 8 cycles of {period} steps",
    "level_eight": "the mean of the last 8 cycles of {period} steps, at the level of the last one",
    "proven": "the copies of {period} steps that have been right so far",
    "lately": "the copies of {period} steps that have been right of late",
}
"""What a copy of a measured season is, by its name; see `COPY_EXPERTS`."""

# A period of 1 is a series without a season: its cycles are single values.
_WITHOUT_SEASON = {
    "last": "the last value",
    "two": "the mean of the last 2 values",
    "four": "the mean of the last 4 values",
    "eight": "the mean of the last 8 values",
    "sixteen": "the mean of the last 16 values",
    "smooth": "the mean of the last 4 values",
    "drift": "the trend of the last values",
    "narrow": "the mean of the last 8 values",
    "level_eight": "the last value",
    "proven": "the means and trends of the last values that have been right so far",
    "lately": "the means and trends of the last values that have been right of late",
}
CLIMATOLOGY = "the distribution of all values so far"


@dataclass(frozen=True)
class ExpertShares:
    """What the centre of a forecast's first block is mixed from.

    The head adds to this mixture what the state of the network says; shares tell which copies it
    starts from, not how much it changes them.

    Attributes
    ----------
    names : tuple of str
        Of the experts: ``lag_map_0``, ... and, of weights that measure seasons, ``last_1``, ...
        (copy and which measured period, 1 or 2), and ``climatology``.
    shares : ndarray of float64
        ``[series, expert]``, means over the steps of the block, each row sums to 1.
    words : tuple of tuple of str
        Per series, what each expert is.
    periods : ndarray of int64 or None
        ``[series, 2]``, steps of the measured seasons, 1 for none; None: the weights measure none.
    """

    names: tuple[str, ...]
    shares: npt.NDArray[np.float64]
    words: tuple[tuple[str, ...], ...]
    periods: npt.NDArray[np.int64] | None

    def by_words(self, series: int = 0) -> dict[str, float]:
        """Shares of a series, experts that mean the same added up, the largest first."""
        total: dict[str, float] = {}
        for words, share in zip(self.words[series], self.shares[series], strict=True):
            total[words] = total.get(words, 0.0) + float(share)
        return dict(sorted(total.items(), key=lambda item: -item[1]))

    def describe(self, series: int = 0, least: float = 0.05) -> str:
        """A sentence such as "72 % the last cycle of 24 steps, 20 % the last value".

        Parameters
        ----------
        series : int
            Its position.
        least : float
            Smallest share that is named; what is left is given as others.
        """
        shares = self.by_words(series)
        named = {words: share for words, share in shares.items() if share >= least}
        parts = [f"{share:.0%} {words}".replace("%", " %", 1) for words, share in named.items()]
        rest = 1.0 - sum(named.values())
        if rest >= 0.005:
            parts.append(f"{100 * rest:.0f} % others")
        return ", ".join(parts)


@torch.inference_mode()
def expert_shares(model: LagLlama, panel: Panel, options: ForecastOptions) -> ExpertShares:
    """How the head mixes its experts after the last token of each series.

    Parameters
    ----------
    model : LagLlama
        Network on the device to compute on.
    panel : Panel
        Series without covariates.
    options : ForecastOptions
        ``context_length``, ``season_length`` and ``support``.

    Raises
    ------
    ValueError
        If the head has no experts, and as `LagLlamaPredictor.forecast`.
    """
    projection = model.head.mixing
    further = projection.further_expert_names
    lag_maps = _lag_map_words(model)
    shares, periods = [], []
    for reading in read(model, panel, options):
        state = token_states(model, reading, last=1)[:, -1]
        facts, last = reading.facts, reading.tokens[:, -1].to(model.device)
        gate = projection.expert_weights(state, last).cpu().double()
        climatology = projection.climatology_share(state, last).cpu().double()
        climatology = climatology.mean(-1, keepdim=True)
        parts = (gate * (1 - climatology), climatology) if further else (gate,)
        shares.append(torch.cat(parts, dim=-1).numpy())
        if facts.seasons is not None:
            periods.append(facts.seasons.periods.cpu().numpy())
    measured = np.concatenate(periods) if periods else None
    words = [
        (*lag_maps, *_words_of_copies(further, None if measured is None else measured[row]))
        for row in range(len(panel))
    ]
    names = [f"lag_map_{i}" for i in range(len(lag_maps))]
    if further:
        names += [f"{name}_{period + 1}" for name, period in further] + ["climatology"]
        words = [(*own, CLIMATOLOGY) for own in words]
    return ExpertShares(tuple(names), np.concatenate(shares), tuple(words), measured)


def _lag_map_words(model: LagLlama) -> tuple[str, ...]:
    projection = model.head.mixing
    if projection.experts is None:
        return ()
    maps = projection.experts.detach().cpu().double()
    maps = maps.unflatten(1, (projection.n_lag_experts, projection.block_length))
    lags = np.array(model.config.lags_seq)
    return tuple(describe_lag_map(one.numpy(), lags) for one in maps.unbind(1))


def _words_of_copies(
    experts: tuple[tuple[str, int], ...], periods: npt.NDArray[Any] | None
) -> tuple[str, ...]:
    if not experts:
        return ()
    assert periods is not None
    return tuple(_words_of_copy(name, int(periods[which])) for name, which in experts)


def _words_of_copy(name: str, period: int) -> str:
    if period == 1:
        return _WITHOUT_SEASON.get(name, "the last values")
    return COPY_WORDS[name].format(period=period)
