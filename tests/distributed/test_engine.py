"""Runs over files on a cluster: the same bytes, also if a worker, a node or the driver is lost."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.inference.files import forecast_files

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

from lagllama_adapters.distributed import RayEngine  # noqa: E402

pytestmark = pytest.mark.slow

HORIZON, OPTIONS = 5, ForecastOptions(num_samples=12, seed=4)
SERIES = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "series.csv"
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    tables = [
        pd.DataFrame(
            {
                "item_id": f"s{i:02d}",
                "date": days,
                "value": np.random.default_rng(i).normal(size=60).cumsum() + 50,
            }
        )
        for i in range(SERIES)
    ]
    tables[5].loc[3, "value"] = np.inf
    pd.concat(tables).to_csv(path, index=False)
    return path


def _forecast(data, folder, checkpoint, **options):
    return forecast_files(
        data, folder, HORIZON, OPTIONS, checkpoint=checkpoint, series_per_part=1, **options
    )


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory, block_checkpoint):
    """Of this process, without a cluster."""
    folder = tmp_path_factory.mktemp("whole") / "out"
    return _forecast(data, folder, block_checkpoint, workers=1)


def _content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_killed_driver_goes_on_where_it_was(cluster, data, whole, tmp_path, block_checkpoint):
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-c", "from lagllama_adapters.cli import app; app()", "forecast"),
        *(str(data), "--out", str(out), "--horizon", str(HORIZON), "--samples", "12"),
        *("--seed", "4", "--checkpoint", block_checkpoint, "--series-per-part", "1"),
        *("--engine", "ray", "--address", cluster.address),
    ]
    running = subprocess.Popen(command)
    deadline = time.monotonic() + 300
    while len(list(out.glob("part-*"))) < 3:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert len(before) < len(whole.parts)
    _forecast(data, out, block_checkpoint, workers=1)  # a cluster may begin what a machine ends
    assert _content(out) == _content(whole.folder)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_more_workers_than_there_is_room_for_are_refused(cluster, data, tmp_path, block_checkpoint):
    with pytest.raises(ValueError, match="got 3, expected at most 2: the cluster has 2 processors"):
        _forecast(
            data, tmp_path / "a", block_checkpoint, engine=RayEngine(cluster.address), workers=3
        )
    with pytest.raises(ValueError, match=r"expected at most 0: .* and 0 GPUs"):
        _forecast(
            data, tmp_path / "b", block_checkpoint, engine=RayEngine(cluster.address, num_gpus=1)
        )


def test_wrong_arguments_are_refused(data, tmp_path, block_checkpoint):
    with pytest.raises(ValueError, match="num_gpus: got -1, expected 0 or more"):
        RayEngine(num_gpus=-1)
    with pytest.raises(ValueError, match="got 'cuda', expected None: the engine computes on 'cpu'"):
        _forecast(
            data, tmp_path / "out", block_checkpoint, engine=RayEngine("local"), device="cuda"
        )


def test_a_lost_worker_and_a_lost_node_change_no_byte(
    cluster, data, whole, tmp_path, block_checkpoint, processes_of
):
    (short_lived,) = cluster.worker_nodes
    killed, seen = [], []

    def disturb(series, faults, file, share):
        seen.append(series)
        if len(killed) == 0:
            for node in cluster.list_all_nodes():
                killed.extend(processes_of(node, "ray::_Worker")[:1])
            os.kill(killed[0], signal.SIGKILL)
        elif len(seen) == 5:
            cluster.remove_node(short_lived)

    report = _forecast(
        data,
        tmp_path / "out",
        block_checkpoint,
        engine=RayEngine(cluster.address),
        progress=disturb,
    )
    assert killed
    assert not Path(f"/proc/{killed[0]}").exists()
    assert cluster.list_all_nodes() == [cluster.head_node]
    assert _content(tmp_path / "out") == _content(whole.folder)
    assert (report.series, report.faults) == (whole.series, whole.faults)
    assert report.series == SERIES - 1
    assert not ray.is_initialized()  # the run ends what it began
