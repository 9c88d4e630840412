"""``lagllama recipe``."""

from typing import Annotated

import typer

__all__ = ["recipe"]


def recipe(
    name: Annotated[str, typer.Argument(help="base, tiny, gpu, continued or published.")] = "base",
) -> None:
    """Print a stock configuration for `lagllama pretrain --config`, to be changed."""
    from lagllama_adapters.training.recipes import RECIPES, settings_to_yaml

    if name not in RECIPES:
        raise typer.BadParameter(f"got {name!r}, expected one of {sorted(RECIPES)}")
    typer.echo(settings_to_yaml(RECIPES[name]), nl=False)
