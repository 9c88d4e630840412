"""What a predictor tells about how it forecasts."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.insight.attention import AttentionMaps, attention_maps
from lagllama_adapters.inference.insight.embedding import Pool, embed
from lagllama_adapters.inference.insight.experts import ExpertShares, expert_shares
from lagllama_adapters.inference.insight.saliency import Saliency, occlusion
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama

__all__ = ["InsightMethods"]


class InsightMethods:
    """Embeddings, attention, experts and saliency of a predictor's network.

    All take ``past_target`` (arrays or a `Panel`), ``start``, ``freq``, ``item_id``,
    ``context_length`` and ``season_length`` as `LagLlamaPredictor.predict` does.
    """

    model: LagLlama

    def embed(
        self,
        past_target: Any,
        pool: Pool | None = "last",
        start: Any = None,
        freq: Any = None,
        context_length: int | None = None,
        *,
        item_id: Sequence[Hashable] | None = None,
        season_length: int | None = None,
    ) -> npt.NDArray[np.float32]:
        """Series as vectors, for classifiers, clusters and searches.

        Series that differ by a positive factor alone, a unit, have the same embedding.

        Parameters
        ----------
        past_target, start, freq, context_length, item_id, season_length
            As in `LagLlamaPredictor.predict`.
        pool : {"last", "mean"} or None
            "last": the state of the last token, which has seen all others. "mean": over the tokens
            from the first observed value on. None: the state of every token.

        Returns
        -------
        ndarray of float32
            ``[series, d_model]`` or, without a pool, ``[series, context, d_model]``, NaN at tokens
            before the first observed value of a series.

        Raises
        ------
        ValueError
            For another pool, and as `LagLlamaPredictor.predict`.
        """
        panel = Panel.from_arrays(past_target, start, freq, item_id)
        return embed(self.model, panel, _options(context_length, season_length), pool)

    def attention(
        self,
        past_target: Any,
        queries: int | None = None,
        start: Any = None,
        freq: Any = None,
        context_length: int | None = None,
        *,
        item_id: Sequence[Hashable] | None = None,
        season_length: int | None = None,
    ) -> AttentionMaps:
        """Attention weights of every layer and head, from the pass that makes the forecast.

        Parameters
        ----------
        past_target, start, freq, context_length, item_id, season_length
            As in `LagLlamaPredictor.predict`.
        queries : int, optional
            How many of the last tokens' rows to keep; None: all.

        Returns
        -------
        AttentionMaps
            ``weights`` ``[series, layer, head, query, key]``, float32.

        Raises
        ------
        ValueError
            If ``queries`` is not from 1 to the context, and as `LagLlamaPredictor.predict`.
        """
        panel = Panel.from_arrays(past_target, start, freq, item_id)
        options = _options(context_length, season_length)
        return attention_maps(self.model, panel, options, queries)

    def experts(
        self,
        past_target: Any,
        start: Any = None,
        freq: Any = None,
        context_length: int | None = None,
        *,
        item_id: Sequence[Hashable] | None = None,
        season_length: int | None = None,
    ) -> ExpertShares:
        """Which copies of the past the centre of a forecast is mixed from.

        Parameters
        ----------
        past_target, start, freq, context_length, item_id, season_length
            As in `LagLlamaPredictor.predict`.

        Returns
        -------
        ExpertShares
            ``describe(0)`` says it of the first series in words.

        Raises
        ------
        ValueError
            If the head of the checkpoint has no experts, and as `LagLlamaPredictor.predict`.
        """
        panel = Panel.from_arrays(past_target, start, freq, item_id)
        return expert_shares(self.model, panel, _options(context_length, season_length))

    def saliency(
        self,
        past_target: Any,
        prediction_length: int | None = None,
        pieces: int = 32,
        start: Any = None,
        freq: Any = None,
        context_length: int | None = None,
        *,
        item_id: Sequence[Hashable] | None = None,
        season_length: int | None = None,
    ) -> Saliency:
        """How the median forecast changes when pieces of the history are hidden in turn.

        Parameters
        ----------
        past_target, start, freq, context_length, item_id, season_length
            As in `LagLlamaPredictor.predict`.
        prediction_length : int, optional
            At most ``config.block_length``; None: all of those steps.
        pieces : int
            Into which the history is cut.

        Returns
        -------
        Saliency
            ``effect(0)`` has the mean absolute change of each piece of the first series.

        Raises
        ------
        ValueError
            For a horizon beyond one block, a series whose observed values all lie in one piece, and
            as `LagLlamaPredictor.predict`.
        """
        panel = Panel.from_arrays(past_target, start, freq, item_id)
        options = _options(context_length, season_length)
        return occlusion(self.model, panel, options, prediction_length, pieces)


def _options(context_length: int | None, season_length: int | None) -> ForecastOptions:
    return ForecastOptions(context_length=context_length, season_length=season_length)
