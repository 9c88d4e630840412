"""A head of another family in Darts: forecasts, tuning, files."""

import numpy as np
import pytest
from darts import TimeSeries

from lagllama_adapters.darts import LagLlamaModel

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}


@pytest.fixture(scope="module")
def series():
    rng = np.random.default_rng(0)
    mean = 6 + 4 * np.sin(np.arange(120) * np.pi / 6)
    return TimeSeries.from_values(rng.poisson(mean).astype(np.float32))


def test_forecasts_of_counts_are_counts_and_come_back_from_a_file(series, tmp_path):
    model = LagLlamaModel("tiny", head="negative_binomial", random_state=0).fit(series)
    forecast = model.predict(12, num_samples=20)
    values = forecast.all_values()
    assert np.array_equal(values, values.round())
    named = model.predict(4, predict_likelihood_parameters=True)
    assert list(named.components) == ["0_r", "0_p"]
    r, p = named.values().T
    np.testing.assert_allclose(r * p / (1 - p), values[:4].mean((1, 2)), rtol=0.5)
    model.save(str(tmp_path / "model.pt"))
    loaded = LagLlamaModel.load(str(tmp_path / "model.pt"))
    assert loaded.head == "negative_binomial"
    assert loaded.model.network.config == model.model.network.config


def test_the_head_of_another_family_is_tuned(series, tmp_path):
    model = LagLlamaModel(
        "tiny",
        head="flow",
        enable_finetuning="head",
        n_epochs=1,
        batch_size=8,
        keep_best=False,
        random_state=0,
        pl_trainer_kwargs=QUIET,
    )
    model.fit(series, max_samples_per_ts=8)
    weight = model.model.network.head.projection.proj.weight
    assert bool((weight != 0).any())
    named = model.predict(2, predict_likelihood_parameters=True)
    assert list(named.components) == [f"0_q{level / 10:.3f}" for level in range(1, 10)]
    model.export(tmp_path / "tuned", adapter=True)
    again = LagLlamaModel(str(tmp_path / "tuned"), random_state=0).fit(series)
    np.testing.assert_allclose(
        again.predict(3, num_samples=5).all_values(),
        LagLlamaModel(str(tmp_path / "tuned"), head="flow", random_state=0)
        .fit(series)
        .predict(3, num_samples=5)
        .all_values(),
    )
    assert again.model.network.config.head.family == "flow"


def test_an_unknown_head_is_refused_at_once():
    with pytest.raises(ValueError, match="head: got 'gauss', expected one of"):
        LagLlamaModel("tiny", head="gauss")
