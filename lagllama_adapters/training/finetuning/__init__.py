"""Fine-tuning a network on a panel."""

from lagllama_adapters.training.finetuning.run import finetune
from lagllama_adapters.training.finetuning.settings import FinetuneReport, FinetuneSettings

__all__ = ["FinetuneReport", "FinetuneSettings", "finetune"]
