"""A few short series, monthly and without a calendar."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def monthly():
    """Two seasonal series of different lengths."""
    rng = np.random.default_rng(0)
    made = {}
    for name, length in (("a", 60), ("b", 72)):
        t = np.arange(length)
        values = 20 + 5 * np.sin(2 * np.pi * t / 12) + rng.normal(size=length)
        made[name] = pd.Series(values, pd.period_range("2015-01", periods=length, freq="M"))
    return made
