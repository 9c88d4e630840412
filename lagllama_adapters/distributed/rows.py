"""Forecasts of a table with a row per series, as a table with a row per series."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
import torch

from lagllama_adapters.data.files import Fault, FileSeries
from lagllama_adapters.data.files.corpus import read_corpus_rows
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.files.worker import forecast_series

__all__ = ["RowForecaster", "RowSettings", "output_schema"]

_PLACE = Path("dataset")  # of errors, in place of a file


@dataclass(frozen=True)
class RowSettings:
    """What all rows have in common.

    Attributes
    ----------
    horizon : int
        Steps ahead.
    quantiles : tuple of float
        Levels.
    options : ForecastOptions
        With a seed.
    """

    horizon: int
    quantiles: tuple[float, ...]
    options: ForecastOptions


def output_schema(quantiles: Sequence[float]) -> Any:
    """Columns of the forecasts.

    Parameters
    ----------
    quantiles : sequence of float
        Levels.

    Returns
    -------
    pyarrow.Schema
        ``item_id`` (string); ``start`` (timestamp in microseconds) of the first step ahead, null
        where the calendar is not known; ``freq`` (string); ``mean`` and a column such as ``q0.1``
        for each level (lists of float64, a number a step); ``error`` (string), null where there is
        a forecast.
    """
    numbers = pa.list_(pa.float64())
    fields = {"item_id": pa.string(), "start": pa.timestamp("us"), "freq": pa.string()}
    fields |= dict.fromkeys(("mean", *(f"q{level:g}" for level in quantiles)), numbers)
    return pa.schema(fields | {"error": pa.string()})


class RowForecaster:
    """A row of forecasts for each row of series; one in each actor of `forecast_dataset`.

    Parameters
    ----------
    model : LagLlama or ray.ObjectRef
        On the CPU, or where it is in the object store.
    device : str
        Where to compute.
    settings : RowSettings
        How.
    """

    def __init__(self, model: Any, device: str, settings: RowSettings) -> None:
        torch.set_num_threads(1)  # as many actors as processors
        if isinstance(model, ray.ObjectRef):  # Ray Data passes arguments on as they are
            model = ray.get(model)
        self._predictor, self._settings = LagLlamaPredictor(model, device), settings

    def __call__(self, rows: Any) -> Any:
        """Forecast.

        Parameters
        ----------
        rows : pyarrow.Table
            As `forecast_dataset` describes.

        Returns
        -------
        pyarrow.Table
            As `output_schema`; as many rows, those that are forecast first.

        Raises
        ------
        ValueError
            If columns are missing, or a row has no name.
        """
        settings = self._settings
        series, faults = _read(rows)
        good, forecast, more = forecast_series(
            self._predictor, series, settings.horizon, settings.options
        )
        schema = output_schema(settings.quantiles)
        if forecast is None:
            made = schema.empty_table()
        else:
            starts = [one.labels_ahead(1)[0] for one in good]
            calendars = [one.series.calendar for one in good]
            levels = forecast.quantile(settings.quantiles)
            figures = [forecast.mean, *(levels[:, i] for i in range(levels.shape[1]))]
            columns = [
                pa.array([str(one.series.item_id) for one in good], pa.string()),
                pa.array(np.array(starts, "datetime64[us]")),
                pa.array([None if c is None else c.freq.freqstr for c in calendars], pa.string()),
                *(_lists(one) for one in figures),
                pa.nulls(len(good), pa.string()),
            ]
            made = pa.table(columns, schema=schema)
        wrong = [{"item_id": one.item_id, "error": one.message} for one in (*faults, *more)]
        return pa.concat_tables([made, pa.Table.from_pylist(wrong, schema)])


def _read(rows: Any) -> tuple[list[FileSeries], list[Fault]]:
    """A series or a fault of each row, the first of each name."""
    series: list[FileSeries] = []
    faults: list[Fault] = []
    seen: set[str] = set()
    for batch in _plain(rows).to_batches():
        for name, found in read_corpus_rows(_PLACE, batch):
            if len(found) != 1 or isinstance(found[0], Fault):
                first = found[0] if found else None
                message = f"got {len(found)} series in a row, expected one: a list of numbers"
                if len(found) == 1 and isinstance(first, Fault):
                    message = first.message
                faults.append(Fault(str(_PLACE), None, name, message))
            elif name in seen:
                message = "got this name before, expected distinct ones; rename one"
                faults.append(Fault(str(_PLACE), None, name, message))
            else:
                series.append(found[0])
            seen.add(name)
    return series, faults


def _plain(rows: Any) -> Any:
    """Arrays of numbers in each row as lists; Ray keeps them as types of its own."""
    for position, field in enumerate(rows.schema):
        kind = field.type
        if not isinstance(kind, pa.BaseExtensionType):
            continue
        is_ragged = pa.types.is_struct(kind.storage_type)
        if (kind.ndim if is_ragged else len(kind.shape)) != 1:
            raise ValueError(f"{field.name}: got {kind}, expected a list of numbers in each row")
        chunks = [chunk.storage for chunk in rows.column(position).chunks]
        if is_ragged:
            chunks = [chunk.field("data") for chunk in chunks]
        rows = rows.set_column(position, field.name, pa.chunked_array(chunks))
    return rows


def _lists(values: npt.NDArray[np.floating[Any]]) -> Any:
    """Rows of a matrix as lists."""
    flat = pa.array(np.ascontiguousarray(values, np.float64).reshape(-1))
    ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return pa.ListArray.from_arrays(pa.array(ends), flat)
