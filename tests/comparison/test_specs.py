"""Words, import paths and objects as models."""

import pytest

from lagllama_adapters.comparison.specs import DEFAULT_MODELS, Setting, parse_models

SETTING = Setting(season_length=12, horizon=6)


def test_words_have_labels_and_options():
    specs = parse_models([*DEFAULT_MODELS, "tuned:lora", "mine=zero-shot:published"])
    assert [spec.label for spec in specs[:2]] == ["Lag-Llama zero-shot", "seasonal naive"]
    assert (specs[-2].label, specs[-2].option) == ("Lag-Llama tuned (lora)", "lora")
    assert (specs[-1].label, specs[-1].word, specs[-1].option) == ("mine", "zero-shot", "published")
    assert specs[-1].description == "zero-shot:published"


def test_import_paths_are_made_with_literals_and_what_is_known():
    text = "fractions.Fraction(numerator=season_length, denominator=-5)"
    (spec,) = parse_models(text)
    assert spec.label == "Fraction"
    assert spec.description == text
    assert str(spec.make(SETTING)) == "-12/5"
    (named,) = parse_models("x=collections.Counter")
    assert (named.label, named.make(SETTING)) == ("x", {})


def test_objects_and_functions_are_models():
    class Model:
        def fit(self):
            """What makes it one."""

    model = Model()
    specs = parse_models({"object": model, "function": lambda setting: setting.horizon})
    assert [spec.make(SETTING) for spec in specs] == [model, 6]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([], "expected one or more"),
        (["tuned", "tuned"], "distinct names"),
        (["arima"], "expected one of .*auto-arima"),
        (["auto-ets:x"], "it has no options"),
        ([3], "got int"),
        (["a.b("], "expected the import path"),
        (["os.path.join('a')"], "keyword arguments"),
        (["os.path.join(a=open('x'))"], "plain values"),
        (["os.path.join(a=unknown)"], "'unknown' is not among"),
        (["os.getcwd().Model"], "expected the import path"),
    ],
)
def test_other_things_are_refused(models, message):
    with pytest.raises(ValueError, match=message):
        parse_models(models)


@pytest.mark.parametrize("path", ["no_such_module.Model", "os.path.NoSuchClass"])
def test_classes_have_to_exist(path):
    with pytest.raises(ImportError, match="can be imported"):
        parse_models(path)


def test_model_alone_is_one_model():
    class Endless:
        def fit(self):
            raise AssertionError

        def __getitem__(self, key):  # as forecasters of sktime: iteration has no end
            return self

    model = Endless()
    assert [spec.source for spec in parse_models(model)] == [model]
    assert [spec.source for spec in parse_models(len)] == [len]
