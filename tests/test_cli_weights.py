"""``lagllama info``, ``finetune`` and ``embed``: thin over functions with tests of their own."""

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lagllama_adapters.checkpoints.description import describe_checkpoint, read_card
from lagllama_adapters.cli import app
from lagllama_adapters.inference import LagLlamaPredictor


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "waves.csv"
    days = pd.date_range("2024-01-01", periods=90, freq="D")
    waves = [10 * np.sin(np.arange(90) * 2 * np.pi / 7 + shift) + 20 for shift in range(3)]
    tables = [
        pd.DataFrame({"item_id": f"s{i}", "date": days, "value": wave})
        for i, wave in enumerate(waves)
    ]
    pd.concat(tables).to_csv(path, index=False)
    return path


def test_info_prints_the_facts(block_checkpoint):
    told = describe_checkpoint(block_checkpoint)
    result = _run("info", block_checkpoint)
    assert result.exit_code == 0, result.output
    for fact in (f"{told.parameters:,}", "24 tokens, at most 48", "quantile at 0.1, 0.5, 0.9"):
        assert fact in result.output
    assert told.sha256 in "".join(result.output.split())
    result = _run("info", block_checkpoint, "--json")
    assert json.loads(result.output)["sha256"] == told.sha256
    result = _run("info", block_checkpoint, "--card")
    assert result.exit_code == 1
    assert "MODEL_CARD.md" in result.output
    result = _run("info", "tiny", "--card", "--json")
    assert json.loads(result.output)["card_text"] == read_card(describe_checkpoint("tiny"))
    result = _run("info", "tiny", "--card")
    assert "license: apache-2.0" not in result.output
    assert "parameters" in result.output
    assert _run("info", "nothing-there").exit_code == 1


def test_tuned_weights_forecast_and_embed(data, tmp_path, block_checkpoint):
    out = tmp_path / "tuned"
    options = ("--horizon", 5, "--steps", 4, "--batch-size", 4, "--validate-every", 2)
    result = _run(
        *("finetune", data, "--out", out, "--checkpoint", block_checkpoint, "--mode", "head"),
        *(*options, "--margin", 0, "--no-progress-bar"),
    )
    assert result.exit_code == 0, result.output
    told = json.loads((out / "finetune.json").read_text())
    assert f"loss {told['loss_before']:.4f} before" in " ".join(result.output.split())
    assert told["validation"]["horizon"] == 5
    vectors = tmp_path / "vectors.csv"
    result = _run("embed", data, "--out", vectors, "--checkpoint", out, "--no-progress-bar")
    assert result.exit_code == 0, result.output
    table = pd.read_csv(vectors)
    values = pd.read_csv(data)
    expected = LagLlamaPredictor(out).embed(
        [values.value[values.item_id == name].to_numpy() for name in table.item_id],
        start="2024-01-01",
        freq="D",
    )
    np.testing.assert_allclose(
        table.drop(columns="item_id").to_numpy(), expected, rtol=1e-4, atol=1e-5
    )
    result = _run("finetune", data, "--out", out, "--no-progress-bar")
    assert result.exit_code == 1
    assert "got a folder with a checkpoint" in " ".join(result.output.split())


def test_covariates_of_files_are_learned_and_named(tmp_path):
    rng, days, tables = np.random.default_rng(0), pd.date_range("2024-01-01", periods=45), []
    for i in range(16):
        on = (rng.random(45) < 0.4).astype(int)
        sold = 20 + 2 * on + 0.7 * rng.normal(size=45)
        own = {"item_id": f"s{i}", "date": days, "value": sold, "promotion": on, "visits": 1 - on}
        tables.append(pd.DataFrame(own))
    data, out = tmp_path / "sales.csv", tmp_path / "tuned"
    pd.concat(tables).to_csv(data, index=False)
    options = ("--horizon", 5, "--steps", 20, "--batch-size", 8, "--validate-every", 10)
    result = _run(
        *("finetune", data, "--out", out, "--checkpoint", "tiny", "--mode", "covariates"),
        *("--covariates", "promotion,visits", "--past-covariates", "visits"),
        *(*options, "--margin", 0, "--no-progress-bar"),
    )
    assert result.exit_code == 0, result.output
    assert "kept: given" not in result.output
    assert describe_checkpoint(out).covariates == ("promotion", "visits")
    shown = _run("info", out)
    assert "promotion, visits" in shown.output
    ahead = pd.DataFrame({"date": pd.date_range("2024-02-15", periods=5), "promotion": 1})
    known = pd.concat([ahead.assign(item_id=f"s{i}") for i in range(16)])
    known.to_csv(tmp_path / "ahead.csv", index=False)
    forecast = ("forecast", data, "--out", tmp_path / "f.csv", "--horizon", 5, "--checkpoint", out)
    columns = ("--covariates", "promotion,visits", "--ahead", tmp_path / "ahead.csv")
    result = _run(*forecast, *columns)
    assert result.exit_code == 0, result.output
    assert 21 < pd.read_csv(tmp_path / "f.csv")["q0.5"].mean() < 23
    other = ("forecast", data, "--out", tmp_path / "g.csv", "--horizon", 5, "--checkpoint", out)
    with pytest.warns(UserWarning, match="are not read"):
        result = _run(*other)
    assert result.exit_code == 1
    assert "expected ['visits'] too" in " ".join(result.output.split())
