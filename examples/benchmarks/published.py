"""The published sampling code, as sktime vendors it, on our weights.

Two procedures of ``LagLlamaLightningModule.forward`` are timed as they are. Both repeat each series
once per path, estimate loc and scale again at each step on the window grown by the samples, and
rebuild the tokens of that whole window.

- ``use_kv_cache=False`` re-encodes the window of every path at each step.
- ``use_kv_cache=True`` encodes it once per path and then decodes one token per step. Its result is
  not that of the other: cached keys and values keep the loc and scale of the step that made them,
  and the oldest token leaves the cache for each new one, whereas the uncached window grows.

sktime's code needs gluonts, which needs pandas < 3.
"""

import warnings
from typing import Any

import numpy as np
import torch
from measure import FREQ, START, random_series, timed

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.checkpoints.published import to_published_state_dict
from lagllama_adapters.data.calendar import Calendar
from lagllama_adapters.data.windows import calendar_windows
from lagllama_adapters.model import LagLlama

TOLERANCE = 1e-4  # of scale, loc and df of the first step; the published code is all float32


def load_published_code() -> tuple[Any, Any]:
    """The module class and the Student-t output; a clear error where they are not installed."""
    warnings.filterwarnings("ignore", module="gluonts")  # about JSON, and its own indexing
    try:
        from gluonts.torch.distributions import StudentTOutput
        from sktime.libs.lag_llama.gluon.lightning_module import LagLlamaLightningModule
    except ImportError as error:
        raise SystemExit(
            f"the published code cannot be imported ({error}): install sktime and gluonts "
            '(pip install sktime gluonts "pandas<3" -c constraints-benchmarks.txt), or leave it '
            "out with --peers none"
        ) from error
    return LagLlamaLightningModule, StudentTOutput


class PublishedSampler:
    """The published code for one context length.

    Parameters
    ----------
    network : LagLlama
        With published conventions; its weights are copied.
    context, steps, paths : int
        As in a forecast.
    """

    def __init__(self, network: LagLlama, context: int, steps: int, paths: int) -> None:
        module_class, student_t = load_published_code()
        config, self.network = network.config, network
        self.context, self.steps, self.device = context, steps, network.device
        self.past_length = config.past_length(context)
        with warnings.catch_warnings():  # Lightning: the loss is a module among the parameters
            warnings.simplefilter("ignore")
            self.module = module_class(
                model_kwargs={
                    "context_length": context,
                    "max_context_length": config.max_context_length,
                    "scaling": config.inputs.scaling,
                    "input_size": 1,
                    "n_layer": config.decoder.n_layer,
                    "n_head": config.decoder.n_head,
                    "n_embd_per_head": config.decoder.n_embd_per_head,
                    "lags_seq": list(config.lags_seq),
                    "distr_output": student_t(),
                    "rope_scaling": None,
                    "num_parallel_samples": paths,
                    "time_feat": config.inputs.time_feat,
                    "dropout": 0.0,
                },
                context_length=context,
                prediction_length=steps,
            )
        self.module.load_state_dict(to_published_state_dict(network.state_dict()))
        self.module.eval().to(self.device)

    def sample(self, past: np.ndarray, use_kv_cache: bool, steps: int | None = None) -> np.ndarray:
        """Sample paths ``[series, path, step]`` of ``past`` ``[series, context + max_lag]``."""
        self.module.use_kv_cache = use_kv_cache
        self.module.prediction_length = self.steps if steps is None else steps
        with torch.inference_mode():
            return self.module(**self._inputs(past)).cpu().numpy()

    def check_equal(self) -> None:
        """Refuse to go on unless both networks emit the same distribution for the next step."""
        past = random_series(3, self.past_length)
        inputs = self._inputs(past)
        inputs["future_time_feat"] = inputs["future_time_feat"][:, :1]
        with torch.inference_mode():
            (df, loc, scale), shift, unit = self.module.model(**inputs)
        theirs = {
            "df": df[:, -1:],
            "loc": shift + unit * loc[:, -1:],
            "scale": unit * scale[:, -1:],
        }
        ours = LagLlamaPredictor(self.network).predict_parameters(
            past, 1, START, FREQ, self.context
        )
        for name, value in theirs.items():
            unit_of_error = ours["df"] if name == "df" else ours["scale"]
            error = np.abs((value.double().cpu().numpy() - ours[name]) / unit_of_error).max()
            if not error <= TOLERANCE:
                raise SystemExit(
                    f"context {self.context}: {name} of the first step differs from the published "
                    f"code's by {error:.1e}, expected at most {TOLERANCE:.0e}: not the same "
                    "network, so there is nothing to compare"
                )

    def estimate(self, use_kv_cache: bool, clock: str) -> float:
        """Seconds for one series, from the first steps: the rest cost what the third does."""
        past, device = random_series(1, self.past_length), str(self.device)
        one, three = (
            timed(lambda n=n: self.sample(past, use_kv_cache, n), device, clock) for n in (1, 3)
        )
        return one + max(three - one, 0.0) / 2 * (self.steps - 1)

    def series_that_fit(self, paths: int, use_kv_cache: bool, gigabytes: float) -> int:
        """Series whose paths take about this much memory: activations of a block, and the cache."""
        config, tokens = self.network.config, paths * (self.context + self.steps)
        floats = 3 * config.decoder.mlp_hidden + 6 * config.d_model
        if use_kv_cache:
            floats += 2 * config.d_model * config.decoder.n_layer
        return max(1, int(gigabytes * 1e9 / (4 * tokens * floats)))

    def _inputs(self, past: np.ndarray) -> dict[str, torch.Tensor]:
        calendars, lengths = [Calendar(START, FREQ)] * len(past), [self.past_length] * len(past)
        features = calendar_windows(calendars, lengths, self.past_length, self.steps)
        calendar = torch.from_numpy(features).to(self.device)
        target = torch.from_numpy(past).float().to(self.device)
        return {
            "past_target": target,
            "past_observed_values": torch.ones_like(target),
            "past_time_feat": calendar[:, : self.past_length],
            "future_time_feat": calendar[:, self.past_length :],
        }
