"""Runs over files: the same bytes whatever happens, and faults in their places."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.files import forecast_files
from lagllama_adapters.inference.files.pools import worker_context

HORIZON, OPTIONS = 5, ForecastOptions(num_samples=12, seed=4)

# Forecasts slowly enough to be killed in the midst, in one process: the file of each part is known.
SLOW = """
import sys, time
from lagllama_adapters.inference import ForecastOptions
from lagllama_adapters.inference.files import forecast_files, run
forecast = run.forecast_part
def slow(*arguments):
    faults = forecast(*arguments)
    time.sleep(0.2)
    return faults
run.forecast_part = slow
forecast_files(sys.argv[1], sys.argv[2], 5, ForecastOptions(num_samples=12, seed=4),
               checkpoint=sys.argv[3], series_per_part=3, workers=1)
"""


# Two workers that wait forever once they have begun.
WAITING = """
import os, sys, time
from lagllama_adapters.inference.files.pools import ProcessPool
if __name__ == "__main__":
    pool = ProcessPool(None, (sys.argv[1], "cpu", None, None), 2)
    print(*{pool._pool.submit(os.getpid).result() for _ in range(20)}, flush=True)
    pool._pool.submit(time.sleep, 600), pool._pool.submit(time.sleep, 600)
    time.sleep(600)
"""

# What a worker has imported when it begins, and its processor seconds.
LOOKING = """
from concurrent.futures import ProcessPoolExecutor
from lagllama_adapters.inference.files.pools import worker_context
if __name__ == "__main__":
    with ProcessPoolExecutor(1, worker_context()) as pool:
        print(pool.submit(eval, "'torch' in __import__('sys').modules").result(),
              pool.submit(eval, "__import__('time').process_time()").result())
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """40 files of single series, CSV and Parquet in turns, and 6 planted faults."""
    path = tmp_path_factory.mktemp("series")
    days = pd.date_range("2024-01-01", periods=60, freq="D")
    for i in range(40):
        rng = np.random.default_rng(i)
        table = pd.DataFrame({"date": days, "value": rng.normal(size=60).cumsum() + 50})
        if i in (3, 4):
            table.loc[7, "value"] = np.inf
        if i in (10, 11):
            table.loc[9, "date"] = table.loc[8, "date"]
        name = path / f"s{i:02d}"
        if i % 2:
            table.to_parquet(f"{name}.parquet", index=False)
        else:
            table.to_csv(f"{name}.csv", index=False)
    (path / "s20.csv").write_text((path / "s20.csv").read_text().replace("2024-01-09,", "once,"))
    (path / "s21.parquet").write_bytes(b"PAR1 damaged")
    return path


def _content(folder):
    """All that a finished run leaves."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory, block_checkpoint):
    out = tmp_path_factory.mktemp("whole") / "out"
    return forecast_files(
        folder, out, HORIZON, OPTIONS, checkpoint=block_checkpoint, series_per_part=3, workers=1
    )


def test_the_rest_is_forecast_as_by_the_predictor(folder, whole, block_checkpoint):
    table = pd.concat([pd.read_parquet(part) for part in whole.parts])
    faulty = {3, 4, 10, 11, 20, 21}
    names = [f"s{i:02d}" for i in range(40) if i not in faulty]
    assert table.item_id.tolist() == [name for name in names for _ in range(HORIZON)]
    assert whole.series == len(names)
    assert table.step.tolist() == [1, 2, 3, 4, 5] * len(names)
    assert table.time.iloc[0] == pd.Timestamp("2024-03-01")
    values = [np.random.default_rng(int(name[1:])).normal(size=60).cumsum() + 50 for name in names]
    expected = LagLlamaPredictor(block_checkpoint).predict(
        values, HORIZON, 12, "2024-01-01", "D", seed=4, item_id=names
    )
    np.testing.assert_allclose(table["mean"], expected.mean.reshape(-1), rtol=1e-5)
    np.testing.assert_allclose(
        table[["q0.1", "q0.9"]].to_numpy().reshape(len(names), HORIZON, 2),
        expected.quantile([0.1, 0.9]).transpose(0, 2, 1),
        rtol=1e-5,
    )


def test_faults_are_written_with_file_line_and_series(whole):
    written = pd.read_csv(whole.folder / "faults.csv")
    places = list(zip(written.file.str[-11:], written.item_id, strict=True))
    assert [file.split("/")[-1][:3] for file, _ in places] == [
        f"s{i:02d}" for i in (3, 4, 10, 11, 20, 21)
    ]
    # Text files have a header, Parquet files have not; of the damaged one no row is known.
    assert written.line.tolist()[:5] == [8, 9, 11, 10, 10]
    assert len(whole.faults) == len(written) == 6


def test_killed_twice_and_resumed_is_the_same_to_the_byte(
    folder, whole, tmp_path, block_checkpoint
):
    out = tmp_path / "out"
    for parts in (2, 6):
        command = [sys.executable, "-c", SLOW, str(folder), str(out), block_checkpoint]
        running = subprocess.Popen(command)
        deadline = time.monotonic() + 120
        while len(list(out.glob("part-*"))) < parts:
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        assert json.loads((out / "manifest.json").read_text())["finished"] is None
        assert len(list(out.glob("part-*"))) < len(whole.parts)
    (out / ".part-000000.parquet.1.ab.tmp").write_bytes(b"half")  # as a kill may leave it
    kept = {path: path.stat().st_mtime_ns for path in out.glob("part-*")}
    report = forecast_files(
        folder, out, HORIZON, OPTIONS, checkpoint=block_checkpoint, series_per_part=3, workers=1
    )
    assert _content(out) == _content(whole.folder)
    assert (report.series, report.faults) == (whole.series, whole.faults)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_outlives_a_killed_parent(block_checkpoint):
    command = [sys.executable, "-c", WAITING, block_checkpoint]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        workers = [int(pid) for pid in running.stdout.readline().split()]
        server = _parent(workers[0])
        running.kill()
    left, until = {*workers, server}, time.monotonic() + 30
    while left and time.monotonic() < until:
        left = {pid for pid in left if _parent(pid) is not None}
        time.sleep(0.05)
    assert workers
    assert not left


def _parent(pid):
    """None where there is no such process, or it has ended and nobody asked how."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
    except FileNotFoundError:
        return None
    return None if state == "Z" else int(parent)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers begin anew")
