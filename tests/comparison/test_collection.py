"""Series of every form that users have come out the same."""

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.comparison.cases import Plan, build_cases
from lagllama_adapters.comparison.collection import collect
from lagllama_adapters.data.files import FileSettings
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series

DEFAULTS = FileSettings()


def long_frame(monthly):
    rows = [
        {"item_id": name, "timestamp": stamp.to_timestamp(), "target": value}
        for name, y in monthly.items()
        for stamp, value in y.items()
    ]
    return pd.DataFrame(rows)


def forms(monthly, folder):
    stamped = {name: y.to_timestamp() for name, y in monthly.items()}
    panel = pd.concat({name: y.to_frame("y") for name, y in monthly.items()}, names=["id", "time"])
    long_frame(monthly).to_csv(folder / "series.csv", index=False)
    return {
        "mapping": monthly,
        "stamps": stamped,
        "list": [y.rename(name) for name, y in monthly.items()],
        "wide": pd.DataFrame(stamped),
        "wide, dates in a column": pd.DataFrame(stamped).rename_axis("date").reset_index(),
        "long": long_frame(monthly),
        "panel": panel,
        "file": folder / "series.csv",
        "folder": [str(folder)],
        "ours": Panel(tuple(Series(y, y.index[0], "MS", n) for n, y in stamped.items())),
    }


def test_every_form_gives_the_same_series(monthly, tmp_path):
    for form, given in forms(monthly, tmp_path).items():
        found, faults = collect(given, DEFAULTS)
        assert [one.item_id for one in found] == ["a", "b"], form
        assert not faults, form
        for one, y in zip(found, monthly.values(), strict=True):
            assert one.calendar.freq.freqstr == "MS", form
            assert one.calendar.stamp(0) == pd.Timestamp("2015-01-01"), form
            kept = one.target[np.isfinite(one.target)]
            np.testing.assert_allclose(kept, y, err_msg=form)


def test_series_of_darts_are_read_by_component(monthly):
    darts = pytest.importorskip("darts")
    frame = pd.DataFrame({name: y.to_timestamp()[:60] for name, y in monthly.items()})
    found, _ = collect({"both": darts.TimeSeries.from_dataframe(frame)}, DEFAULTS)
    assert [one.item_id for one in found] == ["both/a", "both/b"]
    np.testing.assert_array_equal(found[1].target, frame["b"])


def test_rows_that_are_left_out_are_missing_values(monthly):
    y = monthly["a"].to_timestamp()
    found, _ = collect({"a": y.drop(y.index[[10, 11, 30]])}, DEFAULTS)
    assert np.flatnonzero(np.isnan(found[0].target)).tolist() == [10, 11, 30]


def test_arrays_and_integers_have_no_calendar():
    numbered = pd.Series([1.0, 2, 3], index=[10, 20, 40])
    found, _ = collect({"array": np.arange(5.0), "numbered": numbered}, DEFAULTS)
    assert [one.calendar for one in found] == [None, None]
    np.testing.assert_array_equal(found[1].target, [1, 2, np.nan, 3])


def test_what_is_wrong_with_one_series_is_a_fault(monthly):
    y = monthly["a"]
    bad = {
        "irregular": pd.Series(
            [1.0, 2, 3], pd.to_datetime(["2020-01-01", "2020-01-02", "2021-07-09"])
        ),
        "twice": pd.concat([y, y[-1:]]),
        "empty": y * np.nan,
        "mixed times": pd.concat([y, pd.Series([1.0], [3])]),
        "words": np.array(["x", "y"]),
    }
    found, faults = collect({**bad, "good": y}, DEFAULTS)
    assert [one.item_id for one in found] == ["good"]
    assert {fault.item_id for fault in faults} == set(bad)
    with pytest.raises(ValueError, match=r"none that can be forecast .*irregular"):
        collect(bad, DEFAULTS)


@pytest.mark.parametrize("given", [3, None, object()])
def test_other_things_are_refused(given):
    with pytest.raises(TypeError, match=r"series: got .* expected a dictionary or list"):
        collect(given, DEFAULTS)


def test_names_are_distinct(monthly):
    with pytest.raises(ValueError, match="two of the name 'a'"):
        collect([monthly["a"].rename("a"), monthly["b"].rename("a")], DEFAULTS)


def test_origins_are_the_last_ones_with_enough_history(monthly):
    found, _ = collect({**monthly, "short": monthly["a"][:28]}, DEFAULTS)
    cases, faults = build_cases(found, Plan(horizon=6, origins=4, stride=12))
    assert [case.cutoffs for case in cases] == [(30, 42, 54), (30, 42, 54, 66)]
    assert [case.season for case in cases] == [12, 12]
    np.testing.assert_array_equal(cases[0].truth[0], monthly["a"][30:36])
    assert "got 28 steps, expected 30 or more" in faults[0].message
    with pytest.raises(ValueError, match="none that is long enough"):
        build_cases(found, Plan(horizon=60))


def test_origins_end_with_the_last_observed_value(monthly):
    y = monthly["a"].copy()
    y[-3:] = np.nan
    found, _ = collect({"a": y}, DEFAULTS)
    cases, _ = build_cases(found, Plan(horizon=6, origins=1))
    assert cases[0].cutoffs == (51,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0}, "horizon: got 0"),
        ({"horizon": 2.5}, "horizon: got 2.5"),
        ({"horizon": 1, "origins": None}, "origins: got None"),
        ({"horizon": 1, "stride": -1}, "stride: got -1"),
        ({"horizon": 1, "num_samples": 1}, "num_samples: got 1"),
    ],
)
def test_numbers_of_a_plan_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Plan(**options)


def test_horizons_may_differ_by_series(monthly):
    found, _ = collect(monthly, DEFAULTS)
    cases, _ = build_cases(found, Plan(horizon=6, origins=2), {"b": 12})
    assert [(case.horizon, case.cutoffs) for case in cases] == [(6, (48, 54)), (12, (48, 60))]
