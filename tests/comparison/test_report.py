"""The report: figures against definitions, one page without outside parts."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from lagllama_adapters.comparison.cases import LEVELS, Case, Plan, build_cases
from lagllama_adapters.comparison.collection import collect
from lagllama_adapters.comparison.diagnostics import (
    calibration,
    common_series,
    pit_histogram,
    step_profile,
)
from lagllama_adapters.comparison.outcome import Backtest, Failure
from lagllama_adapters.comparison.report import page, render_report, write_report
from lagllama_adapters.comparison.report.svg import log_ticks, nice_ticks
from lagllama_adapters.comparison.result import Comparison
from lagllama_adapters.comparison.verdict import percent_less, verdict
from lagllama_adapters.data.files import Fault, FileSettings
from lagllama_adapters.data.series import Series

HORIZON = 4
MODELS = ("ours", "base", "<b>wild</b>", "point", "absent")


def make(models=MODELS, n_series=8, seed=0):
    """Normal forecasts of normal values, twice as wide for the second model."""
    rng = np.random.default_rng(seed)
    made = {f"s{i}": rng.normal(size=40) for i in range(n_series)}
    made["a & <i>b</i>"] = np.r_[rng.normal(size=39), np.nan]
    plan = Plan(horizon=HORIZON, origins=5)
    cases, _ = build_cases(collect(made, FileSettings())[0], plan)
    normal = np.quantile(np.random.default_rng(1).normal(size=100_000), LEVELS)
    widths = {"ours": 1.0, "base": 2.0, "<b>wild</b>": 1.3, "point": 0.0}
    outcomes = {}
    for case in cases:
        for place, model in enumerate(models):
            if model == "absent" or (case.name == "s1" and model == "<b>wild</b>"):
                outcomes[case.name, model] = Failure("ValueError: no <script> here", 0.1)
                continue
            shape = (len(case.cutoffs), HORIZON)
            by_step = (1 + place) * np.linspace(1, 2, HORIZON) * np.ones(shape)
            quantiles = np.broadcast_to(
                widths[model] * normal[:, None], (shape[0], len(LEVELS), HORIZON)
            )
            crps = by_step.mean(1) * rng.uniform(0.9, 1.1)
            outcomes[case.name, model] = Backtest(
                crps=crps,
                mql=crps,
                mase=crps,
                coverage=np.full(shape[0], 0.8),
                crps_by_step=by_step,
                quantiles=quantiles.astype(np.float32),
                seconds=0.5 * (1 + place),
                is_point=model == "point",
            )
    return Comparison(
        models=tuple(models),
        cases=tuple(cases),
        outcomes=outcomes,
        faults=(Fault("shop.csv", 7, "x", "got <nothing>"),),
        baseline=models[min(1, len(models) - 1)],
        settings={"host": "darts", "models": dict.fromkeys(models, "word"), "horizon": HORIZON},
        versions={"python": "3"},
    )


@pytest.fixture(scope="module")
def comparison():
    return make()


def truths_and_quantiles(comparison, model):
    for case in comparison.cases:
        quantiles = comparison.outcomes[case.name, model].quantiles
        for origin, row in enumerate(case.truth):
            for step, value in enumerate(row):
                if np.isfinite(value):
                    yield value, quantiles[origin, :, step]


def test_calibration_counts_truths_below_each_quantile(comparison):
    pairs = list(truths_and_quantiles(comparison, "ours"))
    expected = [np.mean([value < q[level] for value, q in pairs]) for level in range(len(LEVELS))]
    np.testing.assert_allclose(calibration(comparison, "ours"), expected)
    assert calibration(comparison, "base")[-1] > calibration(comparison, "ours")[-2]
    assert np.isnan(calibration(comparison, "absent")).all()


def test_pit_counts_truths_between_deciles(comparison):
    deciles = [LEVELS.index(q / 10) for q in range(1, 10)]
    counts = np.zeros(10)
    for value, quantiles in truths_and_quantiles(comparison, "ours"):
        counts[np.searchsorted(quantiles[deciles], value)] += 1
    np.testing.assert_allclose(pit_histogram(comparison, "ours"), counts / counts.sum())


def test_truths_that_equal_quantiles_are_split(comparison):
    """A point mass at the truth says nothing on any bin more than on another."""
    case = Case(Series(np.arange(20.0), item_id="x"), HORIZON, 1, (12, 16))
    exact = np.repeat(case.truth[:, None], len(LEVELS), axis=1).astype(np.float32)
    found = replace(comparison.outcomes["s0", "ours"], quantiles=exact)
    same = replace(comparison, models=("x",), cases=(case,), outcomes={("x", "x"): found})
    np.testing.assert_allclose(pit_histogram(same, "x"), 0.1)
    np.testing.assert_allclose(calibration(same, "x"), 0.5)


def test_profile_is_in_units_of_the_baseline(comparison):
    series = common_series(comparison, ["ours", "base"])
    assert len(series) == len(comparison.cases)
    assert len(common_series(comparison, ["<b>wild</b>"])) == len(series) - 1
    rows = [
        comparison.outcomes[name, "ours"].crps_by_step.mean(0)
        / comparison.outcomes[name, "base"].crps.mean()
        for name in series
    ]
    np.testing.assert_allclose(step_profile(comparison, "ours", series), np.mean(rows, axis=0))


def test_verdict_says_who_leads_by_how_much_and_what_failed(comparison):
    found = verdict(comparison)
    text = " ".join(found.sentences)
    assert found.title == "ours is the most accurate of 4 models"
    assert re.search(r"Its CRPS is \d+ % lower than that of base, on 8 series", text)
    assert "Behind it, and not by chance" in text
    assert "80 % of what came, which is about right" in text
    assert "Not ranked, for want of forecasts: absent." in text
    assert "1 series is left out" in text


def test_verdict_of_few_series_does_not_claim_certainty():
    found = verdict(make(n_series=2))
    assert "too few series to be sure" in found.title
    assert any("too few to tell" in sentence for sentence in found.sentences)
    assert verdict(make(("absent",))).title.startswith("No series")


@pytest.mark.parametrize(
    ("ratio", "text"),
    [(0.8, "20 % lower"), (1.012, "1.2 % higher"), (1.001, "about equal"), (2.5, "150 % higher")],
)
def test_ratios_in_words(ratio, text):
    assert percent_less(ratio) == text


class Reader(HTMLParser):
    """Tags that balance, identifiers, and addresses."""

    VOID = frozenset({"meta", "link", "input", "br"})

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.addresses, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self.addresses += [attributes[key] for key in ("href", "src") if key in attributes]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


@pytest.fixture(scope="module")
def reader(comparison):
    return Reader(render_report(comparison, "Shops & <more>"))


def test_page_is_well_formed_and_asks_no_host(comparison, reader):
    assert reader.stack == []
    assert len(set(reader.ids)) == len(reader.ids)
    outside = [a for a in reader.addresses if not a.startswith(("#", "data:,"))]
    assert outside == []
    text = render_report(comparison, "Shops & <more>")
    assert not re.search(r"https?://|url\(|@import", text)
    assert "no <script> here" not in text
    assert "<b>wild</b>" not in text
    assert "Shops &amp; &lt;more&gt;" in text


def test_page_has_what_screen_readers_need(reader):
    tags = reader.tags
    assert dict(tags)["html"]["lang"] == "en"
    names = [tag for tag, _ in tags]
    assert names.count("main") == names.count("h1") == 1
    assert names.count("caption") == names.count("table")
    assert all("scope" in attributes for tag, attributes in tags if tag == "th")
    pictures = [attributes for tag, attributes in tags if tag == "svg"]
    assert all("aria-label" in one or one.get("aria-hidden") == "true" for one in pictures)
    labelled = {attributes["for"] for tag, attributes in tags if tag == "label"}
    assert {a["id"] for tag, a in tags if tag in ("input", "select")} == labelled
    anchors = {a["href"][1:] for tag, a in tags if tag == "a"}
    assert anchors <= set(reader.ids)
    referred = {a["aria-labelledby"] for _, a in tags if "aria-labelledby" in a}
    assert referred <= set(reader.ids)
    assert all("tabindex" in a for tag, a in tags if "scroll" in (a.get("class") or "").split())


def test_table_holds_every_series(comparison, reader):
    sorts = [
        attributes["aria-sort"] for tag, attributes in reader.tags if "aria-sort" in attributes
    ]
    assert len(sorts) == 4 + len(MODELS)
    text = render_report(comparison)
    assert text.count('<tr><th scope="row">') >= len(comparison.cases)
    assert "a &amp; &lt;i&gt;b&lt;/i&gt;" in text


def test_large_comparisons_show_some_series_and_stay_small(monkeypatch):
    monkeypatch.setattr(page, "MOST_ROWS", 20)
    text = render_report(make(n_series=60))
    assert "20 of 61 series" in text
    assert len(text) < 200_000


def test_one_model_without_rivals_has_a_report(tmp_path):
    write_report(make(("ours",)), tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "ours on 9 series" in text
    assert "Ranking" in render_report(make(("absent",)))


def test_ticks_are_round_and_inside():
    assert nice_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert nice_ticks(-3, 17, 4) == [0, 5, 10, 15]
    assert log_ticks(0.6, 3.2) == pytest.approx([0.7, 1, 1.5, 2, 3])
    assert len(log_ticks(0.001, 5000)) <= 7
    assert nice_ticks(2, 2) == [2]
