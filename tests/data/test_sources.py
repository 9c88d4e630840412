"""Layouts of public collections, written here as their own tools write them."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.sources import read_series

NAN = float("nan")
NESTED = pa.list_(pa.list_(pa.float32()))


def _table(targets, freq="h", start=None, target_type=None, **columns):
    n = len(targets)
    start = start or ["2020-01-01"] * n
    return pa.table(
        {
            "item_id": [f"s{i}" for i in range(n)],
            "start": pa.array(np.array(start, dtype="datetime64[s]")),
            "freq": [freq] * n,
            "target": pa.array(targets, type=target_type or pa.list_(pa.float32())),
            **columns,
        }
    )


def _save_to_disk(folder, table, shards=1):
    """What ``datasets.Dataset.save_to_disk`` leaves (compared with version 5.2)."""
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{shards:05d}.arrow" for i in range(shards)]
    per_shard = -(-len(table) // shards)
    for i, name in enumerate(names):
        part = table.slice(i * per_shard, per_shard)
        with pa.ipc.new_stream(folder / name, part.schema) as stream:
            stream.write_table(part, max_chunksize=2)
    files = [{"filename": name} for name in names]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_split": None}))
    (folder / "dataset_info.json").write_text("{}")


def _everything(corpus):
    names = zip(corpus.dataset, corpus.item_id, strict=True)
    return {name: corpus[i].tolist() for i, name in enumerate(names)}


def test_folders_of_saved_data_sets_are_named_by_their_paths(tmp_path):
    _save_to_disk(
        tmp_path / "m4_daily", _table([[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]], "D"), shards=2
    )
    _save_to_disk(tmp_path / "ett1" / "15T", _table([[7.0]], "15T"))
    corpus = Corpus.read(tmp_path)
    assert _everything(corpus) == {
        ("ett1/15T", "s0"): [7],
        ("m4_daily", "s0"): [1, 2],
        ("m4_daily", "s1"): [3],
        ("m4_daily", "s2"): [4, 5, 6],
    }
    assert corpus.freq == ("15T", "D", "D", "D")
    assert str(corpus.calendar(1).start) == "2020-01-01 00:00:00"
    assert _everything(Corpus.read(tmp_path / "m4_daily")).keys() == {
        ("m4_daily", f"s{i}") for i in range(3)
    }


def test_results_that_hugging_face_cached_beside_the_data_are_not_read(tmp_path):
    _save_to_disk(tmp_path / "set", _table([[1.0]]))
    (tmp_path / "set" / "cache-0123.arrow").write_bytes(b"not even Arrow")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "old.parquet").write_bytes(b"nor parquet")
    assert _everything(Corpus.read(tmp_path)) == {("set", "s0"): [1]}


def test_a_missing_shard_is_named(tmp_path):
    _save_to_disk(tmp_path / "set", _table([[1.0], [2.0]]), shards=2)
    pq.write_table(_table([[3.0]]), tmp_path / "other.parquet")
    for name in ("data-00001-of-00002.arrow", "data-00000-of-00002.arrow"):
        (tmp_path / "set" / name).unlink()
        with pytest.raises(ValueError, match=rf"set: state.json lists \['{name}'"):
            Corpus.read(tmp_path)


def test_an_unreadable_state_is_named(tmp_path):
    _save_to_disk(tmp_path / "set", _table([[1.0]]))
    (tmp_path / "set" / "state.json").write_text("{}")
    with pytest.raises(ValueError, match=r"state.json: got no list _data_files"):
        Corpus.read(tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "stream", "file"])
def test_formats_of_a_table_are_told_apart(kind, tmp_path):
    table, path = _table([[1.0, NAN], [3.0]]), tmp_path / "set.arrow"
    if kind == "parquet":
        path = tmp_path / "set.parquet"
        pq.write_table(table, path)
    else:
        new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        with new(path, table.schema) as writer:
            writer.write_table(table)
    corpus = Corpus.read(path)
    assert corpus.dataset == ("set", "set")
    np.testing.assert_array_equal(corpus.values, np.float32([1, NAN, 3]))


@pytest.mark.parametrize(
    "target_type",
    [
        pa.list_(pa.float64()),
        pa.large_list(pa.float32()),
        pa.list_(pa.int64(), 2),
        pa.list_(pa.float16()),
    ],
    ids=str,
)
def test_lists_may_be_of_any_kind_with_nulls_as_missing(target_type, tmp_path):
    targets = [[1, 2], [None, 4]]
    if pa.types.is_float16(target_type.value_type):
        targets = [[np.float16(1), np.float16(2)], [None, np.float16(4)]]
    pq.write_table(_table(targets, target_type=target_type), tmp_path / "set.parquet")
    np.testing.assert_array_equal(Corpus.read(tmp_path).values, np.float32([1, 2, NAN, 4]))


@pytest.mark.parametrize("outer", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 2)])
def test_a_multivariate_target_is_a_series_per_dimension(outer, tmp_path):
    targets = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0], [8.0]]]
    table = _table(targets, target_type=outer(pa.list_(pa.float32())), start=["2020", "2021"])
    _save_to_disk(tmp_path / "set", table)
    corpus = Corpus.read(tmp_path)
    assert _everything(corpus) == {
        ("set", "s0/0"): [1, 2, 3],
        ("set", "s0/1"): [4, 5, 6],
        ("set", "s1/0"): [7],
        ("set", "s1/1"): [8],
    }
    assert [corpus.calendar(i).start.year for i in range(4)] == [2020, 2020, 2021, 2021]


def _stamps(start, step, n):
    return (np.datetime64(start) + np.arange(n) * np.timedelta64(*step)).astype("datetime64[ns]")


def _chronos(stamps, **values):
    return pa.table(
        {
            "id": [f"T{i}" for i in range(len(stamps))],
            "timestamp": pa.array(list(stamps), type=pa.list_(pa.timestamp("ns"))),
            "category": ["other"] * len(stamps),
            **{name: pa.array(v, type=pa.list_(pa.float64())) for name, v in values.items()},
        }
    )


def test_time_stamps_give_start_and_frequency(tmp_path):
    stamps = [_stamps("2012-01-01T00:15", (15, "m"), 30), _stamps("2013-05-06", (15, "m"), 2)]
    values = [np.arange(30.0), np.arange(2.0)]
    (tmp_path / "solar").mkdir()
    for i in range(2):
        path = tmp_path / "solar" / f"train-{i:05d}-of-00002.parquet"
        table = _chronos(stamps, power_mw=values)
        table = table.set_column(0, "id", pa.array([f"T{2 * i}", f"T{2 * i + 1}"]))
        pq.write_table(table, path)
    corpus = Corpus.read(tmp_path)
    assert corpus.dataset == ("solar/train",) * 4
    assert corpus.item_id == ("T0", "T1", "T2", "T3")
    assert corpus.freq == ("15min",) * 4  # two stamps alone tell none
    starts = [str(corpus.calendar(i).start) for i in range(2)]
    assert starts == ["2012-01-01 00:15:00", "2013-05-06 00:00:00"]
    np.testing.assert_array_equal(corpus[0], values[0])


def test_several_columns_of_values_are_a_series_each(tmp_path):
    stamps = [_stamps("2012-01-01", (1, "D"), 4)]
    table = _chronos(stamps, low=[[1.0, 2.0, 3.0, 4.0]], high=[[5.0, 6.0, None, 8.0]])
    pq.write_table(table, tmp_path / "prices.parquet")
    corpus = Corpus.read(tmp_path)
    assert corpus.item_id == ("T0/low", "T0/high")
    np.testing.assert_array_equal(corpus[1], np.float32([5, 6, NAN, 8]))
    assert corpus.freq == ("D", "D")


@pytest.mark.parametrize(
    ("freq", "n"),
    [("B", 40), ("MS", 5), ("ME", 30), ("W-WED", 9), ("QS-OCT", 14), ("YS-JAN", 40), ("4s", 9)],
)
def test_frequencies_are_inferred_from_the_stamps(freq, n, tmp_path):
    stamps = [pd.date_range("2010-01-04", periods=n, freq=freq, unit="ns").to_numpy()]
    pq.write_table(_chronos(stamps, target=[np.arange(float(n))]), tmp_path / "a.parquet")
    (got,) = Corpus.read(tmp_path).freq
    assert got == freq


@pytest.mark.parametrize(
    "stamps",
    [
        np.array(["2012-01-01", "2012-01-02", "2012-01-04"], dtype="datetime64[ns]"),
        np.array(["2012-01-03", "2012-01-02", "2012-01-01"], dtype="datetime64[ns]"),
        # regular at first, then with a gap
        np.delete(_stamps("2012-01-01", (1, "h"), 40), 30),
    ],
)
def test_irregular_stamps_are_refused(stamps, tmp_path):
    pq.write_table(_chronos([stamps], target=[np.ones(len(stamps))]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a.parquet: series 'T0': got irregular time stamps"):
        Corpus.read(tmp_path)


def test_stamps_and_values_go_together(tmp_path):
    pq.write_table(
        _chronos([_stamps("2012-01-01", (1, "D"), 4)], target=[[1.0, 2.0]]), tmp_path / "a.parquet"
    )
    with pytest.raises(ValueError, match=r"series 'T0': got 2 values and 4 time stamps"):
        Corpus.read(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (_chronos([_stamps("2012", (1, "D"), 2)], x=[[1.0, 2.0]]), "fewer than 3 time stamps"),
        (_chronos([_stamps("2012", (1, "D"), 4)]), r"got columns \['id: string', .*missing"),
        (_table([["a"]], target_type=pa.list_(pa.string())), "target: got list<.*string>"),
        (_table([[1.0]]).set_column(0, "item_id", pa.array([None], pa.string())), "without item_"),
        (_table([[[1.0], None]], target_type=NESTED), "'s0/1' has no target"),
        # one row per time step
        (
            pa.table({"item_id": ["a"], "timestamp": ["2020"], "target": [1.0]}),
            r"'target: double'\], expected a row per series .*missing \['freq', 'start'\]",
        ),
    ],
)  # fmt: skip
def test_tables_of_another_layout_are_refused_with_what_they_are(table, message, tmp_path):
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=f"a.parquet: .*{message}"):
        Corpus.read(tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_a_damaged_file_is_named(suffix, tmp_path):
    (tmp_path / f"a.{suffix}").write_bytes(b"no such format" * 9)
    with pytest.raises(ValueError, match=f"a.{suffix}: cannot be read as .{suffix}"):
        Corpus.read(tmp_path)


def test_a_truncated_stream_is_refused(tmp_path):
    _save_to_disk(tmp_path / "set", _table([list(np.arange(1000.0))] * 4))
    path = tmp_path / "set" / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-6000])
    with pytest.raises(ValueError, match=r"data-00000-of-00001.arrow: cannot be read"):
        Corpus.read(tmp_path)


def test_monash_files_parquet_and_arrow_make_one_corpus(tmp_path):
    tsf = "@attribute series_name string\n@frequency monthly\n@data\nT1:1,?\nT2:3\n"
    (tmp_path / "tourism.tsf").write_text(tsf)
    pq.write_table(_table([[4.0]]), tmp_path / "a.parquet")
    _save_to_disk(tmp_path / "set", _table([[5.0]]))
    corpus = Corpus.read(tmp_path)
    assert corpus.dataset == ("a", "set", "tourism", "tourism")
    np.testing.assert_array_equal(corpus.values, np.float32([4, 5, 1, NAN, 3]))
    assert corpus.freq == ("h", "h", "MS", "MS")
    assert corpus.start[2:] == (None, None)
    np.testing.assert_array_equal(corpus.observed, [1, 1, 1, 1])


def test_several_paths_make_one_corpus_in_their_order(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        pq.write_table(_table([[float(len(name))]]), tmp_path / name / f"{name}.parquet")
    corpus = Corpus.read([tmp_path / "two" / "two.parquet", str(tmp_path / "one")])
    assert corpus.dataset == ("two", "one")
    pq.write_table(_table([[1.0]]), tmp_path / "two" / "one.parquet")
    with pytest.raises(ValueError, match=r"data set 'one': got one in .*one and one in .*two"):
        Corpus.read([tmp_path / "one", tmp_path / "two"])


def test_files_of_other_kinds_are_counted(tmp_path):
    for name in ("a.csv", "b.csv", "c.zip"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"got no .*found {'.csv': 2, '.zip': 1}; unpack"):
        Corpus.read(tmp_path)
    with pytest.raises(ValueError, match=r"a.csv: got a .csv file, expected one of"):
        Corpus.read(tmp_path / "a.csv")
    with pytest.raises(FileNotFoundError, match="nowhere: got a path that does not exist"):
        Corpus.read(tmp_path / "nowhere")


def test_a_table_without_rows_is_no_corpus(tmp_path):
    pq.write_table(_table([]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match="got no series in"):
        Corpus.read(tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "arrow"])
def test_large_tables_are_read_in_pieces_without_a_difference(suffix, tmp_path):
    rng = np.random.default_rng(0)
    targets = [rng.normal(size=n).tolist() for n in rng.integers(1, 9, 600)]
    table, path = _table(targets), tmp_path / f"a.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(path, table.schema) as stream:
            stream.write_table(table)
    assert max(len(chunk.item_id) for chunk in read_series([path])) < 100
    corpus = Corpus.read(tmp_path)
    assert len(corpus) == 600
    for i, target in enumerate(targets):
        np.testing.assert_array_equal(corpus[i], np.float32(target))
