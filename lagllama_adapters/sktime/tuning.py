"""Fine-tuning on the host's data, and its weights as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save

from lagllama_adapters.checkpoints.format import model_from_tensors
from lagllama_adapters.checkpoints.migrations import (
    upgrade_config,
    upgrade_tensors,
    version_of,
    with_version,
)
from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.lag_llama import LagLlama
from lagllama_adapters.sktime.exogenous import Exogenous
from lagllama_adapters.sktime.host import ForecastingHorizon
from lagllama_adapters.sktime.past_data import PastData
from lagllama_adapters.training.adaptation import MODES, Spec, adaptation
from lagllama_adapters.training.context import best_context
from lagllama_adapters.training.finetuning import FinetuneReport, FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import series_corpus

__all__ = ["TunedWeights", "choose_context", "tune", "tuning_settings"]

_HORIZON = FinetuneSettings().horizon


@dataclass(frozen=True)
class TunedWeights:
    """A tuned network as plain data: pickles anywhere, and copies share bytes and network.

    Attributes
    ----------
    config : dict
        Configuration of the network beside its version, see `with_version`.
    tensors : bytes
        Its weights in the safetensors format.
    report : FinetuneReport
        How they came about.
    """

    config: dict[str, Any]
    tensors: bytes
    report: FinetuneReport

    @classmethod
    def of(cls, network: LagLlama, report: FinetuneReport) -> "TunedWeights":
        """Keep the weights of a network."""
        tensors = {name: x.detach().cpu() for name, x in network.state_dict().items()}
        return cls(with_version(network.config.to_dict()), save(tensors), report)

    @cached_property
    def network(self) -> LagLlama:
        """The network, built once, on the CPU and in eval mode; not to be changed."""
        config = LagLlamaConfig.from_dict(upgrade_config(self.config))
        tensors = upgrade_tensors(load(self.tensors), version_of(self.config))
        return model_from_tensors(config, tensors, "the tuned weights")

    def __deepcopy__(self, memo: dict[int, Any]) -> "TunedWeights":
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def tuning_settings(mode: Spec, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Check the two parameters of the forecaster before anything is loaded.

    Parameters
    ----------
    mode : str, mapping or None
        What to train, a word of `MODES` or one with its options; all weights if None.
    options : mapping or None
        Fields of `FinetuneSettings` but ``mode``.

    Returns
    -------
    dict
        Arguments of `FinetuneSettings`.

    Raises
    ------
    ValueError
        If the mode or a field is unknown, or a value is not valid.
    """
    try:
        chosen = adaptation(mode)
    except ValueError as error:
        raise ValueError(f"finetune: {error}") from error
    if mode is not None and chosen is None:
        raise ValueError(f"finetune: got {mode!r}, expected None or one of {[*MODES]}")
    options = {} if options is None else options
    known = [field.name for field in fields(FinetuneSettings) if field.name != "mode"]
    if not isinstance(options, Mapping) or set(options) - set(known):
        raise ValueError(
            f"finetune_settings: got {options!r}, expected a dict with keys of {known}; the mode "
            "is the parameter finetune"
        )
    settings = {"mode": "full" if mode is None else mode, **options}
    FinetuneSettings(**settings)
    return settings


def tune(
    network: LagLlama,
    past: PastData,
    fh: ForecastingHorizon | None,
    settings: Mapping[str, Any],
    context_length: int | None,
    device: torch.device,
    exogenous: Exogenous | None = None,
) -> TunedWeights:
    """Tune a network on all rows of a panel.

    Parameters
    ----------
    network : LagLlama
        Where to start from; not changed.
    past : PastData
        The panel, with all of its rows.
    fh : ForecastingHorizon or None
        Its last step is the horizon by which the network is judged, unless ``settings`` say.
    settings : mapping
        Of `tuning_settings`.
    context_length : int or None
        Tokens of context that forecasts will have.
    device : torch.device
        Where to train.
    exogenous : Exogenous, optional
        Exogenous data of the same rows, which the network learns to read.

    Returns
    -------
    TunedWeights
        Those given, if training did not improve on them.

    Raises
    ------
    ValueError
        For series that cannot be trained on.
    """
    panel, horizon = _panel(past, fh, exogenous)
    tuned, report = finetune(
        network,
        panel,
        FinetuneSettings(**{**horizon, **settings}),
        context_length=context_length,
        device=device,
    )
    return TunedWeights.of(tuned, report)


def choose_context(
    network: LagLlama,
    past: PastData,
    fh: ForecastingHorizon | None,
    exogenous: Exogenous | None = None,
) -> int:
    """Context length by held-out windows of a panel; see `best_context`.

    Parameters
    ----------
    network : LagLlama
        Forecasts.
    past : PastData
        The panel, with all of its rows.
    fh : ForecastingHorizon or None
        Its last step is the horizon of the windows.
    exogenous : Exogenous, optional
        Exogenous data of the same rows, for networks that have learned to read it.

    Raises
    ------
    ValueError
        For series that are too short to hold anything out.
    """
    panel, horizon = _panel(past, fh, exogenous)
    return best_context(network, panel, horizon.get("horizon", _HORIZON)).context_length


def _panel(
    past: PastData, fh: ForecastingHorizon | None, exogenous: Exogenous | None
) -> tuple[Corpus, dict[str, int]]:
    """Rows as a corpus, and the horizon if there is one."""
    past.check()
    past = past.with_frequency(None if fh is None else fh.freq)
    ahead = 0 if fh is None else max(int(h.steps[-1]) for h in past.horizons(fh))
    covariates = None
    if exogenous is not None:
        now = np.zeros(1, np.int64)
        covariates = exogenous.covariates(past, [now] * len(past.instances))
    panel = series_corpus(past.panel(covariates=covariates))
    return panel, {"horizon": ahead} if ahead > 0 else {}
