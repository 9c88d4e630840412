import numpy as np
import pandas as pd
import pytest

from lagllama_adapters.inference import LagLlamaPredictor
from lagllama_adapters.inference.files import embeddings
from lagllama_adapters.inference.files.embeddings import embed_files


@pytest.fixture(scope="module")
def values():
    return [np.random.default_rng(i).normal(size=50 + i).cumsum() + 30 for i in range(7)]


@pytest.fixture
def data(values, tmp_path):
    days = [pd.date_range("2024-01-01", periods=len(one), freq="D") for one in values]
    tables = [
        pd.DataFrame({"item_id": f"s{i}", "date": index, "value": one})
        for i, (index, one) in enumerate(zip(days, values, strict=True))
    ]
    tables[2].loc[4, "value"] = np.inf
    path = tmp_path / "series.csv"
    pd.concat(tables).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_vectors_are_those_of_the_predictor(
    suffix, data, values, tmp_path, block_checkpoint, monkeypatch
):
    monkeypatch.setattr(embeddings, "_BATCH", 4)
    out = tmp_path / f"vectors{suffix}"
    report = embed_files(data, out, pool="mean", checkpoint=block_checkpoint)
    names = [f"s{i}" for i in range(7) if i != 2]
    assert (report.series, [fault.item_id for fault in report.faults]) == (6, ["s2"])
    if suffix == ".csv":
        table = pd.read_csv(out)
        got = table.drop(columns="item_id").to_numpy()
        assert list(table.columns) == ["item_id", *(f"e{i}" for i in range(16))]
    else:
        table = pd.read_parquet(out)
        got = np.stack(table.embedding)
        assert got.dtype == np.float32
    assert table.item_id.tolist() == names
    expected = LagLlamaPredictor(block_checkpoint).embed(
        [values[int(name[1:])] for name in names], "mean", "2024-01-01", "D"
    )
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    faults = pd.read_csv(tmp_path / f"vectors{suffix}.faults.csv")
    assert faults.line.tolist() == [2 + 50 + 51 + 4]


def test_a_run_that_fails_leaves_the_file_that_was_there(data, tmp_path, block_checkpoint):
    out = tmp_path / "vectors.parquet"
    out.write_text("mine")
    with pytest.raises(ValueError, match=r"infinite.*on_error 'skip'"):
        embed_files(data, out, checkpoint=block_checkpoint, on_error="fail")
    assert out.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["series.csv", "vectors.parquet"]


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("a.txt", {}, r"file: got .*a\.txt, expected"),
        ("nowhere/a.csv", {}, "expected .* in an existing folder"),
        ("a.csv", {"pool": "max"}, "pool: got 'max', expected 'last' or 'mean'"),
        ("a.csv", {"on_error": "stop"}, "on_error: got 'stop'"),
    ],
)
def test_refusals(file, options, message, data, tmp_path):
    with pytest.raises(ValueError, match=message):
        embed_files(data, tmp_path / file, checkpoint="never read", **options)
