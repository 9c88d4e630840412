"""The benchmarks of sampling and scaling, on one layer and few paths."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lagllama_adapters.model import linear

BENCHMARKS = Path(__file__).parents[1] / "examples" / "benchmarks"
TINY = ["--layers", "1", "--runs", "2", "--slow-runs", "1"]
SMALL_GRID = ["--contexts", "32,40", "--series", "1,2", "--paths", "4", "--steps", "3"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """The scripts set the threads of the process."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bench():
    """The modules, imported as the scripts import each other."""
    names = ("measure", "floor", "published", "sampling", "scaling")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield {name: __import__(name) for name in names}
    for name in names:
        del sys.modules[name]


@pytest.fixture
def plot(tmp_path):
    pytest.importorskip("matplotlib").use("agg")
    return tmp_path / "plot.png"


def test_rounds_run_each_call_in_turn(bench):
    order = []
    calls = [lambda name=name: order.append(name) for name in ("slow", "quick", "short")]
    seconds = bench["measure"].interleaved(calls, [10.0, 1.0, 0.1], (3, 1))
    assert order == ["slow", "quick", *["short"] * 2, *["quick", "short", "short"] * 2]
    assert [len(runs) for runs in seconds] == [1, 3, 3]


@pytest.mark.parametrize("series", [1, 3])
def test_floor_runs_the_products_that_it_counts(bench, series, monkeypatch):
    monkeypatch.setattr(linear, "_HAS_ONEDNN", False)  # the counter does not know its products
    network = bench["measure"].published_size_network(2)
    run, counted = bench["floor"].make_floor(network.config, 32, series, 10, 5)
    with FlopCounterMode(display=False) as counter:
        run()
    assert counter.get_total_flops() == counted


def test_floor_counts_linear_layers_as_written_out(bench):
    config = bench["measure"].published_size_network(2).config
    _, counted = bench["floor"].make_floor(config, 32, 1, 10, 5)
    embedding, keys, rest = 92 * 144, 144 * 2 * 144, 144 * (144 + 144 + 1024 + 512)
    prefill = 32 * (embedding + keys + rest) + 32 * keys + rest + 3 * 144
    decode = 4 * 10 * (embedding + 2 * (keys + rest) + 3 * 144)
    pairs = 32 * 16 + 32 + 2 * 10 * (33 + 34 + 35 + 36)
    assert counted == 2 * (prefill + decode + 2 * 144 * pairs)


def test_floor_is_nearly_all_that_the_sampler_multiplies(bench, monkeypatch):
    monkeypatch.setattr(linear, "_HAS_ONEDNN", False)
    measure = bench["measure"]
    network = measure.published_size_network(2)
    predictor = measure.LagLlamaPredictor(network)
    past = measure.random_series(2, predictor.past_length(32))
    with FlopCounterMode(display=False) as counter:
        measure.forecast(predictor, past, 5, 10)
    _, counted = bench["floor"].make_floor(network.config, 32, 2, 10, 5)
    assert 0.8 < counted / counter.get_total_flops() < 1.1


def test_sampling_prints_tables_and_writes_figures(bench, tmp_path, plot, capsys):
    figures = tmp_path / "figures.json"
    options = [*TINY, *SMALL_GRID, "--long-steps", "6", "--peers", "none", "--no-memory"]
    bench["sampling"].main([*options, "--json", str(figures), "--plot", str(plot)])
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("| ours, base") for line in lines) == 4 + 2
    assert sum(line.startswith("| matrix products") for line in lines) == 4 + 1
    content = json.loads(figures.read_text())
    assert content["settings"]["steps"] == 3
    cells = {(row["context"], row["series"], row["candidate"]) for row in content["rows"]}
    names = ("matrix products", "ours", "ours, base")
    assert cells == {(c, s, name) for c in (32, 40) for s in (1, 2) for name in names}
    assert all(len(row["seconds"]) == 2 and min(row["seconds"]) > 0 for row in content["rows"])
    assert [row["ratio"] for row in content["rows"] if row["candidate"] == "ours"] == [1] * 4
    assert plot.read_bytes()[1:4] == b"PNG"


