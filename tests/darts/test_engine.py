"""Tuning by the engine of both hosts, and contexts chosen by held-out windows."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from darts import TimeSeries

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.darts.engine import choose_context
from lagllama_adapters.training import context as context_module
from lagllama_adapters.training.choice import choose

QUICK = {
    "steps": 12,
    "batch_size": 8,
    "learning_rate": 1e-2,
    "validate_every": 3,
    "rollout_length": 6,
    "horizon": 6,
    "margin": 0,
}
MONTHS = pd.date_range("2015-01-01", periods=72, freq="MS")


@pytest.fixture(scope="module")
def frame():
    """Four monthly series with a season, as sktime takes them."""
    rng, t = np.random.default_rng(0), np.arange(72)
    waves = {f"s{i}": 10 + np.sin(t * np.pi / 6 + i) + 0.1 * rng.normal(size=72) for i in range(4)}
    frames = {key: pd.DataFrame({"y": y}, index=MONTHS) for key, y in waves.items()}
    return pd.concat(frames, names=["id", "time"])


@pytest.fixture(scope="module")
def series(frame):
    keys = frame.index.unique("id")
    return [TimeSeries.from_dataframe(frame.loc[key], freq="MS") for key in keys]


def state(model):
    return dict(model.model.network.state_dict())


@pytest.mark.parametrize("way", ["full", {"lora": {"rank": 2}}, "head"])
def test_both_hosts_tune_to_the_same_weights(make, block_checkpoint, frame, series, way):
    sktime = pytest.importorskip("lagllama_adapters.sktime")
    forecaster = sktime.LagLlamaForecaster(
        block_checkpoint, finetune=way, finetune_settings=QUICK
    ).fit(frame)
    model = make(enable_finetuning=way, finetune_settings=QUICK).fit(series)
    tuned = forecaster.finetuned_weights_.network.state_dict()
    assert state(model).keys() == tuned.keys()
    for name, tensor in state(model).items():
        torch.testing.assert_close(tensor, tuned[name], rtol=0, atol=0, msg=name)
    given = load_pretrained(block_checkpoint).state_dict()
    assert any((tensor != given[name]).any() for name, tensor in tuned.items())
    assert model.finetune_report == forecaster.finetuned_weights_.report
    assert model.finetune_report.kept != "given"


def test_patterns_have_the_names_of_the_module(make, block_checkpoint, series):
    model = make(enable_finetuning={"unfreeze": ["network.head*"]}, finetune_settings=QUICK)
    model.fit(series)
    given = load_pretrained(block_checkpoint).state_dict()
    changed = {name for name, x in state(model).items() if not torch.equal(x, given[name])}
    assert changed == {name for name in given if name.startswith("head.")}


def test_tuned_model_is_saved_copied_and_refitted(make, series, tmp_path):
    model = make(enable_finetuning=True, finetune_settings=QUICK, random_state=0).fit(series)
    expected = model.predict(6, series, num_samples=5, random_state=1)
    model.save(tmp_path / "model.pt")
    loaded = LagLlamaModel.load(tmp_path / "model.pt")
    assert loaded.finetune_report == model.finetune_report
    for other in (loaded, copy.deepcopy(model)):
        for one, two in zip(
            other.predict(6, series, num_samples=5, random_state=1), expected, strict=True
        ):
            np.testing.assert_array_equal(one.all_values(), two.all_values())
    again = model.fit(series).finetune_report
    assert again.loss_before == pytest.approx(loaded.finetune_report.loss_after)


def test_context_is_that_of_sktime_and_outlasts_a_save(
    make, block_checkpoint, frame, series, tmp_path, monkeypatch
):
    sktime = pytest.importorskip("lagllama_adapters.sktime")
    monkeypatch.setattr(
        context_module, "choose", lambda *given: choose(*given)._replace(share=48.0)
    )
    forecaster = sktime.LagLlamaForecaster(block_checkpoint, context_length="auto")
    forecaster.fit(frame, fh=range(1, 7))
    model = make(context_length="auto", output_chunk_length=6).fit(series)
    assert model.context_length_ == forecaster.context_length_ == 48
    assert model.context_length == "auto"
    model.save(tmp_path / "model.pt")
    chosen = make(context_length=48, output_chunk_length=6).fit(series)
    usual = make(output_chunk_length=6).fit(series)
    expected = chosen.predict(6, series[0], num_samples=5, random_state=1).all_values()
    for one in (model, LagLlamaModel.load(tmp_path / "model.pt"), copy.deepcopy(model)):
        drawn = one.predict(6, series[0], num_samples=5, random_state=1).all_values()
        np.testing.assert_array_equal(drawn, expected)
    drawn = usual.predict(6, series[0], num_samples=5, random_state=1).all_values()
    assert (drawn != expected).any()


def test_context_is_the_usual_one_unless_another_is_better(make, series):
    model = make(context_length="auto", output_chunk_length=6).fit(series[0])
    assert model.context_length_ == choose_context(model.model.network, series[:1], 6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"finetune_settings": {}}, "for a model that is not trained"),
        (
            {"enable_finetuning": True, "finetune_settings": {"mode": "full"}},
            "expected a dict with",
        ),
        (
            {"enable_finetuning": True, "finetune_settings": {"steps": 0}},
            "finetune_settings: steps",
        ),
        (
            {"enable_finetuning": True, "finetune_settings": {}, "n_epochs": 3},
            r"beside \['n_epochs'\], which are for Darts' own training",
        ),
        ({"context_length": "automatic"}, "context_length"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(make, kwargs, message):
    with pytest.raises(ValueError, match=message):
        make(**kwargs)


def test_fit_refuses_what_the_engine_does_not_use(make, series):
    model = make(enable_finetuning=True, finetune_settings=QUICK)
    with pytest.raises(ValueError, match="val_series: got one for a model with finetune_settings"):
        model.fit(series[:3], val_series=series[3])
    with pytest.raises(ValueError, match="sample_weight: got one"):
        model.fit(series, sample_weight="linear")
