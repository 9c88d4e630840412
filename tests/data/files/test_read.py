"""Series of files in every layout, and what is wrong in others."""

import gzip

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lagllama_adapters.data.files import (
    AheadError,
    Fault,
    FileSettings,
    RowsAhead,
    find_sources,
    long,
    read_files,
    tables,
)

DAYS = pd.date_range("2024-01-01", periods=30, freq="D")


def _read(paths, ahead=None, **settings):
    """Series by name, and faults."""
    settings = FileSettings(**settings)
    rows = None if ahead is None else RowsAhead(find_sources(ahead), settings)
    read = list(read_files(find_sources(paths), settings, rows))
    faults = [one for one in read if isinstance(one, Fault)]
    return {one.series.item_id: one for one in read if not isinstance(one, Fault)}, faults


def _long(count=3):
    return pd.concat(
        [
            pd.DataFrame({"unique_id": f"s{i}", "ds": DAYS, "y": np.arange(30.0) * (i + 1)})
            for i in range(count)
        ],
        ignore_index=True,
    )


def _check_long(found, count=3):
    assert sorted(found) == [f"s{i}" for i in range(count)]
    for i in range(count):
        series = found[f"s{i}"].series
        np.testing.assert_array_equal(series.target, np.arange(30.0) * (i + 1))
        assert (series.calendar.start, series.calendar.freq) == (DAYS[0], "D")
        labels = found[f"s{i}"].labels_ahead(2)
        assert labels.astype("datetime64[D]").astype(str).tolist() == ["2024-01-31", "2024-02-01"]


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "parquet"])
def test_long_tables_of_any_format_are_the_same_series(tmp_path, suffix):
    path = tmp_path / f"data.{suffix}"
    if suffix == "parquet":
        _long().to_parquet(path, index=False)
    else:
        _long().to_csv(path, index=False, sep="\t" if suffix == "tsv" else ",")
    found, faults = _read(path)
    assert faults == []
    _check_long(found)


@pytest.mark.parametrize("block", [64, 8 << 20])
@pytest.mark.parametrize("order", ["grouped", "by time", "shuffled"])
def test_rows_in_any_order_and_pieces_of_any_size_are_the_same_series(
    tmp_path, monkeypatch, block, order
):
    monkeypatch.setattr(tables, "_BLOCK_BYTES", block)
    monkeypatch.setattr(long, "_BUCKET_BYTES", 500)  # several buckets
    table = _long()
    if order == "by time":
        table = table.sort_values(["ds", "unique_id"])
    elif order == "shuffled":
        table = table.sample(frac=1, random_state=0)
    table.to_csv(tmp_path / "data.csv", index=False)
    found, faults = _read(tmp_path / "data.csv")
    assert faults == []
    _check_long(found)


@pytest.mark.parametrize("block", [100, 8 << 20])
def test_faults_are_named_by_line_and_series_and_the_rest_is_read(tmp_path, monkeypatch, block):
    monkeypatch.setattr(tables, "_BLOCK_BYTES", block)
    rows = _long(8).to_csv(index=False).splitlines()
    rows[5] = "s0,2024-01-05"  # too few fields: line 6
    rows[32] = rows[32].replace("2024-01-02", "02.01.2024")  # s1, line 33
    rows[70] += "x"  # s2, line 71
    rows[100] = rows[99]  # s3, line 101, a time twice
    rows[125] = "s4,2024-01-05,inf"  # line 126
    rows.insert(160, "")  # a blank line counts, and is no fault
    rows[190] = "," + rows[190].split(",", 1)[1]  # nobody's row, line 191
    path = tmp_path / "data.csv"
    path.write_text("\n".join(rows))
    found, faults = _read(path)
    # s6 lost a row to nobody: one step of it is missing.
    assert sorted(found) == ["s5", "s6", "s7"]
    assert np.isnan(found["s6"].series.target).sum() == 1
    places = {(fault.line, fault.item_id): fault.message for fault in faults}
    expected = {
        (6, "s0"): "got 2 fields, expected 3",
        (33, "s1"): "column 'ds': got '02.01.2024', expected a time stamp",
        (71, "s2"): "column 'y': got '27.0x', expected a number",
        (101, "s3"): "got time 2024-01-09 00:00:00 twice, before at line 100",
        (126, "s4"): "infinite value",
        (191, None): "got no name of a series",
    }
    assert set(places) == set(expected)
    for place, message in expected.items():
        assert message in places[place]


