"""Install a wheel into fresh environments, alone and with each extra, and use it there.

    python tests/package/install_each_extra.py dist/lagllama_adapters-0.2.0-py3-none-any.whl

`tox run -e package` builds the wheel and calls this. Environments are made in a temporary folder,
one at a time, and hold what a user's would: the wheel, its extra and what they need, no tools of
the project. A table says how long an installation took and how much room it needs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

USES = {
    "": """
        from importlib.util import find_spec
        from lagllama_adapters import LagLlamaPredictor
        assert not [host for host in ("darts", "sktime", "skpro", "matplotlib") if find_spec(host)]
        forecast = LagLlamaPredictor().predict([1.0, 3, 2, 4, 3, 5], prediction_length=3, seed=0)
        assert forecast.samples.shape == (1, 100, 3)
    """,
    "darts": """
        from darts import TimeSeries
        from lagllama_adapters.darts import LagLlamaModel
        model = LagLlamaModel("tiny", random_state=0)
        model.fit(TimeSeries.from_values(__import__("numpy").arange(30.0)))
        assert model.predict(3, num_samples=5).n_samples == 5
    """,
    "sktime": """
        import pandas as pd
        from lagllama_adapters.sktime import LagLlamaForecaster
        forecaster = LagLlamaForecaster("tiny", random_state=0).fit(pd.Series(range(30)))
        assert len(forecaster.predict(fh=[1, 2, 3])) == 3
    """,
    "distributed": """
        import ray.data
        from lagllama_adapters.distributed import RayEngine
        assert RayEngine("local").device == "cpu"
    """,
    "plot": """
        import matplotlib
        matplotlib.use("agg")
        import lagllama_adapters.evaluation.plots
    """,
    "tune": """
        import numpy as np
        from lagllama_adapters import load_pretrained
        from lagllama_adapters.training.finetuning import FinetuneSettings
        from lagllama_adapters.training.hold_out import panel_corpus
        from lagllama_adapters.training.search import SearchSpace, tune
        panel = panel_corpus([10 + np.sin(np.arange(90.0) / 3 + i) for i in range(4)])
        few = FinetuneSettings(steps=2, validate_every=1, horizon=6)
        space = SearchSpace(mode=("zero-shot",), context_length=(32, 64), steps=(2,))
        result = tune(load_pretrained("tiny"), panel, 6, n_trials=2, space=space, settings=few)
        assert result.loss <= result.loss_zero_shot
    """,
}


def _run(*command: str | Path) -> None:
    # No path of the caller's: what runs must come from the wheel.
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([*map(str, command)], check=True, env=clean, cwd=tempfile.gettempdir())


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def check(wheel: Path, extra: str, options: list[str]) -> str:
    """Install and use the wheel with one extra; a row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        venv.create(home, with_pip=True)
        programs = home / ("Scripts" if os.name == "nt" else "bin")
        before, begin = _size(home), time.perf_counter()
        wanted = f"lagllama-adapters[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
        _run(programs / "python", "-m", "pip", "install", "--quiet", *options, wanted)
        seconds = time.perf_counter() - begin
        code = "\n".join(line.strip() for line in USES[extra].strip().splitlines())
        _run(programs / "python", "-c", code)
        _run(programs / "lagllama", "--help")
        megabytes = (_size(home) - before) / 1e6
    return f"| {extra or '(none)'} | {seconds:.0f} | {megabytes:,.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--extras", nargs="*", choices=[*USES], default=[*USES])
    parser.add_argument("pip_options", nargs="*", help="after --, given to pip install")
    arguments = parser.parse_args()
    wheel = arguments.wheel.resolve()
    largest = 8_000_000
    if wheel.stat().st_size > largest:
        sys.exit(f"{wheel.name}: {wheel.stat().st_size:,} bytes, expected at most {largest:,}")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB")
    print("| extra | seconds to install | MB installed |", "|---|---|---|", sep="\n", flush=True)
    for extra in arguments.extras:
        print(check(wheel, extra, arguments.pip_options), flush=True)


if __name__ == "__main__":
    main()
