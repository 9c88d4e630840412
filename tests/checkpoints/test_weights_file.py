"""The checksum of a weights file: what is damaged is refused, or its weights are what they were."""

import hashlib
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lagllama_adapters.checkpoints import load_pretrained, save_adapter, save_checkpoint
from lagllama_adapters.checkpoints.format import read_checkpoint
from lagllama_adapters.checkpoints.weights_file import digest, read_weights

WEIGHTS = "model.safetensors"


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def header_length(content):
    return 8 + int.from_bytes(content[:8], "little")


@pytest.fixture
def saved(make_model, tmp_path):
    return save_checkpoint(make_model(), tmp_path / "saved")


def test_every_flipped_bit_of_the_tensors_is_refused_by_the_name_of_the_file(saved):
    path = saved / WEIGHTS
    whole = path.read_bytes()
    start = header_length(whole)
    for bit in np.linspace(8 * start, 8 * len(whole) - 1, 150).astype(int):
        path.write_bytes(flipped(whole, int(bit)))
        with pytest.raises(ValueError, match=rf"{WEIGHTS}: got tensors .* expected .*: the file"):
            read_checkpoint(saved)


def test_a_flipped_bit_of_header_or_configuration_is_refused_or_harmless(
    saved, make_model, assert_same_weights
):
    refused = 0
    for name in ("config.json", WEIGHTS):
        path = saved / name
        whole = path.read_bytes()
        stop = header_length(whole) if name == WEIGHTS else len(whole)
        for bit in np.linspace(0, 8 * stop - 1, 100).astype(int):
            path.write_bytes(flipped(whole, int(bit)))
            try:
                again = read_checkpoint(saved)
            except ValueError as error:
                assert str(saved) in str(error)  # noqa: PT017 - both ends are right
                refused += 1
            else:  # white space, or the name of the entry that holds the checksum
                assert_same_weights(again, make_model())
                assert again.config == make_model().config
        path.write_bytes(whole)
    assert refused > 150


def test_files_of_older_versions_have_no_checksum_and_load(saved, make_model, assert_same_weights):
    config = json.loads((saved / "config.json").read_text())["config"]
    tensors = load_file(saved / WEIGHTS)
    save_file(tensors, saved / WEIGHTS, metadata={"config": json.dumps(config)})
    assert_same_weights(read_checkpoint(saved), make_model())
    config["decoder"]["n_layer"] = 3
    save_file(tensors, saved / WEIGHTS, metadata={"config": json.dumps(config)})
    with pytest.raises(ValueError, match=r"not from the same save.*n_layer"):
        read_checkpoint(saved)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("[1]", "no valid configuration and checksum"),
        ('{"config": {}}', r"holds \['config'\], expected \['config', 'sha256'\]"),
        ('{"config": 1, "sha256": ""}', "the file is damaged"),
        ('{"config": {}, "sha256": "00"}', "checksum .*, expected 00"),
    ],
)
def test_a_header_that_is_not_ours_is_refused(saved, header, message):
    save_file(load_file(saved / WEIGHTS), saved / WEIGHTS, metadata={"checkpoint": header})
    with pytest.raises(ValueError, match=rf"{WEIGHTS}: .*{message}"):
        read_checkpoint(saved)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_digest_is_of_names_shapes_and_bytes(dtype):
    values = torch.tensor([[1.5, -2.0]], dtype=dtype)
    content = values.view(torch.int16 if dtype.itemsize == 2 else torch.int32).numpy().tobytes()
    expected = hashlib.sha256(b"a (1, 2)" + content + b"b ()" + content[: dtype.itemsize])
    tensors = {"b": values[0, 0], "a": values}
    assert digest(tensors) == expected.hexdigest()
    assert digest({**tensors, "a": values.T}) != expected.hexdigest()


def test_tensors_swapped_between_names_are_refused(make_model, tmp_path):
    model = make_model()
    first, second = (f"decoder.blocks.0.{part}_norm.weight" for part in ("attention", "mlp"))
    with torch.no_grad():
        model.state_dict()[second].mul_(2)
    path = save_checkpoint(model, tmp_path / "saved") / WEIGHTS
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    tensors[first], tensors[second] = tensors[second], tensors[first]
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(ValueError, match="the file is damaged"):
        read_weights(path)


def test_a_flipped_bit_of_an_adapter_is_refused_or_harmless(saved, make_model, tmp_path):
    model = make_model()
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.01
    path = save_adapter(model, tmp_path / "adapter", saved) / "adapter.safetensors"
    whole, refused = path.read_bytes(), 0
    expected = load_pretrained(path.parent).state_dict()
    for bit in np.linspace(0, 8 * len(whole) - 1, 150).astype(int):
        path.write_bytes(flipped(whole, int(bit)))
        try:
            again = load_pretrained(path.parent).state_dict()
        except ValueError:
            refused += 1
        else:
            for name, weight in expected.items():
                assert torch.equal(again[name], weight), name
    assert refused > 100
