"""What a network makes of a series: embeddings, attention, experts, saliency; pictures of them."""

from lagllama_adapters.inference.insight.attention import AttentionMaps
from lagllama_adapters.inference.insight.experts import ExpertShares
from lagllama_adapters.inference.insight.saliency import Saliency

__all__ = ["AttentionMaps", "ExpertShares", "Saliency"]
