import torch

from lagllama_adapters.training.windows.forecast_start import MAX_ROLLOUT, draw_forecast_start


def drawn(observed, steps, seed=0):
    rows = observed.expand(4000, -1)
    return draw_forecast_start(rows, steps, torch.Generator().manual_seed(seed))


def test_starts_are_even_over_the_last_tokens():
    starts = drawn(torch.ones(200, dtype=torch.bool), 100)
    assert (starts.min(), starts.max()) == (200 - MAX_ROLLOUT, 200)
    counts = starts.bincount()[200 - MAX_ROLLOUT :]
    assert counts.min() > 0.6 * 4000 / (MAX_ROLLOUT + 1)
    assert torch.equal(starts, drawn(torch.ones(200, dtype=torch.bool), 100))
    assert not torch.equal(starts, drawn(torch.ones(200, dtype=torch.bool), 100, seed=1))


def test_a_value_is_observed_before_each_start():
    observed = torch.zeros(50)
    observed[45:] = 1
    assert drawn(observed, 40).unique().tolist() == [46, 47, 48, 49, 50]


def test_starts_lie_behind_the_first_token():
    assert drawn(torch.ones(50), 3).unique().tolist() == [48, 49, 50]


def test_windows_without_observations_end_their_history_with_the_last_token():
    assert drawn(torch.zeros(50), 40).unique().tolist() == [50]
