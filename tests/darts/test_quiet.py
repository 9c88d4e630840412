import importlib
import logging
import warnings

import pytest
from lightning_fabric.utilities.warnings import PossibleUserWarning

from lagllama_adapters.training.quiet import quiet

# Lightning logs under the one of its two names that was imported last.
FAMILIES = ("pytorch_lightning", "lightning.pytorch")


class Lines(logging.Handler):
    """Keeps what is logged. (pytest's handler is at the root too, which may see a line twice.)"""

    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


@pytest.fixture
def lines():
    """Log lines of Lightning."""
    handler = Lines()
    parents = [logging.getLogger(name) for name in FAMILIES]
    children = [logging.getLogger(f"{name}.utilities.rank_zero") for name in FAMILIES]
    levels = {logger: logger.level for logger in parents + children}
    for logger in parents:
        logger.setLevel(logging.INFO)  # as when it is imported
        logger.addHandler(handler)
    for logger in children:
        logger.setLevel(logging.NOTSET)
    yield lambda: handler.messages
    for logger, level in levels.items():
        logger.setLevel(level)
        logger.removeHandler(handler)


@pytest.fixture(params=FAMILIES)
def family(request, monkeypatch):
    """The name under which Lightning logs."""
    module = importlib.import_module("lightning_utilities.core.rank_zero")
    monkeypatch.setattr(module, "log", logging.getLogger(f"{request.param}.utilities.rank_zero"))


def run(make, monthly, **verbose):
    """Fit, forecast, tune; return the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make().fit(monthly, **verbose).predict(3, **verbose)
        tuned = make(enable_finetuning=True, n_epochs=1)
        tuned.fit(monthly, max_samples_per_ts=32, **verbose)
        tuned.fit(monthly[:400], val_series=monthly[400:], max_samples_per_ts=32, **verbose)
    return caught


@pytest.mark.usefixtures("family")
@pytest.mark.parametrize("verbose", [{}, {"verbose": False}])
def test_nothing_is_said_by_default(make, monthly, lines, capsys, verbose):
    caught = run(make, monthly, **verbose)
    assert lines() == []
    assert [str(w.message) for w in caught] == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("family")
def test_verbose_shows_bars_and_lines(make, monthly, lines, capsys):
    run(make, monthly, verbose=True)
    assert any("GPU available" in line for line in lines())
    shown = capsys.readouterr().out
    assert "Predicting" in shown
    assert "train_loss" in shown


def test_bars_of_the_trainer_arguments_are_shown(make, monthly, capsys):
    trainer = {"accelerator": "cpu", "enable_progress_bar": True}
    make(pl_trainer_kwargs=trainer).fit(monthly).predict(3)
    assert "Predicting" in capsys.readouterr().out


def test_historical_forecasts_are_silent(make, monthly, lines, capsys):
    make().historical_forecasts(monthly, start=-2, start_format="position", retrain=True)
    assert lines() == []
    assert capsys.readouterr() == ("", "")


def test_warnings_of_others_pass():
    with pytest.warns(UserWarning, match="mine"), quiet(verbose=False, show_warnings=False):
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_possible_warnings_are_shown_on_demand():
    with quiet(verbose=True, show_warnings=False):
        warnings.warn("maybe", PossibleUserWarning, stacklevel=1)
    with pytest.warns(PossibleUserWarning), quiet(verbose=True, show_warnings=True):
        warnings.warn("maybe", PossibleUserWarning, stacklevel=1)


def fail_in_silence():
    with quiet(verbose=False, show_warnings=False):
        logging.getLogger("pytorch_lightning.utilities.rank_zero").info("within")
        raise KeyError


def test_lines_come_back_after_an_error(lines):
    with pytest.raises(KeyError):
        fail_in_silence()
    logging.getLogger("pytorch_lightning.utilities.rank_zero").info("after")
    assert lines() == ["after"]


def test_block_within_a_block_does_not_end_the_silence(lines):
    with quiet(verbose=False, show_warnings=False):
        with quiet(verbose=False, show_warnings=False):
            pass
        logging.getLogger("pytorch_lightning.utilities.rank_zero").info("within")
    assert lines() == []


def test_serious_lines_pass(lines):
    with quiet(verbose=False, show_warnings=False):
        logging.getLogger("pytorch_lightning.utilities.rank_zero").warning("serious")
    assert lines() == ["serious"]