def test_wide_tables_have_a_series_per_column(tmp_path):
    table = pd.DataFrame({"a": np.arange(30.0), "b": np.arange(30.0) ** 2}, index=DAYS)
    table.loc[DAYS[3], "b"] = np.nan
    table.to_parquet(tmp_path / "data.parquet")
    table.to_csv(tmp_path / "data.csv", sep=";")
    for suffix in ("parquet", "csv"):
        found, faults = _read(tmp_path / f"data.{suffix}")
        assert faults == []
        assert list(found) == ["a", "b"]
        np.testing.assert_array_equal(found["b"].series.target, table.b.to_numpy())
        assert found["a"].series.calendar.freq == "D"


def test_a_wide_table_with_a_bad_cell_loses_that_column_only(tmp_path):
    (tmp_path / "data.csv").write_text("date,a,b\n2024-01-01,1,2\n2024-01-02,three,4\n" * 1)
    found, (fault,) = _read(tmp_path / "data.csv", freq="D")
    assert list(found) == ["b"]
    assert (fault.line, fault.item_id) == (3, "a")


def test_a_folder_of_single_series_is_named_by_its_files(tmp_path):
    (tmp_path / "north").mkdir()
    for name in ("north/one", "two"):
        pd.DataFrame({"date": DAYS, "value": np.arange(30.0)}).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    assert list(_read(tmp_path)[0]) == ["north/one", "two"]
    assert list(_read(f"{tmp_path}/*.csv")[0]) == ["two"]
    assert list(_read(f"{tmp_path}/**/*.csv")[0]) == ["north/one", "two"]


def test_corpus_files_lose_single_rows(tmp_path):
    schema = {"item_id": ["a", "b", "c"], "freq": ["D", "D", "no"], "start": ["2024-01-01"] * 3}
    targets = pa.array([[1.0, 2.0, 3.0], None, [1.0]], pa.list_(pa.float64()))
    pq.write_table(pa.table(schema | {"target": targets}), tmp_path / "data.parquet")
    found, faults = _read(tmp_path)
    assert list(found) == ["a"]
    assert [(fault.line, fault.item_id) for fault in faults] == [(2, "b"), (3, "c")]


def test_integer_times_and_gaps(tmp_path):
    table = pd.DataFrame({"id": "a", "time": [10, 12, 16, 18], "value": [1.0, 2.0, 3.0, 4.0]})
    table.to_csv(tmp_path / "data.csv", index=False)
    found, faults = _read(tmp_path)
    assert faults == []
    np.testing.assert_array_equal(found["a"].series.target, [1, 2, np.nan, 3, 4])
    assert found["a"].labels_ahead(3).tolist() == [20, 22, 24]


def test_months_zones_missing_words_and_blanks_are_read(tmp_path):
    rows = "".join(
        f"a,2024-{month:02d}, {'NA' if month == 2 else month} \n" for month in range(1, 9)
    )
    (tmp_path / "months.csv").write_text("id,date,value\n" + rows)
    found, faults = _read(tmp_path / "months.csv")
    assert faults == []
    np.testing.assert_array_equal(found["a"].series.target, [1, np.nan, 3, 4, 5, 6, 7, 8])
    assert found["a"].series.calendar.freq == "MS"
    hours = "".join(f"b,2024-01-01T{hour:02d}:00:00+01:00,{hour}\n" for hour in range(8))
    (tmp_path / "hours.csv").write_text("id,date,value\n" + hours)
    found, faults = _read(tmp_path / "hours.csv")
    assert faults == []
    assert found["b"].kind == "utc stamps"
    assert str(found["b"].labels_ahead(1)[0]) == "2024-01-01T07:00:00.000000"


