import numpy as np
import pytest

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.evaluation import LEVELS, ForecastTask, score_quantiles


@pytest.fixture
def make_task():
    """Windows that are awkward in every way that windows can be: see the comments."""

    def make(name="monthly", freq="MS", season=12, horizon=5, seed=0):
        rng = np.random.default_rng(seed)
        t = np.arange(60)
        wave = 10 + 3 * np.sin(2 * np.pi * t / season) + rng.normal(size=60)
        gaps, begins_late = wave.copy(), wave + rng.normal(size=60)
        gaps[[7, 8, 30, 59]] = np.nan
        begins_late[:11] = np.nan
        every_other = np.where(t % 2, np.nan, wave)[:9]  # no change over one step is known
        past = [
            wave,
            gaps,
            begins_late,
            wave[:season],  # as long as a season: changes over one step scale it
            wave[: season + 1],
            every_other,
            np.full(30, 4.0),  # no scale at all
        ]
        future = 10 + 3 * rng.normal(size=(len(past), horizon))
        future[1, 2] = future[4, 0] = future[4, 3] = np.nan
        names = [f"{name}{i}" for i in range(len(past))]
        panel = Panel.from_arrays(past, freq=freq, item_id=names)
        return ForecastTask(name, horizon, season, panel, future)

    return make


@pytest.fixture
def make_score(make_task):
    """The score of random quantiles of such a task."""

    def make(name="monthly", freq="MS", seed=0, **task):
        task = make_task(name, freq, seed=seed, **task)
        rng = np.random.default_rng(100 + seed)
        shape = (len(task), len(LEVELS), task.horizon)
        return score_quantiles(task, np.sort(10 + 3 * rng.normal(size=shape), axis=1))

    return make
