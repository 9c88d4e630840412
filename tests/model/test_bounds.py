import torch

from lagllama_adapters.model.bounds import is_constant, path_bounds


def _bounds(x: torch.Tensor):
    observed = ~x.isnan()
    loc, scale = torch.zeros(len(x), 1).double(), torch.ones(len(x), 1).double()
    return path_bounds(x.nan_to_num(), observed, loc, scale)


def test_envelope_widens_with_the_root_of_the_horizon() -> None:
    x = torch.linspace(-1, 1, 100).double()[None]
    wide = torch.full((1, 3, 100), 1e6).double()
    clamped = _bounds(x).clamp(wide, 1, asinh=False)
    torch.testing.assert_close(
        clamped[0, 0, [0, 99]], torch.tensor([1 + 2 * 1.2, 1 + 2 * 3.0]).double()
    )


def test_history_that_rests_on_zero_stays_on_its_side() -> None:
    x = torch.tensor([0.0, 0, 3, 0, 0, 2, 0, 5, 0, 1, 0, 0, 2, 0]).double()[None]
    samples = torch.tensor([[-1.0, 0.5]]).double()
    assert _bounds(x).clamp(samples, 1, asinh=True)[0, 0] == 0
    assert _bounds(-x).clamp(-samples, 1, asinh=True)[0, 0] == 0
    assert _bounds(x + torch.linspace(0, 1, 14).double()).clamp(samples, 1, False)[0, 0] < 0


def test_constant_means_two_equal_values() -> None:
    x = torch.tensor([[3.0, 3.0, 9.0], [3.0, 9.0, 9.0], [3.0, 4.0, 9.0]])
    observed = torch.tensor([[True, True, False], [True, False, False], [True, True, False]])
    assert is_constant(x, observed)[:, 0].tolist() == [True, False, False]
