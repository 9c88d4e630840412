"""What forecasters keep between calls, and what they leave alone."""

import pickle

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.checkpoints import registry
from lagllama_adapters.sktime import LagLlamaForecaster

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")


def n_paths(forecaster):
    """Sample values that the forecaster holds, those that share memory counted once."""
    cache = forecaster._cache
    kept = [cache._paths, cache._one_step, cache._forecast]
    values = [result.value for result in kept if result is not None]
    arrays = [value[0].samples if isinstance(value, tuple) else value for value in values]
    owners = {id(np.asarray(a).base): a.size for a in arrays}
    return sum(owners.values())


def test_network_is_read_once_whatever_the_horizon_and_sizes(checkpoint, make_series, monkeypatch):
    read, original = [], registry._read

    def recorder(source):
        read.append(source)
        return original(source)

    monkeypatch.setattr(registry, "_read", recorder)
    monkeypatch.setattr(registry, "_shared", {})
    for num_samples, batch_size, horizon in [(5, 1, 3), (7, 2, 3), (7, 2, 9), (7, 4, 12)]:
        forecaster = LagLlamaForecaster(checkpoint, num_samples=num_samples, batch_size=batch_size)
        forecaster.fit(make_series(DAYS)).predict(range(1, horizon + 1))
    assert len(read) == len(registry._shared) == 1


@pytest.mark.parametrize("device", [None, "auto", "cpu", "meta"])
def test_forecasters_on_a_device_share_the_network(checkpoint, make_series, device):
    first, second = (
        LagLlamaForecaster(checkpoint, device=device).fit(make_series(DAYS)) for _ in range(2)
    )
    assert first._predictor().model is second._predictor().model
    assert first._predictor().model is registry.load_pretrained(checkpoint, device)


def test_paths_of_one_horizon_at_a_time_are_held(forecaster, make_series):
    forecaster.fit(make_series(DAYS))
    for horizon in (12, 2, 7):
        forecaster.predict(range(1, horizon + 1))
        assert n_paths(forecaster) == 20 * horizon
    forecaster.update(make_series(DAYS + pd.Timedelta(days=60)))
    assert n_paths(forecaster) == 0


def test_tuning_writes_nothing_to_the_working_folder(checkpoint, make_panel, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = {"steps": 1, "batch_size": 2}
    panel = make_panel({"a": DAYS, "b": DAYS})
    for finetune in (None, "full", "head"):
        forecaster = LagLlamaForecaster(checkpoint, finetune=finetune, finetune_settings=settings)
        forecaster.fit(panel, fh=[1, 2]).predict()
        forecaster.pretrain(panel, fh=[1, 2]).fit(panel).predict([1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", [None, "cpu", "auto"])
def test_pickle_names_no_device_but_the_parameter(checkpoint, make_series, device):
    forecaster = LagLlamaForecaster(checkpoint, device=device).fit(make_series(DAYS))
    forecaster.predict([1])
    state = forecaster.__getstate__()
    assert state.pop("device") is device
    assert not any("device" in name for name in state)
    copied = pickle.loads(pickle.dumps(state["_cache"]))
    assert copied.predictor is copied._forecast is copied._paths is None
