"""GIFT-Eval: its data sets, and the rules by which they become 97 tasks.

Aksu et al. 2024, "GIFT-Eval: A Benchmark for General Time Series Forecasting Model Evaluation",
arXiv 2410.10393, and the code that comes with it.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.frequency_unit import frequency_unit
from lagllama_adapters.evaluation.benchmarks.instances import Instances

__all__ = [
    "TERMS",
    "GiftEvalTask",
    "cut_instances",
    "find_tasks",
    "prediction_length",
    "read_instances",
    "season",
]

TERMS = {"short": 1, "medium": 10, "long": 15}
"""Names of the terms, and how many short horizons each has."""

# Folder: name and frequency in results, domain, dimensions. Those of the second table have all
# three terms, the others the short one.
_SHORT_ONLY = {
    "m4_yearly": ("m4_yearly", "A", "Econ/Fin", 1),
    "m4_quarterly": ("m4_quarterly", "Q", "Econ/Fin", 1),
    "m4_monthly": ("m4_monthly", "M", "Econ/Fin", 1),
    "m4_weekly": ("m4_weekly", "W", "Econ/Fin", 1),
    "m4_daily": ("m4_daily", "D", "Econ/Fin", 1),
    "m4_hourly": ("m4_hourly", "H", "Econ/Fin", 1),
    "electricity/D": ("electricity", "D", "Energy", 1),
    "electricity/W": ("electricity", "W", "Energy", 1),
    "solar/D": ("solar", "D", "Energy", 1),
    "solar/W": ("solar", "W", "Energy", 1),
    "hospital": ("hospital", "M", "Healthcare", 1),
    "covid_deaths": ("covid_deaths", "D", "Healthcare", 1),
    "us_births/D": ("us_births", "D", "Healthcare", 1),
    "us_births/M": ("us_births", "M", "Healthcare", 1),
    "us_births/W": ("us_births", "W", "Healthcare", 1),
    "saugeenday/D": ("saugeen", "D", "Nature", 1),
    "saugeenday/M": ("saugeen", "M", "Nature", 1),
    "saugeenday/W": ("saugeen", "W", "Nature", 1),
    "temperature_rain_with_missing": ("temperature_rain", "D", "Nature", 1),
    "kdd_cup_2018_with_missing/D": ("kdd_cup_2018", "D", "Nature", 1),
    "car_parts_with_missing": ("car_parts", "M", "Sales", 1),
    "restaurant": ("restaurant", "D", "Sales", 1),
    "hierarchical_sales/D": ("hierarchical_sales", "D", "Sales", 1),
    "hierarchical_sales/W": ("hierarchical_sales", "W", "Sales", 1),
    "LOOP_SEATTLE/D": ("loop_seattle", "D", "Transport", 1),
    "SZ_TAXI/H": ("sz_taxi", "H", "Transport", 1),
    "M_DENSE/D": ("m_dense", "D", "Transport", 1),
    "ett1/D": ("ett1", "D", "Energy", 7),
    "ett1/W": ("ett1", "W", "Energy", 7),
    "ett2/D": ("ett2", "D", "Energy", 7),
    "ett2/W": ("ett2", "W", "Energy", 7),
    "jena_weather/D": ("jena_weather", "D", "Nature", 21),
    "bitbrains_fast_storage/H": ("bitbrains_fast_storage", "H", "Web/CloudOps", 2),
    "bitbrains_rnd/H": ("bitbrains_rnd", "H", "Web/CloudOps", 2),
}
_ALL_TERMS = {
    "electricity/15T": ("electricity", "15T", "Energy", 1),
    "electricity/H": ("electricity", "H", "Energy", 1),
    "solar/10T": ("solar", "10T", "Energy", 1),
    "solar/H": ("solar", "H", "Energy", 1),
    "kdd_cup_2018_with_missing/H": ("kdd_cup_2018", "H", "Nature", 1),
    "LOOP_SEATTLE/5T": ("loop_seattle", "5T", "Transport", 1),
    "LOOP_SEATTLE/H": ("loop_seattle", "H", "Transport", 1),
    "SZ_TAXI/15T": ("sz_taxi", "15T", "Transport", 1),
    "M_DENSE/H": ("m_dense", "H", "Transport", 1),
    "ett1/15T": ("ett1", "15T", "Energy", 7),
    "ett1/H": ("ett1", "H", "Energy", 7),
    "ett2/15T": ("ett2", "15T", "Energy", 7),
    "ett2/H": ("ett2", "H", "Energy", 7),
    "jena_weather/10T": ("jena_weather", "10T", "Nature", 21),
    "jena_weather/H": ("jena_weather", "H", "Nature", 21),
    "bitbrains_fast_storage/5T": ("bitbrains_fast_storage", "5T", "Web/CloudOps", 2),
    "bitbrains_rnd/5T": ("bitbrains_rnd", "5T", "Web/CloudOps", 2),
    "bizitobs_application": ("bizitobs_application", "10S", "Web/CloudOps", 2),
    "bizitobs_service": ("bizitobs_service", "10S", "Web/CloudOps", 2),
    "bizitobs_l2c/5T": ("bizitobs_l2c", "5T", "Web/CloudOps", 7),
    "bizitobs_l2c/H": ("bizitobs_l2c", "H", "Web/CloudOps", 7),
}

_M4_LENGTHS = {"year": 6, "quarter": 8, "month": 18, "week": 13, "day": 14, "hour": 48}
_LENGTHS = {"month": 12, "week": 8, "day": 30, "hour": 48, "minute": 48, "second": 60}
_SEASONS = {
    "second": 3600,
    "minute": 1440,
    "hour": 24,
    "month": 12,
    "quarter": 4,
    "business day": 5,
}
_TEST_SHARE, _MOST_WINDOWS = 0.1, 20


@dataclass(frozen=True)
class GiftEvalTask:
    """A data set and a term.

    Attributes
    ----------
    folder : str
        Of the data set, below that of the benchmark.
    name, freq, domain : str
        As in results.
    dimensions : int
        Series of a row, each of which is forecast by itself.
    term : {"short", "medium", "long"}
        A key of `TERMS`.
    """

    folder: str
    name: str
    freq: str
    domain: str
    dimensions: int
    term: str

    @property
    def label(self) -> str:
        """First column of the results: "electricity/15T/short"."""
        return f"{self.name}/{self.freq}/{self.term}"


def find_tasks(
    root: str | Path, terms: tuple[str, ...] = tuple(TERMS), only: tuple[str, ...] = ()
) -> list[GiftEvalTask]:
    """The tasks whose data lie below a folder.

    Parameters
    ----------
    root : path
        Copy of the benchmark's data: a folder for each data set as ``datasets`` saves it.
    terms : tuple of str
        Keys of `TERMS`.
    only : tuple of str
        Labels, names or folders of the data sets wanted; empty: all.

    Returns
    -------
    list of GiftEvalTask
        Data set by data set in the order of the benchmark, at most 97.

    Raises
    ------
    ValueError
        For an unknown term or data set, or if none of those wanted is there.
    """
    if unknown := [term for term in terms if term not in TERMS]:
        raise ValueError(f"term: got {unknown}, expected some of {[*TERMS]}")
    known = [
        GiftEvalTask(folder, *facts, term)
        for table, own in ((_SHORT_ONLY, ("short",)), (_ALL_TERMS, tuple(TERMS)))
        for folder, facts in table.items()
        for term in own
        if term in terms
    ]
    for wanted in only:
        if not any(wanted in _names(task) for task in known):
            raise ValueError(
                f"dataset: got {wanted!r}, expected names of GIFT-Eval such as "
                f"{sorted({task.folder for task in known})[:5]}"
            )
    tasks = [t for t in known if not only or any(wanted in _names(t) for wanted in only)]
    found = [t for t in tasks if any((Path(root) / t.folder).glob("*.arrow"))]
    if not found:
        raise ValueError(
            f"{root}: got no data set of GIFT-Eval, expected folders such as "
            f"{Path(root) / tasks[0].folder} with *.arrow files; fetch them from the hub data set "
            "Salesforce/GiftEval"
        )
    return found


def _names(task: GiftEvalTask) -> tuple[str, ...]:
    return (task.folder, task.name, f"{task.name}/{task.freq}", task.label)


def prediction_length(folder: str, freq: str, term: str) -> int:
    """Steps ahead of a task: those of the M4 competition, or by frequency, times the term's.

    Parameters
    ----------
    folder : str
        Data set.
    freq : str
        Pandas frequency in the data.
    term : str
        Key of `TERMS`.

    Raises
    ------
    ValueError
        If the benchmark has no horizon for the frequency.
    """
    lengths = _M4_LENGTHS if "m4" in folder else _LENGTHS
    _, unit = frequency_unit(freq)
    if unit not in lengths:
        raise ValueError(
            f"{folder}: got the frequency {freq!r}, expected one of {[*lengths]}: GIFT-Eval has "
            "no other horizons"
        )
    return lengths[unit] * TERMS[term]


def season(freq: str) -> int:
    """Steps of a season, by which errors are scaled (GluonTS' ``get_seasonality``)."""
    count, unit = frequency_unit(freq)
    steps, rest = divmod(_SEASONS.get(unit, 1), count)
    return 1 if rest else steps


def read_instances(root: str | Path, task: GiftEvalTask) -> Instances:
    """Read a data set and cut its windows; see `cut_instances`.

    Raises
    ------
    ValueError
        If the files cannot be read, or series are too short.
    """
    return cut_instances(Corpus.read(Path(root) / task.folder), task)


def cut_instances(corpus: Corpus, task: GiftEvalTask) -> Instances:
    """Cut the windows of a task.

    A tenth of the shortest series, in whole horizons rounded up, is tested, in 1 to 20 windows; of
    the M4 competition's sets one.

    Parameters
    ----------
    corpus : Corpus
        The task's data set.
    task : GiftEvalTask
        Of `find_tasks`.

    Raises
    ------
    ValueError
        If series are too short, or the benchmark has no horizon for their frequency.
    """
    length = prediction_length(task.folder, corpus.freq[0], task.term)
    windows = math.ceil(_TEST_SHARE * int(corpus.lengths.min()) / length)
    windows = 1 if "m4" in task.folder else min(max(1, windows), _MOST_WINDOWS)
    try:
        return Instances(corpus, length, windows)
    except ValueError as error:
        raise ValueError(f"{task.folder}: {error}") from error
