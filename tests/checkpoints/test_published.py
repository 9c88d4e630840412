import pytest
import torch

from lagllama_adapters.checkpoints.format import read_checkpoint
from lagllama_adapters.checkpoints.published import (
    convert_published_checkpoint,
    from_published_state_dict,
    read_published_checkpoint,
    to_published_state_dict,
)
from lagllama_adapters.checkpoints.torch_archive import UnsafeCheckpointError
from lagllama_adapters.model.config import LagLlamaConfig, NormalConfig

NORMAL = ("gluonts.torch.distributions.distribution_output", "NormalOutput")
BETA = ("gluonts.torch.distributions.distribution_output", "BetaOutput")


def test_a_checkpoint_of_the_original_gives_its_tensors_and_configuration(
    tiny_ckpt, tiny_published_tensors
):
    model = read_published_checkpoint(tiny_ckpt)
    assert model.config == LagLlamaConfig().replace(n_layer=2, n_head=2, n_embd_per_head=8)
    assert sum(p.numel() for p in model.parameters()) == 28243
    assert not model.training
    got = to_published_state_dict(model.state_dict())
    assert got.keys() == tiny_published_tensors.keys()
    for key, expected in tiny_published_tensors.items():
        assert torch.equal(got[key], expected), key


def test_the_joined_tensors_hold_their_parts_in_the_documented_order(tiny_published_tensors):
    published = {key.removeprefix("model."): t for key, t in tiny_published_tensors.items()}
    state = from_published_state_dict(tiny_published_tensors)
    attention = state["decoder.blocks.1.attention.qkv_proj.weight"]
    assert torch.equal(attention[:16], published["transformer.h.1.attn.q_proj.weight"])
    assert torch.equal(attention[16:], published["transformer.h.1.attn.kv_proj.weight"])
    gated = state["decoder.blocks.0.mlp.gate_up_proj.weight"]
    assert torch.equal(gated[:256], published["transformer.h.0.mlp.c_fc1.weight"])
    assert torch.equal(gated[256:], published["transformer.h.0.mlp.c_fc2.weight"])
    for i in range(3):
        assert torch.equal(
            state["head.projection.proj.weight"][i], published[f"param_proj.proj.{i}.weight"][0]
        )
        assert torch.equal(
            state["head.projection.proj.bias"][i], published[f"param_proj.proj.{i}.bias"][0]
        )


def test_a_converted_checkpoint_is_a_folder_with_the_same_weights(
    tiny_ckpt, tmp_path, assert_same_weights
):
    folder = convert_published_checkpoint(tiny_ckpt, tmp_path / "converted")
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    converted, direct = read_checkpoint(folder), read_published_checkpoint(tiny_ckpt)
    assert converted.config == direct.config
    assert_same_weights(converted, direct)


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_every_pickle_protocol_gives_the_same_model(
    protocol, write_published, tiny_ckpt, assert_same_weights
):
    made = read_published_checkpoint(write_published(protocol=protocol))
    assert_same_weights(made, read_published_checkpoint(tiny_ckpt))


def test_facts_of_the_weights_are_taken_from_model_kwargs(write_published):
    facts = {"context_length": 64, "max_context_length": 512, "scaling": "mean"}
    path = write_published(**facts, rope_scaling={"type": "linear", "factor": 2.0})
    config = read_published_checkpoint(path).config
    assert config.context_length == 64
    assert config.max_context_length == 512
    assert config.inputs.scaling == "mean"
    assert config.decoder.rope_scaling == {"type": "linear", "factor": 2.0}


def test_no_scaling_is_spelled_none(write_published):
    assert read_published_checkpoint(write_published(scaling=None)).config.inputs.scaling == "none"


def test_facts_that_older_checkpoints_leave_out_take_the_original_defaults(write_published):
    drop = ("max_context_length", "rope_scaling", "time_feat", "dropout", "num_parallel_samples")
    config = read_published_checkpoint(write_published(drop=drop)).config
    assert config == LagLlamaConfig().replace(n_layer=2, n_head=2, n_embd_per_head=8)


def test_a_normal_head_has_two_parameters(write_published, tiny_published_tensors):
    dropped = ("model.param_proj.proj.2.weight", "model.param_proj.proj.2.bias")
    state = {k: t for k, t in tiny_published_tensors.items() if k not in dropped}
    model = read_published_checkpoint(write_published(state=state, distribution=NORMAL))
    assert model.config.head == NormalConfig()
    back = to_published_state_dict(model.state_dict())
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)


def test_weights_in_other_precisions_are_loaded_as_float32(write_published, tiny_published_tensors):
    state = {key: tensor.double() for key, tensor in tiny_published_tensors.items()}
    model = read_published_checkpoint(write_published(state=state))
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_tables_of_rotary_angles_are_dropped(
    write_published, tiny_published_tensors, tiny_ckpt, assert_same_weights
):
    tables = {"model.transformer.h.0.attn.rotary_emb.inv_freq": torch.ones(4)}
    model = read_published_checkpoint(write_published(state={**tiny_published_tensors, **tables}))
    assert_same_weights(model, read_published_checkpoint(tiny_ckpt))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wavelets": True}, r"unknown keys \['wavelets'\]"),
        ({"drop": ("n_layer",)}, r"missing keys \['n_layer'\]"),
        ({"input_size": 2}, r"input_size.*got 2"),
        ({"scaling": "minmax"}, r"scaling.*'minmax'.*robust"),
        ({"scaling": ["robust"]}, r"scaling.*\['robust'\]"),
        ({"distr_output": "StudentT"}, r"distr_output.*'str'.*StudentTOutput"),
        ({"rope_scaling": {"type": "yarn", "factor": 2.0}}, r"rope_scaling.*yarn"),
        ({"n_layer": 3}, r"missing tensors.*decoder\.blocks\.2\."),
        ({"n_layer": 1}, r"unknown tensors.*decoder\.blocks\.1\."),
        ({"n_head": 4}, r"got shape.*expected"),
        ({"time_feat": False}, r"token_embedding\.weight.*\(16, 92\).*\(16, 86\)"),
        ({"lags_seq": [0, 1]}, r"token_embedding\.weight.*\(16, 92\).*\(16, 10\)"),
    ],
)
def test_a_fact_that_does_not_fit_is_an_error_that_names_it(change, message, write_published):
    with pytest.raises(ValueError, match=message):
        read_published_checkpoint(write_published(**change))


