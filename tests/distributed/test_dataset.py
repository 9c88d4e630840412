"""Rows of Ray datasets, forecast by a cluster."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

from lagllama_adapters.distributed import forecast_dataset  # noqa: E402
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor  # noqa: E402

pytestmark = pytest.mark.slow

ROWS, HORIZON = 40, 4
OPTIONS = ForecastOptions(num_samples=12, seed=4)


def _values(name):
    return np.random.default_rng(int(name)).normal(size=80).cumsum().astype(np.float32) + 50


def test_parquet_in_and_parquet_out(cluster, tmp_path, block_checkpoint):
    names = [str(row) for row in range(ROWS)]
    targets = [_values(name).tolist() for name in names]
    targets[7] = [float("nan")] * 5
    (tmp_path / "series").mkdir()
    for half in (slice(0, ROWS // 2), slice(ROWS // 2, ROWS)):
        table = {
            "item_id": names[half],
            "start": ["2024-01-01"] * (ROWS // 2),
            "freq": ["D"] * (ROWS // 2),
            "target": pa.array(targets[half], pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(table), tmp_path / "series" / f"{half.start}.parquet")
    ray.init(cluster.address, log_to_driver=False)
    try:
        rows = ray.data.read_parquet(str(tmp_path / "series"))
        with pytest.raises(ValueError, match="got 9, expected at most 2:"):
            forecast_dataset(rows, HORIZON, checkpoint=block_checkpoint, workers=9)
        rows = rows.repartition(target_num_rows_per_block=8)
        made = forecast_dataset(
            rows, HORIZON, OPTIONS, checkpoint=block_checkpoint, quantiles=(0.1, 0.9)
        )
        made.write_parquet(str(tmp_path / "forecasts"))
    finally:
        ray.shutdown()
    table = pq.read_table(tmp_path / "forecasts").to_pandas().set_index("item_id")
    assert sorted(table.index, key=int) == names  # each once
    assert "no observed value" in table.error["7"]
    good = [name for name in names if name != "7"]
    assert table.error[good].isna().all()
    expected = LagLlamaPredictor(block_checkpoint).predict(
        [_values(name) for name in good], HORIZON, 12, "2024-01-01", "D", seed=4, item_id=good
    )
    np.testing.assert_allclose(np.stack(table["mean"][good]), expected.mean, rtol=1e-4)
    np.testing.assert_allclose(
        np.stack(table["q0.9"][good]), expected.quantile(0.9)[:, 0], rtol=1e-4
    )


def test_a_cluster_of_one_processor_reads_and_forecasts(tmp_path, block_checkpoint, lean):
    names = [str(row) for row in range(4)]
    table = {
        "item_id": names,
        "start": ["2024-01-01"] * 4,
        "freq": ["D"] * 4,
        "target": pa.array([_values(name).tolist() for name in names], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(table), tmp_path / "series.parquet")
    ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, _system_config=lean)
    try:
        rows = ray.data.read_parquet(str(tmp_path / "series.parquet"))
        made = forecast_dataset(rows, HORIZON, OPTIONS, checkpoint=block_checkpoint).to_pandas()
    finally:
        ray.shutdown()
    assert sorted(made.item_id) == names
    assert made.error.isna().all()
