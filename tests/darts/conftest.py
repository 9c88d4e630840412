"""Real series that ship with Darts' dependencies, and models with tiny weights."""

import numpy as np
import pytest
from darts import TimeSeries
from statsmodels.datasets import co2, elnino, sunspots

from lagllama_adapters.darts import LagLlamaModel


@pytest.fixture
def make(block_checkpoint):
    """LagLlamaModel on tiny weights, which reads 48 points and emits 6 steps per token."""

    def make(**kwargs):
        settings = {"checkpoint": block_checkpoint, "pl_trainer_kwargs": {"accelerator": "cpu"}}
        return LagLlamaModel(**{**settings, **kwargs})

    return make


@pytest.fixture(scope="session")
def monthly():
    """Monthly mean CO2 at Mauna Loa, 526 months with 5 missing, float64."""
    return TimeSeries.from_series(co2.load_pandas().data["co2"].resample("MS").mean())


@pytest.fixture(scope="session")
def yearly():
    """Yearly sunspots, 309 years, without a calendar."""
    values = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    return TimeSeries.from_values(values, columns=["sunspots"])


@pytest.fixture(scope="session")
def multivariate():
    """Sea surface temperatures of El Nino: 61 years, one component for each of three months."""
    frame = elnino.load_pandas().data
    return TimeSeries.from_values(
        frame[["JAN", "MAY", "SEP"]].to_numpy(dtype=np.float64), columns=["jan", "may", "sep"]
    )
