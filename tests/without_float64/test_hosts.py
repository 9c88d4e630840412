"""Both hosts on a device without float64, as Lightning's "auto" picks it."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("darts")
pytest.importorskip("sktime")

from darts import TimeSeries

from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

VALUES = 5e8 + np.sin(np.arange(120) * 2 * np.pi / 12) + np.arange(120) / 90
MONTHS = pd.date_range("2015-01-01", periods=120, freq="MS")
FINETUNE = {"steps": 4, "validate_every": 2, "batch_size": 4}


def darts_model(checkpoint, accelerator, **kwargs):
    trainer = {"accelerator": accelerator, "enable_progress_bar": False}
    return LagLlamaModel(checkpoint=checkpoint, random_state=0, pl_trainer_kwargs=trainer, **kwargs)


def assert_alike(there, here):
    np.testing.assert_allclose(there, here, rtol=1e-13, atol=1e-3)
    assert np.ptp(there) > 0.01


def test_darts(block_checkpoint, device):
    series = TimeSeries(MONTHS, VALUES)
    forecasts, steps = [], []
    for accelerator in ("cpu", "auto"):
        model = darts_model(block_checkpoint, accelerator).fit(series)
        forecasts.append(model.predict(9, num_samples=5).all_values())
        steps.append(model.historical_one_step_forecasts(series, 110, 5).all_values())
        assert model._forecasting_trainer(model.model, verbose=False).strategy.root_device.type == (
            "cpu" if accelerator == "cpu" else "mps"
        )
    assert forecasts[0].dtype == np.float64
    assert_alike(forecasts[1], forecasts[0])
    assert_alike(steps[1], steps[0])


@pytest.mark.parametrize(
    "options", [{"n_epochs": 1, "batch_size": 16}, {"finetune_settings": FINETUNE}]
)
def test_darts_is_tuned(block_checkpoint, device, options):
    series, forecasts = TimeSeries(MONTHS, VALUES), []
    for accelerator in ("cpu", "auto"):
        model = darts_model(
            block_checkpoint,
            accelerator,
            enable_finetuning=True,
            output_chunk_length=6,
            **options,
        )
        forecasts.append(model.fit(series).predict(6, num_samples=5).all_values())
    assert_alike(forecasts[1], forecasts[0])


@pytest.mark.parametrize("finetune", [None, "full"])
def test_sktime(block_checkpoint, device, finetune):
    y = pd.Series(VALUES, index=MONTHS.to_period("M"))
    forecasts = []
    for where in ("cpu", "mps:0"):
        forecaster = LagLlamaForecaster(
            block_checkpoint,
            num_samples=5,
            random_state=0,
            device=where,
            finetune=finetune,
            finetune_settings=FINETUNE,
        )
        forecaster.fit(y, fh=[-3, 0, 1, 6])
        forecasts.append([forecaster.predict(), forecaster.predict_quantiles(alpha=[0.2, 0.9])])
    for there, here in zip(*forecasts, strict=True):
        assert_alike(there.to_numpy(), here.to_numpy())
