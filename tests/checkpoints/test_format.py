import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import lagllama_adapters
from lagllama_adapters.checkpoints.format import read_checkpoint, save_checkpoint
from lagllama_adapters.checkpoints.migrations import FORMAT_VERSION
from lagllama_adapters.model.config import (
    LagLlamaConfig,
    NormalConfig,
    QuantileConfig,
    StudentTMixtureConfig,
)

FILES = ["config.json", "model.safetensors"]


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def edit_config(folder, **changes):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    for name, value in changes.items():
        groups = [g for g in content["config"].values() if name in g]
        if name == "head":
            value = LagLlamaConfig(head=value).to_dict()["head"]
        (groups or [content["config"]])[0][name] = value
    path.write_text(json.dumps({**content, "config": content["config"]}))


def rewrite_weights(folder, change):
    """Store changed tensors as another tool would, without our header."""
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": NormalConfig(), "rope_scaling": {"type": "linear", "factor": 2}},
        {
            "head": QuantileConfig(block_length=4, quantile_levels=(0.1, 0.5, 0.9)),
            "observed_indicators": True,
            "imputation": "scaled_zero",
            "input_transform": "asinh",
            "scale_floor": "cascade",
        },
        {
            "head": StudentTMixtureConfig(
                block_length=4, components=2, min_scale=0.01, lag_experts=3
            )
        },
    ],
)
def test_a_saved_model_comes_back_equal(changes, make_model, tmp_path, assert_same_weights):
    model = make_model(**changes)
    folder = save_checkpoint(model, tmp_path / "parent" / "saved")
    assert names(folder) == FILES
    loaded = read_checkpoint(folder)
    assert loaded.config == model.config
    assert not loaded.training
    assert_same_weights(loaded, model)
    for parameter in loaded.parameters():
        assert parameter.requires_grad


def test_the_same_model_gives_the_same_bytes(make_model, tmp_path):
    first = save_checkpoint(make_model(), tmp_path / "first")
    second = save_checkpoint(make_model(), tmp_path / "second")
    for name in FILES:
        assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_stored_in_half_precision_are_loaded_as_float32(dtype, make_model, tmp_path):
    model = make_model()
    save_checkpoint(model, tmp_path / "whole")
    save_checkpoint(model, tmp_path / "half", dtype=dtype)
    sizes = [(tmp_path / name / FILES[1]).stat().st_size for name in ("half", "whole")]
    assert sizes[0] < 0.7 * sizes[1]
    for key, tensor in read_checkpoint(tmp_path / "half").state_dict().items():
        assert tensor.dtype == torch.float32
        rounded = model.state_dict()[key].to(getattr(torch, dtype)).float()
        assert torch.equal(tensor, rounded)


def test_a_weight_beyond_the_stored_range_is_an_error_that_names_it(make_model, tmp_path):
    model = make_model()
    with torch.no_grad():
        model.token_embedding.bias[1] = 1e5
    with pytest.raises(ValueError, match=r"token_embedding\.bias.*float16"):
        save_checkpoint(model, tmp_path / "saved", dtype="float16")
    assert not (tmp_path / "saved").exists()


