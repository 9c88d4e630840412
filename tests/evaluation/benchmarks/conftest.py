"""A made copy of some data sets of GIFT-Eval, in its layout."""

import json
import runpy
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

_MAKER = Path(__file__).parents[2] / "fixtures" / "gift_eval" / "make_figures.py"


@pytest.fixture(scope="session")
def maker():
    return runpy.run_path(str(_MAKER))


@pytest.fixture(scope="session")
def gift_eval_folder(tmp_path_factory, maker):
    root = tmp_path_factory.mktemp("gift_eval")
    for name in maker["FREQS"]:
        _write(root / name, maker["make_rows"](name))
    return root


@pytest.fixture
def write_data_set():
    return _write


def _write(folder, rows):
    """As `datasets` saves to disk: an Arrow stream and a list of files."""
    folder.mkdir(parents=True)
    kind = pa.list_(pa.float32())
    target = [row["target"].tolist() for row in rows]
    if np.ndim(rows[0]["target"]) > 1:
        kind = pa.list_(kind)
    table = pa.table(
        {
            "item_id": [row["item_id"] for row in rows],
            "start": pa.array([np.datetime64(row["start"], "s") for row in rows]),
            "freq": [row["freq"] for row in rows],
            "target": pa.array(target, type=kind),
        }
    )
    name = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    (folder / "dataset_info.json").write_text("{}")
