"""A hundred bad inputs of a fitted Darts model, drawn from a seed: refused, and it stays usable."""

import numpy as np
import pandas as pd
import pytest
from darts import TimeSeries

METHODS = ("fit", "predict", "historical_forecasts", "backtest", "residuals")
N = 100


def no_series(rng):
    values = rng.normal(size=40).cumsum()
    frame = pd.DataFrame({"a": values})
    series = TimeSeries.from_values(values)
    kinds = [
        lambda: [],
        lambda: frame,
        lambda: frame["a"],
        lambda: values,
        lambda: [series, None],
        lambda: [series, frame],
        lambda: {"a": series},
        lambda: "a.csv",
        lambda: 3,
        lambda: (one for one in [series]),
        lambda: series * np.nan,
        lambda: TimeSeries.from_values(np.where(np.arange(40) == 39, np.inf, values)),
        lambda: TimeSeries.from_values(np.where(np.arange(40) == 38, -np.inf, values)),
    ]
    return {"series": kinds[rng.integers(len(kinds))]()}


def no_number(rng, method):
    names = ["num_samples", "random_state"] if method != "fit" else ["epochs", "max_samples_per_ts"]
    names += {"fit": ["stride"], "predict": ["n"]}.get(method, ["forecast_horizon", "stride"])
    values = [-1, 2.5, "3", True, [1], np.nan, np.float64(2), object()]
    return {str(rng.choice(names)): values[rng.integers(len(values))]}


def no_start(rng):
    values = ["yesterday", -3.5, 10**9, pd.Timestamp("2020-01-01"), object(), [1]]
    return {"start": values[rng.integers(len(values))]}


def draw(seed):
    rng = np.random.default_rng(seed)
    method = str(rng.choice(METHODS))
    kind = rng.random()
    if kind < 0.5:
        return method, no_series(rng)
    if kind < 0.85 or method in ("fit", "predict"):
        return method, no_number(rng, method)
    return method, no_start(rng)


def test_bad_input_is_refused_and_leaves_the_model_as_it_was(make):
    series = TimeSeries.from_values(np.sin(np.arange(60.0)))
    model = make().fit(series)

    def forecast():
        return model.predict(2, series, num_samples=3, random_state=0).all_values()

    before, unhelpful = forecast(), []
    for seed in range(N):
        method, bad = draw(seed)
        good = {"series": series}
        if method == "predict":
            good["n"] = 2
        elif method != "fit":
            good["retrain"] = False
        if isinstance(bad.get("series"), TimeSeries) and method != "predict":
            continue  # nothing is read of it in a fit, and windows without a value have no forecast
        try:
            getattr(model, method)(**{**good, **bad})
        except (ValueError, TypeError) as error:
            # What is wrong with a start Darts says in its own words.
            if "start" not in bad and not ("got" in str(error) and "expected" in str(error)):
                unhelpful.append((seed, method, bad, repr(error)))
        except Exception as error:
            unhelpful.append((seed, method, bad, repr(error)))
        else:
            unhelpful.append((seed, method, bad, "accepted"))
    assert not unhelpful, "\n".join(map(str, unhelpful))
    np.testing.assert_array_equal(forecast(), before)
    assert model.model is not None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_cannot_be_forecast_is_refused_by_its_component(make, value):
    model = make().fit(TimeSeries.from_values(np.sin(np.arange(60.0))))
    with pytest.raises(ValueError, match=r"component '0'.*got .*expected"):
        model.predict(2, TimeSeries.from_values(np.full(30, value)))