def test_a_weight_that_is_not_finite_is_not_saved(make_model, tmp_path):
    model = make_model()
    with torch.no_grad():
        model.token_embedding.bias[1] = torch.nan
    with pytest.raises(ValueError, match=r"token_embedding\.bias.*not finite"):
        save_checkpoint(model, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


def test_an_unknown_storage_dtype_is_an_error(make_model, tmp_path):
    with pytest.raises(ValueError, match=r"'int8'.*float16"):
        save_checkpoint(make_model(), tmp_path / "saved", dtype="int8")


def test_saving_over_a_checkpoint_replaces_it_and_keeps_other_files(
    make_model, tmp_path, assert_same_weights
):
    folder = save_checkpoint(make_model(seed=1), tmp_path / "saved")
    (folder / "MODEL_CARD.md").write_text("kept")
    other = make_model(seed=2, n_layer=2)
    save_checkpoint(other, folder)
    assert_same_weights(read_checkpoint(folder), other)
    assert names(folder) == ["MODEL_CARD.md", *FILES]


@pytest.mark.parametrize("written", [0, 1], ids=["while writing weights", "while writing config"])
def test_a_save_that_runs_out_of_space_leaves_the_old_checkpoint(
    written, make_model, tmp_path, monkeypatch, assert_same_weights
):
    old = make_model(seed=1)
    folder = save_checkpoint(old, tmp_path / "saved")
    real, room = os.fsync, iter([True] * written)

    def sync(descriptor):
        if not next(room, False):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(make_model(seed=2, n_layer=2), folder)
    assert names(folder) == FILES
    assert_same_weights(read_checkpoint(folder), old)


def test_a_save_that_may_not_replace_leaves_the_old_checkpoint(
    make_model, tmp_path, monkeypatch, assert_same_weights
):
    old = make_model(seed=1)
    folder = save_checkpoint(old, tmp_path / "saved")

    def refuse(*_):
        raise PermissionError("in use")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(PermissionError):
            save_checkpoint(make_model(seed=2, n_layer=2), folder)
    assert names(folder) == FILES
    assert_same_weights(read_checkpoint(folder), old)


KILLED_SAVE = """
import os, signal, sys
from lagllama_adapters.checkpoints.format import read_checkpoint, save_checkpoint
from lagllama_adapters.checkpoints.migrations import FORMAT_VERSION
before, source, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
real, done = os.replace, 0
def replace(*arguments):
    global done
    if done == before:
        os.kill(os.getpid(), signal.SIGKILL)
    done += 1
    real(*arguments)
os.replace = replace
save_checkpoint(read_checkpoint(source), folder)
"""


@pytest.mark.parametrize(
    ("replaced", "n_layer", "outcome"),
    [(0, 2, "old"), (1, 1, "new"), (1, 2, "mixed")],
    ids=["before either file", "between the files", "between the files of another configuration"],
)
def test_a_killed_save_never_leaves_a_mixed_pair_that_loads(
    replaced, n_layer, outcome, make_model, tmp_path, assert_same_weights
):
    old, new = make_model(seed=1), make_model(seed=2, n_layer=n_layer)
    folder = save_checkpoint(old, tmp_path / "saved")
    source = save_checkpoint(new, tmp_path / "source")
    root = str(Path(lagllama_adapters.__file__).parents[1])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_SAVE, str(replaced), source, folder],
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    if outcome == "mixed":
        with pytest.raises(ValueError, match=r"not from the same save.*n_layer"):
            read_checkpoint(folder)
        save_checkpoint(new, folder)  # saving again mends it
    expected = old if outcome == "old" else new
    assert_same_weights(read_checkpoint(folder), expected)