def test_workers_are_forked_from_a_process_that_has_imported(block_checkpoint):
    """Imports cost as much as hundreds of forecasts: they are done once for all workers."""
    command = [sys.executable, "-c", LOOKING, block_checkpoint]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    imported, seconds = done.stdout.split()
    assert imported == "True"
    assert float(seconds) < 0.5


def test_workers_begin_anew_where_forks_are_not_safe(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert worker_context().get_start_method() == "spawn"


def test_two_processes_write_the_same_bytes_as_one(folder, whole, tmp_path, block_checkpoint):
    seen = []
    forecast_files(
        folder,
        tmp_path / "out",
        HORIZON,
        OPTIONS,
        checkpoint=block_checkpoint,
        series_per_part=3,
        workers=2,
        progress=lambda *state: seen.append(state),
    )
    assert _content(tmp_path / "out") == _content(whole.folder)
    own = [child for child in active_children() if "Loky" not in type(child).__name__]
    assert not own  # other tests of the session may have left processes of joblib
    assert [state[0] for state in seen] == sorted(state[0] for state in seen)
    assert seen[-1][:2] == (whole.series, 6)
    assert seen[-1][3] > 0.9


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"quantiles": (0.5,)}, "quantiles: "),
        ({"options": ForecastOptions(num_samples=12, seed=5)}, "options.seed: 4 there, 5 now"),
        ({"prediction_length": 6}, "prediction_length: 5 there, 6 now"),
        ({"checkpoint": "tiny"}, "weights: "),
        ({"series_per_part": 4}, "series_per_part: 3 there, 4 now"),
    ],
)
def test_a_run_with_other_settings_is_refused(folder, whole, block_checkpoint, changed, message):
    before = _content(whole.folder)
    arguments = {
        "prediction_length": HORIZON,
        "options": OPTIONS,
        "checkpoint": block_checkpoint,
        "series_per_part": 3,
        "workers": 1,
    }
    with pytest.raises(ValueError, match=message):
        forecast_files(folder, whole.folder, **(arguments | changed))
    assert _content(whole.folder) == before


def test_changed_data_is_refused(tmp_path, block_checkpoint):
    path = tmp_path / "a.csv"
    path.write_text("date,value\n" + "".join(f"2024-01-{d:02d},{d}\n" for d in range(1, 29)))
    how = {"checkpoint": block_checkpoint, "workers": 1}
    first = forecast_files(path, tmp_path / "out", HORIZON, **how)
    again = forecast_files(path, tmp_path / "out", HORIZON, **how)  # with the seed drawn before
    assert again == first
    path.write_text(path.read_text().replace(",7\n", ",8\n"))
    with pytest.raises(ValueError, match=r"data\.digest"):
        forecast_files(path, tmp_path / "out", HORIZON, **how)


def test_refusals(folder, tmp_path, block_checkpoint):
    out, how = tmp_path / "out", {"checkpoint": block_checkpoint, "workers": 1}
    with pytest.raises(ValueError, match=r"s03\.parquet.*infinite.*on_error 'skip'"):
        forecast_files(folder, out, HORIZON, on_error="fail", **how)
    with pytest.raises(ValueError, match="expected distinct levels"):
        forecast_files(folder, tmp_path / "new", HORIZON, quantiles=(0.5, 0.5), **how)
    with pytest.raises(ValueError, match="options: got joint=True, expected False"):
        forecast_files(folder, tmp_path / "new", HORIZON, ForecastOptions(joint=True), **how)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    with pytest.raises(FileExistsError, match="holds other files"):
        forecast_files(folder, tmp_path / "mine", HORIZON, **how)
    with pytest.raises(ValueError, match="got no series that can be forecast; the first fault"):
        forecast_files(folder / "s21.parquet", tmp_path / "none", HORIZON, **how)
