"""The quickstart, on its quick series; the solar one only differs by a slow ARIMA."""

import importlib.util
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("darts")
pytest.importorskip("sktime")
pytest.importorskip("matplotlib").use("agg")

QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart.py"

# The example hides what the hosts say about themselves when it is run; here its functions are.
pytestmark = pytest.mark.filterwarnings("ignore", "error:::lagllama_adapters")


@pytest.fixture(scope="module")
def quickstart():
    spec = importlib.util.spec_from_file_location("quickstart", QUICKSTART)
    module = importlib.util.module_from_spec(spec)
    sys.modules["quickstart"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["quickstart"]


@pytest.fixture(scope="module")
def cases(quickstart):
    return quickstart.load_cases()


@pytest.fixture(scope="module")
def lynx(quickstart, cases):
    """Results of both hosts for the yearly series."""
    return [run(cases[2], 100) for run in (quickstart.backtest_darts, quickstart.backtest_sktime)]


def test_series_are_real_whole_and_of_four_frequencies(cases):
    assert [case.y.index.freqstr[:1] for case in cases] == ["M", "Q", "Y", "3"]
    for case in cases:
        assert case.y.notna().all()
        assert len(case.y) > 2 * case.season + case.horizon * case.windows


def test_each_host_scores_all_three_models(lynx):
    assert [result.host for result in lynx] == ["Darts", "sktime"]
    for result in lynx:
        for figures in (result.crps, result.coverage, result.seconds):
            assert len(figures) == 3
            assert np.isfinite(figures).all()
        assert min(result.crps) > 0
        assert 0 < min(result.coverage) <= max(result.coverage) <= 1


def test_fans_cover_the_windows_in_order(lynx, quickstart):
    for result in lynx:
        case = result.case
        assert [fan.shape for fan in result.fans] == [(case.horizon, 7)] * case.windows
        assert (np.diff(np.concatenate(result.fans), axis=1) >= 0).all()
        steps = np.concatenate([fan.index for fan in result.fans])
        tested = case.y.to_timestamp().index[-case.horizon * case.windows :]
        np.testing.assert_array_equal(steps, tested)


def test_both_hosts_give_the_same_scores(lynx):
    """Those of Lag-Llama are of the same paths; the hosts have their own naive and ARIMA."""
    assert lynx[0].crps[0] == pytest.approx(lynx[1].crps[0], rel=1e-4)
    np.testing.assert_allclose(lynx[0].crps[1:], lynx[1].crps[1:], rtol=0.15)


def test_the_picture_shows_fans_that_both_hosts_agree_on(lynx, quickstart):
    assert quickstart.agreed_fans(lynx) is lynx[0].fans
    moved = replace(lynx[1], crps=[1.01 * lynx[1].crps[0], *lynx[1].crps[1:]])
    with pytest.raises(RuntimeError, match=r"lynx, yearly: CRPS .* through Darts, but .* sktime"):
        quickstart.agreed_fans([lynx[0], moved])


def test_seasonal_naive_of_darts_repeats_the_last_season(quickstart, cases):
    from darts import TimeSeries
    from darts.models import ARIMA, NaiveSeasonal

    series = TimeSeries.from_series(cases[0].y.to_timestamp())
    walk = ARIMA(0, 0, 0, seasonal_order=(0, 1, 0, 12)).fit(series).predict(24)
    repeated = NaiveSeasonal(12).fit(series).predict(24)
    np.testing.assert_allclose(walk.values(), repeated.values(), rtol=1e-6)


def test_main_prints_the_table_and_writes_the_picture(
    quickstart, cases, tmp_path, monkeypatch, capsys
):
    few = [replace(cases[0], windows=2), replace(cases[2], windows=2)]
    output = tmp_path / "picture.png"
    monkeypatch.setattr(quickstart, "load_cases", lambda: few)
    monkeypatch.setattr(quickstart, "silence_hosts", lambda: None)  # process-wide settings
    page = tmp_path / "report.html"
    arguments = ["--output", str(output), "--report", str(page), "--num-samples", "50"]
    monkeypatch.setattr(sys, "argv", ["quickstart", *arguments])
    quickstart.main()
    table = capsys.readouterr().out
    for name in ("airline, monthly", "lynx, yearly"):
        assert len([line for line in table.splitlines() if line.strip().startswith(name)]) == 3
    assert "geometric mean" in table
    header = output.read_bytes()[:24]
    assert header[1:4] == b"PNG"
    width, height = struct.unpack(">II", header[16:24])
    assert (width, height) == (1080, round(120 * (2 * 1.8 + 0.7)))
    text = page.read_text(encoding="utf-8")
    for name in ("airline, monthly", "lynx, yearly", "Lag-Llama zero-shot", "smoothing"):
        assert name in text
    assert "failed</abbr>" not in text
    assert len(text) < 3_000_000
