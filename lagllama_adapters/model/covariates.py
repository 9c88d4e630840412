"""Covariates that a network reads: parts that are added to pretrained weights, and start at zero.

Columns known ahead have an effect on the series, in units of its scale: a curve of the columns of
the same step, alike for all series of a panel but for its strength, which the history of each
tells. Columns known up to now have one by their last values. The network reads the history without
the effect, and the head adds that of each step of a block to its distribution, as far as it is
known at the token and by as much as the state of the token says. With weights of zero all of this
is exact identity.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lagllama_adapters.model.config import CovariateConfig

__all__ = ["CovariateParts", "SeriesEffect", "TokenCovariates"]

_PAST_LAGS = 8  # values of a column known up to now that move the steps ahead
_LOG_STRENGTH = 2.0  # limits of what the state may make of an effect: a factor of 7 either way
_LOG_GAIN = 3.0  # limits of the logarithm by which spreads change
_MOST_SCALES = 10.0  # beyond which a column is as far as it gets
_MOST_UNITS = 1e4  # of a series, by which the strength of an effect is told
_MOST = 30.0  # in asinh space, whose sinh float32 holds with digits to spare
_STRENGTHS = (0.0, 4.0)  # limits of what the history of a series may make of an effect
_LOG_PRECISION = 1.4  # strengths of series differ by half, unless training says otherwise
_FAR, _TO_SIGMA, _LEAST_NOISE = 3.0, 1.48, 1e-3
_SLOPE, _REACH = 3.0, 2.0  # of a bend; of the places of bends, in standard deviations


class TokenCovariates(NamedTuple):
    """What tokens have of covariates.

    Attributes
    ----------
    columns : Tensor
        ``[..., columns]``: known at the step of the token.
    shift, log_gain : Tensor
        ``[..., block]``: effect of the steps after it, on places in units of the scale, and on the
        logarithm of spreads.
    """

    columns: Tensor
    shift: Tensor
    log_gain: Tensor

    def to(self, device: torch.device) -> "TokenCovariates":
        """The same ones on a device."""
        return TokenCovariates(*(part.to(device) for part in self))

    def at(self, index: object) -> "TokenCovariates":
        """At an index into the leading dimensions."""
        return TokenCovariates(*(part[index] for part in self))  # type: ignore[index]

    def by_step(self) -> "TokenCovariates":
        """``[series, token, ...]`` as ``[token, series, ...]``."""
        return TokenCovariates(*(part.transpose(0, 1) for part in self))

    def per_path(self) -> "TokenCovariates":
        """``[token, series, ...]`` as ``[token, series, 1, ...]``: all paths share them."""
        return TokenCovariates(*(part[:, :, None] for part in self))


@dataclass(frozen=True)
class PastLags:
    """Columns known up to now, and how much their last values move a series.

    Attributes
    ----------
    known : Tensor
        ``[batch, time, columns]``, 0 after the history.
    weight : Tensor
        ``[lags, columns]``: effect of the last values on a step.
    step_weight : Tensor
        ``[block, lags, columns]``: what the last values tell of steps whose own are not known yet.
    factor : Tensor
        ``[batch, 1]``: strength of the effect in each series.
    """

    known: Tensor
    weight: Tensor
    step_weight: Tensor
    factor: Tensor

    def to(self, device: torch.device) -> "PastLags":
        """The same ones on a device."""
        parts = (self.known, self.weight, self.step_weight, self.factor)
        return PastLags(*(part.to(device) for part in parts))

    def effect(self) -> Tensor:
        """Of all steps, ``[batch, time]``, before the strength."""
        total = self.known.new_zeros(self.known.shape[:2])
        for lag, weight in enumerate(self.weight):
            total = total + F.pad(self.known @ weight, (lag, 0))[:, : total.shape[1]]
        return total

    def correction(self, positions: Tensor, last: int, columns: Tensor) -> Tensor:
        """What tokens know of the effect of the steps ahead, less all of it.

        Parameters
        ----------
        positions : Tensor
            ``[token]``, int64.
        last : int
            Last position that is given.
        columns : Tensor
            ``[batch, time, columns]``: what tokens may know at each step.

        Returns
        -------
        Tensor
            ``[batch, token, block]``.
        """
        block, lags, _ = self.step_weight.shape
        back = positions[:, None] - torch.arange(lags, device=positions.device)
        values = columns[:, back.clamp(0, last)] * (back >= 0)[..., None]
        total = values.flatten(2) @ self.step_weight.flatten(1).T
        ahead = torch.arange(1, block + 1, device=positions.device)
        for lag, weight in enumerate(self.weight):
            source = (positions[:, None] + ahead - lag).clamp(0, last)
            unknown = (self.known @ weight)[:, source] * (ahead > lag)
            total = total - self.factor[..., None] * unknown
        return total


@dataclass(frozen=True)
class SeriesEffect:
    """Covariates of series over a window and the steps ahead.

    Attributes
    ----------
    columns : Tensor
        ``[batch, time, columns]``: what tokens may know at each step.
    shift, log_gain : Tensor
        ``[batch, time]``: effect of each step, see `TokenCovariates`; the shift has a mean of 0
        over the observed steps of the history.
    log_precision : Tensor
        Scalar: logarithm of how much surer the panel is of the strength of an effect than one
        change of a series that is as large as its noise.
    block : int
        Steps ahead of a token.
    lags : PastLags or None
        Of columns known up to now, the last ones; None: there are none.
    """

    columns: Tensor
    shift: Tensor
    log_gain: Tensor
    log_precision: Tensor
    block: int
    lags: PastLags | None = None

    def to(self, device: torch.device) -> "SeriesEffect":
        """The same one on a device."""
        columns, shift = self.columns.to(device), self.shift.to(device)
        gain, precision = self.log_gain.to(device), self.log_precision.to(device)
        lags = None if self.lags is None else self.lags.to(device)
        return SeriesEffect(columns, shift, gain, precision, self.block, lags)

    def mirrored(self, rows: bool | Tensor) -> "SeriesEffect":
        """With the effects of negated series turned around.

        Parameters
        ----------
        rows : bool or Tensor
            Whether series are negated, all or ``[batch]``, bool.
        """
        if rows is False:
            return self
        sign = 1 - 2 * torch.as_tensor(rows, device=self.shift.device).to(self.shift)
        sign = sign.view(-1, 1)
        columns, lags = self.columns * sign[..., None], self.lags
        if lags is not None:
            lags = replace(lags, known=lags.known * sign[..., None])
        return replace(self, columns=columns, shift=self.shift * sign, lags=lags)

    def of_strength(self, scaled: Tensor, observed: Tensor, lead: int) -> "SeriesEffect":
        """With the strength that it has in the history of each series.

        Series and effect are filtered by the autoregression of what the effect leaves (Cochrane and
        Orcutt), and one is regressed on the other: a ridge regression towards a strength of 1, in
        which values that are far off count less.

        Parameters
        ----------
        scaled : Tensor
            ``[batch, history]``, in units of the scale.
        observed : Tensor
            Same shape, bool.
        lead : int
            Steps at the beginning that do not count.
        """
        known, effect = observed[:, lead:], self.shift[:, lead : scaled.shape[1]]
        both = known[:, 1:] & known[:, :-1]
        values = scaled[:, lead:].to(effect).clamp(-_MOST_UNITS, _MOST_UNITS)
        with torch.no_grad():
            rest = (values - effect).masked_fill(~known, 0.0)
            mean = rest.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp_min(1)
            rest = (rest - mean).masked_fill(~known, 0.0)
            product = (rest[:, 1:] * rest[:, :-1]).sum(1, keepdim=True)
            memory = product / (rest[:, 1:].square() * both).sum(1, keepdim=True).clamp_min(1e-9)
            memory = memory.clamp(0.0, 1.0)
            far = (rest[:, 1:] - memory * rest[:, :-1]).abs()
            sigma = (_TO_SIGMA * _median(far, both)).clamp_min(_LEAST_NOISE)
            weight = both * (_FAR * sigma / far.clamp_min(_LEAST_NOISE)).clamp(max=1.0)
            values = values - mean
        value = values[:, 1:] - memory * values[:, :-1]
        effect = effect[:, 1:] - memory * effect[:, :-1]
        prior = sigma.square() * self.log_precision.exp()
        joint = (weight * value * effect).sum(1, keepdim=True) + prior
        strength = joint / ((weight * effect.square()).sum(1, keepdim=True) + prior)
        return self._times(strength.clamp(*_STRENGTHS))

    def in_units(self, ratio: Tensor) -> "SeriesEffect":
        """In another scale, ``ratio`` ``[batch, 1]`` times as fine."""
        return self._times(ratio.to(self.shift))

    def _times(self, factor: Tensor) -> "SeriesEffect":
        lags = self.lags
        if lags is not None:
            lags = replace(lags, factor=lags.factor * factor)
        return replace(self, shift=self.shift * factor, lags=lags)

    def of_tokens(self, positions: Tensor) -> TokenCovariates:
        """Of tokens.

        Parameters
        ----------
        positions : Tensor
            ``[token]``, int64, in the window. Steps after the last one given are like that one.

        Returns
        -------
        TokenCovariates
            ``[batch, token, ...]``.
        """
        last = self.shift.shape[1] - 1
        ahead = torch.arange(1, self.block + 1, device=positions.device) + positions[:, None]
        ahead = ahead.clamp(max=last)
        columns, shift = self.columns[:, positions.clamp(max=last)], self.shift[:, ahead]
        if self.lags is not None:
            own = self.columns[..., -self.lags.known.shape[-1] :]
            shift = shift + self.lags.correction(positions, last, own)
        return TokenCovariates(columns, shift, self.log_gain[:, ahead])

    def taken_off(self, scaled: Tensor, first: int, *, asinh: bool) -> Tensor:
        """Values in the network's space without the effect of their steps.

        Parameters
        ----------
        scaled : Tensor
            ``[batch, ..., step]``.
        first : int
            Position of their first step in the window.
        asinh : bool
            Whether that space is the asinh of units of the scale.
        """
        own = self.shift[:, first : first + scaled.shape[-1]].to(scaled)
        return moved(scaled, -own.view(len(own), *([1] * (scaled.ndim - 2)), -1), asinh=asinh)


def moved(scaled: Tensor, shift: Tensor, *, asinh: bool) -> Tensor:
    """Values in the network's space after a shift in units of the scale.

    Parameters
    ----------
    scaled, shift : Tensor
        Of shapes that broadcast. A shift of 0 leaves every bit.
    asinh : bool
        Whether that space is the asinh of units of the scale.
    """
    if not asinh:
        return scaled + shift
    linear = scaled.clamp(-_MOST, _MOST).sinh()
    return scaled + ((linear + shift).asinh() - linear.asinh())


class CovariateParts(nn.Module):
    """Parts of a network that read covariates.

    Parameters
    ----------
    config : CovariateConfig
        Columns, and units of the curve.
    d_model : int
        Width of states.
    block : int
        Steps ahead of a token.
    asinh : bool
        Whether the network's space is the asinh of units of the scale.
    """

    def __init__(self, config: CovariateConfig, d_model: int, block: int, *, asinh: bool) -> None:
        super().__init__()
        self.block, self.asinh = block, asinh
        self.n_future = config.n_future
        self.token = _zero(nn.Linear(self.n_future + config.n_past, d_model, bias=False))
        self.curve = _kinks(self.n_future, config.hidden_size) if self.n_future else None
        width = self.n_future + config.hidden_size
        self.effect = _zero(nn.Linear(width, 2, bias=False)) if self.n_future else None
        self.log_precision = nn.Parameter(torch.tensor(_LOG_PRECISION))
        has_past = config.n_past > 0
        size = (_PAST_LAGS, config.n_past)
        self.lag_weight = nn.Parameter(torch.zeros(size)) if has_past else None
        self.step_weight = nn.Parameter(torch.zeros(block, *size)) if has_past else None
        # What the state makes of it: logarithms of two factors, and a gain of its own.
        self.gate = _zero(nn.Linear(d_model, 3))
        self.step_gain = nn.Parameter(torch.zeros(block)) if has_past else None

    def forward(
        self, columns: Tensor, observed: Tensor, start: int | Tensor, lead: int
    ) -> SeriesEffect:
        """Effect of covariates on series.

        Parameters
        ----------
        columns : Tensor
            ``[batch, time, columns]``, standardised; those known ahead come first.
        observed : Tensor
            ``[batch, history]``, bool: steps of the history at which the series is known.
        start : int or Tensor
            Where the history ends, one for all or ``[batch]``; columns that are known up to now
            stay after it what they were.
        lead : int
            Steps at the beginning that do not count for the mean.
        """
        # Sums over a history need more digits than half precision has.
        wide = torch.promote_types(self.token.weight.dtype, torch.float32)
        columns = columns.to(wide).clamp(-_MOST_SCALES, _MOST_SCALES)
        # Steps after the last one given are like that one.
        columns = torch.cat((columns, columns[:, -1:].expand(-1, self.block, -1)), dim=1)
        future, past = columns[..., : self.n_future], columns[..., self.n_future :]
        shift = log_gain = columns.new_zeros(columns.shape[:2])
        lags = None
        if self.curve is not None and self.effect is not None:
            bent = F.linear(future, self.curve.weight.to(wide), self.curve.bias.to(wide))
            features = torch.cat((future, F.silu(bent) / _SLOPE), dim=-1)
            shift, log_gain = F.linear(features, self.effect.weight.to(wide)).unbind(-1)
        if self.lag_weight is not None and self.step_weight is not None:
            columns = torch.cat((future, _held(past, start)), dim=-1)
            factor = columns.new_ones(len(columns), 1)
            weights = self.lag_weight.to(wide), self.step_weight.to(wide)
            lags = PastLags(_until(past, start), *weights, factor)
            shift = shift + lags.effect()
        known = observed[:, lead:].to(shift)
        total = (shift[:, lead : observed.shape[1]] * known).sum(1, keepdim=True)
        shift = shift - total / known.sum(1, keepdim=True).clamp_min(1)
        precision = self.log_precision.to(wide)
        return SeriesEffect(columns, shift, log_gain, precision, self.block, lags)

    def changed(
        self,
        raw: Tensor,
        state: Tensor,
        covariates: TokenCovariates,
        places: slice,
        spreads: slice | None,
    ) -> Tensor:
        """Raw output of a head with the effect of the steps ahead.

        Parameters
        ----------
        raw : Tensor
            ``[..., block, outputs]``.
        state : Tensor
            ``[..., d_model]``, of the tokens.
        covariates : TokenCovariates
            Of the tokens.
        places, spreads : slice
            Outputs that are places on the axis of the series, and those that are spreads before
            their constraint; None: the spread is that of the places around the middle one.
        """
        strength, gained, gain = self.gate(state).to(raw)[..., None, :].unbind(-1)
        shift = covariates.shift.to(raw) * strength.clamp(-_LOG_STRENGTH, _LOG_STRENGTH).exp()
        factor = gained.clamp(-_LOG_STRENGTH, _LOG_STRENGTH).exp()
        log_gain = covariates.log_gain.to(raw) * factor + gain
        if self.step_gain is not None:
            log_gain = log_gain + self.step_gain
        log_gain = log_gain.clamp(-_LOG_GAIN, _LOG_GAIN)
        own = raw[..., places]
        if spreads is None:
            middle = own[..., own.shape[-1] // 2, None]
            own = own + (own - middle) * log_gain.expm1()[..., None]
        own = moved(own, shift[..., None], asinh=self.asinh)
        changed = raw.clone()
        changed[..., places] = own
        if spreads is not None:
            changed[..., spreads] = raw[..., spreads] + log_gain[..., None]
        return changed


def _median(values: Tensor, known: Tensor) -> Tensor:
    """``[batch, 1]``: of the known ones, the lower of two; 0 where there is none."""
    if not values.shape[1]:
        return values.new_zeros(len(values), 1)
    ordered = values.masked_fill(~known, torch.inf).sort(1).values
    place = ((known.sum(1, keepdim=True) - 1) // 2).clamp_min(0)
    return ordered.gather(1, place).nan_to_num(posinf=0.0)


def _until(columns: Tensor, start: int | Tensor) -> Tensor:
    """Columns that are 0 from ``start`` on."""
    step = torch.arange(columns.shape[1], device=columns.device)
    end = start if isinstance(start, int) else start.to(step.device)[:, None]
    return columns * (step < end)[..., None]


def _held(columns: Tensor, start: int | Tensor) -> Tensor:
    """Columns that stay after ``start`` what they were one step before."""
    step = torch.arange(columns.shape[1], device=columns.device)
    if isinstance(start, int):
        return columns[:, step.clamp(max=start - 1)]
    index = torch.minimum(step, start.to(step.device)[:, None] - 1).clamp_min(0)
    return columns.gather(1, index[..., None].expand_as(columns))


def _kinks(n_columns: int, n_units: int) -> nn.Linear:
    """Map to units that each bend one column, at places spread over its usual values.

    Half of the units of a column rise to the right of their place, half to its left.
    """
    linear = nn.Linear(n_columns, n_units)
    unit = torch.arange(n_units)
    turn, column = unit // n_columns, unit % n_columns
    slope = _SLOPE * (1.0 - 2.0 * (turn % 2))
    places = -(-n_units // n_columns) // 2
    place = (turn // 2 + 0.5) / max(places, 1)
    with torch.no_grad():
        linear.weight.zero_()
        linear.weight[unit, column] = slope
        linear.bias.copy_(-slope * _REACH * (2 * place - 1).clamp(-1, 1))
    return linear


def _zero(linear: nn.Linear) -> nn.Linear:
    nn.init.zeros_(linear.weight)
    if linear.bias is not None:
        nn.init.zeros_(linear.bias)
    return linear
