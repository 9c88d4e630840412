"""Darts' likelihoods for the heads of Lag-Llama."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import softplus

from lagllama_adapters.darts.host import (
    GaussianLikelihood,
    NegativeBinomialLikelihood,
    QuantileRegression,
    TorchLikelihood,
)
from lagllama_adapters.model.config import (
    FlowConfig,
    ImplicitQuantileConfig,
    LagLlamaConfig,
    NegativeBinomialConfig,
    NormalConfig,
    QuantileConfig,
    StudentTMixtureConfig,
)
from lagllama_adapters.model.distributions import StudentTMixture

__all__ = ["StudentTLikelihood", "StudentTMixtureLikelihood", "head_likelihood", "in_host_words"]

Parameters = npt.NDArray[np.floating[Any]]


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


class StudentTMixtureLikelihood(TorchLikelihood):  # type: ignore[misc]
    """Mixture of univariate Student-t distributions, usable with any Darts torch model.

    Support: the real numbers. Parameters, in this order: the ``weights`` of all components, their
    ``df``, ``loc`` and ``scale``. Raw network outputs are mapped to them by softmax,
    ``2 + softplus(.)``, identity and ``0.001 + softplus(.)``: a component must not shrink onto a
    value that a series repeats.

    Parameters
    ----------
    components : int
        Number of Student-t distributions.
    """

    def __init__(self, components: int) -> None:
        self.components = components
        super().__init__(
            likelihood_type="studenttmixture",
            parameter_names=[
                f"{name}{i}"
                for name in ("weights", "df", "loc", "scale")
                for i in range(components)
            ],
        )

    def sample(self, model_output: torch.Tensor) -> torch.Tensor:
        """Draw one value per step from raw outputs [batch, time, component, 4 * components]."""
        return self._distr_from_params(self._params_from_output(model_output)).sample()

    def _distr_from_params(
        self, params: tuple[torch.Tensor, ...]
    ) -> torch.distributions.Distribution:
        return StudentTMixture(*torch.stack(params, -1).unflatten(-1, (4, -1)).unbind(-2))

    def _params_from_output(self, model_output: torch.Tensor) -> tuple[torch.Tensor, ...]:
        raw = model_output.unflatten(-1, (4, self.components))
        weights, raw_df, loc, raw_scale = raw.unbind(-2)
        params = weights.softmax(-1), 2.0 + softplus(raw_df), loc, 1e-3 + softplus(raw_scale)
        return torch.cat(params, -1).unbind(-1)


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
    head = config.head
    if isinstance(head, QuantileConfig | ImplicitQuantileConfig | FlowConfig):
        return QuantileRegression(list(head.quantile_levels))
    if isinstance(head, StudentTMixtureConfig):
        return StudentTMixtureLikelihood(head.components)
    if isinstance(head, NegativeBinomialConfig):
        return NegativeBinomialLikelihood()
    return GaussianLikelihood() if isinstance(head, NormalConfig) else StudentTLikelihood()


def in_host_words(parameters: dict[str, Parameters]) -> dict[str, Parameters]:
    """Parameters of a head, by the names and meaning of those of its likelihood.

    Parameters
    ----------
    parameters : dict
        Of `LagLlamaPredictor.predict_parameters`.

    Returns
    -------
    dict
        The same, but for a negative binomial: Darts' ``r`` is 1 / dispersion, and the mean is
        ``r p / (1 - p)``.
    """
    if parameters.keys() != {"mean", "dispersion"}:
        return parameters
    odds = parameters["mean"] * parameters["dispersion"]
    return {"r": 1 / parameters["dispersion"], "p": odds / (1 + odds)}
