import numpy as np
import torch

from lagllama_adapters.model.climatology import empirical_quantiles


def test_quantiles_of_observed_values_are_those_of_numpy():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 20)))
    observed = torch.from_numpy(np.random.default_rng(1).random((5, 20)) < 0.6)
    levels = (0.05, 0.31, 0.5, 0.9)
    got = empirical_quantiles(values, observed, levels)
    for row in range(5):
        expected = np.quantile(values[row][observed[row]], levels)
        np.testing.assert_allclose(got[row], expected, rtol=1e-12)


def test_one_value_is_every_quantile_and_none_is_infinite():
    values = torch.tensor([[3.0, 7.0], [1.0, 2.0]], dtype=torch.float64)
    observed = torch.tensor([[False, True], [False, False]])
    got = empirical_quantiles(values, observed, (0.1, 0.9))
    assert got.tolist() == [[7.0, 7.0], [torch.inf, torch.inf]]
