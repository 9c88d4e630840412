import torch

from lagllama_adapters.model.bounds import is_constant, path_bounds
from lagllama_adapters.model.order_statistics import OrderStatistics


def _bounds(x: torch.Tensor):
    observed = ~x.isnan()
    loc, scale = torch.zeros(len(x), 1).double(), torch.ones(len(x), 1).double()
    known = x.nan_to_num()
    return path_bounds(OrderStatistics(known, observed), loc, scale)


def test_envelope_widens_with_the_root_of_the_horizon() -> None:
    x = torch.linspace(-1, 1, 100).double()[None]
    wide = torch.full((1, 3, 100), 1e6).double()
    clamped = _bounds(x).clamp(wide, 1, asinh=False)
    torch.testing.assert_close(
        clamped[0, 0, [0, 99]], torch.tensor([1 + 2 * 1.2, 1 + 2 * 3.0]).double()
    )


def _room(x: torch.Tensor, ahead: int) -> torch.Tensor:
    """Beyond the largest value ``ahead`` steps on, in ranges of the history."""
    high = _bounds(x).clamp(torch.full((len(x), 1), 1e6).double(), ahead, asinh=False)
    top, bottom = x.nan_to_num(-torch.inf).amax(1), x.nan_to_num(torch.inf).amin(1)
    return (high[:, 0] - top) / (top - bottom)


def test_envelope_of_what_has_been_as_far_as_it_goes_hardly_widens() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 500, generator=generator, dtype=torch.float64)
    for ahead, widened in ((1, 1 + 2 * 500**-0.5), (2000, 5.0)):
        assert _room(noise, ahead).median() < 0.35
        walk = _room(noise.cumsum(1), ahead)
        torch.testing.assert_close(walk.median(), torch.tensor(widened).double())
        assert walk.quantile(0.05) > 0.8 * widened
        season = torch.sin(torch.arange(500) / 4).expand(1, -1).double()
        torch.testing.assert_close(_room(season, ahead), torch.tensor([0.25]).double())
        short = _room(noise[:, :39], ahead)
        torch.testing.assert_close(short, short[:1].expand(200))
        assert short[0] > 1


def test_the_envelope_depends_on_observed_values_alone() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20, 200, generator=generator, dtype=torch.float64)
    x[:10] = x[:10].cumsum(1)
    padded = torch.nn.functional.pad(x, (300, 0), value=torch.nan)
    torch.testing.assert_close(_room(padded, 100), _room(x, 100))
    with_gaps = torch.stack((x, torch.full_like(x, torch.nan)), dim=2).flatten(1)
    torch.testing.assert_close(_room(with_gaps, 100), _room(x, 100))
    observed = torch.zeros(1, 50).bool()
    zeros = torch.zeros(1, 50)
    order = OrderStatistics(zeros, observed)
    nothing = path_bounds(order, torch.zeros(1, 1), torch.ones(1, 1))
    samples = torch.tensor([[-3.0, 7.0]])
    torch.testing.assert_close(nothing.clamp(samples, 1, asinh=True), samples)


def test_history_that_rests_on_zero_stays_on_its_side() -> None:
    x = torch.tensor([0.0, 0, 3, 0, 0, 2, 0, 5, 0, 1, 0, 0, 2, 0]).double()[None]
    samples = torch.tensor([[-1.0, 0.5]]).double()
    assert _bounds(x).clamp(samples, 1, asinh=True)[0, 0] == 0
    assert _bounds(-x).clamp(-samples, 1, asinh=True)[0, 0] == 0
    assert _bounds(x + torch.linspace(0, 1, 14).double()).clamp(samples, 1, False)[0, 0] < 0


def test_constant_means_two_equal_values() -> None:
    x = torch.tensor([[3.0, 3.0, 9.0], [3.0, 9.0, 9.0], [3.0, 4.0, 9.0]])
    observed = torch.tensor([[True, True, False], [True, False, False], [True, True, False]])
    assert is_constant(OrderStatistics(x, observed))[:, 0].tolist() == [True, False, False]
