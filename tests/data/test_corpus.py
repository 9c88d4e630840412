import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters.data.corpus import FREQUENCY_BANDS, Corpus, frequency_band


def _write(folder, name, targets, freq="MS", **columns):
    n = len(targets)
    table = {
        "item_id": [f"{name}{i}" for i in range(n)],
        "freq": [freq] * n if isinstance(freq, str) else freq,
        "start": ["2000-01-01"] * n,
        "target": pa.array(targets, type=pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(table | columns), folder / f"{name}.parquet")


@pytest.fixture
def folder(tmp_path):
    _write(tmp_path, "a", [[1.0, 2.0, float("nan")], [4.0]], start_known=[True, False])
    _write(tmp_path, "b", [[5.0, 6.0]], freq="h")
    return tmp_path


def test_series_come_back_as_written(folder):
    corpus = Corpus.read(folder)
    assert (corpus.item_id, corpus.dataset) == (("a0", "a1", "b0"), ("a", "a", "b"))
    np.testing.assert_array_equal(corpus[0], np.float32([1, 2, np.nan]))
    np.testing.assert_array_equal(corpus[2], np.float32([5, 6]))
    np.testing.assert_array_equal(corpus.lengths, [3, 1, 2])


def test_a_nominal_start_gives_no_calendar(folder):
    corpus = Corpus.read(folder)
    assert corpus.calendar(1) is None
    assert corpus.calendar(0).features(np.array([0])).shape == (1, 6)


@pytest.mark.parametrize(
    ("freq", "band"),
    [
        ("s", "minutely"), ("5min", "minutely"), ("10min", "quarter-hourly"),
        ("30min", "quarter-hourly"), ("h", "hourly"), ("6h", "hourly"), ("D", "daily"),
        ("B", "daily"), ("W-FRI", "weekly"), ("MS", "monthly"), ("QS", "quarterly"),
        ("YS", "yearly"),
    ],
)  # fmt: skip
def test_frequencies_fall_into_bands(freq, band):
    assert FREQUENCY_BANDS[frequency_band(freq)] == band


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"got no \*.parquet, .* file.*found an empty folder"):
        Corpus.read(tmp_path)


def test_a_missing_column_is_named(tmp_path):
    pq.write_table(pa.table({"item_id": ["x"]}), tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match=r"bad.parquet.*missing .*'freq', 'start', 'target'"):
        Corpus.read(tmp_path)


@pytest.mark.parametrize("target", [[], [1.0, float("inf")]])
def test_a_bad_series_is_named(target, folder):
    _write(folder, "c", [[1.0], [2.0, 3.0], target, [4.0]])
    with pytest.raises(ValueError, match=r"c.parquet: series 'c2' is empty or has infinite"):
        Corpus.read(folder)


def test_an_unparsable_frequency_is_refused(folder):
    _write(folder, "c", [[1.0]], freq="now and then")
    with pytest.raises(ValueError, match="freq: got 'now and then'"):
        Corpus.read(folder)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item_id": ["x", "y", "x"]}, "item_id 'x' occurs twice"),
        ({"target": pa.array([[1.0], None, [2.0]])}, "series 'c1' has no target"),
        ({"start": ["2000-01-01", "2000-01-01", "soon"]}, "series 'c2': start: got 'soon'"),
        ({"freq": ["MS", None, "MS"]}, "series 'c1': freq: got None"),
        ({"freq": ["MS", "MS", "often"]}, "series 'c2': freq: got 'often'"),
    ],
)
def test_bad_rows_are_refused_with_file_and_series(columns, message, folder):
    _write(folder, "c", [[1.0]] * 3, **columns)
    with pytest.raises(ValueError, match=f"c.parquet: {message}"):
        Corpus.read(folder)


def test_a_start_that_is_not_known_need_not_parse(folder):
    _write(folder, "c", [[1.0]] * 2, start=["soon", None], start_known=[False, True])
    assert Corpus.read(folder).start[-2:] == (None, None)
