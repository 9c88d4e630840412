import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.packed import pack_corpus, verify_packed


@pytest.fixture
def folder(tmp_path):
    rng, source = np.random.default_rng(0), tmp_path / "source"
    source.mkdir()
    for name, freq in (("a", "h"), ("b", "MS")):
        targets = [rng.normal(size=n).tolist() for n in (50, 7, 20)]
        targets[1][2] = None
        table = {
            "item_id": ["x", "y", "z"],
            "freq": [freq] * 3,
            "start": ["2020-01-01", None, "2021-01-01"],
            "target": pa.array(targets, type=pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(table), source / f"{name}.parquet")
    return source


@pytest.fixture
def packed(folder, tmp_path):
    return pack_corpus(folder, tmp_path / "packed")


def test_a_packed_corpus_equals_that_in_memory_and_stays_on_disk(folder, packed):
    memory, disk = Corpus.read(folder), Corpus.read(packed)
    assert isinstance(disk.values, np.memmap)
    assert not disk.values.flags.writeable
    for name in ("values", "offsets", "observed"):
        np.testing.assert_array_equal(getattr(disk, name), getattr(memory, name))
        assert getattr(disk, name).dtype == getattr(memory, name).dtype
    for name in ("item_id", "dataset", "freq", "start"):
        assert getattr(disk, name) == getattr(memory, name)
    assert {file.name for file in packed.iterdir()} == {
        "corpus.json", "series.parquet", "values.float32"
    }  # fmt: skip
    verify_packed(packed)


def test_observations_are_counted_once_by_series(folder, packed):
    values = [Corpus.read(folder)[i] for i in range(6)]
    expected = [int(np.isfinite(series).sum()) for series in values]
    assert Corpus.read(packed).observed.tolist() == expected == [50, 6, 20] * 2


def test_packing_holds_a_piece_at_a_time(tmp_path):
    targets = [[0.5] * 50_000] * 8
    table = {
        "item_id": [str(i) for i in range(8)],
        "freq": ["h"] * 8,
        "start": ["2020-01-01"] * 8,
        "target": pa.array(targets, type=pa.list_(pa.float64())),
    }
    table = pa.table(table)
    for shard in range(10):
        names = pa.array([f"{shard}.{i}" for i in range(8)])
        part = table.set_column(0, "item_id", names)
        pq.write_table(part, tmp_path / f"a-{shard:05d}-of-00010.parquet")
    tracemalloc.start()
    packed = pack_corpus(tmp_path, tmp_path.with_name(tmp_path.name + "-packed"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = (packed / "values.float32").stat().st_size
    assert size == 10 * 8 * 50_000 * 4
    assert peak < size / 2  # a piece is a tenth; its copies are few


def test_a_folder_that_exists_is_not_touched(folder, packed):
    before = (packed / "values.float32").read_bytes()
    with pytest.raises(FileExistsError, match="packed: exists already"):
        pack_corpus(folder / "a.parquet", packed)
    assert (packed / "values.float32").read_bytes() == before


def test_a_conversion_that_fails_leaves_nothing(folder, tmp_path):
    (folder / "c.tsf").write_text("@frequency daily\n@data\n1,2\n3,x\n")
    with pytest.raises(ValueError, match=r"c.tsf, line 4: value 2: got 'x'"):
        pack_corpus(folder, tmp_path / "out" / "packed")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_packed_corpus_is_given_alone(folder, packed):
    with pytest.raises(ValueError, match="which is packed, and other paths; pack all of them"):
        Corpus.read([folder, packed])


def _shorten(path):
    path.write_bytes(path.read_bytes()[:-4])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _replace(old, new):
    return lambda path: path.write_text(path.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("values.float32", _shorten, r"values.float32: got 612 bytes, expected 616"),
        ("values.float32", lambda path: path.unlink(), "values.float32: got None bytes"),
        ("series.parquet", _flip, "series.parquet: missing or damaged"),
        ("series.parquet", lambda path: path.unlink(), "series.parquet: missing or damaged"),
        ("corpus.json", _shorten, "corpus.json: not the index of a packed corpus"),
        ("corpus.json", _replace('version": 1', 'version": 2'), "got format_version 2, expected 1"),
    ],
)
def test_damage_is_named(name, damage, message, packed):
    damage(packed / name)
    with pytest.raises(ValueError, match=message):
        Corpus.read(packed)


def test_changed_values_are_found_by_their_check_sum(packed):
    _flip(packed / "values.float32")
    with pytest.raises(ValueError, match=r"values.float32: missing or damaged"):
        verify_packed(packed)
