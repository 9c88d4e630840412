"""``lagllama info``."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from lagllama_adapters.cli.console import console, errors_as_messages

if TYPE_CHECKING:
    from lagllama_adapters.checkpoints.description import CheckpointDescription

__all__ = ["info"]


def info(
    checkpoint: Annotated[
        str, typer.Argument(help="base, tiny, published, a folder or a .ckpt.")
    ] = "base",
    card: Annotated[bool, typer.Option("--card", help="Print the model card, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the facts as JSON.")] = False,
) -> None:
    """Facts of a checkpoint: size, lags, context, distribution, checksum."""
    import json
    from dataclasses import asdict

    with errors_as_messages():
        from lagllama_adapters.checkpoints.description import describe_checkpoint, read_card

        description = describe_checkpoint(checkpoint)
        text = read_card(description) if card else None
        if as_json:
            facts = asdict(description) | ({} if text is None else {"card_text": text})
            typer.echo(json.dumps(facts, indent=2))
            return
        console.print(_table(description))
        if text is not None:
            console.print(Markdown(_without_metadata(text)))


def _without_metadata(card: str) -> str:
    """The card for people: without the block of YAML that the hub reads."""
    begin, end = "---\n", "\n---\n"
    return card.split(end, 1)[1] if card.startswith(begin) and end in card else card


def _table(one: "CheckpointDescription") -> Table:
    levels = one.quantile_levels
    head = one.head if levels is None else f"{one.head} at {', '.join(f'{x:g}' for x in levels)}"
    rows = {
        "path": one.path,
        "bytes": f"{one.size:,}",
        "sha256": one.sha256,
        "parameters": f"{one.parameters:,}",
        "decoder": f"{one.layers} layers, {one.heads} heads, width {one.width}",
        "lags": f"{len(one.lags)}, up to {one.max_lag}",
        "context": f"{one.context_length} tokens, at most {one.max_context_length}",
        "reads": f"the last {one.past_length:,} points of a series",
        "emits": f"{one.block_length} steps a token",
        "distribution": head,
        "measures seasons": "yes" if one.measures_seasons else "no",
        **({"reads covariates": ", ".join(one.covariates)} if one.covariates else {}),
        "card": one.card or "none",
    }
    table = Table(title=escape(one.checkpoint), box=SIMPLE_HEAD, show_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, escape(value))
    return table
