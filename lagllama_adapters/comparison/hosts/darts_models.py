"""Models of Darts that have a word."""

from collections.abc import Mapping
from typing import Any

from darts.models import NaiveSeasonal, RNNModel
from darts.utils.likelihood_models.torch import GaussianLikelihood

from lagllama_adapters.comparison.hosts.words import Builder
from lagllama_adapters.comparison.specs import Setting
from lagllama_adapters.darts import LagLlamaModel

__all__ = ["BUILDERS", "LARGEST_SHARE", "SCALED"]

QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}

LARGEST_SHARE = 64
"""Most training windows of one series in an epoch."""

SCALED = ("deepar",)
"""Words of models that forecast series scaled by what precedes their first origin."""

_BATCH = 32
_UPDATES = 3000  # of DeepAR at most
_EPOCHS = (3, 60)


def zero_shot(setting: Setting, option: str | None) -> Any:
    """`fit` trains nothing."""
    checkpoint = option or setting.checkpoint
    return LagLlamaModel(checkpoint, random_state=setting.seed, pl_trainer_kwargs=QUIET)


def tuned(setting: Setting, option: str | None) -> Any:
    """The ends of the histories choose between epochs."""
    return LagLlamaModel(
        setting.checkpoint,
        enable_finetuning=option or "full",
        output_chunk_length=setting.horizon,
        pl_trainer_kwargs=QUIET,
        random_state=setting.seed,
    )


def seasonal_naive(setting: Setting, option: str | None) -> Any:
    """The last season, which is then spread by past changes over a season."""
    return NaiveSeasonal(setting.season_length)


def auto_arima(setting: Setting, option: str | None) -> Any:
    """Orders by AICc."""
    from darts.models import AutoARIMA

    return AutoARIMA(season_length=setting.season_length)


def auto_ets(setting: Setting, option: str | None) -> Any:
    """Error, trend and season by AICc."""
    from darts.models import AutoETS

    return AutoETS(season_length=setting.season_length)


def auto_theta(setting: Setting, option: str | None) -> Any:
    """The best of four Theta models."""
    from darts.models import AutoTheta

    return AutoTheta(season_length=setting.season_length)


def deep_ar(setting: Setting, option: str | None) -> Any:
    """An LSTM with a Gaussian likelihood; it sees four seasons or a third of a history."""
    window = min(max(4 * setting.season_length, 24), max(setting.shortest // 3, 1))
    length = max(min(window + setting.horizon, setting.shortest - 1), window + 1)
    windows = setting.count * min(max(setting.shortest - length, 1), LARGEST_SHARE)
    epochs = _UPDATES * _BATCH // windows
    return RNNModel(
        window,
        model="LSTM",
        hidden_dim=40,
        training_length=length,
        n_epochs=min(max(epochs, _EPOCHS[0]), _EPOCHS[1]),
        batch_size=_BATCH,
        likelihood=GaussianLikelihood(),
        pl_trainer_kwargs={"accelerator": "cpu", **QUIET},
        random_state=setting.seed,
    )


BUILDERS: Mapping[str, Builder] = {
    "zero-shot": zero_shot,
    "tuned": tuned,
    "seasonal-naive": seasonal_naive,
    "auto-arima": auto_arima,
    "auto-ets": auto_ets,
    "auto-theta": auto_theta,
    "deepar": deep_ar,
}
