"""Joint paths: the same values of each series and step, in an order that correlates."""

import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel, Series
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.joint.in_context import in_context_scores
from lagllama_adapters.inference.joint.reorder import reordered

PATHS = 60


@pytest.fixture(scope="module")
def tiny():
    return LagLlamaPredictor("tiny")


def _together(n_series=3, steps=150, seed=0):
    """Noise that is mostly shared; the last series goes the other way."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=steps)
    sign = np.where(np.arange(n_series) == n_series - 1, -1, 1)[:, None]
    return list(10 + sign * shared + 0.3 * rng.normal(size=(n_series, steps)))


def _predict(predictor, series, horizon=6, **options):
    options = {"num_samples": PATHS, "seed": 1} | options
    return predictor.predict(series, horizon, **options).samples


def _correlation(samples, one, other):
    return np.mean(
        [np.corrcoef(x, y)[0, 1] for x, y in zip(samples[one].T, samples[other].T, strict=True)]
    )


OPTIONS = {
    "plain": {"sampling": "plain"},
    "sign_flip": {"sign_flip": True},
    "count": {"support": "count"},
    "capped": {"max_paths": 7},
    "rescaled": {"rescale_each_step": True},
}


def _assert_same_values(predictor, **options):
    series, options = _together(steps=60), {"num_samples": 12} | options
    for horizon in (4, 8):  # one block, and several
        alone = _predict(predictor, series, horizon, **options)
        joint = _predict(predictor, series, horizon, joint=True, **options)
        assert (np.sort(alone, axis=1) == np.sort(joint, axis=1)).all()
        assert (alone != joint).any()


def test_values_of_each_series_and_step_are_those_of_independent_paths(predictor):
    _assert_same_values(predictor)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_values_stay_the_same_with_other_options(block_predictor, options):
    _assert_same_values(block_predictor, **options)


@pytest.mark.parametrize(("horizon", "sign_flip"), [(6, False), (60, False), (6, True)])
def test_paths_go_together_as_the_series_did(tiny, horizon, sign_flip):
    joint = _predict(tiny, _together(), horizon, joint=True, num_samples=200, sign_flip=sign_flip)
    alone = _predict(tiny, _together(), horizon, num_samples=200, sign_flip=sign_flip)
    assert abs(_correlation(alone, 0, 1)) < 0.15
    assert _correlation(joint, 0, 1) > 0.7
    assert _correlation(joint, 0, 2) < -0.7


def test_steps_of_a_path_hang_together_as_before(tiny):
    rng = np.random.default_rng(0)
    shocks = rng.normal(size=300) + 0.3 * rng.normal(size=(2, 300))
    walks = list(shocks.cumsum(axis=1))
    found = []
    for joint in (False, True):
        samples = _predict(tiny, walks, 60, num_samples=300, joint=joint)[0]
        pairs = [(10, 11), (40, 41), (40, 46), (55, 56)]
        found.append([np.corrcoef(samples[:, pair].T)[0, 1] for pair in pairs])
    np.testing.assert_allclose(found[1], found[0], atol=0.12)
    assert min(found[0]) > 0.3


def test_groups_are_independent_of_each_other_and_of_batches(tiny):
    first, second = _together(), _together(2, seed=5)
    options = {"joint": True, "groups": ["a", "b", "a", "b", "a"]}
    mixed = [first[0], second[0], first[1], second[1], first[2]]
    samples = _predict(tiny, mixed, 60, **options)
    apart = [_predict(tiny, own, 60, joint=True) for own in (first, second)]
    np.testing.assert_allclose(samples[[0, 2, 4]], apart[0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(samples[[1, 3]], apart[1], rtol=1e-4, atol=1e-4)
    panel = Panel(tuple(Series(x, group=g) for x, g in zip(mixed, options["groups"], strict=True)))
    small = ForecastOptions(num_samples=PATHS, seed=1, joint=True, batch_size=2)
    batched = tiny.forecast(panel, 60, small).samples
    np.testing.assert_allclose(batched, samples, rtol=1e-4, atol=1e-4)
    assert abs(_correlation(samples, 0, 1)) < 0.4


def test_a_group_of_one_and_unrelated_groups_stay_as_they_are(tiny):
    series = _together()
    alone = _predict(tiny, series)
    assert (_predict(tiny, series, joint=True, groups=[1, 2, 3]) == alone).all()
    assert (_predict(tiny, series[:1], joint=True) == _predict(tiny, series[:1])).all()


def test_series_of_a_group_may_have_horizons_and_lengths_of_their_own(tiny):
    series = _together()
    panel = Panel.from_arrays([series[0], series[1][100:], series[2][-20:]])
    options = ForecastOptions(num_samples=PATHS, seed=1)
    together = ForecastOptions(num_samples=PATHS, seed=1, joint=True)
    horizons = [60, 10, 55]
    alone = tiny.forecast(panel, horizons, options).samples
    joint = tiny.forecast(panel, horizons, together).samples
    assert np.array_equal(np.sort(alone, axis=1), np.sort(joint, axis=1), equal_nan=True)
    assert _correlation(joint[:, :, :10], 0, 1) > 0.3
    longest = tiny.forecast(panel, [60, 60, 60], together).samples
    np.testing.assert_allclose(joint[1, :, :10], longest[1, :, :10], rtol=1e-4, atol=1e-4)


def test_covariates_keep_their_effect_and_its_doubt(tiny):
    rng = np.random.default_rng(3)
    price = rng.normal(size=(3, 126))
    series = [x + 3 * p[:120] for x, p in zip(_together(steps=120), price, strict=True)]
    given = {"future_covariates": [{"price": own} for own in price]}
    alone, joint = (_predict(tiny, series, joint=joint, **given) for joint in (False, True))
    assert (np.sort(alone, axis=1) == np.sort(joint, axis=1)).all()
    assert _correlation(joint, 0, 1) > 0.3


def test_known_steps_are_joint_step_by_step(tiny):
    series = _together()
    panel = Panel.from_arrays(series, item_id=list("abc"))
    plain = ForecastOptions(num_samples=PATHS, seed=1)
    together = ForecastOptions(num_samples=PATHS, seed=1, joint=True)
    alone, joint = (tiny.one_step(panel, 30, one).samples for one in (plain, together))
    assert (np.sort(alone, axis=1) == np.sort(joint, axis=1)).all()
    assert _correlation(joint, 0, 1) > 0.6
    # Nothing that is forecast takes part in the estimate of what goes together.
    changed = [x.copy() for x in series]
    changed[1][-29:] = series[1][-29:][::-1]
    other = tiny.one_step(Panel.from_arrays(changed, item_id=list("abc")), 30, together).samples
    np.testing.assert_array_equal(other.argsort(axis=1), joint.argsort(axis=1))
    every = tiny.one_step(panel, 150, together).samples
    assert np.isnan(every[:, :, 0]).all()
    assert np.isfinite(every[:, :, 1:]).all()


def test_scores_look_at_what_the_forecast_reads_alone(block_predictor):
    rng = np.random.default_rng(0)
    recent = rng.normal(size=(2, block_predictor.past_length())) + 5
    before = rng.normal(size=(2, 300)) * 50
    options = ForecastOptions()
    short = in_context_scores(block_predictor.model, Panel.from_arrays(list(recent)), options)
    longer = Panel.from_arrays(list(np.concatenate((before, recent), axis=1)))
    both = in_context_scores(block_predictor.model, longer, options)
    np.testing.assert_array_equal(both[:, -short.shape[1] :], short)


def test_scores_are_missing_where_values_are_and_batches_change_nothing(tiny):
    series = _together(5)
    series[1][-9:-4] = np.nan
    series[2] = series[2][-30:]
    panel = Panel.from_arrays(series)
    scores = in_context_scores(tiny.model, panel, ForecastOptions())
    missing = np.zeros(scores.shape, bool)
    missing[1, -9:-4] = missing[2, :-30] = True
    np.testing.assert_array_equal(np.isnan(scores), missing)
    some = in_context_scores(tiny.model, panel, ForecastOptions(batch_size=2))
    np.testing.assert_allclose(some, scores, rtol=1e-4, atol=1e-4)
    assert 0.5 < np.nanstd(scores) < 1.6


def test_the_k_th_smallest_of_the_template_gets_the_k_th_smallest_value():
    samples = np.array([[5.0, 1.0], [3.0, 2.0], [4.0, 2.0]])
    template = np.array([[0.0, 7.0], [1.0, 7.0], [-1.0, 6.0]])
    ties = np.array([[0.0, 2.0], [0.0, 1.0], [0.0, 0.0]])
    expected = [[4.0, 2.0], [5.0, 2.0], [3.0, 1.0]]
    np.testing.assert_array_equal(reordered(samples, template, ties), expected)


def test_series_of_a_group_end_together(tiny):
    series = [
        Series(np.arange(9.0), "2024-01-01", "D", item_id="a"),
        Series(np.arange(9.0), "2024-01-02", "D", item_id="b"),
    ]
    with pytest.raises(
        ValueError, match=r"got series a and b of group None that end at 2024-01-09"
    ):
        tiny.forecast(Panel(tuple(series)), 3, ForecastOptions(joint=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": [1, 1, 1]}, "groups: got some with joint=False"),
        ({"groups": [1, 1], "joint": True}, "groups: got 2 groups for 3 series"),
        ({"groups": "abc", "joint": True}, "groups: got 'abc' for 3 series"),
        ({"joint": 1}, "joint: got 1, expected True or False"),
    ],
)
def test_what_makes_no_groups_is_refused(tiny, options, message):
    with pytest.raises(ValueError, match=message):
        _predict(tiny, _together(), **options)


def test_groups_beside_those_of_a_panel_are_refused(tiny):
    panel = Panel(tuple(Series(x, group="a") for x in _together()))
    with pytest.raises(ValueError, match="groups: got some beside a panel"):
        tiny.predict(panel, 3, joint=True, groups=[1, 1, 1])
