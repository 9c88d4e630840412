import json

import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.checkpoints import load_pretrained, read_checkpoint
from lagllama_adapters.data.files import Fault, FileSettings, find_sources, read_files
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.finetuning.files import finetune_files
from lagllama_adapters.training.hold_out import panel_corpus

SETTINGS = FinetuneSettings(
    mode="head", steps=8, batch_size=4, validate_every=4, horizon=6, margin=0.0, learning_rate=3e-3
)


def _values(i):
    rng = np.random.default_rng(i)
    return 20 + 5 * np.sin(np.arange(120) / 3 + i) + 0.3 * rng.normal(size=120)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "waves.csv"
    days = pd.date_range("2024-01-01", periods=120, freq="D")
    tables = [
        pd.DataFrame({"item_id": f"s{i}", "date": days, "value": _values(i)}) for i in range(5)
    ]
    tables[3]["value"] = tables[3]["value"].astype(object)
    tables[3].loc[9, "value"] = "many"
    pd.concat(tables).to_csv(path, index=False)
    return path


def test_weights_are_those_of_tuning_on_the_arrays(data, tmp_path, block_checkpoint):
    out = tmp_path / "tuned"
    seen = []
    done = finetune_files(
        data, out, SETTINGS, checkpoint=block_checkpoint, watch=lambda *one: seen.append(one)
    )
    arrays = panel_corpus([_values(i) for i in (0, 1, 2, 4)], ["2024-01-01"] * 4, ["D"] * 4)
    expected, report = finetune(load_pretrained(block_checkpoint), arrays, SETTINGS)
    assert report.kept != "given"
    assert np.array(done.report.losses) == pytest.approx(np.array(report.losses))
    assert seen == list(done.report.losses)[1:]  # the first is of the weights given
    saved = read_checkpoint(out)
    for (name, got), wanted in zip(
        saved.state_dict().items(), expected.state_dict().values(), strict=True
    ):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-7, err_msg=name)
    told = json.loads((out / "finetune.json").read_text())
    assert (told["series"], told["faults"], told["kept"]) == (4, 1, report.kept)
    assert told["losses"][0] == {"step": 0, "loss": report.loss_before}
    faults = pd.read_csv(out / "faults.csv")
    assert (faults.item_id.tolist(), faults.line.tolist()) == (["s3"], [2 + 3 * 120 + 9])
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json",
        "faults.csv",
        "finetune.json",
        "model.safetensors",
    ]
    with pytest.raises(FileExistsError, match="got a folder with a checkpoint"):
        finetune_files(data, out, SETTINGS, checkpoint=block_checkpoint)


def test_an_interrupted_run_goes_on(data, tmp_path, block_checkpoint):
    whole = finetune_files(data, tmp_path / "whole", SETTINGS, checkpoint=block_checkpoint)

    def stop(step, loss):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune_files(data, tmp_path / "again", SETTINGS, checkpoint=block_checkpoint, watch=stop)
    assert not (tmp_path / "again" / "config.json").exists()
    again = finetune_files(data, tmp_path / "again", SETTINGS, checkpoint=block_checkpoint)
    assert again.report.losses == whole.report.losses
    weights = [(one.folder / "model.safetensors").read_bytes() for one in (whole, again)]
    assert weights[0] == weights[1]


def test_refusals(data, tmp_path, block_checkpoint):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("keep")
    with pytest.raises(FileExistsError, match=r"holds \['thesis.txt'\], expected a new or empty"):
        finetune_files(data, tmp_path / "mine", checkpoint=block_checkpoint)
    with pytest.raises(FileExistsError, match="got a file, expected a folder"):
        finetune_files(data, data, checkpoint=block_checkpoint)
    with pytest.raises(ValueError, match=r"'many', expected a number.*on_error 'skip'"):
        finetune_files(data, tmp_path / "new", checkpoint=block_checkpoint, on_error="fail")
    (tmp_path / "a.csv").write_text("date,value\nonce,1\n")
    with pytest.raises(
        ValueError, match=r"got no series that can be read; the first fault: .*once"
    ):
        finetune_files(tmp_path / "a.csv", tmp_path / "new", checkpoint=block_checkpoint)
    assert not (tmp_path / "new").exists()


def test_covariates_of_files_are_learned_and_read_again(tmp_path):
    rng = np.random.default_rng(0)
    rows, days = [], np.arange("2024-01-01", "2024-02-21", dtype="datetime64[D]")
    for i in range(16):
        on = (rng.random(len(days)) < 0.4).astype(int)
        level = 20 + 2 * on + 0.7 * rng.normal(size=len(days))
        for step, (day, value, is_on) in enumerate(zip(days, level, on, strict=True)):
            known = f"{value:.6f}" if step < 45 else ""  # the last week is ahead
            rows.append(f"s{i},{day},{known},{is_on},{rng.normal():.4f}")
    data = tmp_path / "sales.csv"
    data.write_text("\n".join(["item_id,timestamp,target,promotion,visits", *rows]) + "\n")
    settings = FinetuneSettings(
        mode="covariates",
        steps=20,
        batch_size=8,
        validate_every=10,
        horizon=6,
        margin=0,
        mix=False,
        past_covariates=["visits"],
    )
    files = FileSettings(covariates=("promotion", "visits"))
    done = finetune_files(data, tmp_path / "out", settings, checkpoint="tiny", files=files)
    assert done.report.kept == "tuned"
    learned = load_pretrained(done.folder).config.covariates
    assert (learned.future, learned.past) == (("promotion",), ("visits",))
    found = [one for one in read_files(find_sources(data), files) if not isinstance(one, Fault)]
    panel = Panel(tuple(one.series for one in found))
    forecast = LagLlamaPredictor(done.folder).forecast(panel, 6, ForecastOptions(seed=0))
    on = np.stack([one.future_covariates["promotion"][45:51] for one in panel]) > 0
    medians = np.median(forecast.samples, axis=1)
    assert 1.5 < medians[on].mean() - medians[~on].mean() < 2.5
