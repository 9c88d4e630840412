"""A hundred bad inputs of ``lagllama forecast``, drawn from a seed: a message, no traceback."""

import numpy as np
import pytest
from typer.testing import CliRunner

from lagllama_adapters.cli import app

N = 100
GOOD = "item_id,date,value\n" + "".join(f"a,2024-01-{day:02},{day % 7}\n" for day in range(1, 31))

OPTIONS = {
    "--horizon": ["0", "-3", "2.5", "many", "10000000000000"],
    "--samples": ["0", "-1", "1.5", "all", "10000000000000"],
    "--quantiles": ["", "0", "1.5", "a,b", "-0.1,0.5", "0.5,,0.6", "nan", "0.5,0.5"],
    "--support": ["positive", "3:1", "a:b", "1:2:3", ":", "nan:1"],
    "--checkpoint": ["", "no/such/folder", "tinier"],
    "--freq": ["fortnight", "-1D", "0D", "H5H"],
    "--layout": ["tall", ""],
    "--on-error": ["ignore", ""],
    "--format": ["xlsx", "json"],
    "--season-length": ["0", "1", "-7", "x"],
    "--context-length": ["0", "-1", "100000000"],
    "--workers": ["0", "-2", "x"],
    "--series-per-part": ["0", "-1"],
    "--device": ["gpu9", "tpu!"],
    "--dtype": ["float8", "int32"],
    "--id-column": ["no such column"],
    "--time-column": ["no such column"],
    "--target-column": ["no such column"],
    "--no-such-option": ["1"],
}
CONTENTS = [
    b"",
    b"\n\n\n",
    b"item_id,date,value\n",
    b"\x00\xff\xfe binary",
    b"item_id,date,value\na,not a date,1\n",
    b"item_id,date,value\na,2024-01-01,one\na,2024-01-02,two\n",
    b"item_id,date,value\na,2024-01-01,inf\na,2024-01-02,1\n",
    b"item_id,date,value\na,2024-01-01,\na,2024-01-02,\n",
    b"item_id,date,value\na,2024-01-01,1\na,2024-01-01,2\n",
    b"PAR1 but not parquet",
]


@pytest.fixture
def good(tmp_path):
    (tmp_path / "good.csv").write_text(GOOD)
    return tmp_path / "good.csv"


def draw(rng, good, folder, seed):
    """Arguments of a command with one fault."""
    arguments = {"--horizon": "2", "--samples": "3", "--checkpoint": "tiny", "--workers": "1"}
    arguments |= {"--out": str(folder / f"out{seed}"), "--on-error": "fail"}
    data = str(good)
    kind = rng.random()
    if kind < 0.7:
        option = str(rng.choice(list(OPTIONS)))
        arguments[option] = OPTIONS[option][rng.integers(len(OPTIONS[option]))]
    elif kind < 0.95:
        file = folder / f"bad{seed}.{rng.choice(['csv', 'parquet', 'arrow', 'tsf'])}"
        file.write_bytes(CONTENTS[rng.integers(len(CONTENTS))])
        data = str(file)
    else:
        data = str(folder / "no such file.csv")
    return [data, *(word for pair in arguments.items() for word in pair)]


def test_bad_input_ends_with_a_message(good, tmp_path):
    unhelpful = []
    for seed in range(N):
        arguments = draw(np.random.default_rng(seed), good, tmp_path, seed)
        result = CliRunner().invoke(app, ["forecast", *arguments, "--no-progress-bar"])
        text = result.output.lower()
        is_refused = result.exit_code in (1, 2) and isinstance(result.exception, SystemExit)
        if not is_refused or "error" not in text or "traceback" in text:
            unhelpful.append((seed, arguments, result.exit_code, repr(result.exception), text))
    assert not unhelpful, "\n".join(map(str, unhelpful))
    out = str(tmp_path / "out.csv")
    options = ["--horizon", "2", "--checkpoint", "tiny", "--workers", "1", "--no-progress-bar"]
    result = CliRunner().invoke(app, ["forecast", str(good), "--out", out, *options])
    assert result.exit_code == 0, result.output
