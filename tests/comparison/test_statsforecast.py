"""The models of statsforecast that have a word, and what is said where it is missing."""

from importlib.util import find_spec

import pytest

from lagllama_adapters.comparison import Failure, compare
from lagllama_adapters.comparison.hosts import words

# The host warns of its next version.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.mark.slow  # they compile themselves
@pytest.mark.parametrize("host", ["darts", "sktime"])
def test_automatic_models_have_scores(monthly, host):
    pytest.importorskip(host)
    pytest.importorskip("statsforecast")
    models = ["seasonal-naive", "auto-theta"]
    found = compare({"a": monthly["a"]}, 6, models, host=host, origins=1, num_samples=50)
    outcome = found.outcomes["a", "AutoTheta"]
    assert not isinstance(outcome, Failure), outcome
    assert not outcome.is_point
    assert 0 < outcome.crps[0] < 2 * found.outcomes["a", "seasonal naive"].crps[0]


@pytest.mark.parametrize("host", ["darts", "sktime"])
def test_missing_libraries_are_named_before_work(monthly, monkeypatch, host):
    pytest.importorskip(host)
    monkeypatch.setattr(
        words, "find_spec", lambda name: None if name == "statsforecast" else find_spec(name)
    )
    with pytest.raises(ImportError, match=r"lagllama_adapters\[compare\]"):
        compare(monthly, 6, ["seasonal-naive", "auto-ets"], host=host)
