"""Units of frequencies."""

import pytest

from lagllama_adapters.data.frequency_unit import frequency_unit


@pytest.mark.parametrize(
    ("freq", "expected"),
    [
        ("10S", (10, "second")),
        ("15min", (15, "minute")),
        ("2h", (2, "hour")),
        ("D", (1, "day")),
        ("B", (1, "business day")),
        ("W-TUE", (1, "week")),
        ("M", (1, "month")),
        ("BMS", (1, "month")),
        ("2QS", (2, "quarter")),
        ("A-DEC", (1, "year")),
        ("WOM-3FRI", (1, "WOM-3FRI")),
    ],
)
def test_units(freq, expected):
    assert frequency_unit(freq) == expected


def test_what_is_no_frequency_is_refused():
    with pytest.raises(ValueError, match="expected a pandas frequency"):
        frequency_unit("fortnight")
