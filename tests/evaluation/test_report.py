"""Reports hold the figures, and are whole or not there."""

import csv
import json
import os
from dataclasses import replace

import pytest

from lagllama_adapters.evaluation import summarise
from lagllama_adapters.evaluation.report import write_report


@pytest.fixture
def scores(make_score):
    undefined = replace(make_score("constant", "YS", seed=1), mase=float("nan"))
    return [make_score(), undefined]


TASK = ("wql", "naive_wql", "relative_wql", "mase", "naive_mase", "relative_mase")


def _assert_coverage(row, figures):
    shares = [float(row[f"coverage_{nominal}"]) for nominal in (50, 80, 95)]
    assert shares == figures.coverage.tolist()


def test_json_holds_settings_tasks_bands_and_all(scores, tmp_path):
    write_report(tmp_path / "report.json", scores, {"checkpoint": "base", "context_length": None})
    report = json.loads((tmp_path / "report.json").read_text())
    assert [*report] == ["settings", "tasks", "bands", "all"]
    assert report["settings"] == {"checkpoint": "base", "context_length": None}
    monthly, constant = report["tasks"]
    assert {key: monthly[key] for key in TASK} == {key: getattr(scores[0], key) for key in TASK}
    assert (monthly["name"], monthly["band"]) == ("monthly", "monthly")
    assert (monthly["windows"], monthly["horizon"]) == (7, 5)
    _assert_coverage(monthly, scores[0])
    assert constant["mase"] is None
    assert constant["relative_mase"] is None
    assert [band["name"] for band in report["bands"]] == ["monthly", "yearly"]
    overall = summarise(scores)[-1]
    for key in ("name", "tasks", "below_1", "relative_wql", "relative_mase"):
        assert report["all"][key] == getattr(overall, key)
    _assert_coverage(report["all"], overall)


def test_csv_holds_the_same_figures_as_json(scores, tmp_path):
    for suffix in ("json", "csv"):
        write_report(tmp_path / f"report.{suffix}", scores, {})
    report = json.loads((tmp_path / "report.json").read_text())
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [("task", row) for row in report["tasks"]]
    expected += [("band", row) for row in report["bands"]] + [("all", report["all"])]
    assert len(rows) == len(expected) == 5
    for row, (scope, figures) in zip(rows, expected, strict=True):
        assert row.pop("scope") == scope
        assert {key: value for key, value in row.items() if value} == {
            key: str(value) for key, value in figures.items() if value is not None
        }


def test_a_report_that_cannot_be_finished_leaves_the_old_one(monkeypatch, scores, tmp_path):
    path = tmp_path / "report.json"
    path.write_text("old")

    def refuse(*_):
        raise PermissionError("no")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError):
        write_report(path, scores, {})
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_other_formats_are_refused(scores, tmp_path):
    with pytest.raises(ValueError, match=r"report\.txt, expected .* \.json or \.csv"):
        write_report(tmp_path / "report.txt", scores, {})
