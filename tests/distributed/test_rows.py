"""A row of forecasts for each row of series, without a cluster."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

pytest.importorskip("ray.data")

from ray.data.extensions import ArrowTensorArray

from lagllama_adapters.checkpoints import load_pretrained
from lagllama_adapters.distributed.rows import RowForecaster, RowSettings
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

LEVELS, HORIZON = (0.1, 0.9), 4


@pytest.fixture(scope="module")
def forecaster(block_checkpoint):
    settings = RowSettings(HORIZON, LEVELS, ForecastOptions(num_samples=20, seed=3))
    return RowForecaster(load_pretrained(block_checkpoint), "cpu", settings)


def _table(targets, **columns):
    count = len(targets)
    base = {
        "item_id": [f"s{i}" for i in range(count)],
        "start": ["2024-01-01"] * count,
        "freq": ["D"] * count,
        "target": pa.array(targets, pa.list_(pa.float32())),
    }
    return pa.table(base | columns)


def _waves(count):
    return [np.sin(np.arange(60 + i) / 3 + i) + 10 for i in range(count)]


def test_rows_hold_what_the_predictor_says(forecaster, block_checkpoint):
    made = forecaster(_table([wave.tolist() for wave in _waves(3)], other=[1, 2, 3]))
    assert made.column("item_id").to_pylist() == ["s0", "s1", "s2"]
    assert made.column("error").null_count == 3
    starts = [pd.Timestamp("2024-03-01") + pd.Timedelta(days=i) for i in range(3)]
    assert made.column("start").to_pylist() == starts
    assert made.column("freq").to_pylist() == ["D"] * 3
    expected = LagLlamaPredictor(block_checkpoint).predict(
        [wave.astype(np.float32) for wave in _waves(3)],
        HORIZON,
        20,
        "2024-01-01",
        "D",
        seed=3,
        item_id=["s0", "s1", "s2"],
    )
    np.testing.assert_allclose(np.stack(made.column("mean").to_pylist()), expected.mean, rtol=1e-5)
    for position, level in enumerate(LEVELS):
        got = np.stack(made.column(f"q{level:g}").to_pylist())
        np.testing.assert_allclose(got, expected.quantile(LEVELS)[:, position], rtol=1e-5)


def test_each_row_that_cannot_be_forecast_says_why(forecaster):
    wave = _waves(1)[0].tolist()
    faulty = [wave, [], [np.nan] * 9, [1.0, np.inf], wave]
    names = ["good", "empty", "missing", "infinite", "good"]
    made = forecaster(_table(faulty, item_id=names)).to_pylist()
    assert sorted(row["item_id"] for row in made) == sorted(names)
    errors = {row["item_id"]: row["error"] for row in made if row["error"] is not None}
    assert set(errors) == set(names)
    assert "empty series" in errors["empty"]
    assert "no observed value" in errors["missing"]
    assert "infinite" in errors["infinite"]
    assert "got this name before" in errors["good"]
    assert all(row["mean"] is None for row in made if row["error"] is not None)
    assert [row["item_id"] for row in made if row["error"] is None] == ["good"]


def test_several_series_in_a_row_are_refused(forecaster):
    pairs = pa.array([[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]])
    (row,) = forecaster(_table([[1.0]], target=pairs)).to_pylist()
    assert row["error"] == "got 2 series in a row, expected one: a list of numbers"


def test_time_stamps_in_each_row_tell_the_calendar(forecaster):
    wave = _waves(1)[0]
    days = pd.date_range("2024-01-01", periods=len(wave), freq="D")
    stamped = pa.table(
        {
            "item_id": ["s0"],
            "timestamp": pa.array([days.to_numpy("datetime64[us]")]),
            "value": pa.array([wave.astype(np.float32)]),
        }
    )
    assert forecaster(stamped).equals(forecaster(_table([wave.tolist()])))


def test_arrays_as_ray_keeps_them_are_read(forecaster):
    wave = _waves(1)[0].astype(np.float32)
    plain = forecaster(_table([wave.tolist(), wave.tolist()]))
    same = ArrowTensorArray.from_numpy(np.stack([wave, wave]))
    assert forecaster(_table([[0.0]] * 2, target=same)).equals(plain)
    ragged = ArrowTensorArray.from_numpy(np.array([wave, wave[:50]], dtype=object))
    assert forecaster(_table([[0.0]] * 2, target=ragged)).slice(0, 1).equals(plain.slice(0, 1))
    matrix = ArrowTensorArray.from_numpy(np.zeros((2, 3, 4), np.float32))
    with pytest.raises(ValueError, match=r"target: got .*, expected a list of numbers in each row"):
        forecaster(_table([[0.0]] * 2, target=matrix))


def test_missing_columns_and_names_are_refused(forecaster):
    with pytest.raises(ValueError, match=r"missing .'target'"):
        forecaster(_table([[1.0, 2.0]]).drop_columns(["target"]))
    with pytest.raises(ValueError, match="got rows without item_id, expected a name in each"):
        forecaster(_table([[1.0, 2.0]], item_id=pa.array([None], pa.string())))
