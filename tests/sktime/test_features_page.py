"""The tables of features say what the classes' tags say, and name tests that exist."""

import re
from importlib import import_module
from pathlib import Path

import pytest

from lagllama_adapters.sktime import LagLlamaForecaster

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how_to" / "sktime_features.md"
CLASSES = {
    "built-in": ("lagllama", "LagLlamaForecaster"),
    "Chronos2": ("chronos2", "Chronos2Forecaster"),
    "TimesFM2": ("timesfm2", "TimesFM2Forecaster"),
    "TimesFM3": ("timesfm3", "TimesFM3Forecaster"),
    "TiRex2": ("tirex2", "TiRex2Forecaster"),
    "Toto2": ("toto2", "Toto2Forecaster"),
    "Sundial": ("sundial", "SundialForecaster"),
    "T0": ("t0", "T0Forecaster"),
    "Moirai2": ("moirai2", "Moirai2Forecaster"),
    "TinyTimeMixer": ("ttm", "TinyTimeMixerForecaster"),
}
FEATURES = {
    "panels and hierarchies at once": lambda tag: "pd-multiindex" in tag("y_inner_mtype"),
    "several columns at once": lambda tag: tag("capability:multivariate"),
    "missing values": lambda tag: tag("capability:missing_values"),
    "intervals and quantiles": lambda tag: tag("capability:pred_int"),
    "known steps, residuals": lambda tag: tag("capability:insample"),
    "unequal lengths": lambda tag: tag("capability:unequal_length"),
    "horizon chosen after `fit`": lambda tag: not tag("requires-fh-in-fit"),
    "fine-tuning by `pretrain`": lambda tag: tag("capability:pretrain"),
    "`update` without refitting": lambda tag: tag("capability:update"),
    "`random_state`": lambda tag: tag("capability:random_state"),
    "exogenous data": lambda tag: tag("capability:exogenous"),
}


def tables():
    """Rows of each table, as dictionaries by column."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE):
        header, _, *rows = (
            [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
        )
        yield [dict(zip(header, row, strict=True)) for row in rows]


def test_declared_features_are_those_of_the_tags():
    declared, _ = tables()
    assert [row[""] for row in declared] == list(FEATURES)
    for row in declared:
        for name, (module, cls) in {**CLASSES, "this": (None, None)}.items():
            found = LagLlamaForecaster
            if module is not None:
                found = getattr(import_module(f"sktime.forecasting.{module}"), cls)
            has_it = bool(FEATURES[row[""]](found.get_class_tag))
            assert row[name] == ("yes" if has_it else "no"), (row[""], name)


@pytest.mark.parametrize("number", [0, 1])
def test_each_yes_names_a_test(number):
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    defined = set(re.findall(r"def (test_\w+)", sources))
    for row in list(tables())[number]:
        named = row["test"].strip("`")
        assert (named in defined) if row["this"] == "yes" else named == "", row
