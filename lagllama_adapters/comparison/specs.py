"""Which models are compared: words, objects of a host, import paths."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lagllama_adapters.comparison.expression import ImportedModel, parse_imported

__all__ = ["DEFAULT_MODELS", "WORDS", "ModelSpec", "Setting", "parse_models"]

WORDS = {
    "zero-shot": "Lag-Llama zero-shot",
    "tuned": "Lag-Llama tuned",
    "seasonal-naive": "seasonal naive",
    "auto-arima": "AutoARIMA",
    "auto-ets": "AutoETS",
    "auto-theta": "AutoTheta",
    "deepar": "DeepAR",
}
"""Models that have a word, and what they are called in results."""

DEFAULT_MODELS = ("zero-shot", "seasonal-naive", "auto-ets", "auto-theta")
"""Models of a comparison unless others are named: those that take seconds."""

_WITH_OPTION = ("zero-shot", "tuned")


@dataclass(frozen=True)
class Setting:
    """What a model may be told about the series that it is made for.

    Attributes
    ----------
    season_length, horizon, num_samples, seed : int
        See `Plan`.
    shortest : int
        Steps of the shortest history before a first origin.
    count : int
        Series that it is made for.
    checkpoint : str
        Weights of Lag-Llama.
    """

    season_length: int
    horizon: int
    num_samples: int = 200
    seed: int = 0
    shortest: int = 8
    count: int = 1
    checkpoint: str = "base"


_ANY = asdict(Setting(1, 1))


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """A model by its name in results and where it comes from.

    Attributes
    ----------
    label : str
        Name in results.
    word : str or None
        One of `WORDS`.
    option : str or None
        What came after a word: weights for ``zero-shot``, the mode for ``tuned``.
    source : object
        An object of the host, an `ImportedModel` or a function of a `Setting`; None for words.
    is_trained_once : bool
        Whether the user wants it fitted before the first origins alone.
    """

    label: str
    word: str | None = None
    option: str | None = None
    source: Any = None
    is_trained_once: bool = False

    @property
    def description(self) -> str:
        """To repeat it."""
        if self.word is not None:
            return self.word if self.option is None else f"{self.word}:{self.option}"
        return self.source.text if isinstance(self.source, ImportedModel) else repr(self.source)

    def make(self, setting: Setting) -> Any:
        """A model of the host from what is no word; objects are returned as they are."""
        if isinstance(self.source, ImportedModel):
            return self.source.make(asdict(setting))
        if callable(self.source) and not hasattr(self.source, "fit"):
            return self.source(setting)
        return self.source


def parse_models(models: str | Sequence[Any] | Mapping[str, Any]) -> list[ModelSpec]:
    """Read what users give as models.

    Parameters
    ----------
    models : str, sequence or mapping
        Each a word of `WORDS`, perhaps with an option (``"tuned:lora"``,
        ``"zero-shot:published"``), an import path with arguments, a model object of the host, or a
        function that makes one from a `Setting`; or one of these alone. A mapping gives them names,
        and so does ``"name=..."`` in a string.

    Raises
    ------
    ValueError
        If there is none, a word is unknown, or two have the same name.
    ImportError
        If a class cannot be imported.
    """
    if isinstance(models, str) or hasattr(models, "fit") or callable(models):
        models = [models]  # forecasters of sktime can be iterated over, without an end
    pairs = models.items() if isinstance(models, Mapping) else ((None, one) for one in models)
    specs = [_spec(label, one) for label, one in pairs]
    labels = [spec.label for spec in specs]
    if not specs or len(set(labels)) != len(labels):
        raise ValueError(
            f"models: got {labels}, expected one or more of distinct names; name them with a "
            "dictionary, or as 'name=model'"
        )
    return specs


def _spec(label: str | None, one: Any) -> ModelSpec:
    if not isinstance(one, str):
        if not callable(one) and not hasattr(one, "fit"):
            raise ValueError(
                f"models: got {type(one).__name__}, expected a word of {sorted(WORDS)}, an import "
                "path, a model of the host or a function that makes one"
            )
        name = one.__name__ if callable(one) and hasattr(one, "__name__") else type(one).__name__
        return ModelSpec(label or name, source=one)
    text = one.strip()
    name, is_named, rest = text.partition("=")
    if is_named and "(" not in name:
        label, text = label or name.strip(), rest.strip()
    word, _, option = text.partition(":")
    if word in WORDS:
        if option and word not in _WITH_OPTION:
            raise ValueError(f"models: got {one!r}, expected {word!r} alone; it has no options")
        title = f"{WORDS[word]} ({option})" if option else WORDS[word]
        return ModelSpec(label or title, word=word, option=option or None)
    if "." not in text:
        raise ValueError(
            f"models: got {one!r}, expected one of {sorted(WORDS)} or an import path such as "
            "'darts.models.Theta'"
        )
    imported = parse_imported(text, _ANY)
    imported.load()
    return ModelSpec(label or imported.path.rpartition(".")[2], source=imported)
