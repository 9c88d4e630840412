import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import memory
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor

SERIES = np.sin(np.arange(40.0))


@pytest.fixture(scope="module")
def predictor(block_checkpoint):
    return LagLlamaPredictor(block_checkpoint)


@pytest.mark.parametrize(
    ("steps", "samples"), [(10**12, 100), (3, 10**14), (2**62, 1), (2**62, 2**62)]
)
def test_sizes_beyond_any_memory_are_refused_before_work_begins(predictor, steps, samples):
    with pytest.raises(ValueError, match=rf"1 series, {samples} samples of each and {steps} steps"):
        predictor.predict(SERIES, steps, num_samples=samples)
    with pytest.raises(ValueError, match=r"takes .* GB, expected one that fits the .* GB of this"):
        predictor.one_step(Panel.from_arrays([SERIES]), steps, ForecastOptions(num_samples=samples))
    assert predictor.predict(SERIES, 2, num_samples=3).samples.shape == (1, 3, 2)


def test_the_limit_is_the_memory_of_the_machine(predictor, monkeypatch):
    needed = 7 * 5 * (2 * 8 + 72)  # float64, and the noise of one series
    monkeypatch.setattr(memory, "physical_memory", lambda: needed)
    predictor.predict([SERIES, SERIES], 5, num_samples=7)
    monkeypatch.setattr(memory, "physical_memory", lambda: needed - 1)
    with pytest.raises(ValueError, match="2 series, 7 samples of each and 5 steps"):
        predictor.predict([SERIES, SERIES], 5, num_samples=7)


def test_systems_that_do_not_say_their_memory_have_a_limit_too(monkeypatch):
    assert memory.physical_memory() > 10**8
    monkeypatch.delattr(memory.os, "sysconf")
    assert memory.physical_memory() == 2**40


@pytest.mark.parametrize(
    "argument", ["num_samples", "context_length", "max_paths", "season_length"]
)
def test_counts_of_more_than_64_bits_are_refused_by_their_name(argument):
    with pytest.raises(ValueError, match=rf"{argument}: got 1e\+20, expected at most 9223"):
        ForecastOptions(**{argument: 10**20})


@pytest.mark.parametrize("lags", [(10**12,), (-(10**12), 1)])
def test_lags_that_no_series_has_are_refused(lags):
    with pytest.raises(ValueError, match=r"covariate_lags: got .*, expected some integers"):
        ForecastOptions(covariate_lags=lags)
