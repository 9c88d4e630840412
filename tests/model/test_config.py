import json
from dataclasses import replace

import pytest

from lagllama_adapters.model import BLOCK_LAGS, PUBLISHED_LAGS, LagLlamaConfig

BLOCK = LagLlamaConfig(
    head="quantile_block",
    block_length=4,
    quantile_levels=(0.1, 0.5, 0.9),
    rope_scaling={"type": "linear", "factor": 2.0},
)
MIXTURE = LagLlamaConfig(
    head="student_t_mixture", block_length=4, mixture_components=3, mixture_min_scale=0.01
)


def test_defaults_are_the_published_sizes():
    config = LagLlamaConfig()
    assert (config.d_model, config.mlp_hidden, config.feature_size) == (144, 512, 92)
    assert (len(PUBLISHED_LAGS), config.max_lag, config.past_length()) == (84, 1092, 1124)


@pytest.mark.parametrize(
    "config", [LagLlamaConfig(), BLOCK, MIXTURE], ids=["published", "block", "mixture"]
)
def test_json_round_trip_is_exact(config):
    assert LagLlamaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_and_missing_keys_are_named():
    values = BLOCK.to_dict() | {"n_layers": 3}
    del values["n_head"]
    with pytest.raises(ValueError, match=r"unknown keys \['n_layers'\], missing keys \['n_head'\]"):
        LagLlamaConfig.from_dict(values)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scaling", "minmax"),
        ("head", "gamma"),
        ("n_layer", 0),
        ("lags_seq", (3, 1)),
        ("lags_seq", ()),
        ("max_context_length", 31),
        ("n_embd_per_head", 5),
        ("rope_scaling", {"type": "yarn", "factor": 2}),
        ("rope_scaling", {"type": "linear"}),
        ("block_length", 4),
        ("block_copula", (0.5, 1.0, 0.0)),
        ("attention_window", 0),
        ("attention_window", 2.5),
        ("lags_seq", (0.9, 1.2, 2.7)),
        ("lags_seq", (0, True)),
        ("lags_seq", "012"),
        ("lags_seq", 3),
        ("time_feat", "no"),
        ("observed_indicators", 1),
        ("n_layer", True),
        ("n_layer", 1.0),
        ("n_head", "2"),
        ("block_length", 1.0),
        ("lag_experts", 0.0),
        ("path_stride", 0),
        ("path_stride", 2),  # beyond the one step of a block
        ("max_context_length", float("inf")),
        ("block_copula", (0.5, "0.5", 0.0)),
        ("block_copula", (float("nan"), 0.0, 0.0)),
        ("rope_scaling", {"type": "linear", "factor": float("inf")}),
        ("rope_scaling", {"type": "linear", "factor": "2"}),
        ("rope_scaling", {"type": "linear", "factor": 10**400}),
        ("rope_scaling", "linear"),
    ],
)
def test_values_outside_their_domain_are_named(field, value):
    with pytest.raises(ValueError, match=rf"LagLlamaConfig.{field}: got .*, expected"):
        replace(LagLlamaConfig(), **{field: value})


def test_numbers_of_numpy_become_plain_ones():
    numpy = pytest.importorskip("numpy")
    lags = tuple(numpy.arange(3))
    config = replace(LagLlamaConfig(), n_layer=numpy.int64(2), lags_seq=lags)
    assert LagLlamaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_configuration_file_with_a_float_for_an_integer_names_the_field():
    values = json.loads(json.dumps(BLOCK.to_dict() | {"n_layer": 1.0}))
    with pytest.raises(ValueError, match=r"LagLlamaConfig\.n_layer: got 1\.0, expected an integer"):
        LagLlamaConfig.from_dict(values)


def test_a_huge_value_is_named_in_a_short_message():
    value = 0
    for _ in range(60):
        value = [value, value]
    with pytest.raises(ValueError, match="n_layer") as caught:
        replace(LagLlamaConfig(), n_layer=value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("levels", [(0.5,), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0), ("a", "b"), 0.5])
def test_quantile_levels_are_checked(levels):
    with pytest.raises(ValueError, match="quantile_levels"):
        replace(BLOCK, quantile_levels=levels)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mixture_components", 0),
        ("mixture_components", 2.0),
        ("mixture_min_scale", -1e-3),
        ("mixture_min_scale", float("nan")),
        ("quantile_levels", (0.1, 0.9)),
        ("block_length", 0),
        ("lag_experts", -1),
    ],
)
def test_a_mixture_is_checked(field, value):
    with pytest.raises(ValueError, match=rf"LagLlamaConfig.{field}: got .*, expected"):
        replace(MIXTURE, **{field: value})


def test_components_belong_to_mixtures():
    with pytest.raises(ValueError, match="mixture_components: got 3, expected 0 with head"):
        replace(BLOCK, mixture_components=3)


@pytest.mark.parametrize("lags", [PUBLISHED_LAGS, BLOCK_LAGS])
def test_lag_sets_are_ascending_and_start_at_the_step_itself(lags):
    assert lags[0] == 0
    assert list(lags) == sorted(set(lags))


def test_equal_configurations_have_one_hash_whatever_their_fields():
    rope = {"type": "linear", "factor": 2}
    one, same = LagLlamaConfig(rope_scaling=rope), LagLlamaConfig(rope_scaling=dict(rope))
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, LagLlamaConfig()}) == 2
