import math

import numpy as np
import pytest
import torch

from lagllama_adapters.model.seasons import measure_seasons


def _season(length: int, period: float, noise: float, trend: float = 0.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(length).double()
    x = torch.sin(2 * math.pi * t / period) + trend * t / length
    return x + noise * torch.randn(8, length, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("length", "period", "noise", "trend"),
    [
        (400, 24, 0.05, 0.0),
        (400, 24, 0.4, 0.0),
        (1188, 24, 0.3, 5.0),
        (60, 12, 0.3, 0.0),
        (40, 4, 0.3, 2.0),
        (300, 11, 0.2, 0.0),
        (300, 37, 0.2, 0.0),
        (5000, 1440, 0.2, 0.0),
        (17_600, 8766, 0.2, 0.0),
    ],
)
def test_period_is_found(length: int, period: int, noise: float, trend: float) -> None:
    x = _season(length, period, noise, trend)
    found = measure_seasons(x, torch.ones_like(x).bool(), 48).periods[:, 0]
    assert ((found - period).abs() <= 0.03 * period).sum() >= 6


def test_no_period_in_a_random_walk_is_said() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(32, 500, generator=generator, dtype=torch.float64).cumsum(1)
    x = x / x.std(1, keepdim=True)
    found = measure_seasons(x, torch.ones_like(x).bool(), 48)
    none = found.periods == 1
    assert none.any()
    assert (found.features.view(32, 2, -1)[none] == 0).all()


def test_missing_values_and_one_absurd_reading_change_little() -> None:
    x = _season(400, 24, 0.1)
    observed = torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.8
    plain = measure_seasons(x, observed, 48)
    assert (plain.periods[:, 0] == 24).all()
    absurd = x.clone()
    absurd[:, 40] = 9.0  # asinh of 4,000 scales
    other = measure_seasons(absurd, observed, 48)
    assert (other.periods[:, 0] == 24).all()
    torch.testing.assert_close(other.log_errors, plain.log_errors, rtol=0, atol=0.05)


def test_errors_are_those_of_naive_forecasts() -> None:
    x = _season(400, 24, 0.1)
    x = x - x.mean(1, keepdim=True)
    found = measure_seasons(x, torch.ones_like(x).bool(), 48)
    for h in (1, 7, 40):
        persistence = (x[:, h:] - x[:, :-h]).square().mean(1).sqrt().log()
        seasonal = 24 * (-(-h // 24))
        copied = (x[:, seasonal:] - x[:, :-seasonal]).square().mean(1).sqrt().log()
        torch.testing.assert_close(found.log_errors[:, 0, h - 1], persistence, rtol=0, atol=0.02)
        torch.testing.assert_close(found.log_errors[:, 1, h - 1], copied, rtol=0, atol=0.02)


def test_season_length_that_is_given_comes_first() -> None:
    x = _season(400, 24, 0.1)
    given = torch.tensor([48, 0, 7, 0, 0, 0, 0, 0])
    found = measure_seasons(x, torch.ones_like(x).bool(), 48, given).periods
    assert found[:, 0].tolist() == [48, 24, 7, 24, 24, 24, 24, 24]
    assert found[0, 1] == 24


def test_what_is_known_of_a_history_does_not_depend_on_longer_ones_beside_it() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 700, generator=generator, dtype=torch.float64).cumsum(1)
    observed = torch.ones_like(x).bool()
    for row, length in enumerate((9, 40, 150)):
        observed[row, :-length] = False
    together = measure_seasons(x, observed, 24, distances=(1, 7, 30, 200))
    for row, length in enumerate((9, 40, 150, 700)):
        tail = slice(700 - length, None)
        alone = measure_seasons(
            x[row : row + 1, tail], observed[row : row + 1, tail], 24, distances=(1, 7, 30, 200)
        )
        for one, all_ in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], all_[row], rtol=0, atol=1e-9)


def test_features_of_a_period_are_those_of_differences_a_period_apart():
    rng = np.random.default_rng(3)
    steps = np.arange(240)
    y = np.sin(2 * np.pi * steps / 12) + 0.3 * rng.normal(size=240) + 0.002 * steps
    history = torch.from_numpy(y)[None]
    found = measure_seasons(history, torch.ones_like(history).bool(), block=6)
    period = int(found.periods[0, 0])
    assert period == 12
    x = y - np.polyval(np.polyfit(steps, y, 1), steps)  # without its trend

    def log_difference(p):
        return np.log(np.mean((x[p:] - x[:-p]) ** 2))

    before = max(log_difference(p) for p in range(1, period + 1))
    there, _, over_variance, depth, over_step, cycles = found.features[0, :6].tolist()
    assert there == 1
    assert over_variance == pytest.approx((log_difference(12) - np.log(np.mean(x**2))) / 4)
    assert depth == pytest.approx((log_difference(12) - before) / 4)
    assert over_step == pytest.approx((log_difference(12) - log_difference(1)) / 4)
    assert cycles == pytest.approx(np.log1p((240 - 12) / 12) / 4)
