"""What values can be is kept by the samples and quantiles of both hosts."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.sktime import LagLlamaForecaster

VALUES = np.random.default_rng(0).poisson(0.7, 120).astype(float)
LIMITS = (None, "auto", "count", "nonnegative", (0.5, 2.0))


def _darts(support):
    model = LagLlamaModel("tiny", support=support, random_state=0).fit(
        TimeSeries.from_values(VALUES)
    )
    return model.predict(30, num_samples=50).all_values()[:, 0].T


def _sktime(support):
    model = LagLlamaForecaster("tiny", support=support, num_samples=50, random_state=0)
    model.fit(pd.Series(VALUES))
    levels = [0.1, 0.5, 0.9]
    quantiles = model.predict_quantiles(fh=range(1, 31), alpha=levels).to_numpy()
    distribution = model.predict_proba(fh=range(1, 31))
    assert (distribution.quantile(levels).to_numpy() == quantiles).all()
    return quantiles.T


@pytest.mark.parametrize("support", LIMITS, ids=str)
@pytest.mark.parametrize("forecast", [_darts, _sktime])
def test_samples_and_quantiles_keep_to_it(forecast, support):
    found = forecast(support)
    if support in ("auto", "count"):
        assert (found == found.round()).all()
    elif support is None:
        assert (found != found.round()).any()
    lower, upper = support if isinstance(support, tuple) else (0.0, np.inf)
    if support is not None:
        assert ((found >= lower) & (found <= upper)).all()


def test_quantiles_without_samples_keep_to_it_in_darts():
    model = LagLlamaModel("tiny", support=(0.5, 2.0), output_chunk_length=12)
    model.fit(TimeSeries.from_values(VALUES))
    found = model.predict(12, predict_likelihood_parameters=True).values()
    expected = LagLlamaPredictor("tiny").predict_parameters(VALUES, 12, support=(0.5, 2.0))
    np.testing.assert_allclose(found, np.stack([*expected.values()], axis=2)[0], rtol=1e-6)
    assert (found.min(), found.max()) == (0.5, 2.0)


@pytest.mark.parametrize("host", [LagLlamaModel, LagLlamaForecaster])
def test_what_is_no_support_is_refused_before_anything_is_loaded(host):
    with pytest.raises(ValueError, match="support: got 'positive', expected one of"):
        host("tiny", support="positive").fit(pd.Series(VALUES))
