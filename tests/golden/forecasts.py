"""Forecasts of awkward series through every door, for comparison between versions of the code.

    python tests/golden/forecasts.py out.npz [CHECKPOINT ...]

Only names that users have are called here, so that the script runs on any version, and on one
machine two versions can be compared to the bit. ``tests/fixtures/golden_forecasts.npz`` was written
at commit b344fcf, before configurations had groups, with torch 2.13.0, numpy 2.4.6 and pandas 3.0.6
on an AMD EPYC (Zen 5), the paths of "monthly" when its values were rounded, at the commit after
8c7e4bc on one without AVX-512; `test_golden_forecasts.py` has the tolerance.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

_FIXTURES = Path(__file__).parents[1] / "fixtures"
CHECKPOINTS = {
    # Random weights of 9,000 parameters with everything that format version 1 had.
    "version_1": str(_FIXTURES / "version_1"),
    "student_t": str(_FIXTURES / "tiny" / "lag-llama-tiny.ckpt"),
}
SEEDS = (0, 7)
STEPS = [0, 1, 7, 23, 46, 47, 48, 59]  # of 60: beyond the first block of all weights
PATHS = 6


def awkward_series():
    """Name to (values, start, freq)."""
    rng = np.random.default_rng(0)
    t = np.arange(1500)
    daily = 10 + 3 * np.sin(2 * np.pi * t[:400] / 24) + 0.3 * rng.normal(size=400)
    gaps = daily.copy()
    gaps[50:90] = np.nan
    gaps[::7] = np.nan
    # Rounded: powers differ in the last bit between processors, and the paths' seed with it.
    monthly = np.round(100 * 1.01 ** t[:40] * (1 + 0.2 * np.sin(t[:40] * np.pi / 6)), 6)
    rare = np.where(rng.random(200) < 0.1, rng.poisson(4, 200) + 1.0, 0.0)
    return {
        "hourly": (daily, "2024-02-27", "h"),
        "gaps": (gaps, "2024-02-27 05:00", "h"),
        "monthly": (monthly, "2020-01", "MS"),
        "one value": (np.array([3.5]), None, None),
        "three values": (np.array([1.0, -2.0, 4.0]), "2024-01-01", "D"),
        "constant": (np.full(30, 7.25), "2023-01-01", "W-SUN"),
        "zeros": (np.zeros(30), None, None),
        "rare demand": (rare, "2024-01-01", "D"),
        "level": (1e9 + rng.normal(size=120).cumsum(), "2024-01-01", "B"),
        "minute": (1e-12 * (1 + rng.random(80)), None, None),
        "huge": (1e300 * (1 + rng.random(50)), "2000-01-01", "YS"),
        "single precision": (
            rng.normal(size=1500).cumsum().astype(np.float32),
            "2024-01-01",
            "5min",
        ),
    }


def predictor_forecasts(checkpoint):
    """Paths (plain, flipped, stratified) and parameters."""
    from lagllama_adapters import LagLlamaPredictor

    series = awkward_series()
    values, start, freq = (list(column) for column in zip(*series.values(), strict=True))
    predictor = LagLlamaPredictor(CHECKPOINTS.get(checkpoint, checkpoint))
    found = {}
    for seed in SEEDS:
        arguments = {"start": start, "freq": freq, "seed": seed}
        drawn = predictor.predict(values, 60, PATHS, **arguments)
        found[f"paths/{seed}"] = drawn.samples[:, :, STEPS]
    flipped = predictor.predict(values, 12, PATHS, seed=3, sign_flip=True, item_id=list(series))
    found["flipped"] = flipped.samples
    found["plain"] = predictor.predict(values, 12, PATHS, seed=3, sampling="plain").samples
    moderate = [v for name, v in zip(series, values, strict=True) if name != "huge"]
    parameters = predictor.predict_parameters(moderate, 1)
    found |= {f"parameters/{name}": value for name, value in parameters.items()}
    return found


def darts_forecasts(checkpoint):
    """Zero-shot paths of each series and of a multivariate one."""
    from darts import TimeSeries

    from lagllama_adapters.darts import LagLlamaModel

    cpu = {"accelerator": "cpu"}
    model = LagLlamaModel(
        CHECKPOINTS.get(checkpoint, checkpoint), random_state=0, pl_trainer_kwargs=cpu
    )
    many = []
    for values, start, freq in awkward_series().values():
        if start is None:
            many.append(TimeSeries.from_values(values.astype(np.float64)))
        else:
            times = pd.date_range(start, periods=len(values), freq=freq)
            many.append(TimeSeries.from_times_and_values(times, values.astype(np.float64)))
    model.fit(many, verbose=False)
    drawn = model.predict(20, series=many, num_samples=PATHS, random_state=7, verbose=False)
    two = many[0].stack(many[0] * 2 + 1)
    model = LagLlamaModel(
        CHECKPOINTS.get(checkpoint, checkpoint), random_state=0, pl_trainer_kwargs=cpu
    )
    pair = model.fit(two, verbose=False).predict(9, num_samples=PATHS, verbose=False)
    return {
        "paths": np.stack([one.all_values(copy=False)[:, 0].T for one in drawn]),
        "multivariate": pair.all_values(copy=False).copy(),
    }


def sktime_forecasts(checkpoint):
    """Zero-shot paths, known steps, and paths of tuned weights."""
    from lagllama_adapters.sktime import LagLlamaForecaster

    found = {}
    settings = {
        "checkpoint": CHECKPOINTS.get(checkpoint, checkpoint),
        "num_samples": PATHS,
        "random_state": 7,
    }
    for name, (values, start, freq) in awkward_series().items():
        if start is None:
            index = pd.RangeIndex(len(values))
        else:
            index = pd.date_range(start, periods=len(values), freq=freq)
        y = pd.Series(values.astype(np.float64), index=index)
        forecaster = LagLlamaForecaster(**settings).fit(y)
        horizon = [*range(-2, 1), 1, 2, 20] if len(y) > 5 and name != "huge" else [1, 2, 20]
        found[f"paths/{name}"] = forecaster.predict_samples(fh=horizon).to_numpy()
    panel = pd.concat(
        {
            name: pd.Series(
                np.sin(np.arange(90) * k) + k, pd.date_range("2024", periods=90)
            ).to_frame()
            for k, name in enumerate("abc", start=1)
        },
        names=["id", "time"],
    )
    # Defaults of the version that wrote the file are given by name.
    few = {"steps": 3, "validate_every": 1, "batch_size": 32, "learning_rate": 2e-4}
    for mode in ("full", "head"):
        tuned = LagLlamaForecaster(**settings, finetune=mode, finetune_settings=few)
        tuned.fit(panel, fh=[1, 2, 3])
        found[f"tuned/{mode}"] = tuned.predict_samples().to_numpy()
        found[f"losses/{mode}"] = np.array(tuned.finetune_report.losses)
    return found


def all_forecasts(checkpoints=tuple(CHECKPOINTS)):
    """Every array by name."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for checkpoint in checkpoints:
            for door, forecasts in (
                ("predictor", predictor_forecasts),
                ("darts", darts_forecasts),
                ("sktime", sktime_forecasts),
            ):
                for name, array in forecasts(checkpoint).items():
                    found[f"{checkpoint}/{door}/{name}"] = np.asarray(array)
    return found


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **all_forecasts(sys.argv[2:] or tuple(CHECKPOINTS)))
