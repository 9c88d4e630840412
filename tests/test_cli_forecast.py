"""``lagllama forecast``: thin over `forecast_files`, whose own tests are in tests/inference."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.cli import app

HORIZON = 4


@pytest.fixture
def table():
    days = pd.date_range("2024-01-01", periods=80, freq="D")
    waves = [10 * np.sin(np.arange(80) * 2 * np.pi / 7) + 20 + level for level in range(3)]
    return pd.concat(
        [
            pd.DataFrame({"item_id": f"shop{i}", "date": days, "value": wave})
            for i, wave in enumerate(waves)
        ]
    )


def _run(*arguments):
    arguments = [str(argument) for argument in arguments]
    return CliRunner().invoke(app, ["forecast", *arguments, "--no-progress-bar"])


def _options(checkpoint):
    return ("--horizon", HORIZON, "--samples", 20, "--checkpoint", checkpoint, "--workers", 1)


def test_writes_what_the_predictor_says(table, tmp_path, block_checkpoint):
    table.to_csv(tmp_path / "sales.csv", index=False)
    out = tmp_path / "forecasts.csv"
    options = ("--quantiles", "0.1,0.5,0.9", "--seed", 3, "--support", "0:28.5")
    result = _run(tmp_path / "sales.csv", "--out", out, *_options(block_checkpoint), *options)
    assert result.exit_code == 0, result.output
    written = pd.read_csv(out, parse_dates=["time"])
    assert list(written.columns) == ["item_id", "time", "step", "mean", "q0.1", "q0.5", "q0.9"]
    names = [f"shop{i}" for i in range(3)]
    expected = LagLlamaPredictor(block_checkpoint).predict(
        [table[table.item_id == name].value.to_numpy() for name in names],
        HORIZON,
        num_samples=20,
        seed=3,
        start="2024-01-01",
        freq="D",
        item_id=names,
        support=(0, 28.5),
    )
    figures = written[["q0.1", "q0.5", "q0.9"]].to_numpy().reshape(3, HORIZON, 3)
    np.testing.assert_allclose(
        figures, expected.quantile([0.1, 0.5, 0.9]).transpose(0, 2, 1), rtol=1e-5
    )
    np.testing.assert_allclose(written["mean"], expected.mean.reshape(-1), rtol=1e-5)
    assert written["q0.9"].max() == 28.5
    days = pd.date_range("2024-03-21", periods=HORIZON, freq="D")
    assert written.time.tolist() == days.tolist() * 3
    assert not (tmp_path / "forecasts.csv.parts").exists()


def test_a_pipe_in_and_a_pipe_out_are_the_file_in_and_the_file_out(
    table, tmp_path, block_checkpoint
):
    path, out = tmp_path / "sales.csv", tmp_path / "forecasts.csv"
    table.to_csv(path, index=False)
    assert _run(path, "--out", out, *_options(block_checkpoint)).exit_code == 0
    broken = path.read_text().replace("shop1,2024-01-05", "shop1,yesterday")
    command = [
        sys.executable,
        "-c",
        "from lagllama_adapters.cli import app; app()",
        "forecast",
        "-",
    ]
    command += ["--out", "-", *map(str, _options(block_checkpoint)), "--no-progress-bar"]
    piped = subprocess.run(command, input=broken, capture_output=True, text=True, check=True)
    lines = out.read_text().splitlines(keepends=True)
    assert piped.stdout == "".join(line for line in lines if "shop1" not in line)
    # Fault and count go to the other stream.
    assert "-:86: series 'shop1': column 'date': got 'yesterday'" in piped.stderr
    assert "2 series forecast, 1 faults" in piped.stderr


def test_faults_are_listed_beside_a_single_file(table, tmp_path, block_checkpoint):
    table.loc[(table.item_id == "shop2") & (table.date == "2024-01-09"), "value"] = np.inf
    table.to_parquet(tmp_path / "sales.parquet", index=False)
    out = tmp_path / "forecasts.parquet"
    result = _run(tmp_path / "sales.parquet", "--out", out, *_options(block_checkpoint))
    assert result.exit_code == 0, result.output
    assert pd.read_parquet(out).item_id.unique().tolist() == ["shop0", "shop1"]
    (fault,) = pd.read_csv(f"{out}.faults.csv").to_dict("records")
    assert (fault["item_id"], fault["line"]) == ("shop2", 169)
    assert "infinite" in fault["message"]
    assert "shop2" in result.output


def test_covariates_are_those_of_the_predictor(tmp_path, block_checkpoint):
    rng = np.random.default_rng(2)
    days = pd.date_range("2024-01-01", periods=120 + HORIZON, freq="D")
    promotion = (rng.random(len(days)) < 0.3).astype(float)
    values = (20 + rng.normal(size=len(days))) * (1 + 0.5 * promotion)
    table = pd.DataFrame({"item_id": "a", "date": days, "value": values, "promotion": promotion})
    table.loc[120:, "value"] = np.nan
    table.to_csv(tmp_path / "whole.csv", index=False)
    table[:120].to_csv(tmp_path / "history.csv", index=False)
    table[120:].drop(columns="value").to_csv(tmp_path / "ahead.csv", index=False)
    expected = LagLlamaPredictor(block_checkpoint).predict(
        values[:120],
        HORIZON,
        num_samples=20,
        start=days[0],
        freq="D",
        seed=0,
        item_id=["a"],
        future_covariates={"promotion": promotion},
    )
    options = ("--covariates", "promotion", *_options(block_checkpoint))
    for number, data in enumerate(
        [(tmp_path / "whole.csv",), (tmp_path / "history.csv", "--ahead", tmp_path / "ahead.csv")]
    ):
        out = tmp_path / f"out{number}.csv"
        result = _run(*data, "--out", out, *options)
        assert result.exit_code == 0, result.output
        written = pd.read_csv(out, parse_dates=["time"])
        np.testing.assert_allclose(written["mean"], expected.mean[0], rtol=1e-5)
        assert written.time.tolist() == days[120:].tolist()
    assert promotion[120:].any()  # else it would tell nothing
    result = _run(tmp_path / "whole.csv", "--out", tmp_path / "out", *options, "--horizon", 9)
    assert result.exit_code == 1
    text = " ".join(result.output.split())
    assert "got 'promotion' up to step 4 ahead, expected all 9 steps of the forecast" in text


def test_refusals_say_what_to_do(table, tmp_path, block_checkpoint):
    path = tmp_path / "sales.csv"
    table.assign(price=1).to_csv(path, index=False)
    folder = tmp_path / "out"
    for arguments, message in (
        ((path, "--ahead", path), "got files of steps ahead, expected the names of their"),
        (
            (path, "--covariates", "price", "--layout", "corpus"),
            "covariates: got ['price'] for layout 'corpus', expected none",
        ),
        ((path, "--support", "0:a"), "--support: got '0:a', expected auto"),
        ((path, "--quantiles", "0.1;0.9"), "--quantiles: got '0.1;0.9', expected numbers"),
        ((path, "--format", "xlsx"), "file_format: got 'xlsx'"),
        ((path, "-"), "expected either paths or - alone"),
        ((tmp_path / "none.csv",), "a path that does not exist"),
    ):
        result = _run(*arguments, "--out", folder, *_options(block_checkpoint))
        assert result.exit_code == 1
        assert message in " ".join(result.output.split())
        assert not folder.exists()


def test_columns_that_are_not_read_are_named(table, tmp_path, block_checkpoint):
    path = tmp_path / "sales.csv"
    table.assign(price=1).to_csv(path, index=False)
    with pytest.warns(UserWarning, match=r"columns \['price'\] are not read"):
        result = _run(path, "--out", tmp_path / "out", *_options(block_checkpoint))
    assert result.exit_code == 0, result.output


def test_a_head_starts_from_that_of_the_checkpoint(table, tmp_path, block_checkpoint):
    counts = table.assign(value=table.value.round())
    counts.to_csv(tmp_path / "sales.csv", index=False)
    out, options = tmp_path / "forecasts.csv", (*_options(block_checkpoint), "--seed", 3)
    head = ("--head", "negative_binomial")
    result = _run(tmp_path / "sales.csv", "--out", out, *options, *head, "--quantiles", 0.5)
    assert result.exit_code == 0, result.output
    expected = LagLlamaPredictor(block_checkpoint, head="negative_binomial").predict(
        [counts[counts.item_id == f"shop{i}"].value.to_numpy() for i in range(3)],
        HORIZON,
        num_samples=20,
        seed=3,
        item_id=[f"shop{i}" for i in range(3)],
        start="2024-01-01",
        freq="D",
    )
    written = pd.read_csv(out)["mean"].to_numpy().reshape(3, HORIZON)
    np.testing.assert_allclose(written, expected.samples.mean(1), rtol=1e-6)
    refused = _run(tmp_path / "sales.csv", "--out", tmp_path / "b", *options, "--head", "gauss")
    assert refused.exit_code == 1
    assert "head: got 'gauss'" in refused.output
