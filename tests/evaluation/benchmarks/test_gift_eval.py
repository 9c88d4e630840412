"""GIFT-Eval by its own rules, on a made copy."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lagllama_adapters.cli import app
from lagllama_adapters.evaluation.benchmarks import (
    COLUMNS,
    Figures,
    ResultsFile,
    evaluate_instances,
    find_tasks,
    lag_llama,
    read_instances,
    relative_means,
    seasonal_naive,
)
from lagllama_adapters.evaluation.benchmarks.gift_eval import (
    _ALL_TERMS,
    _SHORT_ONLY,
    prediction_length,
    season,
)
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor

_GOLDEN = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "gift_eval" / "figures.json").read_text()
)


def _run(*arguments):
    return CliRunner().invoke(app, ["benchmark", "gift-eval", *map(str, arguments)])


def _made_model(maker):
    def model(instances):
        pairs = [maker["made_forecast"](one.past, len(one.future)) for one in instances]
        return np.stack([mean for mean, _ in pairs]), np.stack([own for _, own in pairs])

    return model


def test_there_are_97_tasks():
    assert len(_SHORT_ONLY) + 3 * len(_ALL_TERMS) == 97
    names = [facts[:2] for facts in (*_SHORT_ONLY.values(), *_ALL_TERMS.values())]
    assert len(set(names)) == len(names) == 55


@pytest.mark.parametrize("name", sorted(_GOLDEN))
def test_figures_are_those_of_gluonts(gift_eval_folder, maker, name):
    (task,) = find_tasks(gift_eval_folder, ("short",), (name,))
    instances = read_instances(gift_eval_folder, task)
    steps = season(instances.corpus.freq[0])
    found = evaluate_instances(_made_model(maker), instances, steps, batch_size=5)
    assert set(found) == set(COLUMNS) == set(_GOLDEN[name])
    for figure, value in _GOLDEN[name].items():
        assert found[figure] == pytest.approx(value, rel=1e-9), figure


@pytest.mark.parametrize(
    ("folder", "freq", "term", "expected"),
    [
        ("m4_yearly", "A-DEC", "short", 6),
        ("m4_hourly", "H", "short", 48),
        ("m4_quarterly", "Q-DEC", "short", 8),
        ("hospital", "M", "short", 12),
        ("us_births/W", "W-TUE", "short", 8),
        ("us_births/D", "D", "short", 30),
        ("solar/10T", "10T", "medium", 480),
        ("bizitobs_service", "10S", "long", 900),
    ],
)
def test_horizons(folder, freq, term, expected):
    assert prediction_length(folder, freq, term) == expected


def test_a_frequency_without_a_horizon_is_refused():
    with pytest.raises(ValueError, match=r"solar: got the frequency 'B'"):
        prediction_length("solar", "B", "short")


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("H", 24),
        ("15T", 96),
        ("10S", 360),
        ("5T", 288),
        ("D", 1),
        ("W-SUN", 1),
        ("M", 12),
        ("Q-DEC", 4),
        ("A-DEC", 1),
        ("B", 5),
        ("7T", 1),
    ],
)
def test_seasons(freq, expected):
    assert season(freq) == expected


@pytest.mark.parametrize(
    ("name", "length", "expected"),
    [("hospital", 84, 1), ("hospital", 121, 2), ("hospital", 9000, 20), ("m4_monthly", 9000, 1)],
)
def test_a_tenth_of_the_shortest_series_is_tested(tmp_path, write_data_set, name, length, expected):
    rows = [
        {"item_id": f"{n}", "start": "2001-01-31", "freq": "M", "target": np.ones(n, "float32")}
        for n in (length + 40, length)
    ]
    write_data_set(tmp_path / name, rows)
    (task,) = find_tasks(tmp_path)
    assert read_instances(tmp_path, task).windows == expected


def test_windows_follow_each_other_to_the_end(gift_eval_folder, maker):
    (task,) = find_tasks(gift_eval_folder, ("short",), ("ett1/H",))
    instances = read_instances(gift_eval_folder, task)
    assert instances.prediction_length == 48
    first = next(iter(instances))
    row = maker["make_rows"]("ett1/H")[0]["target"]
    np.testing.assert_array_equal(np.concatenate([first.past, first.future]), row[0])
    assert len(instances) == 3 * 7


def test_the_command_writes_the_file_of_the_leaderboard_and_goes_on(gift_eval_folder, tmp_path):
    options = ("--data", gift_eval_folder, "--out", tmp_path, "--checkpoint", "tiny")
    first = _run(*options, "--term", "short", "--dataset", "hospital", "--num-samples", 20)
    assert first.exit_code == 0, first.output
    before = (tmp_path / "all_results.csv").read_text()
    again = _run(*options, "--term", "short", "--num-samples", 20)
    assert again.exit_code == 0, again.output
    with (tmp_path / "all_results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (tmp_path / "all_results.csv").read_text().startswith(before)
    assert [row["dataset"] for row in rows] == [
        "hospital/M/short",
        "m4_weekly/W/short",
        "ett1/H/short",
    ]
    assert len(rows[0]) == 16
    assert {row["model"] for row in rows} == {"lagllama-tiny"}
    assert rows[2]["num_variates"] == "7"
    assert rows[2]["domain"] == "Energy"
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["testdata_leakage"] == "Yes"

    predictor = LagLlamaPredictor("tiny")
    (task,) = find_tasks(gift_eval_folder, ("short",), ("hospital",))
    figures = evaluate_instances(
        lag_llama(predictor, ForecastOptions(num_samples=20, seed=0)),
        read_instances(gift_eval_folder, task),
        12,
    )
    assert float(rows[0]["eval_metrics/MASE[0.5]"]) == figures["MASE[0.5]"]


def test_a_run_is_compared_with_a_baseline(gift_eval_folder, tmp_path):
    for model, folder in (("seasonal-naive", "naive"), ("lag-llama", "ours")):
        run = _run(
            *("--data", gift_eval_folder, "--out", tmp_path / folder, "--model", model),
            *("--checkpoint", "tiny", "--dataset", "hospital", "--num-samples", 20),
        )
        assert run.exit_code == 0, run.output
    files = [tmp_path / folder / "all_results.csv" for folder in ("ours", "naive")]
    count, means = relative_means(*files, ("MASE[0.5]",))
    assert count == 1
    ours, naive = (
        float(next(csv.DictReader(path.read_text().splitlines()))["eval_metrics/MASE[0.5]"])
        for path in files
    )
    assert means["MASE[0.5]"] == pytest.approx(ours / naive, rel=1e-12)
    shown = _run(
        *("--data", gift_eval_folder, "--out", tmp_path / "ours", "--checkpoint", "tiny"),
        *("--dataset", "hospital", "--against", files[1]),
    )
    assert f"MASE {ours / naive:.4f}" in shown.output


def test_the_seasonal_naive_median_is_the_last_season(gift_eval_folder):
    (task,) = find_tasks(gift_eval_folder, ("short",), ("hospital",))
    one = next(iter(read_instances(gift_eval_folder, task)))
    past = np.arange(40.0)
    mean, quantiles = seasonal_naive(12)([type(one)("a", "M", None, past, np.zeros(15))])
    np.testing.assert_array_equal(mean[0, :13], [*past[-12:], past[-12]])
    assert (np.diff(quantiles[0], axis=0) > 0).all()


def test_a_history_without_observations_is_forecast_by_zeros(gift_eval_folder):
    (task,) = find_tasks(gift_eval_folder, ("short",), ("hospital",))
    one = next(iter(read_instances(gift_eval_folder, task)))
    empty = type(one)("a", "M", None, np.full(30, np.nan), np.zeros(3))
    full = type(one)("b", "M", None, np.arange(30.0), np.zeros(3))
    model = lag_llama(LagLlamaPredictor("tiny"), ForecastOptions(num_samples=10, seed=0))
    mean, quantiles = model([empty, full])
    assert not mean[0].any()
    assert not quantiles[0].any()
    assert (mean[1] > 5).all()


def test_forecasts_must_be_finite():
    with pytest.raises(ValueError, match="not finite"):
        Figures().add(
            np.zeros((1, 2)), np.full((1, 11, 2), np.nan), np.zeros((1, 2)), [np.ones(3)], 1
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--term", "huge"), "expected some of"),
        (("--dataset", "nothing"), "expected names of GIFT-Eval"),
        (("--dataset", "solar/H"), "got no data set of GIFT-Eval"),
        (("--model", "arima"), "expected lag-llama or seasonal-naive"),
        (("--against", "nowhere.csv"), "expected an all_results.csv"),
    ],
)
def test_bad_input_is_named_before_any_work(gift_eval_folder, tmp_path, arguments, message):
    result = _run("--data", gift_eval_folder, "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_results_of_another_model_are_kept(tmp_path):
    results = ResultsFile(tmp_path / "all_results.csv", "one")
    results.add("a/H/short", dict.fromkeys(COLUMNS, 1.0), "Energy", 1)
    with pytest.raises(ValueError, match=r"holds results of \['one'\], expected 'two'"):
        ResultsFile(tmp_path / "all_results.csv", "two")


def test_series_without_room_for_the_windows_are_named(tmp_path, maker):
    from lagllama_adapters.data.corpus import Corpus
    from lagllama_adapters.evaluation.benchmarks import Instances

    corpus = Corpus(
        np.arange(9, dtype=np.float32),
        np.array([0, 5, 9]),
        ("a", "b"),
        ("d",) * 2,
        ("D",) * 2,
        (None,) * 2,
    )
    with pytest.raises(ValueError, match=r"series 'b': got 4 values, expected at least 5"):
        Instances(corpus, 2, 2)
