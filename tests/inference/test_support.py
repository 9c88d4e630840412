import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.support import Support, check_support

RNG = np.random.default_rng(0)
DEMAND = np.where(RNG.random(200) < 0.2, RNG.poisson(3, 200) + 1.0, 0.0)
KINDS = {
    "rare demand": DEMAND,
    "rare amounts": DEMAND * 1.37,
    "counts": RNG.poisson(4, 150).astype(float),
    "many": RNG.poisson(5_000, 150).astype(float),
    "falling": np.linspace(30, 0, 100) + RNG.random(100),
    "share": RNG.beta(2, 5, 120),
    "near one": 1 - 0.01 * RNG.gamma(1, 1, 120),
    "noise": RNG.normal(size=100),
    "walk": RNG.normal(size=100).cumsum(),
    "short": np.array([3.0, 1.0]),
    "gaps": np.where(RNG.random(100) < 0.3, np.nan, RNG.gamma(0.3, 1, 100)),
    "zeros": np.zeros(20),
}


@pytest.fixture(scope="module")
def predictor():
    return LagLlamaPredictor("tiny")


def _samples(predictor, support, values, **options):
    return predictor.predict(values, 60, 40, seed=0, support=support, **options).samples


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_no_path_leaves_the_support(predictor, values):
    plain = _samples(predictor, None, values)
    assert (_samples(predictor, "nonnegative", values) == plain.clip(0)).all()
    limited = _samples(predictor, (0.2, 0.9), values)
    assert (limited == plain.clip(0.2, 0.9)).all()
    assert (_samples(predictor, (None, 1), values) <= 1).all()
    counts = _samples(predictor, "count", values)
    assert (counts >= 0).all()
    assert (counts == counts.round()).all()
    assert (np.abs(counts - plain.clip(0)) < 1).all()


@pytest.mark.parametrize("values", KINDS.values(), ids=KINDS)
def test_auto_is_what_the_history_was(predictor, values):
    known = values[~np.isnan(values)]
    expected = None
    if (known >= 0).all():
        expected = "count" if (known == known.round()).all() else "nonnegative"
    found, plain = (_samples(predictor, support, values) for support in ("auto", expected))
    np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("sampling", ["plain", "stratified"])
def test_the_mean_of_counts_stays(predictor, sampling):
    options = {"sampling": sampling, "num_samples": 50, "seed": 0}
    whole, plain = (
        predictor.predict(DEMAND, 100, support=support, **options).samples
        for support in ("count", "nonnegative")
    )
    # At each step, within half a path; and over all steps to less than one in a hundred.
    np.testing.assert_allclose(whole.mean(1), plain.mean(1), atol=0.5001 / 50)
    np.testing.assert_allclose(whole.mean(), plain.mean(), rtol=0.01)


def test_quantiles_of_counts_are_calibrated():
    levels = np.linspace(0.005, 0.995, 100)
    rng = np.random.default_rng(1)
    for rate in (0.3, 1.0, 7.0):
        # Paths that say what happens but for the rounding: a Poisson count, and noise. (Of the
        # noise the limit at 0 cuts some off, which leaves 0 a few per cent short.)
        values = rng.poisson(rate, 100_000) + rng.uniform(-0.5, 0.5, 100_000)
        paths = np.quantile(values, levels)[None, :, None]
        support = Support("count")
        whole = support.undo(paths, support.apply(Panel.from_arrays([[1.0]]))[1])[0, :, 0]
        truth = rng.poisson(rate, 100_000)
        for count in range(int(rate) + 3):
            assert abs((whole <= count).mean() - (truth <= count).mean()) < 0.08


def test_rounding_is_that_of_each_path_down_or_up_by_the_running_sum():
    support = Support("count")
    _, limits = support.apply(Panel.from_arrays([[1.0], [1.0]]))
    samples = RNG.gamma(0.5, 2, (2, 30, 3))
    whole = support.undo(samples, limits)
    for series in range(2):
        for step in range(3):
            total = before = 0.0
            for path in samples[series, :, step].argsort():
                value = samples[series, path, step]
                total += value - np.floor(value)
                up = np.floor(total + 0.5)
                assert whole[series, path, step] == np.floor(value) + up - before
                before = up


def test_huge_counts_stay_finite_and_whole():
    support = Support("count")
    samples = np.array([[[1e300], [2.0**53 + 2], [0.25]]])
    _, limits = support.apply(Panel.from_arrays([[1.0]]))
    assert support.undo(samples, limits)[0, :2, 0].tolist() == [1e300, 2.0**53 + 2]


def test_each_series_of_a_panel_has_its_own_and_every_door_takes_it(predictor):
    panel = Panel.from_arrays([KINDS["noise"], KINDS["counts"], KINDS["share"]])
    options = ForecastOptions(num_samples=20, seed=0, support="auto", sign_flip=True)
    for samples in (
        predictor.forecast(panel, 12, options).samples,
        predictor.one_step(panel, 12, options).samples,
    ):
        assert (samples[0] < 0).any()
        assert (samples[1] == samples[1].round()).all()
        assert (samples[1:] >= 0).all()
        assert (samples[2] != samples[2].round()).any()
    plain, kept = (
        predictor.predict_parameters(panel, 12, support=support) for support in (None, (-0.1, 0.1))
    )
    for name, quantile in kept.items():
        np.testing.assert_array_equal(quantile, plain[name].clip(-0.1, 0.1))
    assert (predictor.predict_parameters(DEMAND, 12, support="count")["q0.900"] % 1 == 0).all()


def test_pairs_may_leave_a_side_open():
    assert check_support((None, 3)) == (-np.inf, 3.0)
    assert check_support([0, None]) == (0.0, np.inf)


@pytest.mark.parametrize(
    "wrong", ["positive", 3, (1, 1), (2, 1), (0, 1, 2), ("a", 1), (np.nan, 1), (True, 3), {}]
)
def test_what_is_no_support_is_refused(wrong):
    with pytest.raises(ValueError, match=r"support: got .*, expected one of .* or None for no lim"):
        ForecastOptions(support=wrong)


def test_samples_of_counts_are_negative_unless_support_is_given():
    """What the page on limits says, of counts that come down from 20 to 1."""
    rng = np.random.default_rng(0)
    falling = [rng.poisson(20 * np.exp(-np.arange(200) / 60)).astype(float) for _ in range(5)]
    predictor = LagLlamaPredictor()
    assert (predictor.predict(falling, 14, seed=0).samples < 0).mean() > 0.05
    assert (predictor.predict(falling, 14, seed=0, support="auto").samples >= 0).all()
