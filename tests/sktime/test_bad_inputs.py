"""A hundred bad inputs of the sktime forecaster, from a seed: refused, and it stays usable."""

import decimal
import warnings

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.base import ForecastingHorizon

from lagllama_adapters.sktime import LagLlamaForecaster

DAYS = pd.date_range("2020-01-01", periods=60, freq="D")
VALUES = np.sin(np.arange(60.0))
NEW = pd.date_range("2020-03-01", periods=20, freq="D")
N = 100

# What the host says of itself about a horizon or an argument; all else is said here.
HOST = ("Invalid `fh`", "`fh` must not be empty", "y cannot be None", "Unsupported input data type")


def no_series(rng, days):
    """Data that is no series, of the given days."""
    values = rng.normal(size=len(days)).cumsum()
    series = pd.Series(values, index=days, name="y")
    row = len(days) - int(rng.integers(2, 15))  # one that is kept
    kinds = {
        "none": lambda: None,
        "text": lambda: "y.csv",
        "number": lambda: 3.0,
        "list": lambda: list(values),
        "mapping": lambda: {"y": values},
        "no rows": lambda: series[:0],
        "no frame": lambda: pd.DataFrame(),
        "no columns": lambda: pd.DataFrame(index=days),
        "no series": lambda: [],
        "words": lambda: pd.Series(["a"] * len(days), index=days),
        "numbers in words": lambda: series.astype(str),
        "decimals": lambda: series.map(lambda x: decimal.Decimal(str(round(x, 3)))),
        "objects": lambda: series.astype(object),
        "complex": lambda: series.astype(complex),
        "dates": lambda: pd.Series(days, index=days),
        "categories": lambda: pd.Series(pd.Categorical(["a", "b"] * (len(days) // 2)), index=days),
        "all missing": lambda: series * np.nan,
        "infinite": lambda: series.where(days != days[row], rng.choice([np.inf, -np.inf])),
        "row twice": lambda: pd.concat([series[: row + 1], series[row:]]),
        "descending": lambda: series.iloc[::-1],
        "shuffled": lambda: series.iloc[rng.permutation(len(days))],
        "column twice": lambda: pd.DataFrame({0: values, 1: values}, index=days).set_axis(
            ["a", "a"], axis=1
        ),
        "names": lambda: series.set_axis([f"row {k}" for k in range(len(days))]),
        "floats": lambda: series.set_axis(np.arange(len(days)) / 3),
        "stamp missing": lambda: series.set_axis(days[:-1].append(pd.DatetimeIndex([pd.NaT]))),
        "differences": lambda: series.set_axis(days - days[0]),
        "steps back": lambda: series.set_axis(range(len(days), 0, -1)),
        "zones": lambda: pd.concat(
            {"a": series.to_frame(), "b": series.tz_localize("UTC").to_frame()},
            names=["id", "time"],
        ),
        "series twice": lambda: pd.concat(
            [pd.concat({"a": series.to_frame()}, names=["id", "time"])] * 2
        ),
        "too many dimensions": lambda: np.zeros((2, 2, 2, 2)),
        "array of words": lambda: np.array(["a", "b"]),
    }
    name = rng.choice(list(kinds))
    return name, kinds[name]()


def no_horizon(rng):
    stamps = pd.date_range("2020-03-01", periods=2, freq="D")
    kinds = {
        "empty": lambda: [],
        "empty range": lambda: range(0),
        "word": lambda: "tomorrow",
        "halves": lambda: [1.5],
        "missing": lambda: [np.nan],
        "bools": lambda: [True],
        "matrix": lambda: np.array([[1, 2]]),
        "twice": lambda: [1, 1],
        "mixed": lambda: [1, stamps[0]],
        "long ago": lambda: [-int(rng.integers(10**4, 10**6))],
        "before": lambda: pd.DatetimeIndex(np.array(["1500-01-01"], "datetime64[s]")),
        "far ahead": lambda: [10**10],
        "off the grid": lambda: stamps[:1] + pd.Timedelta(hours=int(rng.integers(1, 23))),
        "zoned": lambda: stamps.tz_localize("Europe/Berlin"),
        "no stamp": lambda: pd.DatetimeIndex([pd.NaT]),
        "integers": lambda: ForecastingHorizon([61, 62], is_relative=False),
        "set": lambda: {1, 2},
        "object": lambda: object(),
        "complex": lambda: [1j],
        "nested": lambda: [[1], [2]],
    }
    name = rng.choice(list(kinds))
    return name, kinds[name]()


def refusal(call):
    """What is wrong with how a call fails, None if it fails well."""
    try:
        call()
    except (ValueError, TypeError, NotImplementedError, AssertionError) as error:
        text = str(error)
        if any(words in text for words in HOST) or ("got" in text and "expected" in text):
            return None
        return repr(error)
    except Exception as error:
        return repr(error)
    return "accepted"


@pytest.fixture(autouse=True)
def silence():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_bad_horizons_and_updates_leave_the_forecaster_as_it_was(checkpoint):
    forecaster = LagLlamaForecaster(checkpoint, num_samples=3, random_state=0)
    forecaster.fit(pd.Series(VALUES, index=DAYS, name="y"))
    before, unhelpful = forecaster.predict(fh=[1, 2]), []
    for seed in range(N):
        rng = np.random.default_rng(seed)
        if seed % 2:
            name, fh = no_horizon(rng)
            said = refusal(lambda fh=fh: forecaster.predict(fh=fh))
        else:
            name, new = no_series(rng, NEW)
            if name in ("all missing", "none", "no rows", "no frame", "no series"):  # nothing new
                continue
            said = refusal(lambda new=new: forecaster.update(new))
        if said is not None:
            unhelpful.append((seed, name, said))
        pd.testing.assert_series_equal(forecaster.predict(fh=[1, 2]), before)
    assert not unhelpful, "\n".join(map(str, unhelpful))


def test_bad_series_are_refused_and_good_ones_fit_after_them(checkpoint):
    good = pd.Series(VALUES, index=DAYS, name="y")
    forecaster = LagLlamaForecaster(checkpoint, num_samples=3, random_state=0)
    before, unhelpful = forecaster.fit(good).predict(fh=[1, 2]), []
    for seed in range(N):
        name, series = no_series(np.random.default_rng(seed), DAYS)
        said = refusal(lambda series=series: forecaster.fit(series))
        if said is not None:
            unhelpful.append((seed, name, said))
    assert not unhelpful, "\n".join(map(str, unhelpful))
    pd.testing.assert_series_equal(forecaster.fit(good).predict(fh=[1, 2]), before)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda y: y.iloc[::-1], r"y: got rows that do not ascend.*sort_index"),
        (lambda y: pd.concat([y[:5], y[4:]]), r"y: got 2020-01-05 00:00:00 more than once"),
        (lambda y: y.map(decimal.Decimal), r"y: .*object \(Decimal\).*astype\(float\)"),
        (lambda y: y.set_axis([str(k) for k in range(60)]), r"y: .*index of str.*to_datetime"),
    ],
)
def test_the_fault_of_a_series_is_named(checkpoint, fault, words):
    with pytest.raises((TypeError, ValueError), match=words):
        LagLlamaForecaster(checkpoint).fit(fault(pd.Series(VALUES, index=DAYS)))
