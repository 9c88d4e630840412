"""The examples of sktime run as scripts do, on few steps, and print what they compute."""

import importlib.util
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sktime")

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.filterwarnings("ignore", "error:::lagllama_adapters")


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """The main function of an example, and what it prints."""

    def run(name, *options):
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *options])
        example.main()
        return capsys.readouterr().out

    return run


def read_table(text):
    """A printed data frame, whose cells are two spaces apart."""
    return pd.read_csv(io.StringIO(text), sep=r"\s{2,}", engine="python", index_col=0)


def test_zero_shot_prints_forecasts_within_their_intervals(run):
    printed = run("sktime_zero_shot", "--horizon", "5", "--num-samples", "50")
    rows = np.array([line.split()[1:] for line in printed.splitlines()[-5:]], dtype=float)
    truth, plain, low, high, log, log_low, log_high = rows.T
    np.testing.assert_array_equal(truth, [606, 508, 461, 390, 432])  # the end of the series
    assert ((low < plain) & (plain < high)).all()
    assert ((log_low > 0) & (log_low < log) & (log < log_high)).all()
    assert np.abs(log - plain).max() > 0.1
    assert np.abs(plain / truth - 1).max() < 0.2


def test_search_picks_the_best_context_and_backtests_it(run):
    printed = run("sktime_evaluate", "--folds", "2", "--contexts", "12", "32").splitlines()
    searched = [float(line.split()[-1]) for line in printed[:2]]
    assert [line.split()[0] for line in printed[:2]] == ["context_length=12", "context_length=32"]
    assert searched[0] != searched[1]
    scores = read_table("\n".join(printed[2:]))
    assert list(scores.index) == ["seasonal naive", "default context", "context searched"]
    assert (scores["test_PanelCRPS"] > scores["test_PinballLoss"]).all()
    assert scores["test_PanelCRPS"]["seasonal naive"] == scores["test_PanelCRPS"].max()


def test_reconciled_forecasts_add_up(run):
    table = read_table(run("sktime_hierarchy", "--horizon", "3"))
    assert table["gap"]["each series alone"] > 1
    assert table["gap"]["reconciled"] == 0
    errors = table.drop(columns="gap").to_numpy()
    assert (errors > 0).all()
    assert errors[0].tolist() != errors[1].tolist()


def test_panel_is_tuned_exported_and_compared(run, tmp_path):
    from lagllama_adapters.checkpoints import load_pretrained

    before, after, losses = run("sktime_panel", "--steps", "2", "--export", "here").splitlines()
    given, kept = (float(line.split()[2]) for line in (before, after))
    assert [step for step, _ in eval(losses.removeprefix("validation losses "))] == [0, 1, 2]
    exported, base = (
        load_pretrained(str(name)).state_dict() for name in (tmp_path / "here", "base")
    )
    same = all((exported[name] == base[name]).all() for name in base)
    assert same == ("kept: given" in after)
    if same:
        assert given == kept
