"""Fine-tuning a network on a panel, or on the series of files."""

from lagllama_adapters.training.finetuning.files import FinetunedFiles, finetune_files
from lagllama_adapters.training.finetuning.run import finetune
from lagllama_adapters.training.finetuning.settings import FinetuneReport, FinetuneSettings

__all__ = ["FinetuneReport", "FinetuneSettings", "FinetunedFiles", "finetune", "finetune_files"]
