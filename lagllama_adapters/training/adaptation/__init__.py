"""What fine-tuning trains: one class for each way to adapt a network.

A new way is a class with the methods of `Adaptation`, and a word in `MODES`.
"""

from lagllama_adapters.training.adaptation.adaptation import Adaptation
from lagllama_adapters.training.adaptation.lora import Lora
from lagllama_adapters.training.adaptation.selection import (
    Bias,
    Covariates,
    Full,
    HeadOnly,
    LastLayers,
    Patterns,
)
from lagllama_adapters.training.adaptation.words import MODES, Spec, adaptation

__all__ = [
    "MODES",
    "Adaptation",
    "Bias",
    "Covariates",
    "Full",
    "HeadOnly",
    "LastLayers",
    "Lora",
    "Patterns",
    "Spec",
    "adaptation",
]