def test_loading_touches_no_random_state(make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    before = torch.get_rng_state()
    read_checkpoint(folder)
    assert torch.equal(torch.get_rng_state(), before)


def test_loading_ignores_the_callers_modes(make_model, tmp_path, monkeypatch):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.device("meta"):
            model = read_checkpoint(folder)
    finally:
        torch.set_default_dtype(default)
    for parameter in model.parameters():
        assert parameter.dtype == torch.float32
        assert parameter.device.type == "cpu"
        assert not parameter.is_inference()


def test_a_configuration_edited_by_hand_is_an_error_that_names_the_key(make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    edit_config(folder, scaling="mean")  # every tensor would still fit
    with pytest.raises(ValueError, match=r"scaling.*mean.*robust"):
        read_checkpoint(folder)


def test_unknown_and_missing_configuration_keys_are_errors_that_name_them(make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    edit_config(folder, wavelets=True)
    with pytest.raises(ValueError, match=r"config\.json.*wavelets"):
        read_checkpoint(folder)
    content = json.loads((folder / "config.json").read_text())
    del content["config"]["wavelets"]
    del content["config"]["inputs"]["scaling"]
    (folder / "config.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"config\.json.*missing.*scaling"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "got list"),
        ('{"config": {}}', r"got \['config'\].*format_version"),
        ('{"format_version": 1, "config": {}, "extra": 1}', "extra"),
        ('{"format_version": 9, "config": {}}', "written by a newer version"),
        ('{"format_version": 1, "config": 3}', "not an object"),
        ("\xff\xfe", "not valid JSON"),
    ],
)
def test_a_damaged_configuration_is_an_error(content, message, make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    (folder / "config.json").write_bytes(content.encode("latin1"))
    with pytest.raises(ValueError, match=message):
        read_checkpoint(folder)


def test_a_configuration_value_of_another_type_is_a_value_error(make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    edit_config(folder, n_layer="two")
    with pytest.raises(ValueError, match=r"config\.json"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_without_one_of_its_files_is_an_error_that_names_it(name, make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"no {name}"):
        read_checkpoint(folder)


def test_weights_of_another_tool_load_when_the_tensors_fit(
    make_model, tmp_path, assert_same_weights
):
    model = make_model()
    folder = save_checkpoint(model, tmp_path / "saved")
    rewrite_weights(folder, lambda tensors: None)
    assert_same_weights(read_checkpoint(folder), model)


_BIAS = "head.projection.proj.bias"
_NAME = re.escape(_BIAS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.pop(_BIAS),
            rf"missing tensors \['{_NAME}'\]",
        ),
        (lambda t: t.update(extra=torch.ones(1)), r"unknown tensors \['extra'\]"),
        (
            lambda t: t.update({_BIAS: torch.ones(4)}),
            rf"{_NAME}.*got shape \(4,\), expected \(3,\)",
        ),
        (
            lambda t: t.update({_BIAS: torch.ones(3, dtype=torch.int64)}),
            rf"{_NAME}.*torch\.int64.*torch\.float32",
        ),
        (
            lambda t: t[_BIAS].fill_(torch.nan),
            rf"{_NAME}.*not finite",
        ),
        (
            lambda t: t[_BIAS][1:2].fill_(-torch.inf),
            rf"{_NAME}.*not finite",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_an_error_that_names_them(
    change, message, make_model, tmp_path
):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    rewrite_weights(folder, change)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(folder)


def test_damaged_weights_are_an_error(make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ValueError, match="not a valid safetensors"):
        read_checkpoint(folder)


def test_a_header_with_something_else_is_an_error(make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors, folder / "model.safetensors", metadata={"config": "not JSON"})
    with pytest.raises(ValueError, match="header"):
        read_checkpoint(folder)


def test_the_reader_keeps_no_hold_on_the_file(make_model, tmp_path, assert_same_weights):
    model = make_model()
    folder = save_checkpoint(model, tmp_path / "saved")
    loaded = read_checkpoint(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(b"\0" * weights.stat().st_size)
    assert_same_weights(loaded, model)


def test_the_format_version_is_written(make_model, tmp_path):
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    content = json.loads((folder / "config.json").read_text())
    assert content["format_version"] == FORMAT_VERSION
    assert content["config"]["decoder"]["n_layer"] == 1


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"n_embd_per_head": 10**7}, "does not fit the configuration: got shape"),
        ({"n_embd_per_head": 10**30}, "more than torch can hold"),
        ({"n_layer": 10**9}, "tensors for 1000000000 layers"),
        (
            {"head": QuantileConfig(block_length=10**9, lag_experts=4)},
            "weights do not fit|experts",
        ),
    ],
)
def test_a_configuration_that_claims_any_size_takes_neither_memory_nor_time(
    claim, message, make_model, tmp_path
):
    """None of them could be built."""
    folder = save_checkpoint(make_model(), tmp_path / "saved")
    edit_config(folder, **claim)
    rewrite_weights(folder, lambda tensors: None)
    with pytest.raises(ValueError, match=message):
        read_checkpoint(folder)
