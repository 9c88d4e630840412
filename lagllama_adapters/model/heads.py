"""Heads: from the state of a token to a distribution of the steps that follow it.

All heads work in the model's scaled (and transformed) space. A head separates three things: its
raw output, the constrained parameters, and the randomness, which comes in as standard normal scores
drawn beforehand (see ``inference.noise``), so that a sample is a deterministic map: the inverse
distribution function at the level of the score.
"""

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution, Normal

from lagllama_adapters.model.config import LagLlamaConfig
from lagllama_adapters.model.distributions import PiecewiseQuantile, StudentT
from lagllama_adapters.model.mixture import StudentTMixture

__all__ = [
    "BlockHead",
    "Head",
    "NormalHead",
    "QuantileBlockHead",
    "StudentTHead",
    "StudentTMixtureHead",
    "make_head",
]

_LOG_GAIN = (-6.0, 3.0)  # limits: a bad step of training must not overflow
# Steps per day, week or year at the usual frequencies.
_SEASONS = (1, 12, 24, 7, 4, 48, 288, 52, 168, 96, 336, 365, 5, 144, 672, 30)


class Head(nn.Module, ABC):
    """What every head offers.

    Attributes
    ----------
    block_length : int
        Future steps that one token emits.
    param_names : tuple of str
        Names of the constrained parameters, in order.
    n_shocks : int
        Independent random numbers per step that `join_steps` takes.
    """

    block_length: int = 1
    param_names: tuple[str, ...] = ()
    n_shocks: int = 1

    @abstractmethod
    def forward(self, hidden: Tensor, lag_values: Tensor) -> Tensor:
        """Raw output from states ``[..., d_model]`` and scaled lag values ``[..., n_lags]``."""

    @abstractmethod
    def constrain(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Map raw output to the distribution's parameters."""

    @abstractmethod
    def distribution(self, params: tuple[Tensor, ...]) -> Distribution:
        """Distribution in scaled space, with ``log_prob``, ``mean``, ``sample`` and ``icdf``."""

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
        """Loss per target.

        Negative log-likelihoods are those in data units but for the derivative of an
        ``input_transform``, which depends on the data alone: gradients are exact, and values do not
        compare between weights with and without it.

        Parameters
        ----------
        raw : Tensor
            Raw output for ``[batch, steps]`` tokens.
        target : Tensor
            ``[batch, steps, block_length]``, in scaled space.
        log_scale : Tensor
            ``[batch, 1, 1]``: log of the series' scale, which turns a density in scaled space into
            one in data units. Losses without a density ignore it.

        Returns
        -------
        Tensor
            ``[batch, steps, block_length]``.
        """

    @abstractmethod
    def sample_from(self, params: tuple[Tensor, ...], scores: Tensor) -> Tensor:
        """Turn scores into samples, by the inverse distribution function.

        Parameters
        ----------
        params : tuple of Tensor
            Constrained parameters of one token each, leading dimensions broadcast with those of
            ``scores``: ``[series, path or 1, ...]``.
        scores : Tensor
            ``[series, path, steps]`` with ``steps <= block_length``: standard normal quantiles of
            the levels.

        Returns
        -------
        Tensor
            ``[series, path, steps]`` in scaled space, ascending with the scores.
        """

    def join_steps(self, shocks: Tensor) -> Tensor:
        """Scores whose dependence over steps is the head's: here none.

        Parameters
        ----------
        shocks : Tensor
            ``[..., steps, n_shocks]``, independent and standard normal; steps from the start of a
            forecast on.

        Returns
        -------
        Tensor
            ``[..., steps]``, standard normal each; a step depends on no shocks of later ones.
        """
        return shocks.squeeze(-1)


class StudentTHead(Head):
    """Student-t of the next step, as published.

    ``df = 2 + softplus(.)``, ``scale = softplus(.)`` floored at machine epsilon (GluonTS 0.14,
    ``StudentTOutput``).
    """

    param_names = ("df", "loc", "scale")

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.proj = nn.Linear(d_model, 3)

    def forward(self, hidden: Tensor, lag_values: Tensor) -> Tensor:
        """Raw ``[..., 3]``."""
        return self.proj(hidden)  # type: ignore[no-any-return]

    def constrain(self, raw: Tensor) -> tuple[Tensor, ...]:
        """``df``, ``loc`` and ``scale``, each ``[...]``."""
        df, loc, scale = raw.unbind(-1)
        return 2.0 + F.softplus(df), loc, _positive(scale)

    def distribution(self, params: tuple[Tensor, ...]) -> Distribution:
        """`StudentT` over ``[...]``."""
        df, loc, scale = params
        return StudentT(df, loc, scale, validate_args=False)

    def loss(self, raw: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
        """Negative log-likelihood in data units."""
        distribution = self.distribution(self.constrain(raw))
        return -distribution.log_prob(target.squeeze(-1))[..., None] + log_scale

    def sample_from(self, params: tuple[Tensor, ...], scores: Tensor) -> Tensor:
        """By `StudentT.icdf_of_score`."""
        df, loc, scale = (p[..., None] for p in params)
        return StudentT(df, loc, scale, validate_args=False).icdf_of_score(scores)


class NormalHead(Head):
    """Normal distribution of the next step."""

    param_names = ("loc", "scale")

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.proj = nn.Linear(d_model, 2)

    def forward(self, hidden: Tensor, lag_values: Tensor) -> Tensor:
        """Raw ``[..., 2]``."""
        return self.proj(hidden)  # type: ignore[no-any-return]

    def constrain(self, raw: Tensor) -> tuple[Tensor, ...]:
        """``loc`` and ``scale``, each ``[...]``."""
        loc, scale = raw.unbind(-1)
        return loc, _positive(scale)

    def distribution(self, params: tuple[Tensor, ...]) -> Distribution:
        """`torch.distributions.Normal` over ``[...]``."""
        loc, scale = params
        return Normal(loc, scale, validate_args=False)

    def loss(self, raw: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
        """Negative log-likelihood in data units."""
        distribution = self.distribution(self.constrain(raw))
        return -distribution.log_prob(target.squeeze(-1))[..., None] + log_scale

    def sample_from(self, params: tuple[Tensor, ...], scores: Tensor) -> Tensor:
        """``loc + scale * score``."""
        loc, scale = (p[..., None] for p in params)
        return loc + scale * scores


class BlockHead(Head):
    """What heads share that emit the next ``block_length`` steps at once.

    The steps of a block are joined by a Gaussian copula: the marginals are exactly the emitted
    ones, and steps move together the more the nearer they are.

    Parameters
    ----------
    d_model : int
        Width of the state.
    lags_seq : tuple of int
        Lags of a token.
    block_length : int
        Future steps per token.
    initial : Tensor
        ``[outputs]``: what the raw output of each step starts near.
    block_copula : tuple of (float, float, float)
        ``(share, slow, fast)``: the normal scores of steps at distance d have the correlation
        ``share * slow**d + (1 - share) * fast**d``, that of a sum of two AR(1) processes. Errors of
        real forecasts are like that: a level that is off for long, and passing disturbances.
    lag_experts : int
        0, or the number of linear maps from the token's lag values to the block. The state chooses
        a convex mixture of them, by which each step's distribution is shifted: seasonal copies and
        local trends need not squeeze through the normed state. They start as seasonal naive
        forecasts of common seasons and, beyond those, as persistence.
    """

    n_shocks = 2

    def __init__(
        self,
        d_model: int,
        lags_seq: tuple[int, ...],
        block_length: int,
        initial: Tensor,
        block_copula: tuple[float, float, float] = (0.0, 0.0, 0.0),
        lag_experts: int = 0,
    ) -> None:
        super().__init__()
        self.block_length = block_length
        self.block_copula = block_copula
        self.proj = nn.Linear(d_model, block_length * len(initial))
        self.expert_gate = nn.Linear(d_model, lag_experts) if lag_experts else None
        self.experts = (
            nn.Parameter(_seasonal_copies(lags_seq, lag_experts, block_length))
            if lag_experts
            else None
        )
        with torch.no_grad():
            self.proj.weight.mul_(0.1)
            self.proj.bias.copy_(initial.repeat(block_length))
            if self.experts is not None:
                self.experts.add_(0.02 * torch.randn_like(self.experts))

    def forward(self, hidden: Tensor, lag_values: Tensor) -> Tensor:
        """Raw ``[..., block_length, outputs]``."""
        raw = self.offsets(hidden)
        if self.expert_gate is None or self.experts is None:
            return raw
        gate = self.expert_gate(hidden).softmax(-1)
        paths = (lag_values @ self.experts).unflatten(-1, (gate.shape[-1], self.block_length))
        return self.shift(raw, (gate[..., None, :] @ paths).squeeze(-2)[..., None])

    def offsets(self, hidden: Tensor) -> Tensor:
        """Raw output without experts, ``[..., block_length, outputs]``."""
        return self.proj(hidden).unflatten(-1, (self.block_length, -1))  # type: ignore[no-any-return]

    @abstractmethod
    def shift(self, raw: Tensor, by: Tensor) -> Tensor:
        """Raw output of distributions shifted by ``[..., block_length, 1]``."""

    def join_steps(self, shocks: Tensor) -> Tensor:
        """Scores with the copula of ``block_copula``, which starts anew with each block."""
        share, slow, fast = self.block_copula
        step = torch.arange(self.block_length, dtype=shocks.dtype, device=shocks.device)
        distance = step[:, None] - step
        # A stationary AR(1) as a sum of its shocks: [step, shock of a step, process].
        decay = shocks.new_tensor([slow, fast])
        weight = decay ** distance.clamp_min(0)[..., None] * (distance >= 0)[..., None]
        weight[:, 1:] *= (1 - decay.square()).sqrt()
        weight *= shocks.new_tensor([share, 1 - share]).sqrt()
        blocks = []
        for block in shocks.split(self.block_length, dim=-2):
            steps = block.shape[-2]
            blocks.append(block.flatten(-2) @ weight[:steps, :steps].flatten(1).T)
        return torch.cat(blocks, dim=-1)


class QuantileBlockHead(BlockHead):
    """Quantiles of each step, trained with the pinball loss.

    Parameters
    ----------
    d_model, lags_seq, block_length, block_copula, lag_experts
        As in `BlockHead`.
    quantile_levels : tuple of float
        Ascending, in (0, 1).
    gain : bool
        Whether the state scales what it adds to the experts by a factor of its own, ``exp`` of a
        linear map. Noise is a hundredth of the spread of one series and all of that of another; a
        normed state reaches such ratios by a factor far more easily than by a sum.
    """

    param_names = ("quantiles",)

    def __init__(
        self,
        d_model: int,
        lags_seq: tuple[int, ...],
        block_length: int,
        quantile_levels: tuple[float, ...],
        block_copula: tuple[float, float, float] = (0.0, 0.0, 0.0),
        lag_experts: int = 0,
        gain: bool = False,
    ) -> None:
        # Start as a wide forecast around the last value (with experts) or the median (without).
        spread = 0.5 * torch.special.ndtri(torch.tensor(quantile_levels))
        super().__init__(d_model, lags_seq, block_length, spread, block_copula, lag_experts)
        self.quantile_levels = quantile_levels
        self.log_gain = nn.Linear(d_model, 1) if gain else None
        if self.log_gain is not None:
            nn.init.zeros_(self.log_gain.bias)

    def offsets(self, hidden: Tensor) -> Tensor:
        """Quantiles without experts, scaled by the gain."""
        raw = super().offsets(hidden)
        if self.log_gain is None:
            return raw
        gain: Tensor = self.log_gain(hidden).clamp(*_LOG_GAIN).exp()
        return raw * gain[..., None]

    def shift(self, raw: Tensor, by: Tensor) -> Tensor:
        """All quantiles."""
        return raw + by

    def constrain(self, raw: Tensor) -> tuple[Tensor, ...]:
        """Quantiles in ascending order, ``[..., block_length, n_levels]``.

        Sorting crossed quantiles never increases the pinball loss (Chernozhukov et al. 2010).
        """
        return (raw.sort(dim=-1).values,)

    def distribution(self, params: tuple[Tensor, ...]) -> Distribution:
        """`PiecewiseQuantile` over ``[..., block_length]``."""
        return PiecewiseQuantile(params[0], self._levels(params[0]))

    def loss(self, raw: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
        """Pinball loss, twice its mean over the levels (an estimate of the CRPS)."""
        error = target[..., None] - raw
        # 2 max(q e, (q - 1) e) = |e| + (2 q - 1) e, whose gradient takes a fifth of the time.
        tilt = (2 * self._levels(error) - 1) / error.shape[-1]
        return error.abs().mean(-1) + error @ tilt

    def sample_from(self, params: tuple[Tensor, ...], scores: Tensor) -> Tensor:
        """By `PiecewiseQuantile.icdf_of_score`."""
        values = params[0][..., : scores.shape[-1], :]
        return PiecewiseQuantile(values, self._levels(values)).icdf_of_score(scores)

    def _levels(self, like: Tensor) -> Tensor:
        # Not a buffer: casting the network to half precision must not round them.
        dtype = torch.promote_types(like.dtype, torch.float32)
        return torch.tensor(self.quantile_levels, dtype=dtype, device=like.device)


class StudentTMixtureHead(BlockHead):
    """Mixture of Student-t distributions for each step, trained with the likelihood.

    With one component, Student-t distributions in blocks.

    ``weights = softmax(.)``, ``df = 2 + softplus(.)`` and ``scale = min_scale + softplus(.)``.
    Where a series repeats a value exactly (zeros of an intermittent one) a component on that value
    has a likelihood without bound as its scale shrinks; ``min_scale`` bounds it.

    On ``asinh`` inputs the tails of samples in data units are those of ``sinh`` of a Student-t:
    they have quantiles and no mean.

    Parameters
    ----------
    d_model, lags_seq, block_length, block_copula, lag_experts
        As in `BlockHead`.
    components : int
        Student-t distributions per step.
    min_scale : float
        Smallest scale of a component, in scaled space.
    """

    param_names = ("weights", "df", "loc", "scale")

    def __init__(
        self,
        d_model: int,
        lags_seq: tuple[int, ...],
        block_length: int,
        components: int,
        min_scale: float,
        block_copula: tuple[float, float, float] = (0.0, 0.0, 0.0),
        lag_experts: int = 0,
    ) -> None:
        # Start around the last value (with experts) or the median (without), each component twice
        # as wide as the one before it, so that they differ; df near 5.
        scale = 0.5 * 2 ** (torch.arange(components) - (components - 1) / 2)
        initial = torch.zeros(4, components)
        initial[1], initial[3] = math.log(math.expm1(3.0)), scale.expm1().log()
        super().__init__(
            d_model, lags_seq, block_length, initial.flatten(), block_copula, lag_experts
        )
        self.components = components
        self.min_scale = min_scale

    def shift(self, raw: Tensor, by: Tensor) -> Tensor:
        """The ``loc`` of all components."""
        before, loc, after = raw.split((2 * self.components, self.components, self.components), -1)
        return torch.cat((before, loc + by, after), dim=-1)

    def constrain(self, raw: Tensor) -> tuple[Tensor, ...]:
        """``weights``, ``df``, ``loc`` and ``scale``, each ``[..., block_length, component]``."""
        weights, df, loc, scale = raw.unflatten(-1, (4, self.components)).unbind(-2)
        return weights.softmax(-1), 2.0 + F.softplus(df), loc, self.min_scale + _positive(scale)

    def distribution(self, params: tuple[Tensor, ...]) -> Distribution:
        """`StudentTMixture` over ``[..., block_length]``."""
        return StudentTMixture(*params)

    def loss(self, raw: Tensor, target: Tensor, log_scale: Tensor) -> Tensor:
        """Negative log-likelihood in data units."""
        return -self.distribution(self.constrain(raw)).log_prob(target) + log_scale

    def sample_from(self, params: tuple[Tensor, ...], scores: Tensor) -> Tensor:
        """By `StudentTMixture.icdf_of_score`."""
        steps = scores.shape[-1]
        return StudentTMixture(*(p[..., :steps, :] for p in params)).icdf_of_score(scores)


def _seasonal_copies(lags_seq: tuple[int, ...], n_experts: int, block_length: int) -> Tensor:
    """Maps ``[n_lags, n_experts * block_length]``: expert i repeats the i-th common season."""
    maps = torch.zeros(len(lags_seq), n_experts, block_length)
    if maps.is_meta:  # only the sizes are asked for, and may be any
        return maps.flatten(1)
    for expert in range(n_experts):
        season = _SEASONS[expert] if expert < len(_SEASONS) else 1
        for step in range(1, block_length + 1):
            lag = -step % season  # zero-based: the value of the same phase in the last season
            nearest = min(range(len(lags_seq)), key=lambda i: abs(lags_seq[i] - lag))
            maps[nearest, expert, step - 1] = 1.0
    return maps.flatten(1)


def _positive(raw: Tensor) -> Tensor:
    return F.softplus(raw).clamp_min(torch.finfo(raw.dtype).eps)


def make_head(config: LagLlamaConfig) -> Head:
    """Build the head that a configuration names."""
    if config.head == "student_t":
        return StudentTHead(config.d_model)
    if config.head == "normal":
        return NormalHead(config.d_model)
    if config.head == "student_t_mixture":
        return StudentTMixtureHead(
            config.d_model,
            config.lags_seq,
            config.block_length,
            config.mixture_components,
            config.mixture_min_scale,
            config.block_copula,
            config.lag_experts,
        )
    return QuantileBlockHead(
        config.d_model,
        config.lags_seq,
        config.block_length,
        config.quantile_levels,
        config.block_copula,
        config.lag_experts,
        config.head_gain,
    )
