"""Processes that forecast parts."""

import os
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from pathlib import Path
from typing import TypeVar

import torch

from lagllama_adapters.data.files import Fault, FileSeries, TimeKind
from lagllama_adapters.data.panel import Panel, SeriesError
from lagllama_adapters.inference.files.parts import as_table, write_part
from lagllama_adapters.inference.forecast import SampleForecast
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.predictor import LagLlamaPredictor

__all__ = [
    "Part",
    "PartJob",
    "forecast_in_process",
    "forecast_part",
    "forecast_series",
    "start_worker",
    "without_faulty",
]

Result = TypeVar("Result")


@dataclass(frozen=True)
class PartJob:
    """What all parts of a run have in common.

    Attributes
    ----------
    folder : Path
        Where they go.
    suffix : {"parquet", "csv"}
        Format.
    horizon : int
        Steps ahead.
    quantiles : tuple of float
        Levels.
    options : ForecastOptions
        With a seed.
    """

    folder: Path
    suffix: str
    horizon: int
    quantiles: tuple[float, ...]
    options: ForecastOptions


@dataclass(frozen=True, eq=False)
class Part:
    """Some series of a run.

    Attributes
    ----------
    index : int
        Of the part.
    series : sequence of FileSeries
        In the order of reading.
    kind : {"stamps", "utc stamps", "integers"}
        Of the labels of all series.
    """

    index: int
    series: Sequence[FileSeries]
    kind: TimeKind


_predictor: LagLlamaPredictor | None = None  # of this process, once a worker


def start_worker(checkpoint: str, device: str | None, dtype: str | None, head: str | None) -> None:
    """Load the weights; end when the process that started this one is gone."""
    global _predictor
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the process that started this one
    threading.Thread(target=_follow_parent, daemon=True).start()
    torch.set_num_threads(1)  # as many processes as processors
    _predictor = LagLlamaPredictor(checkpoint, device, dtype, head)


def forecast_in_process(job: PartJob, part: Part) -> list[Fault]:
    """`forecast_part` with the weights of this worker."""
    assert _predictor is not None
    return forecast_part(_predictor, job, part)


def forecast_part(predictor: LagLlamaPredictor, job: PartJob, part: Part) -> list[Fault]:
    """Forecast some series and write them.

    Parameters
    ----------
    predictor : LagLlamaPredictor
        Computes in this thread alone, so that the bytes do not depend on who computes.
    job : PartJob
        Run.
    part : Part
        Series.

    Returns
    -------
    list of Fault
        Series that could not be forecast; they are left out.
    """
    good, forecast, faults = forecast_series(predictor, part.series, job.horizon, job.options)
    table = as_table(good, forecast, job.horizon, job.quantiles, part.kind)
    write_part(job.folder, part.index, job.suffix, table, faults)
    return faults


def forecast_series(
    predictor: LagLlamaPredictor,
    series: Sequence[FileSeries],
    horizon: int,
    options: ForecastOptions,
) -> tuple[list[FileSeries], SampleForecast | None, list[Fault]]:
    """Forecast the series that can be.

    Parameters
    ----------
    predictor : LagLlamaPredictor
        Weights.
    series : sequence of FileSeries
        With distinct names.
    horizon : int
        Steps ahead.
    options : ForecastOptions
        How.

    Returns
    -------
    good : list of FileSeries
        Those that were forecast, in order.
    forecast : SampleForecast or None
        Of these; None where there are none.
    faults : list of Fault
        What was wrong with the others.
    """
    return without_faulty(series, lambda panel: predictor.forecast(panel, horizon, options))


def without_faulty(
    series: Sequence[FileSeries], compute: Callable[[Panel], Result]
) -> tuple[list[FileSeries], Result | None, list[Fault]]:
    """Compute something of the series of which it can be computed.

    Parameters
    ----------
    series : sequence of FileSeries
        With distinct names.
    compute : callable
        Given a panel; its errors name the series at fault.

    Returns
    -------
    good : list of FileSeries
        Those in the result, in order.
    result : object or None
        None where there are none.
    faults : list of Fault
        What was wrong with the others.
    """
    good = list(series)
    faults: list[Fault] = []
    while good:
        try:
            return good, compute(Panel(tuple(one.series for one in good))), faults
        except SeriesError as error:
            if error.position is None:
                raise
            bad = good.pop(error.position)
            faults.append(Fault(bad.file, bad.line, str(bad.series.item_id), error.reason))
    return good, None, faults


def _follow_parent() -> None:
    """A killed parent cannot stop its workers: they would wait for work forever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
