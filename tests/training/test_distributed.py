"""Two processes that train together, as the command line starts them."""

import csv
import subprocess
import sys
from dataclasses import replace

import torch
from typer.testing import CliRunner

from lagllama_adapters.checkpoints.format import read_checkpoint
from lagllama_adapters.cli import app
from lagllama_adapters.training.recipes import settings_to_yaml


def _train(tmp_path, corpus_folder, settings, devices):
    out = tmp_path / f"run{devices}"
    config = tmp_path / f"{devices}.yaml"
    config.write_text(settings_to_yaml(settings))
    arguments = [
        *("pretrain", "--config", config, "--corpus", corpus_folder, "--out", out),
        *("--validation", corpus_folder, "--device", "cpu", "--devices", devices),
        "--no-progress-bar",
    ]
    if devices == 1:
        done = CliRunner().invoke(app, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        return out, done.output
    run = tmp_path / "train.py"  # Lightning starts the script again for the second process
    run.write_text("from lagllama_adapters.cli import app; app()")
    done = subprocess.run(
        [sys.executable, str(run), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done.stdout


def _validations(out):
    with (out / "logs" / "version_0" / "metrics.csv").open() as file:
        return [float(r["val_relative_wql"]) for r in csv.DictReader(file) if r["val_relative_wql"]]


def test_two_processes_train_as_one_does(corpus_folder, tmp_path, settings):
    """Same windows, the mean of both gradients: equal up to the rounding of sums."""
    settings = replace(settings, batches_per_step=2)
    (alone, _), (both, printed) = (
        _train(tmp_path, corpus_folder, settings, devices) for devices in (1, 2)
    )
    one, two = (read_checkpoint(out / "checkpoint") for out in (alone, both))
    torch.testing.assert_close(two.state_dict(), one.state_dict(), rtol=0, atol=1e-5)
    assert one.config == two.config
    torch.testing.assert_close(_validations(both), _validations(alone), rtol=1e-3, atol=0)
    assert printed.count("step 7") == 1  # the first process reports, of all tasks
    assert printed.count("hourly") == printed.count("monthly") == 4  # sets and bands
    assert printed.count("weights in") == 1


def test_processes_that_cannot_share_a_step_are_refused(corpus_folder, tmp_path, settings):
    config = tmp_path / "odd.yaml"
    config.write_text(settings_to_yaml(settings))
    arguments = ("--config", config, "--corpus", corpus_folder, "--out", tmp_path / "odd")
    options = ("--device", "cpu", "--devices", "2", "--no-progress-bar")
    done = CliRunner().invoke(app, ["pretrain", *map(str, (*arguments, *options))])
    assert done.exit_code == 1
    assert "got 2 processes" in done.stderr
