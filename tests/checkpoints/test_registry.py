import copy
import os
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from lagllama_adapters.checkpoints import registry
from lagllama_adapters.checkpoints.format import save_checkpoint
from lagllama_adapters.checkpoints.registry import (
    clear_pretrained_cache,
    load_pretrained,
    pretrained_config,
)
from lagllama_adapters.model.devices import resolve_device


@pytest.fixture(autouse=True)
def empty_registry():
    clear_pretrained_cache()
    yield
    clear_pretrained_cache()


@pytest.fixture
def folder(make_model, tmp_path):
    return save_checkpoint(make_model(), tmp_path / "saved")


@pytest.fixture
def loads(monkeypatch):
    """The sources that were read from disk."""
    seen = []
    real = registry._read

    def count(source):
        seen.append(source)
        time.sleep(0.05)  # long enough for a second thread to come by
        return real(source)

    monkeypatch.setattr(registry, "_read", count)
    return seen


def test_a_folder_and_an_original_file_are_checkpoints(
    folder, tiny_ckpt, make_model, assert_same_weights
):
    assert_same_weights(load_pretrained(folder), make_model())
    assert load_pretrained(str(tiny_ckpt)).config.decoder.n_layer == 2


def test_all_callers_share_one_copy_in_eval_mode(folder, loads, monkeypatch):
    model = load_pretrained(folder)
    model.train()
    monkeypatch.chdir(folder.parent)
    for same in (str(folder), folder, Path("saved"), "./saved", folder / ".." / "saved"):
        assert load_pretrained(same, "cpu") is model
    assert not model.training
    assert len(loads) == 1


def test_threads_share_one_copy(folder, loads):
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(load_pretrained, [folder] * 16))
    assert all(model is models[0] for model in models)
    assert len(loads) == 1


def test_each_device_has_a_copy_of_its_own(folder):
    on_cpu, elsewhere = load_pretrained(folder), load_pretrained(folder, torch.device("meta"))
    assert on_cpu.device.type == "cpu"
    assert elsewhere.device.type == "meta"
    assert load_pretrained(folder) is on_cpu


def test_the_default_device_is_the_cpu_and_auto_takes_what_there_is(folder, monkeypatch):
    assert load_pretrained(folder).device.type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert load_pretrained(folder, "auto") is load_pretrained(folder, None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    assert resolve_device("auto") == torch.device("cuda", 1)


def test_a_name_is_that_name_even_where_a_folder_has_it(
    folder, make_model, monkeypatch, assert_same_weights
):
    monkeypatch.setitem(registry.KNOWN_CHECKPOINTS, "base", lambda: folder)
    monkeypatch.chdir(folder.parent)
    other = make_model(seed=3)
    save_checkpoint(other, "base")
    assert_same_weights(load_pretrained("base"), make_model())
    assert_same_weights(load_pretrained("./base"), other)
    assert_same_weights(load_pretrained(Path("base")), other)


@pytest.mark.parametrize(("name", "most_bytes"), [("base", 12e6), ("tiny", 300e3)])
def test_names_of_weights_inside_the_package(name, most_bytes):
    inside = Path(registry.__file__).parent / "weights" / name
    assert registry.KNOWN_CHECKPOINTS[name]() == inside
    assert (inside / "model.safetensors").stat().st_size <= most_bytes
    assert (inside / "MODEL_CARD.md").is_file()


@pytest.mark.parametrize("unknown", ["bsae", "models/mine", "weights.ckpt", ""])
def test_an_unknown_name_is_an_error_with_got_and_known(unknown, tmp_path, monkeypatch):
    (tmp_path / "file.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=rf"got '{unknown}'.*'base', 'tiny', 'published'.*folder"):
        load_pretrained(unknown)


def test_a_file_of_another_kind_is_an_error(folder):
    with pytest.raises(ValueError, match=r"model\.safetensors'.*checkpoint folder"):
        load_pretrained(folder / "model.safetensors")


def test_something_else_than_a_name_is_an_error(make_model):
    with pytest.raises(TypeError, match="got LagLlama"):
        load_pretrained(make_model())


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_pretrained(tmp_path)


def add_under_no_grad(model):
    with torch.no_grad():
        model.token_embedding.weight[0, 0] += 1


def reorder_under_no_grad(model):
    with torch.no_grad():
        model.token_embedding.weight.copy_(model.token_embedding.weight.flip(0))


def add_through_data(model):
    model.decoder.final_norm.weight.data[0] += 1


def step_an_optimizer(model):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    sum(parameter.square().sum() for parameter in model.parameters()).backward()
    optimizer.step()


def replace_a_parameter(model):
    model.head.projection.proj.bias = torch.nn.Parameter(torch.zeros(3))


def freeze(model):
    model.requires_grad_(False)


def add_a_module(model):
    model.adapter = torch.nn.Linear(1, 1)


CHANGES = [
    add_under_no_grad,
    reorder_under_no_grad,
    add_through_data,
    step_an_optimizer,
    replace_a_parameter,
    freeze,
    add_a_module,
    lambda model: model.half(),
    lambda model: model.double(),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_shared_copy_that_was_changed_is_replaced_with_a_warning(
    change, folder, make_model, assert_same_weights
):
    spoilt = load_pretrained(folder)
    change(spoilt)
    with pytest.warns(RuntimeWarning, match=r"changed in place.*deepcopy") as caught:
        fresh = load_pretrained(folder)
    assert caught[0].filename == __file__
    assert fresh is not spoilt
    assert_same_weights(fresh, make_model())
    assert all(parameter.requires_grad for parameter in fresh.parameters())
    assert load_pretrained(folder) is fresh


def test_use_without_change_keeps_the_copy(folder):
    model = load_pretrained(folder)
    tuned = copy.deepcopy(model)
    step_an_optimizer(tuned)
    history = torch.randn(2, model.config.past_length())
    model(history, torch.ones_like(history)).loc.sum()
    sum(parameter.sum() for parameter in model.parameters()).backward()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_pretrained(folder) is model


def test_a_copy_loaded_in_inference_mode_can_be_tuned(folder):
    with torch.inference_mode():
        model = load_pretrained(folder)
        elsewhere = load_pretrained(folder, "meta")
    step_an_optimizer(copy.deepcopy(model))
    assert not any(parameter.is_inference() for parameter in elsewhere.parameters())


def test_a_checkpoint_that_changed_on_disk_is_loaded_anew(folder, make_model, assert_same_weights):
    old = load_pretrained(folder)
    save_checkpoint(make_model(seed=5), folder)
    assert_same_weights(load_pretrained(folder), make_model(seed=5))
    assert_same_weights(old, make_model())


def test_a_changed_time_stamp_is_enough_to_load_anew(folder, loads):
    load_pretrained(folder)
    os.utime(folder / "model.safetensors", (1, 1))
    load_pretrained(folder)
    assert len(loads) == 2


def test_clearing_forgets_every_copy(folder, loads):
    model = load_pretrained(folder)
    clear_pretrained_cache()
    assert load_pretrained(folder) is not model
    assert len(loads) == 2


def test_the_config_is_that_of_the_weights_and_is_read_once(folder, make_model, loads):
    assert pretrained_config(folder) == make_model().config
    assert pretrained_config(folder) is load_pretrained(folder).config
    assert len(loads) == 1
    os.utime(folder / "model.safetensors", (1, 1))
    assert pretrained_config(folder) == make_model().config
    assert len(loads) == 2
    with pytest.raises(ValueError, match="known names"):
        pretrained_config("nowhere")
