import json

import pytest

from lagllama_adapters.model import BLOCK_LAGS, PUBLISHED_LAGS, LagLlamaConfig
from lagllama_adapters.model.config import (
    FAMILIES,
    DecoderConfig,
    NormalConfig,
    QuantileConfig,
    SamplingConfig,
    StudentTMixtureConfig,
)

BLOCK = LagLlamaConfig(
    decoder=DecoderConfig(rope_scaling={"type": "linear", "factor": 2.0}),
    head=QuantileConfig(block_length=4, quantile_levels=(0.1, 0.5, 0.9)),
)
MIXTURE = LagLlamaConfig(head=StudentTMixtureConfig(block_length=4, components=3, min_scale=0.01))


def test_defaults_are_the_published_sizes():
    config = LagLlamaConfig()
    assert (config.d_model, config.decoder.mlp_hidden, config.feature_size) == (144, 512, 92)
    assert (len(PUBLISHED_LAGS), config.max_lag, config.past_length()) == (84, 1092, 1124)


@pytest.mark.parametrize(
    "config", [LagLlamaConfig(), BLOCK, MIXTURE], ids=["published", "block", "mixture"]
)
def test_json_round_trip_is_exact(config):
    assert LagLlamaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("group", ["inputs", "decoder", "head", "sampling"])
def test_unknown_and_missing_keys_are_named_with_their_group(group):
    values = BLOCK.to_dict()
    missing = sorted(values[group].keys() - {"family"})[0]
    del values[group][missing]
    values[group]["n_layers"] = 3
    message = rf"LagLlamaConfig\.{group}: unknown keys \['n_layers'\], missing keys \['{missing}'\]"
    with pytest.raises(ValueError, match=message):
        LagLlamaConfig.from_dict(values)


def test_unknown_and_missing_groups_are_named():
    values = BLOCK.to_dict() | {"body": {}}
    del values["decoder"]
    with pytest.raises(ValueError, match=r"unknown keys \['body'\], missing keys \['decoder'\]"):
        LagLlamaConfig.from_dict(values)
    with pytest.raises(ValueError, match=r"LagLlamaConfig.inputs: got 3, expected a mapping"):
        LagLlamaConfig.from_dict(BLOCK.to_dict() | {"inputs": 3})


@pytest.mark.parametrize("family", ["gamma", None, ["normal"], 3])
def test_an_unknown_family_is_named(family):
    values = BLOCK.to_dict()
    values["head"]["family"] = family
    with pytest.raises(ValueError, match=r"LagLlamaConfig\.head\.family: got .*, expected one of"):
        LagLlamaConfig.from_dict(values)


def test_a_group_of_another_type_is_refused():
    with pytest.raises(ValueError, match=r"head: got 'normal', expected a HeadConfig"):
        LagLlamaConfig(head="normal")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("inputs.scaling", "minmax"),
        ("inputs.scaling", ["robust"]),
        ("decoder.n_layer", 0),
        ("inputs.lags_seq", (3, 1)),
        ("inputs.lags_seq", ()),
        ("inputs.season_features", (7, 7)),
        ("inputs.season_features", (0, 7)),
        ("decoder.max_context_length", 31),
        ("decoder.n_embd_per_head", 5),
        ("decoder.rope_scaling", {"type": "yarn", "factor": 2}),
        ("decoder.rope_scaling", {"type": "linear"}),
        ("head.block_length", 4),
        ("decoder.attention_window", 0),
        ("decoder.attention_window", 2.5),
        ("inputs.lags_seq", (0.9, 1.2, 2.7)),
        ("inputs.lags_seq", (0, True)),
        ("inputs.lags_seq", "012"),
        ("inputs.lags_seq", 3),
        ("inputs.time_feat", "no"),
        ("inputs.observed_indicators", 1),
        ("decoder.n_layer", True),
        ("decoder.n_layer", 1.0),
        ("decoder.n_head", "2"),
        ("head.block_length", 1.0),
        ("sampling.path_stride", 0),
        ("sampling.path_stride", 2),  # beyond the one step of a block
        ("decoder.max_context_length", float("inf")),
        ("decoder.rope_scaling", {"type": "linear", "factor": float("inf")}),
        ("decoder.rope_scaling", {"type": "linear", "factor": "2"}),
        ("decoder.rope_scaling", {"type": "linear", "factor": 10**400}),
        ("decoder.rope_scaling", "linear"),
    ],
)
def test_values_outside_their_domain_are_named(field, value):
    with pytest.raises(ValueError, match=rf"LagLlamaConfig.{field}: got .*, expected"):
        LagLlamaConfig().replace(**{field.split(".")[1]: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("components", 0),
        ("components", 2.0),
        ("min_scale", -1e-3),
        ("min_scale", float("nan")),
        ("block_length", 0),
        ("lag_experts", -1),
        ("lag_experts", 0.0),
        ("copula", (0.5, 1.0, 0.0)),
        ("copula", (0.5, "0.5", 0.0)),
        ("copula", (float("nan"), 0.0, 0.0)),
        ("copula", (0.5, 0.5)),
    ],
)
def test_a_mixture_is_checked(field, value):
    with pytest.raises(ValueError, match=rf"LagLlamaConfig.head.{field}: got .*, expected"):
        MIXTURE.replace(**{field: value})


