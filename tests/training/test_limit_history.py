import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.training.hold_out import panel_corpus
from lagllama_adapters.training.limit_history import limit_history


@pytest.fixture
def panel():
    values = [np.arange(100.0), np.arange(10.0), np.arange(1.0), np.arange(40.0)]
    return panel_corpus(
        values, ["2020-01-01", "2020-01-01", None, "2020-01-31"], ["D"] * 3 + ["ME"]
    )


def test_the_end_of_each_series_is_kept_with_its_calendar(panel):
    part = limit_history(panel, 0.2)
    assert part.lengths.tolist() == [20, 2, 1, 8]
    np.testing.assert_array_equal(part[0], np.arange(80.0, 100))
    assert part.start[0] == pd.Timestamp("2020-01-01") + pd.Timedelta(days=80)
    assert part.start[2] is None
    assert part.start[3] == pd.date_range("2020-01-31", periods=33, freq="ME")[-1]


def test_series_are_spread_over_the_panel(panel):
    part = limit_history(panel, 1.0, 2)
    assert part.lengths.tolist() == [100, 40]
    assert [str(start)[:10] for start in part.start] == ["2020-01-01", "2020-01-31"]


def test_all_of_it_is_the_panel_itself(panel):
    assert limit_history(panel, 1.0) is panel
    assert limit_history(panel, 1.0, 9) is panel
