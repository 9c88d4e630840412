import numpy as np
import torch

from lagllama_adapters.model.order_statistics import OrderStatistics


def test_quantiles_of_observed_values_are_those_of_numpy():
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 20)))
    observed = torch.from_numpy(np.random.default_rng(1).random((5, 20)) < 0.6)
    levels = (0.05, 0.31, 0.5, 0.9)
    order = OrderStatistics(values, observed)
    got = order.quantiles(levels)
    for row in range(5):
        expected = np.quantile(values[row][observed[row]], levels)
        np.testing.assert_allclose(got[row], expected, rtol=1e-12)
        known = np.sort(values[row][observed[row]])
        assert order.count[row] == len(known)
        assert order.extremes[row].tolist() == [known[0], known[-1]]
        assert order.median[row] == known[(len(known) - 1) // 2]


def test_one_value_is_every_quantile_and_none_is_infinite():
    values = torch.tensor([[3.0, 7.0], [1.0, 2.0]], dtype=torch.float64)
    observed = torch.tensor([[False, True], [False, False]])
    order = OrderStatistics(values, observed)
    assert order.quantiles((0.1, 0.9)).tolist() == [[7.0, 7.0], [torch.inf, torch.inf]]
    assert order.extremes.tolist() == [[7.0, 7.0], [0.0, 0.0]]