@pytest.mark.parametrize(
    ("field", "needed"),
    [
        ("weigh_records", "copy_experts"),
        ("doubt_by_state", "weigh_records"),
        ("independent_evidence", "weigh_records"),
    ],
)
def test_parts_of_a_quantile_head_need_others(field, needed):
    expected = rf"head\.{field}: got True, expected False without {needed}"
    with pytest.raises(ValueError, match=expected):
        BLOCK.replace(**{field: True})
    with pytest.raises(ValueError, match=rf"head\.{field}: got 1, expected"):
        BLOCK.replace(**{field: 1})


def test_bounded_spreads_need_an_envelope():
    expected = r"sampling\.bounded_spread: got True, expected False without path_bounds"
    with pytest.raises(ValueError, match=expected):
        BLOCK.replace(bounded_spread=True)


@pytest.mark.parametrize("levels", [(0.5,), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0), ("a", "b"), 0.5])
def test_quantile_levels_are_checked(levels):
    with pytest.raises(ValueError, match=r"head\.quantile_levels: got .*, expected"):
        BLOCK.replace(quantile_levels=levels)


def test_fields_are_replaced_in_the_group_that_has_them():
    changed = BLOCK.replace(n_layer=3, time_feat=False, gain=True, path_stride=2)
    assert (changed.decoder.n_layer, changed.inputs.time_feat) == (3, False)
    assert (changed.head.gain, changed.sampling.path_stride) == (True, 2)
    assert changed.head.quantile_levels == BLOCK.head.quantile_levels
    assert BLOCK.replace() == BLOCK


def test_groups_are_replaced_whole():
    changed = BLOCK.replace(head=NormalConfig(), sampling=SamplingConfig(), n_layer=2)
    assert (changed.head, changed.decoder.n_layer) == (NormalConfig(), 2)


def test_no_two_groups_share_a_field():
    for head in FAMILIES.values():
        config = LagLlamaConfig(head=head())
        names = [name for group in config.to_dict().values() for name in group]
        assert len(names) == len(set(names))


@pytest.mark.parametrize("field", ["n_layers", "components"])
def test_fields_that_no_group_has_are_named(field):
    with pytest.raises(TypeError, match=rf"unknown fields \['{field}'\]"):
        BLOCK.replace(**{field: 3})


def test_numbers_of_numpy_become_plain_ones():
    numpy = pytest.importorskip("numpy")
    lags = tuple(numpy.arange(3))
    config = LagLlamaConfig().replace(n_layer=numpy.int64(2), lags_seq=lags)
    assert LagLlamaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_huge_value_is_named_in_a_short_message():
    value = 0
    for _ in range(60):
        value = [value, value]
    with pytest.raises(ValueError, match="n_layer") as caught:
        LagLlamaConfig().replace(n_layer=value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("lags", [PUBLISHED_LAGS, BLOCK_LAGS])
def test_lag_sets_are_ascending_and_start_at_the_step_itself(lags):
    assert lags[0] == 0
    assert list(lags) == sorted(set(lags))


def test_equal_configurations_have_one_hash_whatever_their_fields():
    rope = {"type": "linear", "factor": 2}
    one = LagLlamaConfig(decoder=DecoderConfig(rope_scaling=rope))
    same = LagLlamaConfig(decoder=DecoderConfig(rope_scaling=dict(rope)))
    assert one == same
    assert hash(one) == hash(same)
    assert len({one, same, LagLlamaConfig()}) == 2


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, (0,)), (5, (2, 3, 4)), (6, (0, 3, 4, 5)), (11, (2, 5, 8, 9, 10)), (3, (0, 1, 2))],
)
def test_a_context_has_all_of_its_last_tokens_and_some_before(length, expected):
    sampling = SamplingConfig(context_stride=3, dense_context=3)
    assert sampling.context_positions(length) == expected
    assert SamplingConfig().context_positions(length) == tuple(range(length))