def test_scaled_times_are_marked_and_ratios_refer_to_all_series(bench):
    row = bench["sampling"].Row("published", 32, 8, 100, 24, 2, [4.0, 6.0, 5.0], ratio=10.0)
    assert row.cells()[4:9] == ["5*", "4 .. 6", "3 of 2 series", "10", "3,840"]


def test_peak_memory_is_measured_in_a_fresh_process(bench):
    arguments = ["--peak-of", "ours", "--contexts", 32, "--series", 1, *TINY]
    script = str(BENCHMARKS / "sampling.py")
    memory = bench["measure"].in_subprocess(script, *arguments, "--paths", 4, "--steps", 3)
    assert 0 <= memory["added"] < memory["peak"]
    assert memory["peak"] > 50e6  # torch alone


def test_missing_gluonts_is_said_with_its_remedy(bench, monkeypatch):
    for name in [key for key in sys.modules if key.startswith("gluonts")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gluonts", None)
    with pytest.raises(SystemExit, match=r"install sktime and gluonts .* or leave it out with"):
        bench["sampling"].main([*TINY, *SMALL_GRID])


@pytest.mark.filterwarnings("ignore")  # of libraries of another age
class TestPublishedCode:
    @pytest.fixture(scope="class")
    def network(self, bench):
        pytest.importorskip("gluonts")
        pytest.importorskip("sktime")
        return bench["measure"].published_size_network(2)

    def test_is_timed_on_few_series_where_all_would_take_too_long(self, bench, network, capsys):
        options = [*SMALL_GRID, "--no-memory", "--no-embedded", "--budget", "1e-6"]
        bench["sampling"].main([*TINY, *options])
        lines = capsys.readouterr().out.splitlines()
        assert sum(line.startswith("| published ") for line in lines) == 4
        assert sum("of 1 series" in line for line in lines) == 4

    def test_same_weights_pass_the_check_and_others_do_not(self, bench, network):
        peer = bench["published"].PublishedSampler(network, 32, 3, 4)
        peer.check_equal()
        past = bench["measure"].random_series(2, peer.past_length)
        assert peer.sample(past, use_kv_cache=True).shape == (2, 4, 3)
        with torch.no_grad():
            peer.module.model.transformer["wte"].weight[0] += 0.1
        with pytest.raises(SystemExit, match="not the same network"):
            peer.check_equal()


def test_slope_is_that_of_the_points_past_the_fixed_costs(bench):
    seconds = [[1.0, 9.0, 3.0], [3.0], [4.0], *([3.0 * 2**k] for k in range(2, 5))]
    sweep = bench["scaling"].Sweep("base", "paths", [1, 2, 4, 16, 32, 64], seconds)
    assert sweep.medians[:2] == [3.0, 3.0]
    assert sweep.points == "16 .. 64"
    np.testing.assert_allclose(sweep.line, (1.0, np.log(12 / 16)))


def test_slope_of_what_hardly_grows_is_that_of_the_last_three_points(bench):
    sweep = bench["scaling"].Sweep("base", "context", [1, 2, 4, 8], [[1.0], [1.1], [1.2], [1.3]])
    assert sweep.points == "2 .. 8"
    assert 0 < sweep.line[0] < 0.2


def test_scaling_prints_slopes_and_writes_figures(bench, tmp_path, plot, capsys):
    figures = tmp_path / "figures.json"
    options = ["--layers", "1", "--runs", "1", "--doublings", "1", "--sweeps", "steps,context"]
    bench["scaling"].main([*options, "--json", str(figures), "--plot", str(plot)])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 4
    sweeps = json.loads(figures.read_text())["sweeps"]
    assert [s["sizes"] for s in sweeps] == [[24, 48]] * 2 + [[32, 64]] * 2
    assert plot.read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(("limit", "finished"), [("600", True), ("1e-9", False)])
def test_memory_is_reported_even_if_time_runs_out(bench, capsys, limit, finished):
    options = ["--layers", "1", "--sweeps", "none", "--memory", "--memory-series", "4"]
    bench["scaling"].main([*options, "--memory-limit-seconds", limit])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| published")]
    assert len(rows) == 1
    assert ("(extrapolated)" in rows[0]) is not finished