def test_a_distribution_that_is_not_known_is_refused_by_name(write_published):
    with pytest.raises(UnsafeCheckpointError, match="BetaOutput"):
        read_published_checkpoint(write_published(distribution=BETA))


def test_missing_and_unknown_and_misshapen_tensors_are_errors_that_name_them(
    write_published, tiny_published_tensors
):
    layer = "model.transformer.h.1.mlp.c_fc2.weight"
    without = {k: t for k, t in tiny_published_tensors.items() if k != layer}
    with pytest.raises(ValueError, match=rf"missing tensors \['{layer}'\]"):
        read_published_checkpoint(write_published(state=without))

    extra = {**tiny_published_tensors, "model.transformer.wpe.weight": torch.ones(1)}
    with pytest.raises(ValueError, match=r"unknown tensors \['model\.transformer\.wpe\.weight'\]"):
        read_published_checkpoint(write_published(state=extra))

    wrong = {**tiny_published_tensors, "model.transformer.ln_f.scale": torch.ones(17)}
    with pytest.raises(ValueError, match=r"final_norm\.weight.*\(17,\).*\(16,\)"):
        read_published_checkpoint(write_published(state=wrong))


def test_parts_that_join_in_the_wrong_shares_are_an_error(write_published, tiny_published_tensors):
    # q longer and kv shorter: their joined shape alone would fit.
    prefix = "model.transformer.h.0.attn."
    query, keys_values = (tiny_published_tensors[f"{prefix}{n}_proj.weight"] for n in ("q", "kv"))
    moved = {
        f"{prefix}q_proj.weight": torch.cat((query, keys_values[:4])),
        f"{prefix}kv_proj.weight": keys_values[4:],
    }
    with pytest.raises(ValueError, match=r"h\.0\.attn\.q_proj\.weight"):
        read_published_checkpoint(write_published(state={**tiny_published_tensors, **moved}))


@pytest.mark.parametrize("tensor", [torch.tensor(1.0), torch.ones(256, 3), torch.ones(256)])
def test_parts_that_cannot_be_joined_are_an_error(tensor, write_published, tiny_published_tensors):
    key = "model.transformer.h.0.mlp.c_fc1.weight"
    with pytest.raises(ValueError, match=key):
        read_published_checkpoint(write_published(state={**tiny_published_tensors, key: tensor}))


def test_a_state_without_a_published_form_is_an_error(make_model):
    state = make_model().state_dict()
    state["head.extra"] = torch.ones(1)
    with pytest.raises(ValueError, match=r"unknown tensors \['head\.extra'\]"):
        to_published_state_dict(state)


@pytest.mark.parametrize("key", ["scaling", "input_size", "rope_scaling", "lags_seq", "n_layer"])
def test_a_value_that_unfolds_to_any_size_gives_a_short_message(key, write_published):
    value = 0
    for _ in range(60):
        value = [value, value]
    with pytest.raises(ValueError, match=key) as caught:
        read_published_checkpoint(write_published(**{key: value}))
    assert len(str(caught.value)) < 2000


def test_a_setting_named_by_a_number_is_an_error(write_published):
    other = {"hyper_parameters": {"model_kwargs": {0: 1, "n_layer": 2}}}
    with pytest.raises(ValueError, match="no 'model_kwargs'"):
        read_published_checkpoint(write_published(other=other))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_a_weight_that_is_not_finite_is_an_error_that_names_it(
    value, write_published, tiny_published_tensors
):
    state = {key: tensor.double() for key, tensor in tiny_published_tensors.items()}
    state["model.transformer.ln_f.scale"][3] = value
    with pytest.raises(ValueError, match=r"final_norm\.weight.*not finite"):
        read_published_checkpoint(write_published(state=state))


@pytest.mark.parametrize("missing", ["hyper_parameters", "state_dict"])
def test_a_checkpoint_of_another_project_is_an_error(missing, tmp_path, write_published):
    content = {"state_dict": {}, "hyper_parameters": {"model_kwargs": {}}}
    content.pop(missing)
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=f"no '{missing}'"):
        read_published_checkpoint(tmp_path / "other.ckpt")


def test_a_state_dict_of_something_else_than_tensors_is_an_error(write_published):
    with pytest.raises(ValueError, match=r"state_dict\['model\.x'\] is not a tensor"):
        read_published_checkpoint(write_published(state={"model.x": [1.0]}))


def test_one_hostile_object_anywhere_refuses_the_whole_checkpoint(write_published, tmp_path):
    marker = tmp_path / "executed"

    class Hostile:
        def __reduce__(self):
            return open, (str(marker), "w")

    path = write_published(other={"callbacks": {"checkpoint": [Hostile()]}})
    with pytest.raises(UnsafeCheckpointError, match=r"io\.open"):
        read_published_checkpoint(path)
    assert not marker.exists()
