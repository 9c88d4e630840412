"""Covariates of a panel as standardised columns."""

import numpy as np
import pytest

from lagllama_adapters.data.covariate_columns import (
    SeriesCovariates,
    covariate_columns,
    covariate_windows,
    covariates_of,
    measure_covariates,
)
from lagllama_adapters.data.panel import Series, SeriesError


def test_units_are_those_of_the_whole_panel_and_of_its_history():
    one = SeriesCovariates({"b": [1.0, 3.0]}, {"a": [1.0, 2.0, 100.0], "c": [7, 7, 7]})
    two = SeriesCovariates({"b": [5.0]}, {"c": [7, 7], "a": [np.nan, 9.0]})
    config = measure_covariates([one, two], [2, 1])
    assert (config.future, config.past, config.levels) == (("a", "c"), ("b",), {})
    assert config.means == (1.5, 7.0, 3.0)
    np.testing.assert_allclose(config.scales, [0.5, 1.0, np.std([1, 3, 5])])
    # By names, whatever their order; a column that never changes has no unit.
    columns = covariate_columns(config, two, 1)
    np.testing.assert_allclose(
        columns, [[15.0, 0.0, 2 / np.std([1, 3, 5])]] * 2, rtol=1e-6, atol=1e-6
    )


def test_words_have_a_column_each_or_one_for_two():
    one = SeriesCovariates({}, {"day": ["fri", "mon", None], "on": ["yes", "no", "no"]})
    two = SeriesCovariates({}, {"day": ["sun", "mon", "mon"], "on": [None, None, None]})
    config = measure_covariates([one, two], [3, 3])
    assert config.levels == {"day": ("fri", "mon", "sun"), "on": ("yes",)}
    np.testing.assert_allclose(config.means, [1 / 6, 0.5, 1 / 6, 1 / 6])
    columns = covariate_columns(config, one, 3) * config.scales + config.means
    np.testing.assert_allclose(columns, [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0]], atol=1e-6)


def test_what_is_known_up_to_now_is_carried_on_and_what_is_ahead_interpolated():
    gaps = [np.nan, 2.0, np.nan, 4.0, np.nan]
    own = SeriesCovariates({"p": gaps}, {"f": [*gaps, 6.0, np.nan]})
    config = measure_covariates([own], [5])
    assert config.means == (3.0, 3.0)
    columns = covariate_columns(config, own, 5)
    np.testing.assert_allclose(columns[:, 0] + 3, [2, 2, 3, 4, 5, 6, 6])
    np.testing.assert_allclose(columns[:, 1] + 3, [3, 2, 2, 4, 4, 4, 4])


def test_windows_end_together():
    own = [Series([1.0] * n, future_covariates={"x": np.arange(n + 2.0)}) for n in (3, 6)]
    config = measure_covariates([covariates_of(one) for one in own], [3, 6])
    windows = covariate_windows(config, own, length=4, horizon=3)
    values = windows[..., 0] * config.scales[0] + config.means[0]
    np.testing.assert_allclose(values[0, 1:], [0, 1, 2, 3, 4, 4], rtol=1e-6, atol=1e-6)
    assert windows[0, 0, 0] == 0  # before the start of the series
    np.testing.assert_allclose(values[1], [2, 3, 4, 5, 6, 7, 7], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (SeriesCovariates({}, {}), r"series 1: covariates: got \[\] .* expected \[\] .* \['x'\]"),
        (SeriesCovariates({"x": [1.0]}, {}), r"got \['x'\] known up to now and \[\] known ahead"),
        (SeriesCovariates({}, {"x": ["a"]}), "got numbers for 'x', expected words, as elsewhere"),
        (SeriesCovariates({}, {"x": [np.inf]}), "series 1: future_covariates: got infinite values"),
    ],
)
def test_series_have_the_same_covariates(second, message):
    with pytest.raises(SeriesError, match=message):
        measure_covariates([SeriesCovariates({}, {"x": [1.0]}), second], [1, 1])


def test_a_name_is_known_ahead_or_not():
    both = SeriesCovariates({"x": [1.0]}, {"x": [1.0]})
    with pytest.raises(SeriesError, match=r"got \['x'\] both as known up to now and"):
        measure_covariates([both], [1])
    words = SeriesCovariates({}, {"x": [f"w{i}" for i in range(40)]})
    with pytest.raises(SeriesError, match="got 40 different words for 'x', expected at most 32"):
        measure_covariates([words], [40])


def test_covariates_can_count_as_known_up_to_now():
    own = SeriesCovariates({"p": [1.0, 2.0]}, {"x": [1.0, 2.0, 3.0], "y": [0.0, 0.0, 1.0]})
    moved = own.not_ahead(["x"], 2)
    assert list(moved.past) == ["p", "x"]
    assert list(moved.future) == ["y"]
    assert len(moved.past["x"]) == 2
