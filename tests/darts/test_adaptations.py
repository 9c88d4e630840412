"""Ways to tune by their words, in Darts: what they train, save and leave behind."""

import copy

import numpy as np
import pytest
import torch

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.darts import LagLlamaModel
from lagllama_adapters.model.low_rank import is_low_rank

QUICK = {"n_epochs": 1, "batch_size": 16, "random_state": 0}


def state(model):
    return dict(model.model.network.state_dict())


def forecast(model, series):
    return model.predict(6, series, num_samples=20, random_state=1).all_values()


@pytest.fixture
def tuned(make, monthly):
    def tuned(way, **kwargs):
        model = make(enable_finetuning=way, keep_best=False, **{**QUICK, **kwargs})
        return model.fit(monthly, max_samples_per_ts=64)

    return tuned


@pytest.mark.parametrize("way", ["head", "last_layers", "bias", "lora", {"lora": {"rank": 1}}])
def test_words_train_their_part_and_leave_a_plain_network(tuned, block_checkpoint, way):
    model, before = tuned(way), load_pretrained(block_checkpoint).state_dict()
    assert state(model).keys() == before.keys()
    changed = {name for name, x in state(model).items() if not torch.equal(x, before[name])}
    expected = {
        "head": {name for name in before if name.startswith("head.")},
        "last_layers": {name for name in before if not name.startswith("token_embedding.")},
        "bias": {name for name, x in before.items() if x.ndim < 2},
    }.get(way if isinstance(way, str) else "lora", set(before))
    assert changed == expected


def test_rate_is_that_of_the_way_unless_chosen(make):
    rates = {
        "lora": make(enable_finetuning="lora"),
        "chosen": make(enable_finetuning="lora", optimizer_kwargs={"lr": 1e-3}),
        "full": make(enable_finetuning="full"),
    }
    rates = {name: model.model_params["optimizer_kwargs"]["lr"] for name, model in rates.items()}
    assert rates == {"lora": 2e-3, "chosen": 1e-3, "full": 4e-4}


def test_saved_copied_and_exported_models_forecast_alike(tuned, make, monthly, tmp_path):
    model = tuned("lora")
    expected = forecast(model, monthly)
    model.save(tmp_path / "model.pt")
    for again in (LagLlamaModel.load(tmp_path / "model.pt"), copy.deepcopy(model)):
        np.testing.assert_array_equal(forecast(again, monthly), expected)
    for adapter in (True, False):
        folder = model.export(tmp_path / f"adapter-{adapter}", adapter=adapter)
        again = make(checkpoint=folder).fit(monthly)
        np.testing.assert_allclose(forecast(again, monthly), expected, rtol=1e-4)
    with pytest.raises(ValueError, match=r"export: got a model without weights; call fit\(\)"):
        make().export(tmp_path / "none")


def test_second_fit_trains_updates_again(tuned, monthly):
    model = tuned("lora")
    first = {name: x.clone() for name, x in state(model).items()}
    model.fit(monthly, max_samples_per_ts=64)
    assert not is_low_rank(model.model.network)
    assert any(not torch.equal(x, first[name]) for name, x in state(model).items())


def test_interrupted_fit_goes_on_and_can_forecast_at_once(make, monthly, tmp_path):
    run = {"model_name": "run", "work_dir": str(tmp_path), "save_checkpoints": True}
    options = {"enable_finetuning": "lora", "batch_size": 16, "random_state": 0}
    data = {"series": monthly[-150:], "dataloader_kwargs": {"shuffle": False}}
    whole = make(n_epochs=2, **options).fit(**data)
    make(n_epochs=2, **options, **run).fit(**data, epochs=1)
    (saved,) = (tmp_path / "run" / "checkpoints").glob("last*")
    # A file that this test wrote: it holds classes of Darts besides tensors.
    names = torch.load(saved, weights_only=False)["state_dict"]
    assert any(".parametrizations." in name for name in names)
    resumed = LagLlamaModel.load_from_checkpoint("run", str(tmp_path), best=False)
    assert is_low_rank(resumed.model.network)
    forecast(resumed, monthly)
    assert not is_low_rank(resumed.model.network)
    resumed.fit(**data, epochs=2)
    torch.testing.assert_close(state(resumed), state(whole), atol=1e-5, rtol=1e-4)


def test_forecasts_equal_those_of_the_predictor(tuned, monthly):
    model = tuned("lora")
    past = monthly[-48:].values()[:, 0]
    own = LagLlamaPredictor(copy.deepcopy(model.model.network).eval())
    expected = own.predict(
        [past], 6, 20, start=monthly[-48:].start_time(), freq="MS", seed=1, sampling="stratified"
    )
    np.testing.assert_allclose(forecast(model, monthly)[:, 0].T, expected.samples[0], rtol=1e-5)
