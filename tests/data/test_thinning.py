"""Corpora below a size."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lagllama_adapters.cli import app
from lagllama_adapters.data.compact_files import rounding_error
from lagllama_adapters.data.corpus import Corpus, frequency_band
from lagllama_adapters.data.thinning import thin_corpus


def _write(path, series, freq, start="2020-01-31"):
    table = {
        "item_id": [f"s{i}" for i in range(len(series))],
        "freq": freq if isinstance(freq, list) else [freq] * len(series),
        "start": [start] * len(series),
        "target": pa.array([list(map(float, x)) for x in series], pa.list_(pa.float32())),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table), path)


@pytest.fixture
def folder(tmp_path):
    """Many series, few long ones, small ones of two bands, and ones that must not be rounded."""
    rng, source = np.random.default_rng(0), tmp_path / "source"
    gaps = [rng.normal(size=400) for _ in range(40)]
    gaps[3][7] = np.nan
    _write(source / "many.parquet", gaps, "h")
    _write(source / "deep" / "long.parquet", [rng.normal(size=9_000) for _ in range(2)], "D")
    two_bands = [rng.integers(0, 9, 30), rng.integers(0, 9, 12)]
    _write(source / "small.parquet", two_bands, ["MS", "YS"])
    # A level of a million under a noise of one; readings beyond the reach of float16.
    level = [1e6 + rng.normal(size=300), rng.normal(size=300), 1e5 * rng.normal(size=300)]
    _write(source / "level.parquet", level, "h")
    return source


def _size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _by_name(corpus):
    keys = zip(corpus.dataset, corpus.item_id, strict=True)
    return {key: i for i, key in enumerate(keys)}


def test_under_a_wide_limit_all_values_stay_as_they_are(folder, tmp_path):
    found = thin_corpus(folder, tmp_path / "out", 10.0)
    before, after = Corpus.read(folder), Corpus.read(tmp_path / "out")
    np.testing.assert_array_equal(after.values, before.values)
    for name in ("item_id", "dataset", "freq", "start"):
        assert getattr(after, name) == getattr(before, name)
    assert [one.rounded for one in found] == [0, 0, 0, 0]
    assert sum(one.megabytes for one in found) == _size(tmp_path / "out") / 1e6


def test_then_series_are_rounded_where_it_does_not_matter(folder, tmp_path):
    exact = tmp_path / "exact"
    thin_corpus(folder, exact, 10.0)
    found = thin_corpus(folder, tmp_path / "out", _size(exact) / 1e6 - 0.001)
    before, after = Corpus.read(folder), Corpus.read(tmp_path / "out")
    assert {one.name: one.rounded for one in found} == {
        "deep/long": 2, "level": 1, "many": 40, "small": 2
    }  # fmt: skip
    assert all(one.values_kept == one.values for one in found)
    old, new = _by_name(before), _by_name(after)
    assert old.keys() == new.keys()
    for key, row in old.items():
        x, y = before[row], after[new[key]]
        np.testing.assert_array_equal(np.isnan(x), np.isnan(y))
        assert np.nanmax(np.abs(x - y)) <= 0.005 * np.nanstd(x) * 1.35
    np.testing.assert_array_equal(after[new["level", "s0"]], before[old["level", "s0"]])
    np.testing.assert_array_equal(after[new["level", "s2"]], before[old["level", "s2"]])


def test_then_the_largest_data_sets_lose_series_and_long_series_lose_values(folder, tmp_path):
    limit = 0.045
    found = {one.name: one for one in thin_corpus(folder, tmp_path / "out", limit)}
    assert _size(tmp_path / "out") <= 1e6 * limit
    before, after = Corpus.read(folder), Corpus.read(tmp_path / "out")
    assert set(after.dataset) == set(before.dataset)
    bands = [
        {(name, frequency_band(freq)) for name, freq in zip(c.dataset, c.freq, strict=True)}
        for c in (before, after)
    ]
    assert bands[0] == bands[1]
    assert found["small"].values_kept == found["small"].values == 42
    assert found["level"].values_kept == found["level"].values
    assert 8 <= found["many"].series_kept < 40
    assert found["deep/long"].series_kept == 2
    assert found["deep/long"].values_kept < 18_000
    old = _by_name(before)
    for row, key in enumerate(zip(after.dataset, after.item_id, strict=True)):
        whole, own = before[old[key]], after[row]
        # Where it was cut, its start has moved along: the dates say what stretch it is.
        calendar, new = before.calendar(old[key]), after.calendar(row)
        begin = next(i for i in range(len(whole)) if calendar.stamp(i) == new.stamp(0))
        rounding = 0.005 * 1.35 * np.nanstd(whole)
        np.testing.assert_allclose(own, whole[begin : begin + len(own)], rtol=0, atol=rounding)


def test_what_is_drawn_comes_from_the_seed(folder, tmp_path):
    contents = []
    for i, seed in enumerate((1, 1, 2)):
        thin_corpus(folder, tmp_path / str(i), 0.045, seed=seed)
        contents.append(
            {
                path.relative_to(tmp_path / str(i)): path.read_bytes()
                for path in (tmp_path / str(i)).rglob("*.parquet")
            }
        )
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_a_limit_that_is_too_low_says_so_and_leaves_nothing(folder, tmp_path):
    with pytest.raises(ValueError, match=r"megabytes: got 0\.001, expected more .* 4 data sets"):
        thin_corpus(folder, tmp_path / "out", 0.001)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("megabytes", [0.0, -1.0, float("nan")])
def test_a_limit_that_is_none_is_refused(megabytes, folder, tmp_path):
    with pytest.raises(ValueError, match=f"megabytes: got {megabytes}, expected a positive"):
        thin_corpus(folder, tmp_path / "out", megabytes)


def test_an_existing_folder_is_refused(folder, tmp_path):
    with pytest.raises(FileExistsError, match="exists already; give another folder"):
        thin_corpus(folder, tmp_path, 1.0)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([np.nan, np.nan], 0.0),
        ([0.5, np.nan, 1.5, 2048.0], 0.0),  # float16 holds them
        ([2049.0] * 5, np.inf),  # a constant that it does not
        ([70_000.0, 1.0, 2.0], np.inf),  # beyond its largest
        ([0.0] * 9 + [2049.0], 1 / np.std([0.0] * 9 + [2049.0])),  # no interquartile range
        ([2048.0, 2049.0, 2050.0, 2051.0, 2052.0], 1 / 2),
    ],
)
def test_the_error_of_rounding_is_in_units_of_the_spread(values, expected):
    assert rounding_error(np.array(values, dtype=np.float32)) == pytest.approx(expected)


def test_the_command_tells_what_was_lost(folder, tmp_path):
    arguments = ["thin", "--corpus", str(folder), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*arguments, "--megabytes", "0.045"])
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "many" in text
    assert "4 data sets" in text
    assert "small" not in text  # only what lost something has a line
    again = CliRunner().invoke(app, [*arguments, "--megabytes", "0.045"])
    assert again.exit_code == 1
    assert "exists already" in " ".join(again.stderr.split())
