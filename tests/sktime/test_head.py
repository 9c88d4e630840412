"""A head of another family in sktime."""

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.sktime import LagLlamaForecaster


@pytest.fixture(scope="module")
def y():
    rng = np.random.default_rng(0)
    index = pd.period_range("2010-01", periods=120, freq="M")
    return pd.Series(rng.poisson(6 + 4 * np.sin(np.arange(120) * np.pi / 6)) * 1.0, index)


def test_forecasts_of_counts_are_counts(y):
    forecaster = LagLlamaForecaster("tiny", num_samples=20, random_state=0)
    forecaster.set_params(head="negative_binomial")
    quantiles = forecaster.fit(y, fh=[1, 2, 12]).predict_quantiles(alpha=[0.05, 0.95])
    # Of 20 samples these levels lie between order statistics: a quantile is a step of 0.05.
    assert np.allclose(quantiles * 20, (quantiles * 20).round(), atol=1e-6)
    assert forecaster.clone().head == "negative_binomial"


def test_a_tuned_head_is_exported(y, tmp_path):
    settings = {"steps": 2, "validate_every": 1, "margin": 0.0, "validation_windows": 4}
    forecaster = LagLlamaForecaster(
        "tiny", num_samples=5, finetune="head", finetune_settings=settings, head="flow"
    )
    forecaster.fit(y, fh=[1, 2, 3])
    assert forecaster.finetune_report.mode == "head"
    again = LagLlamaForecaster(forecaster.export(tmp_path / "tuned"), num_samples=5)
    again.fit(y, fh=[1, 2, 3])
    assert again._network().config.head.family == "flow"


def test_an_unknown_head_is_refused(y):
    with pytest.raises(ValueError, match="head: got 'gauss', expected one of"):
        LagLlamaForecaster("tiny", head="gauss").fit(y, fh=[1])
