"""Adapters: what tuning changed, alone, and the network made of it again."""

import copy
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, load_file, save_file

from lagllama_adapters.checkpoints import load_pretrained, save_adapter, save_checkpoint
from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.training.adaptation.lora import Lora

SERIES = np.random.default_rng(0).normal(size=60).cumsum()


def low_rank(model, rank=2, size=0.02):
    """A copy whose matrices differ by updates of low rank, and its vectors by numbers."""
    tuned, generator = copy.deepcopy(model), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in tuned.parameters():
            if weight.ndim == 2:
                up = torch.randn(weight.shape[0], rank, generator=generator)
                weight += size * up @ torch.randn(rank, weight.shape[1], generator=generator)
            else:
                weight += size * torch.randn(weight.shape, generator=generator)
    return tuned


@pytest.fixture
def base(block_checkpoint):
    return load_pretrained(block_checkpoint)


def test_loaded_adapter_forecasts_like_the_tuned_network(base, block_checkpoint, tmp_path):
    tuned = low_rank(base, rank=1)
    folder = save_adapter(tuned, tmp_path / "adapter", block_checkpoint)
    again = load_pretrained(folder)
    for name, tensor in tuned.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=1e-6, rtol=1e-6)
    expected, got, before = (
        LagLlamaPredictor(network).predict([SERIES], 9, seed=0).samples
        for network in (tuned, again, base)
    )
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert np.abs(got - before).max() > 1e-2


def test_another_process_loads_it(base, tmp_path, block_checkpoint):
    tuned = low_rank(base, rank=1)
    save_adapter(tuned, tmp_path / "adapter", block_checkpoint)
    code = (
        "import sys, numpy as np; from lagllama_adapters import LagLlamaPredictor; "
        "s = np.random.default_rng(0).normal(size=60).cumsum(); "
        "np.save(sys.argv[2], LagLlamaPredictor(sys.argv[1]).predict([s], 9, seed=0).samples)"
    )
    result = tmp_path / "samples.npy"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "adapter"), str(result)], check=True)
    expected = LagLlamaPredictor(tuned).predict([SERIES], 9, seed=0).samples
    np.testing.assert_allclose(np.load(result), expected, atol=1e-4)


def test_updates_of_low_rank_of_the_embedded_weights_take_little_room(tmp_path):
    base = load_pretrained("base")
    tuned = low_rank(base, rank=Lora().rank, size=0.003)
    folder = save_adapter(tuned, tmp_path)
    assert [path.name for path in folder.iterdir()] == ["adapter.safetensors"]
    assert (folder / "adapter.safetensors").stat().st_size < 300_000
    again = load_pretrained(folder)
    for name, tensor in tuned.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)


def test_only_what_changed_is_kept(base, block_checkpoint, tmp_path):
    tuned = copy.deepcopy(base)
    with torch.no_grad():
        tuned.head.projection.proj.bias += 1
    save_adapter(tuned, tmp_path, block_checkpoint)
    assert load_file(tmp_path / "adapter.safetensors").keys() == {"head.projection.proj.bias"}
    torch.testing.assert_close(
        dict(load_pretrained(tmp_path).state_dict()), dict(tuned.state_dict()), rtol=0, atol=0
    )
    save_adapter(base, tmp_path, block_checkpoint)  # nothing
    torch.testing.assert_close(
        dict(load_pretrained(tmp_path).state_dict()), dict(base.state_dict()), rtol=0, atol=0
    )


def test_weights_that_changed_altogether_are_kept_exactly(base, block_checkpoint, tmp_path):
    tuned = low_rank(base, rank=64)
    save_adapter(tuned, tmp_path, block_checkpoint)
    torch.testing.assert_close(
        dict(load_pretrained(tmp_path).state_dict()), dict(tuned.state_dict()), rtol=0, atol=0
    )


def test_adapters_of_adapters_and_folders_that_move_together(base, block_checkpoint, tmp_path):
    shutil.copytree(block_checkpoint, tmp_path / "old" / "base")
    first = low_rank(base, rank=1)
    save_adapter(first, tmp_path / "old" / "first", tmp_path / "old" / "base")
    second = low_rank(load_pretrained(tmp_path / "old" / "first"), rank=1)
    save_adapter(second, tmp_path / "old" / "second", tmp_path / "old" / "first")
    (tmp_path / "old").rename(tmp_path / "new")
    again = load_pretrained(tmp_path / "new" / "second")
    for name, tensor in second.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, atol=1e-6, rtol=1e-6)


def test_adapter_is_refused_where_its_weights_are_others_or_gone(base, block_checkpoint, tmp_path):
    shutil.copytree(block_checkpoint, tmp_path / "base")
    folder = save_adapter(low_rank(base), tmp_path / "adapter", tmp_path / "base")
    load_pretrained(folder)
    save_checkpoint(low_rank(base, size=1e-4), tmp_path / "base")
    with pytest.raises(ValueError, match=r"got an adapter of other weights than .*tune again"):
        load_pretrained(folder)
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ValueError, match="expected one of the known names"):
        load_pretrained(folder)


def test_damaged_files_are_refused(base, block_checkpoint, tmp_path):
    path = save_adapter(low_rank(base), tmp_path, block_checkpoint) / "adapter.safetensors"
    good = path.read_bytes()
    tensors = load(good)  # not of the file, which is written over
    path.write_bytes(good[:40])
    with pytest.raises(ValueError, match="is not a valid adapter"):
        load_pretrained(tmp_path)
    save_file(tensors, path, {"adapter": json.dumps({"version": 9})})
    with pytest.raises(ValueError, match="got an adapter of version 9, expected 1"):
        load_pretrained(tmp_path)
    save_file(tensors, path)
    with pytest.raises(ValueError, match="got an adapter of version None, expected 1"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("key", ["none#up", "token_embedding.weight#up", "none"])
def test_tensors_that_do_not_fit_are_refused(base, block_checkpoint, tmp_path, key):
    path = save_adapter(base, tmp_path, block_checkpoint) / "adapter.safetensors"
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["adapter"])
    del about["sha256"]  # of an older version
    header = {"adapter": json.dumps(about)}
    save_file({key: torch.zeros(2, 2)}, path, header)
    with pytest.raises(ValueError, match=r"expected pairs of factors|unknown tensors \['none'\]"):
        load_pretrained(tmp_path)


def test_places_and_networks_that_do_not_fit_are_refused(
    base, block_checkpoint, student_t_checkpoint, tmp_path
):
    save_checkpoint(base, tmp_path)
    with pytest.raises(ValueError, match="got a folder that holds a whole checkpoint"):
        save_adapter(base, tmp_path, block_checkpoint)
    with pytest.raises(ValueError, match="got a network of another configuration"):
        save_adapter(base, tmp_path / "new", student_t_checkpoint)
    with pytest.raises(ValueError, match="got the folder of what was tuned"):
        save_adapter(base, save_adapter(base, tmp_path / "a", tmp_path), tmp_path / "a")
    broken = copy.deepcopy(base)
    with torch.no_grad():
        broken.token_embedding.bias[0] = torch.nan
    with pytest.raises(ValueError, match=r"token_embedding\.bias has a value that is not finite"):
        save_adapter(broken, tmp_path / "new", block_checkpoint)
    assert not (tmp_path / "new").exists()
