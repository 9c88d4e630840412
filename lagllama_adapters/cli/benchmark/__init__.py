"""``lagllama benchmark``: public benchmarks by their own rules. One command, one file."""

import typer

from lagllama_adapters.cli.benchmark.fev import fev
from lagllama_adapters.cli.benchmark.gift_eval import gift_eval
from lagllama_adapters.cli.benchmark.monash import monash
from lagllama_adapters.cli.benchmark.paper import paper

__all__ = ["benchmark"]

benchmark = typer.Typer(help="Public benchmarks, by their own rules.", no_args_is_help=True)
benchmark.command("gift-eval")(gift_eval)
for command in (fev, monash, paper):
    benchmark.command()(command)
