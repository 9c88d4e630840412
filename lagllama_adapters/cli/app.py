"""The commands of ``lagllama``."""

import typer

from lagllama_adapters.cli.benchmark import benchmark
from lagllama_adapters.cli.compare import compare
from lagllama_adapters.cli.convert import convert
from lagllama_adapters.cli.embed import embed
from lagllama_adapters.cli.evaluate import evaluate
from lagllama_adapters.cli.few_shot import few_shot
from lagllama_adapters.cli.finetune import finetune
from lagllama_adapters.cli.forecast import forecast
from lagllama_adapters.cli.info import info
from lagllama_adapters.cli.pretrain import pretrain
from lagllama_adapters.cli.recipe import recipe
from lagllama_adapters.cli.thin import thin

__all__ = ["app"]

# Heavy imports (torch, lightning) live in the commands, so that `--help` answers at once.
app = typer.Typer(
    help="Lag-Llama: forecasts, comparisons, tuning, pretraining, corpora and checkpoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    *(forecast, compare, finetune, embed, info),
    *(evaluate, pretrain, few_shot, recipe, convert, thin),
):
    app.command()(command)
app.add_typer(benchmark, name="benchmark")
