"""Sample paths as frames of the host."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lagllama_adapters.sktime.horizon import Horizon
from lagllama_adapters.sktime.instances import Floats
from lagllama_adapters.sktime.past_data import PastData

__all__ = ["forecast_index", "sample_frame", "value_frame"]


def forecast_index(past: PastData, horizons: Sequence[Horizon]) -> pd.Index:
    """Row index of a forecast: the instances in the order of the past, time innermost.

    Parameters
    ----------
    past : PastData
        The past that was forecast.
    horizons : sequence of Horizon
        One per instance, of equal length.

    Returns
    -------
    pd.Index
        [instance * horizon], with the names of the host's row index.
    """
    labels = horizons[0].labels
    if past.keys is None:
        return labels.rename(past.index_names[0])
    times = labels.append([horizon.labels for horizon in horizons[1:]])
    keys = past.keys.repeat(len(labels))
    levels = [keys.get_level_values(level) for level in range(keys.nlevels)]
    return pd.MultiIndex.from_arrays([*levels, times], names=past.index_names)


def value_frame(
    values: Floats, index: pd.Index, columns: pd.Index, n_variables: int
) -> pd.DataFrame:
    """Arrange one or more numbers per series and step as a frame of the host.

    Parameters
    ----------
    values : array
        [instance * variable, level, step], or [instance * variable, step] for a single level.
    index : pd.Index
        [instance * step].
    columns : pd.Index
        [variable * level], variables outermost.
    n_variables : int
        Number of variables.

    Returns
    -------
    pd.DataFrame
        With that index and these columns.
    """
    by_variable = values.reshape(-1, n_variables, len(columns) // n_variables, values.shape[-1])
    rows = by_variable.transpose(0, 3, 1, 2).reshape(len(index), len(columns))
    return pd.DataFrame(rows, index=index, columns=columns)


def sample_frame(samples: Floats, index: pd.Index, columns: pd.Index) -> pd.DataFrame:
    """Arrange sample paths as a frame whose outermost row level numbers the paths.

    Parameters
    ----------
    samples : array
        [instance * variable, sample, step].
    index : pd.Index
        [instance * step].
    columns : pd.Index
        [variable].

    Returns
    -------
    pd.DataFrame
        [sample * instance * step, variable], as ``skpro.distributions.Empirical`` expects.
    """
    _, n_samples, n_steps = samples.shape
    by_variable = samples.reshape(-1, len(columns), n_samples, n_steps)
    rows = by_variable.transpose(2, 0, 3, 1).reshape(n_samples * len(index), len(columns))
    numbers = pd.RangeIndex(n_samples).repeat(len(index))
    positions = np.tile(np.arange(len(index)), n_samples)
    levels = [index.get_level_values(i).take(positions) for i in range(index.nlevels)]
    names = ["sample", *index.names]
    return pd.DataFrame(
        rows, index=pd.MultiIndex.from_arrays([numbers, *levels], names=names), columns=columns
    )
