"""The benchmark of training, on its smallest network."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lagllama_adapters.model import LagLlama, SeriesFacts, Tokens
from lagllama_adapters.training.recipes import PRESETS

BENCHMARK = Path(__file__).parents[1] / "examples" / "benchmarks" / "training.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_training", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARK.parent))
        spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]
    del sys.modules["measure"]


def test_it_prints_and_writes_figures_of_each_case(tmp_path):
    arguments = ("--presets", "tiny", "--precision", "float32")
    arguments += ("--batch-size", "2", "--repeats", "1")
    result = subprocess.run(  # in new processes, since memory is measured in those
        [sys.executable, BENCHMARK, *arguments, "--json", tmp_path / "figures.json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads((tmp_path / "figures.json").read_text())
    assert [row["case"] for row in rows] == ["float32", "float32, plain loss"]
    assert all(f"{row['tokens_per_second']:,.0f}" in result.stdout for row in rows)
    for row in rows:
        assert row["tokens_per_second"] > 0
        assert 0 < row["fraction_of_floor"] < 1
        assert sum(row["shares"].values()) == pytest.approx(1)
        assert row["peak_megabytes"] > 100  # torch alone takes more


def test_flops_are_those_that_torch_counts(benchmark):
    """Of the forward pass; torch counts attention to all tokens, also to later ones."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    plain = {
        "copy_experts": (),
        "spread_references": False,
        "weigh_records": False,
        "doubt_by_state": False,
        "independent_evidence": False,
        "climatology": False,
    }
    for config in (PRESETS["tiny"].replace(**plain), PRESETS["published"]):
        tokens = 20
        model = LagLlama(config).eval()
        counter = FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), counter:
            features = torch.zeros(1, tokens, config.feature_size)
            model.decode(Tokens(features, features[..., : len(config.lags_seq)]))
        later = 4 * config.decoder.n_layer * config.d_model * (tokens - 1) / 2
        expected = counter.get_total_flops() / tokens - later
        assert benchmark.flops_per_token(config, tokens) / 3 == pytest.approx(expected)


def test_the_plain_loss_is_that_of_the_head(benchmark):
    marginal = LagLlama(PRESETS["tiny"]).head.marginal
    raw, target = torch.randn(2, 3, 24, len(marginal.levels)), torch.randn(2, 3, 24)
    one = torch.ones(2, 1)
    facts = SeriesFacts(one, one, one, "zero", "none")
    expected = marginal.loss(raw, target, facts)
    torch.testing.assert_close(benchmark.plain_pinball(marginal, raw, target), expected)
