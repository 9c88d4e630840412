"""Darts' likelihoods for the heads of Lag-Llama."""

import torch
from darts.utils.likelihood_models.torch import (
    GaussianLikelihood,
    QuantileRegression,
    TorchLikelihood,
)
from torch.nn.functional import softplus

from lagllama_adapters.model.config import LagLlamaConfig

__all__ = ["StudentTLikelihood", "head_likelihood"]


class StudentTLikelihood(TorchLikelihood):  # type: ignore[misc]
    """Univariate Student-t distribution, usable with any Darts torch model.

    Support: the real numbers. Parameters, in this order: ``df`` > 2 (so that the variance is
    finite), ``loc`` and ``scale`` > 0. Raw network outputs are mapped to them by
    ``2 + softplus(.)``, identity and ``softplus(.)``.
    """

    def __init__(self) -> None:
        super().__init__(likelihood_type="studentt", parameter_names=["df", "loc", "scale"])

    def sample(self, model_output: torch.Tensor) -> torch.Tensor:
        """Draw one value per step from raw outputs [batch, time, component, 3]."""
        return self._distr_from_params(self._params_from_output(model_output)).sample()

    def _distr_from_params(
        self, params: tuple[torch.Tensor, ...]
    ) -> torch.distributions.Distribution:
        df, loc, scale = params
        return torch.distributions.StudentT(df, loc, scale)

    def _params_from_output(self, model_output: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raw_df, loc, raw_scale = model_output.unbind(-1)
        tiny = torch.finfo(model_output.dtype).eps
        return 2.0 + softplus(raw_df), loc, softplus(raw_scale).clamp_min(tiny)


def head_likelihood(config: LagLlamaConfig) -> TorchLikelihood:
    """Name the parameters that the head of a checkpoint predicts.

    Parameters
    ----------
    config : LagLlamaConfig
        Configuration of the checkpoint.

    Returns
    -------
    TorchLikelihood
        The likelihood of the forecasting model; its ``parameter_names`` are those of the head.
    """
    if config.head == "quantile_block":
        return QuantileRegression(list(config.quantile_levels))
    return StudentTLikelihood() if config.head == "student_t" else GaussianLikelihood()
