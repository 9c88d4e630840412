"""Models of sktime that have a word."""

from collections.abc import Mapping
from typing import Any

from sktime.forecasting.naive import NaiveForecaster

from lagllama_adapters.comparison.hosts.words import Builder
from lagllama_adapters.comparison.specs import Setting
from lagllama_adapters.sktime import LagLlamaForecaster

__all__ = ["BUILDERS", "NEEDS", "TRAINED_ONCE"]

NEEDS = {"deepar": "pytorch-forecasting"}
"""Libraries of words beyond those that both hosts need."""

TRAINED_ONCE = ("deepar",)
"""Words of models that are fitted before the first origin and updated after, not fitted anew."""

_STEPS = 150  # of DeepAR
_QUIET = {
    "enable_checkpointing": False,
    "enable_model_summary": False,
    "enable_progress_bar": False,
    "logger": False,
}


def zero_shot(setting: Setting, option: str | None) -> Any:
    """Nothing is trained."""
    checkpoint = option or setting.checkpoint
    return LagLlamaForecaster(
        checkpoint, num_samples=setting.num_samples, random_state=setting.seed
    )


def tuned(setting: Setting, option: str | None) -> Any:
    """Trained by ``pretrain`` on all histories, whose ends choose between steps."""
    return LagLlamaForecaster(
        setting.checkpoint,
        num_samples=setting.num_samples,
        random_state=setting.seed,
        finetune=option or "full",
    )


def seasonal_naive(setting: Setting, option: str | None) -> Any:
    """The last season, normal with the spread of its past errors."""
    return NaiveForecaster(strategy="last", sp=setting.season_length)


def auto_arima(setting: Setting, option: str | None) -> Any:
    """Orders by AICc."""
    from sktime.forecasting.statsforecast import StatsForecastAutoARIMA

    return StatsForecastAutoARIMA(sp=setting.season_length)


def auto_ets(setting: Setting, option: str | None) -> Any:
    """Error, trend and season by AICc."""
    from sktime.forecasting.statsforecast import StatsForecastAutoETS

    return StatsForecastAutoETS(season_length=setting.season_length)


def auto_theta(setting: Setting, option: str | None) -> Any:
    """The best of four Theta models."""
    from sktime.forecasting.statsforecast import StatsForecastAutoTheta

    return StatsForecastAutoTheta(season_length=setting.season_length)


def deep_ar(setting: Setting, option: str | None) -> Any:
    """DeepAR of pytorch-forecasting; it reads the value one season ago where there is room."""
    from sktime.forecasting.pytorchforecasting import PytorchForecastingDeepAR

    # The adapter holds out the last horizon; a window then needs its lag, encoder and horizon.
    room = setting.shortest - 2 * setting.horizon
    data: dict[str, Any] = {}
    if setting.season_length > 1 and room >= 4 * setting.season_length:
        data["lags"] = {"_target_column": [setting.season_length]}
        room -= setting.season_length
    data["max_encoder_length"] = max(min(max(2 * setting.season_length, 24), room // 2), 1)
    return PytorchForecastingDeepAR(
        model_params={"hidden_size": 40, "rnn_layers": 2, "learning_rate": 3e-3},
        dataset_params=data,
        train_to_dataloader_params={"batch_size": 32},
        trainer_params={
            "accelerator": "cpu",
            "max_epochs": -1,
            "max_steps": _STEPS,
            "gradient_clip_val": 0.1,
            "limit_val_batches": 0,
            **_QUIET,
        },
        deterministic=True,
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