def test_one_wrong_year_does_not_fill_the_memory(tmp_path):
    stamps = [*pd.date_range("2024-01-01", periods=20, freq="min"), pd.Timestamp("2224-01-01")]
    table = pd.DataFrame({"id": "a", "time": stamps, "value": 1.0})
    table.to_parquet(tmp_path / "data.parquet")
    _, (fault,) = _read(tmp_path, freq="min")
    assert "expected a row for most steps" in fault.message


def test_names_occur_once_and_labels_are_of_one_kind(tmp_path):
    _long(1).to_csv(tmp_path / "a.csv", index=False)
    _long(1).to_csv(tmp_path / "b.csv", index=False)
    pd.DataFrame({"id": "c", "time": range(5), "value": 1.0}).to_csv(
        tmp_path / "c.csv", index=False
    )
    found, faults = _read(tmp_path)
    assert list(found) == ["s0"]
    assert "got this name before" in faults[0].message
    assert "got integers as times, expected stamps" in faults[1].message


def test_files_that_cannot_be_read_are_faults(tmp_path):
    (tmp_path / "a.csv").write_text("")
    (tmp_path / "b.parquet").write_bytes(b"no parquet")
    (tmp_path / "c.csv").write_text("item_id,date\n")
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress(b"date,value\n2024-01-01,1\n")[:-9])
    found, faults = _read(tmp_path)
    assert found == {}
    assert [fault.file.rsplit("/", 1)[1][0] for fault in faults] == ["a", "b", "c", "d"]


def test_a_column_of_texts_lists_its_first_faults_only(tmp_path):
    table = _long(1).astype({"y": str})
    table["y"] = "word"
    table.to_csv(tmp_path / "data.csv", index=False)
    _, faults = _read(tmp_path)
    assert len(faults) == 10
    assert faults[-1].message.endswith("20 more rows of this series are faulty")


def test_covariates_are_kept(tmp_path):
    table = _long(2).assign(price=np.arange(60.0))
    table.sample(frac=1, random_state=1).to_csv(tmp_path / "data.csv", index=False)
    found, _ = _read(tmp_path, covariates=["price"])
    price = found["s1"].series.past_covariates["price"]
    np.testing.assert_array_equal(price, np.arange(30.0, 60.0))


AHEAD = pd.date_range("2024-01-31", periods=4, freq="D")


def _check_ahead(found, name, price):
    series = found[name].series
    assert len(series) == 30
    np.testing.assert_array_equal(series.future_covariates["price"], price)
    assert list(series.past_covariates) == ["visits"]
    assert len(series.past_covariates["visits"]) == 30
    assert found[name].labels_ahead(1).astype("datetime64[D]") == np.datetime64("2024-01-31")


def test_rows_at_the_end_without_a_value_are_steps_ahead(tmp_path):
    table = _long(2).assign(price=np.arange(60.0), visits=1.0)
    rows = [
        pd.DataFrame({"unique_id": f"s{i}", "ds": AHEAD, "price": np.arange(4.0) + 100 * i})
        for i in range(2)
    ]
    whole = pd.concat([table, *rows]).sample(frac=1, random_state=1)
    whole.to_csv(tmp_path / "data.csv", index=False)
    found, faults = _read(tmp_path, covariates=["price", "visits"])
    assert faults == []
    for i in range(2):
        price = np.concatenate([np.arange(30.0) + 30 * i, np.arange(4.0) + 100 * i])
        _check_ahead(found, f"s{i}", price)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_steps_ahead_of_a_file_of_their_own_are_the_same(tmp_path, suffix):
    table = _long(2).assign(price=np.arange(60.0), visits=1.0)
    table.to_csv(tmp_path / "data.csv", index=False)
    rows = pd.concat(
        pd.DataFrame({"unique_id": f"s{i}", "ds": AHEAD, "price": np.arange(4.0) + 100 * i})
        for i in range(2)
    ).sample(frac=1, random_state=1)
    path = tmp_path / f"ahead.{suffix}"
    rows.to_csv(path, index=False) if suffix == "csv" else rows.to_parquet(path, index=False)
    found, faults = _read(tmp_path / "data.csv", path, covariates=["price", "visits"])
    assert faults == []
    for i in range(2):
        price = np.concatenate([np.arange(30.0) + 30 * i, np.arange(4.0) + 100 * i])
        _check_ahead(found, f"s{i}", price)


