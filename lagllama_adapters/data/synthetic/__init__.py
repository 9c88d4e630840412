"""Synthetic series for training, drawn in batches on any device."""

from lagllama_adapters.data.synthetic.priors import SyntheticPriors
from lagllama_adapters.data.synthetic.series import (
    FAMILIES,
    SyntheticSeries,
    draw_series,
    synthetic_corpus,
)

__all__ = ["FAMILIES", "SyntheticPriors", "SyntheticSeries", "draw_series", "synthetic_corpus"]
