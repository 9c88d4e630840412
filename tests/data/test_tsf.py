import numpy as np
import pytest

from lagllama_adapters.data.tsf import read_tsf

HEADER = """# Dataset information
@relation demand

@attribute series_name string
@attribute state string
@attribute start_timestamp date
@frequency {frequency}
@horizon 8
@missing true
@equallength false
@data
"""


def _write(tmp_path, data, header=HEADER, frequency="half_hourly", encoding="utf-8"):
    path = tmp_path / "demand.tsf"
    path.write_bytes((header.format(frequency=frequency) + data).encode(encoding))
    return path


def test_series_have_name_start_frequency_and_values(tmp_path):
    text = "T1:NSW:2002-01-01 00-30-00:1.5,?,-3e2\n\n# a remark\nT2:VIC:1850-12-31 23-59-59:7\n"
    one, two = read_tsf(_write(tmp_path, text))
    assert (one.item_id, one.freq, one.start) == ("T1/NSW", "30min", "2002-01-01 00:30:00")
    np.testing.assert_array_equal(one.values, np.float32([1.5, np.nan, -300]))
    assert one.values.dtype == np.float32
    assert (two.item_id, two.start, two.values.tolist()) == ("T2/VIC", "1850-12-31 23:59:59", [7.0])


@pytest.mark.parametrize(
    ("attributes", "line", "item_id", "start"),
    [
        ("@attribute city string\n@attribute post numeric\n", "Bath:7:1,2", "Bath/7", None),
        ("@attribute begin date\n", "2001-02-03 04-05-06:1,2", "0", "2001-02-03 04:05:06"),
        ("", "1,2", "0", None),
    ],
)
def test_attributes_may_lack(attributes, line, item_id, start, tmp_path):
    header = attributes + "@frequency daily\n@data\n"
    (series,) = read_tsf(_write(tmp_path, line, header))
    assert (series.item_id, series.start) == (item_id, start)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_names_are_utf_8_or_latin_1(encoding, tmp_path):
    (series,) = read_tsf(_write(tmp_path, "Zürich:x:2002-01-01 00-00-00:1\n", encoding=encoding))
    assert series.item_id == "Zürich/x"


def test_sktime_reads_the_same(tmp_path):
    reader = pytest.importorskip("sktime.datasets").load_tsf_to_dataframe
    rng = np.random.default_rng(0)
    lines = [
        f"T{i}:state {i}:19{i + 60}-0{i + 1}-02 0{i}-30-00:"
        + ",".join("?" if rng.random() < 0.2 else repr(x) for x in rng.normal(size=9 + i).tolist())
        for i in range(5)
    ]
    path = _write(tmp_path, "\n".join(lines))
    frame, _ = reader(path, replace_missing_vals_with="NaN", return_type="default_tsf")
    for series, (_, row) in zip(read_tsf(path), frame.iterrows(), strict=True):
        assert series.item_id == f"{row['series_name']}/{row['state']}"
        assert series.start == str(row["start_timestamp"])
        np.testing.assert_array_equal(
            series.values, np.array(row["series_value"], dtype=float).astype(np.float32)
        )


@pytest.mark.parametrize(
    ("frequency", "freq"),
    [
        ("4_seconds", "4s"), ("minutely", "min"), ("10_minutes", "10min"), ("hourly", "h"),
        ("daily", "D"), ("Weekly", "W"), ("monthly", "MS"), ("quarterly", "QS"), ("yearly", "YS"),
    ],
)  # fmt: skip
def test_frequencies_become_those_of_pandas(frequency, freq, tmp_path):
    (series,) = read_tsf(_write(tmp_path, "a:b:2002-01-01 00-00-00:1", frequency=frequency))
    assert series.freq == freq


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a:b:2002-01-01 00-00-00:1,2\na:b:1,2", "line 13: got 2 attributes .*expected 3"),
        ("a:b:2002-01-01 00-00-00:1,x", "line 12: value 2: got 'x'"),
        ("a:b:2002-01-01 00-00-00:1,,2", "line 12: value 2: got ''"),
        ("a:b:2002-01-01 00-00-00:", "line 12: value 1: got ''"),
        ("a:b:2002-01-01 00-00-00:1,2,1e39", r"line 12: value 3: got 1e\+39, expected a finite"),
        ("a:b:01/02/2002:1,2", "line 12: start: got '01/02/2002'"),
        ("# nothing", "line 12: got the end of the file, expected a series after @data"),
    ],
)
def test_bad_data_are_refused_with_file_and_line(data, message, tmp_path):
    with pytest.raises(ValueError, match=f"demand.tsf, {message}"):
        list(read_tsf(_write(tmp_path, data)))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("@frequency hourly\n@attribute name\n@data\n1", "line 2: got '@attribute name', expected"),
        ("@attribute a text\n@data\n1", "line 1: got '@attribute a text', expected"),
        ("@frequency hourly\n1,2,3\n", "line 2: got '1,2,3' before @data"),
        ("@relation x\n@data\n1", "line 2: @frequency: got 'none'"),
        ("@frequency often\n@data\n1", "line 2: @frequency: got 'often'.*'hourly'"),
        ("@frequency 0_minutes\n@data\n1", "line 2: @frequency: got '0_minutes'"),
        ("@frequency hourly\n", "line 1: got the end of the file, expected an @data line"),
        ("", "line 0: got the end of the file"),
    ],
)
def test_bad_headers_are_refused_with_file_and_line(header, message, tmp_path):
    with pytest.raises(ValueError, match=f"demand.tsf, {message}"):
        list(read_tsf(_write(tmp_path, "", header)))
