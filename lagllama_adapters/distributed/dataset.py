"""Forecasts of Ray datasets."""

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace

import ray
from ray.data import ActorPoolStrategy, Dataset

from lagllama_adapters.distributed.cluster import check_gpus, count_workers, worker_processors
from lagllama_adapters.distributed.rows import RowForecaster, RowSettings
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.files.run import QUANTILES, check_quantiles
from lagllama_adapters.model import LagLlama

__all__ = ["forecast_dataset"]

_BATCH = 256  # series


def forecast_dataset(
    dataset: Dataset,
    prediction_length: int,
    options: ForecastOptions | None = None,
    *,
    checkpoint: str | os.PathLike[str] | LagLlama = "base",
    quantiles: Sequence[float] = QUANTILES,
    workers: int | None = None,
    num_gpus: float = 0.0,
    dtype: str | None = None,
) -> Dataset:
    """Forecast each row of a Ray dataset, on the cluster that this process is connected to.

    The weights travel to each worker (an actor) once. Nothing is computed until the result is read
    or written.

    Parameters
    ----------
    dataset : ray.data.Dataset
        A row per series: ``item_id`` (or ``id``), and either ``start``, ``freq`` and ``target`` (a
        list of numbers, NaN = missing) or lists of ``timestamp`` and of values. Other columns are
        not read. Names are to be distinct: the paths of a series depend on its name and the seed.
    prediction_length : int
        Steps ahead.
    options : ForecastOptions, optional
        How; None: the defaults. Without a seed, one is drawn.
    checkpoint : str, path or LagLlama, default "base"
        As for `LagLlamaPredictor`; read here, not on the workers.
    quantiles : sequence of float, default 0.1, 0.2, ..., 0.9
        Levels, a column each.
    workers : int, optional
        Most actors, each with a processor; None: as many as the cluster has room for.
    num_gpus : float, default 0
        GPUs of each actor, or a share of one; 0: actors compute on processors.
    dtype : str, optional
        As for `LagLlamaPredictor`.

    Returns
    -------
    ray.data.Dataset
        A row for each row, in no order: ``item_id``; ``start`` (timestamp) of the first step ahead,
        null where the calendar is not known; ``freq``; ``mean`` and ``q0.1``, ... (lists of
        float64, a number a step); ``error``, null where there is a forecast. A series that cannot
        be forecast has nulls and an error that says why.

    Raises
    ------
    ValueError
        For arguments out of range, or more workers than the cluster has room for. When the result
        is computed: for missing columns, and rows without a name.
    """
    options = options or ForecastOptions()
    if options.seed is None:
        options = replace(options, seed=secrets.randbits(63))
    if options.joint:
        raise ValueError(
            "options: got joint=True, expected False: rows are forecast one by one; use "
            "LagLlamaPredictor.predict for series that are joint"
        )
    horizon = positive_integer("prediction_length", prediction_length)
    settings = RowSettings(horizon, check_quantiles(quantiles), options)
    predictor = LagLlamaPredictor(checkpoint, "cpu", dtype)
    options.context_tokens(predictor.config)
    options.known_season(predictor.config)
    device = "cuda" if check_gpus(num_gpus) else "cpu"
    count = count_workers(workers, num_gpus)
    return dataset.map_batches(
        RowForecaster,
        fn_constructor_args=(ray.put(predictor.model), device, settings),
        batch_size=_BATCH,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(min_size=1, max_size=count),
        num_cpus=worker_processors(count),
        num_gpus=num_gpus,
    )
