"""A hundred bad inputs of the predictor, drawn from a seed: each is refused in words that help."""

import datetime
import decimal
import re

import numpy as np
import pandas as pd
import pytest

N = 100


def numbers(rng):
    return rng.normal(size=int(rng.integers(20, 60))).cumsum()


def no_series(rng):
    values = numbers(rng)
    half = len(values) // 2
    choices = [
        lambda: None,
        lambda: "1 2 3",
        lambda: [],
        lambda: np.array([]),
        lambda: [values, []],
        lambda: 3.5,
        lambda: {"a": values},
        lambda: values.reshape(1, -1, 1),
        lambda: np.full(half, np.nan),
        lambda: np.where(np.arange(len(values)) == half, rng.choice([np.inf, -np.inf]), values),
        lambda: [values, np.full(5, np.nan)],
        lambda: values.astype(complex),
        lambda: [*values[:half], "missing"],
        lambda: [*values[:half], None, object()],
        lambda: pd.date_range("2020-01-01", periods=half),
        lambda: np.array(["2020-01-01"] * half, dtype="datetime64[s]"),
        lambda: pd.DataFrame({("a", "b"): values, ("a", "c"): values}),
        lambda: pd.DataFrame({"a": []}),
        lambda: [[values, values[:3]]],
        lambda: {1.0, 2.0},
        lambda: (value for value in values),
        lambda: [decimal.Decimal("Infinity"), decimal.Decimal(1)],
        lambda: [datetime.date(2020, 1, 1)],
        lambda: b"12",
        lambda: [[1.0, [2.0]]],
    ]
    return {"past_target": choices[rng.integers(len(choices))]()}


def no_count(rng):
    name = str(
        rng.choice(
            ["prediction_length", "num_samples", "context_length", "max_paths", "season_length"]
        )
    )
    choices = [0, -int(rng.integers(1, 99)), 2.5, np.float64(3), "7", True, [2, 3], np.nan, {}]
    if name in ("prediction_length", "num_samples"):
        choices += [None, 10**12, 2**70]
    return {name: choices[rng.integers(len(choices))]}


def no_time(rng):
    stamps = ["not a date", "2020-13-45", object(), 1.5, [], ["2020"] * 3]
    steps = [
        "fortnight",
        "-1D",
        "0D",
        "-3h",
        "",
        "Q-XYZ",
        "H5H",
        object(),
        3.7,
        [],
        ["D"] * 3,
        "1.5MS",
    ]
    is_start = rng.random() < 0.5
    return {
        "start": stamps[rng.integers(len(stamps))] if is_start else "2020-01-01",
        "freq": "D" if is_start else steps[rng.integers(len(steps))],
    }


def no_choice(rng):
    choices = [
        {"sampling": ["x", None, 1, ["plain"]]},
        {"support": ["positive", (3, 1), (1,), 5, (np.nan, 1), ("a", "b"), {"a"}]},
        {"sign_flip": [1, "yes", None]},
        {"rescale_each_step": [1, "no"]},
        {"seed": ["a", 1.5, [1], True]},
        {"item_id": ["ab", ["a", "b"], [["a"]], 5]},
        {"covariate_lags": [1, [1.5], "a", [2**40], [[1]]]},
        {"past_covariates": ["a", np.zeros(3), [np.zeros(3)] * 3, {"a": "b"}, 5]},
        {"future_covariates": ["a", np.zeros(3), {"a": np.zeros(4)}, pd.DataFrame(), 5]},
    ]
    ((name, values),) = choices[rng.integers(len(choices))].items()
    return {name: values[rng.integers(len(values))]}


def draw(seed):
    rng = np.random.default_rng(seed)
    kinds = [no_series, no_series, no_count, no_time, no_choice]
    return kinds[rng.integers(len(kinds))](rng)


@pytest.mark.parametrize("method", ["predict", "predict_parameters"])
def test_bad_input_is_refused_in_words_that_help(block_predictor, method):
    good = {"past_target": np.sin(np.arange(40.0)), "prediction_length": 2}
    call = getattr(block_predictor, method)
    fixed = {"seed": 0, "num_samples": 3} if method == "predict" else {}

    def values():
        got = call(**good, **fixed)
        return got.samples if method == "predict" else np.stack(list(got.values()))

    before, unhelpful = values(), []
    for seed in range(N):
        bad = draw(seed)
        if method == "predict_parameters" and bad.keys() & (
            {"num_samples", "max_paths", "sampling", "sign_flip", "rescale_each_step", "seed"}
        ):
            continue
        try:
            call(**{**good, **fixed, **bad})
        except (ValueError, TypeError) as error:
            if not re.search(r"got|have", str(error)) or "expected" not in str(error):
                unhelpful.append((seed, bad, repr(error)))
        except Exception as error:
            unhelpful.append((seed, bad, repr(error)))
        else:
            unhelpful.append((seed, bad, "accepted"))
    assert not unhelpful, "\n".join(map(str, unhelpful))
    np.testing.assert_array_equal(values(), before)


@pytest.mark.parametrize("start", ["1500-01-01", "3000-01-01"])
def test_dates_that_nanoseconds_do_not_hold_are_dates(block_predictor, start):
    past = np.sin(np.arange(40.0))
    calendar = {"start": start, "freq": "D"}
    got = block_predictor.predict(past, 2, seed=0, num_samples=3, **calendar).samples
    without = block_predictor.predict(past, 2, seed=0, num_samples=3).samples
    assert np.isfinite(got).all()
    assert (got != without).any()  # the calendar is read
