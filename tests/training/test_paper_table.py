"""The paper's table and its command."""

import csv

import numpy as np
import pytest
from typer.testing import CliRunner

from lagllama_adapters.cli import app
from lagllama_adapters.evaluation import build_tasks, score_task
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.training.paper_table import PaperTable


def test_ranks_are_means_over_data_sets_and_ties_share():
    table = PaperTable()
    for data_set, losses in {"a": (0.1, 0.3, 0.2), "b": (0.5, 0.5, 0.1)}.items():
        for column, loss in zip("xyz", losses, strict=True):
            table.add(data_set, column, loss)
    assert table.mean_ranks() == {"x": (1 + 2.5) / 2, "y": (3 + 2.5) / 2, "z": 1.5}
    header, rows = table.rows()
    assert header == ["dataset", "x", "y", "z"]
    assert rows[0] == ["a", 0.1, 0.3, 0.2]
    assert rows[-1] == ["mean rank", 1.75, 2.75, 1.5]


@pytest.fixture
def run(corpus_folder, tmp_path):
    def call(*arguments):
        return CliRunner().invoke(
            app,
            [
                *("benchmark", "paper", "--data", str(corpus_folder)),
                *("--out", str(tmp_path / "table.csv"), "--prediction-length", "6"),
                *map(str, arguments),
            ],
        )

    return call


def test_the_command_writes_losses_of_all_weights_and_fractions(run, corpus_folder, tmp_path):
    result = run(
        *("--checkpoint", "tiny", "--checkpoint", "base", "--fractions", "0,50"),
        *("--steps", "2", "--num-samples", "20", "--context-length", "16"),
    )
    assert result.exit_code == 0, result.output
    header, *rows = csv.reader((tmp_path / "table.csv").read_text().splitlines())
    assert header == ["dataset", "seasonal naive"] + [
        f"{name} {what}" for name in ("tiny", "base") for what in ("zero-shot", "50%")
    ]
    tasks = build_tasks(corpus_folder, 6)
    assert [row[0] for row in rows] == [*(task.name for task in tasks), "mean rank"]
    options = ForecastOptions(num_samples=20, context_length=16, seed=0)
    score, _ = score_task(LagLlamaPredictor("tiny"), tasks[0], options)
    assert float(rows[0][2]) == score.wql
    assert np.mean([float(rank) for rank in rows[-1][1:]]) == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fractions", "a"), "--fractions: got 'a'"),
        (("--context-length", 5000), "context_length: got 5000"),
        (("--mode", "half"), "mode"),
    ],
)
def test_bad_options_are_named_before_the_work(run, tmp_path, arguments, message):
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "table.csv").exists()
