"""Models by import path, such as ``darts.models.Theta(theta=1)``, without evaluating code."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

__all__ = ["ImportedModel", "parse_imported"]

_EXAMPLE = "'darts.models.ExponentialSmoothing(seasonal_periods=season_length)'"


@dataclass(frozen=True)
class ImportedModel:
    """A class and the arguments it is made with.

    Attributes
    ----------
    path : str
        Module and class.
    arguments : tuple of str and node
        Literals, or names of what is known about the series.
    text : str
        As given.
    """

    path: str
    arguments: tuple[tuple[str, ast.expr], ...]
    text: str

    def load(self) -> type:
        """The class.

        Raises
        ------
        ImportError
            If there is none.
        """
        module, _, name = self.path.rpartition(".")
        try:
            return getattr(import_module(module), name)  # type: ignore[no-any-return]
        except (ImportError, AttributeError) as error:
            raise ImportError(
                f"models: got {self.text!r}, expected the path of a class that can be imported "
                f"({error}); an example is {_EXAMPLE}"
            ) from error

    def make(self, known: Mapping[str, Any]) -> Any:
        """An object of the class, for a series of which some numbers are known."""
        values = {name: _value(node, known, self.text) for name, node in self.arguments}
        return self.load()(**values)


def parse_imported(text: str, known: Mapping[str, Any]) -> ImportedModel:
    """Read ``package.module.Class`` with or without keyword arguments.

    Parameters
    ----------
    text : str
        Arguments are literals of Python or names of ``known``.
    known : mapping
        Names that arguments may use; values of any series, to check them with.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(_message(text)) from error
    keywords: list[ast.keyword] = []
    if isinstance(node, ast.Call):
        keywords = node.keywords
        if node.args or any(keyword.arg is None for keyword in keywords):
            raise ValueError(_message(text))
        node = node.func
    if not isinstance(node, ast.Attribute) or not _is_path(node):
        raise ValueError(_message(text))
    arguments = tuple((str(keyword.arg), keyword.value) for keyword in keywords)
    for _, value in arguments:
        _value(value, known, text)
    return ImportedModel(ast.unparse(node), arguments, text.strip())


def _is_path(node: ast.expr) -> bool:
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def _value(node: ast.expr, known: Mapping[str, Any], text: str) -> Any:
    if isinstance(node, ast.Name):
        if node.id not in known:
            raise ValueError(f"{_message(text)}; {node.id!r} is not among {sorted(known)}")
        return known[node.id]
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(_message(text)) from error


def _message(text: str) -> str:
    return (
        f"models: got {text!r}, expected the import path of a class with keyword arguments that "
        f"are plain values, such as {_EXAMPLE}"
    )
