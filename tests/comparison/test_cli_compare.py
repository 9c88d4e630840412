"""``lagllama compare``: thin over `compare`, on the readers of ``lagllama forecast``."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

pytest.importorskip("darts")

from lagllama_adapters.cli import app
from lagllama_adapters.cli.compare import split_models
from lagllama_adapters.comparison import compare


def run(*arguments):
    arguments = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, ["compare", *arguments, "--no-progress-bar"])


@pytest.fixture
def sales(monthly, tmp_path):
    rows = [
        {"item_id": name, "date": stamp.to_timestamp(), "value": value}
        for name, y in monthly.items()
        for stamp, value in y.items()
    ]
    path = tmp_path / "sales.csv"
    frame = pd.DataFrame(rows).astype({"value": str})
    frame.loc[len(frame)] = ["c", pd.Timestamp("2020-01-01"), "many"]
    frame.to_csv(path, index=False)
    return path


def test_writes_what_compare_returns(monthly, sales, tmp_path, block_checkpoint):
    outputs = [tmp_path / name for name in ("report.html", "scores.csv", "all.json")]
    result = run(
        sales,
        *("--horizon", 6, "--models", "zero-shot, naive=seasonal-naive,darts.models.NaiveDrift()"),
        *("--origins", 2, "--samples", 20, "--checkpoint", block_checkpoint, "--title", "Shops"),
        *(part for path in outputs for part in ("--output", path)),
    )
    assert result.exit_code == 0, result.output
    models = ["zero-shot", "naive=seasonal-naive", "darts.models.NaiveDrift()"]
    options = {"origins": 2, "num_samples": 20, "checkpoint": block_checkpoint}
    expected = compare(monthly, 6, models, **options).to_frame()
    written = pd.read_csv(outputs[1])
    for column in ("series", "model"):
        assert list(written[column]) == list(expected[column])
    for column in ("crps", "mql", "mase", "coverage"):
        np.testing.assert_allclose(written[column], expected[column], rtol=1e-6)
    document = json.loads(outputs[2].read_text())
    assert document["settings"]["models"]["naive"] == "seasonal-naive"
    assert document["versions"]["darts"]
    assert [one["item_id"] for one in document["faults"]] == ["c"]
    assert "<title>Shops:" in outputs[0].read_text()
    assert "NaiveDrift" in result.output
    assert "many" in result.output


def test_wrong_input_is_a_message_before_work(sales, tmp_path):
    for arguments, message in (
        (("--output", tmp_path / "report.pdf"), "ends in one of"),
        (("--output", tmp_path / "no" / "report.html"), "existing folder"),
        (("--output", tmp_path / "r.html", "--models", "arima"), "expected one of"),
        (("--output", tmp_path / "r.html", "--host", "prophet"), "host: got 'prophet'"),
    ):
        result = run(sales, "--horizon", 6, *arguments)
        assert result.exit_code == 1
        assert message in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == [sales]


def test_models_are_separated_outside_of_brackets():
    text = "zero-shot, x=a.B(lags=[1, 2], kind='a,b'),, tuned"
    assert split_models(text) == ["zero-shot", "x=a.B(lags=[1, 2], kind='a,b')", "tuned"]
