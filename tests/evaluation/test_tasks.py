"""Windows cut from generated data sets."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters.evaluation import build_tasks
from lagllama_adapters.evaluation.tasks import season_length


@pytest.mark.parametrize(
    ("freq", "season"),
    [
        ("5min", 288), ("30min", 48), ("h", 24), ("D", 7), ("B", 5), ("W-MON", 1), ("MS", 12),
        ("QS", 4), ("YS", 1),
    ],
)  # fmt: skip
def test_seasons_follow_the_frequency(freq, season):
    assert season_length(freq) == season


def test_tasks_take_the_last_horizons_and_the_rest_as_history(corpus_folder):
    hourly, monthly = build_tasks(corpus_folder)
    assert (hourly.name, hourly.horizon, hourly.season) == ("hourly", 48, 24)
    lengths = [len(past) for past in hourly.panel[:5]]
    assert lengths == [12, 60, 108, 156, 204]  # windows that leave 8 observations, of ten
    assert hourly.panel.item_id[:2] == ("hourly0/6", "hourly0/5")
    assert monthly.horizon == 12
    assert all(np.isfinite(past).sum() >= 8 for past in monthly.panel.targets)
    # A series' windows follow each other without a gap.
    np.testing.assert_array_equal(hourly.panel[1].target[-48:], hourly.future[0])


def test_the_horizon_can_be_chosen(corpus_folder):
    hourly, monthly = build_tasks(corpus_folder, prediction_length=100)
    assert hourly.horizon == monthly.horizon == 100
    assert hourly.future.shape == (24, 100)  # two windows of each series leave 8 observations
    with pytest.raises(ValueError, match="prediction_length: got 0, expected a positive integer"):
        build_tasks(corpus_folder, prediction_length=0)


def _write(folder, name, series):
    n = len(series)
    columns = {"item_id": [str(i) for i in range(n)], "freq": ["MS"] * n, "start": [None] * n}
    pq.write_table(pa.table(columns | {"target": series}), folder / f"{name}.parquet")


def test_data_sets_without_a_relative_loss_are_left_out_by_name(tmp_path):
    _write(tmp_path, "wave", [[float(i % 7) for i in range(60)]])
    _write(tmp_path, "constant", [[3.0] * 60])
    _write(tmp_path, "silent", [[float(i % 7) for i in range(48)] + [0.0] * 300])
    with pytest.warns(UserWarning, match=r"\['constant', 'silent'\] left out"):
        (task,) = build_tasks(tmp_path)
    assert (task.name, task.band) == ("wave", "monthly")


def test_a_folder_without_a_usable_window_is_refused(tmp_path):
    _write(tmp_path, "short", [[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="got no usable window"):
        build_tasks(tmp_path)