def test_steps_ahead_of_a_wide_table_are_those_of_all_its_series(tmp_path):
    table = pd.DataFrame({"date": DAYS, "a": 1.0, "b": 2.0, "price": 3.0, "visits": 1.0})
    table.to_csv(tmp_path / "data.csv", index=False)
    pd.DataFrame({"date": AHEAD, "price": 4.0}).to_csv(tmp_path / "ahead.csv", index=False)
    found, faults = _read(
        tmp_path / "data.csv", tmp_path / "ahead.csv", covariates=["price", "visits"]
    )
    assert faults == []
    for name in "ab":
        _check_ahead(found, f"{name}", [3.0] * 30 + [4.0] * 4)


def test_integer_labels_begin_after_the_last_value(tmp_path):
    table = pd.DataFrame({"id": "a", "time": np.arange(0, 24, 2), "price": np.arange(12.0)})
    table["value"] = [*range(9), np.nan, np.nan, np.nan]
    table.to_csv(tmp_path / "data.csv", index=False)
    found, _ = _read(tmp_path, covariates=["price"])
    assert found["a"].labels_ahead(2).tolist() == [18, 20]
    assert len(found["a"].series.future_covariates["price"]) == 12


def test_without_covariates_missing_values_at_the_end_are_steps_of_the_series(tmp_path):
    table = _long(1)
    table.loc[27:, "y"] = np.nan
    table.to_csv(tmp_path / "data.csv", index=False)
    found, _ = _read(tmp_path)
    assert len(found["s0"].series) == 30


def test_faults_of_steps_ahead(tmp_path):
    table = _long(4).assign(price=1.0)
    table.to_csv(tmp_path / "data.csv", index=False)
    (tmp_path / "ahead.csv").write_text(
        "unique_id,ds,price\n"
        "s0,2024-01-31,5\n"
        "s1,2024-01-30,5\n"  # in the history
        "s2,2024-01-31,many\n"
        "s9,2024-01-31,5\n"
    )
    found, faults = _read(tmp_path / "data.csv", tmp_path / "ahead.csv", covariates=["price"])
    assert list(found) == ["s0"]
    messages = {fault.item_id: fault.message for fault in faults}
    assert "expected times after the last row of the series, 2024-01-30" in messages["s1"]
    assert "ahead.csv:4: column 'price': got 'many', expected a number" in messages["s2"]
    assert "got no steps ahead in" in messages["s3"]
    assert "a series that is in no file of data" in messages["s9"]
    (unknown,) = (fault for fault in faults if fault.item_id == "s9")
    assert (unknown.file.endswith("ahead.csv"), unknown.line) == (True, 5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("unique_id,price\ns0,1\n", "expected one with the times"),
        ("unique_id,ds,prize\ns0,2024-01-31,1\n", r"some of the covariates .'price'."),
        ("unique_id,ds,price\n", "got no rows"),
        ("", "got an empty file"),
    ],
)
def test_files_of_steps_ahead_that_cannot_be_read_are_errors(tmp_path, content, message):
    path = tmp_path / "ahead.csv"
    path.write_text(content)
    with pytest.raises(AheadError, match=message):
        RowsAhead(find_sources(path), FileSettings(covariates=["price"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "tall"}, "layout: got 'tall'"),
        ({"covariates": "price"}, "expected a list of names"),
        ({"freq": "fortnight"}, "freq: got 'fortnight'"),
        ({"delimiter": "::"}, "delimiter: got '::'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        FileSettings(**settings)


def test_paths_are_checked(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        find_sources(tmp_path / "none.csv")
    with pytest.raises(FileNotFoundError, match="no file of data matches"):
        find_sources(tmp_path / "*.csv")
    with pytest.raises(ValueError, match="a folder without data"):
        find_sources(tmp_path)
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(ValueError, match="a file of the same name"):
        find_sources([tmp_path / "a.csv", tmp_path / "a.csv"])
