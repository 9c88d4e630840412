import torch

from lagllama_adapters.model.scaler import location_and_scale
from lagllama_adapters.model.seasons import without_absurd
from lagllama_adapters.model.series_features import N_SHAPE_FEATURES, shape_features


def _features(x: torch.Tensor, observed: torch.Tensor | None = None) -> torch.Tensor:
    observed = torch.ones_like(x).bool() if observed is None else observed
    loc, scale = location_and_scale(x, observed, "robust", "cascade")
    scaled = ((x - loc) / scale).asinh()
    believed = without_absurd(scaled, observed)
    return shape_features(x, observed, loc, scale, scaled.clamp(-3, 3), believed)


def test_level_and_unit_change_nothing() -> None:
    x = torch.randn(4, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = _features(x)
    assert features.shape == (4, N_SHAPE_FEATURES)
    torch.testing.assert_close(_features(1e-3 * x + 1e6), features, rtol=0, atol=1e-5)


def test_one_absurd_reading_changes_little_and_all_is_bounded() -> None:
    x = torch.randn(4, 300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    absurd = x.clone()
    absurd[:, 40] = 1e12
    torch.testing.assert_close(_features(absurd), _features(x), rtol=0, atol=0.03)
    assert _features(1e300 * x).abs().max() < 5


def test_shares_at_the_extremes_and_of_repetitions() -> None:
    x = torch.tensor([[0.0, 0.0, 0.0, 5.0, 0.0, 2.0, 5.0, 5.0]], dtype=torch.float64)
    least, largest, repeated = _features(x)[0, 2:5].tolist()
    assert (least, largest, repeated) == (4 / 8, 3 / 8, 3 / 8)


def test_row_without_observations_is_finite() -> None:
    x = torch.zeros(1, 20, dtype=torch.float64)
    assert _features(x, torch.zeros_like(x).bool()).isfinite().all()
