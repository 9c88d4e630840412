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


def test_defaults_are_the_published_sizes():
    config = LagLlamaConfig()
    assert (config.d_model, config.mlp_hidden, config.feature_size) == (144, 512, 92)
    assert (len(PUBLISHED_LAGS), config.max_lag, config.past_length()) == (84, 1092, 1124)


@pytest.mark.parametrize("config", [LagLlamaConfig(), BLOCK], ids=["published", "block"])
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
    ],
)
def test_values_outside_their_domain_are_named(field, value):
    with pytest.raises(ValueError, match=rf"LagLlamaConfig.{field}: got .*, expected"):
        replace(LagLlamaConfig(), **{field: value})


@pytest.mark.parametrize("levels", [(0.5,), (0.9, 0.1), (0.0, 0.5), (0.5, 1.0)])
def test_quantile_levels_are_checked(levels):
    with pytest.raises(ValueError, match="quantile_levels"):
        replace(BLOCK, quantile_levels=levels)


@pytest.mark.parametrize("lags", [PUBLISHED_LAGS, BLOCK_LAGS])
def test_lag_sets_are_ascending_and_start_at_the_step_itself(lags):
    assert lags[0] == 0
    assert list(lags) == sorted(set(lags))
