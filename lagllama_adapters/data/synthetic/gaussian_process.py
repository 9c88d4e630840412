"""Gaussian processes with composed kernels, without matrices of steps by steps.

A sum or product of stationary kernels is again one, and by Bochner's theorem the covariance of
waves with random frequencies: those of a sum come from one of its terms, those of a product are
sums of one frequency of each factor. Linear kernels multiply waves by powers of time, white noise
is added as such. So a draw costs a few dozen waves per series, for any length, and has exactly the
kernel as its covariance; given its waves it is Gaussian, over all draws it becomes so as they grow
many (Rahimi & Recht 2007, NeurIPS, "Random features for large-scale kernel machines").
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lagllama_adapters.data.synthetic.draws import Draws

__all__ = ["KERNELS", "Kernels", "draw_gaussian_process", "sum_of_waves"]

KERNELS = ("constant", "white", "linear", "rbf", "rational_quadratic", "matern", "periodic")
_CONSTANT, _WHITE, _LINEAR, _RBF, _RATIONAL, _MATERN, _PERIODIC = range(len(KERNELS))

_MAX_DEGREE = 2
_POINTS = 64  # at which a periodic kernel is read to get its Fourier series


@dataclass(frozen=True)
class Kernels:
    """One kernel expression per series, read from left to right: ``((k0 . k1) . k2) ...``.

    With x the step over the last step (0 to 1), d a distance in steps, l the length scale, s the
    shape and p the period, the kernels are: constant 1; white ``s [d = 0]``; linear ``s + x x'``;
    rbf ``exp(-d^2 / 2 l^2)``; rational_quadratic ``(1 + d^2 / (2 s l^2))^-s``; matern of order s;
    periodic ``exp(-2 sin^2(pi d / p) / s^2)``.

    Attributes
    ----------
    kind : Tensor
        ``[n_series, n_kernels]`` int64: indices into `KERNELS`, -1 for an unused place. At most two
        linear ones per series.
    multiplies : Tensor
        ``[n_series, n_kernels]`` bool: True where all before is multiplied by this kernel, False
        where this kernel is added to it; False for the first.
    length_scale, shape, period : Tensor
        ``[n_series, n_kernels]``: l and p in steps, and s; ignored where a kernel has none.
    """

    kind: Tensor
    multiplies: Tensor
    length_scale: Tensor
    shape: Tensor
    period: Tensor

    def rows(self, index: Tensor) -> "Kernels":
        """The expressions of some series."""
        return Kernels(*(value[index] for value in vars(self).values()))


def draw_gaussian_process(draws: Draws, kernels: Kernels, length: int, n_waves: int = 64) -> Tensor:
    """Draw one path per series.

    Parameters
    ----------
    draws : Draws
        Source of randomness.
    kernels : Kernels
        One expression per series.
    length : int
        Steps.
    n_waves : int
        Waves for each power of time.

    Returns
    -------
    Tensor
        ``[n_series, length]`` float32.
    """
    # The expression is expanded. A term begins at each kernel that is added, and all later ones
    # that multiply are its factors.
    used = kernels.kind >= 0
    begins = used & ~kernels.multiplies
    place = torch.arange(used.shape[1], device=used.device)
    later = used & kernels.multiplies
    factors = (place == place[:, None]) | (later[:, None] & (place > place[:, None]))
    factors = factors & begins[..., None]  # [n_series, term, kernel]
    is_white = (factors & (kernels.kind == _WHITE)[:, None]).any(2)
    weights = _powers_of_time(kernels, factors)  # [n_series, term, power of x x']

    time = torch.linspace(0, 1, length, device=used.device)
    noise = (weights * is_white[..., None]).sum(1)
    variance = sum(noise[:, d, None] * time ** (2 * d) for d in range(_MAX_DEGREE + 1))
    values = torch.as_tensor(variance).sqrt() * draws.normal(length)
    for degree in range(_MAX_DEGREE + 1):
        weight = weights[..., degree] * ~is_white
        rows = weight.sum(1).nonzero()[:, 0]
        if len(rows):
            few = Draws(draws.generator, len(rows))
            waves = _waves(few, kernels.rows(rows), factors[rows], weight[rows], length, n_waves)
            values[rows] += waves * time**degree
    return values


def _powers_of_time(kernels: Kernels, factors: Tensor) -> Tensor:
    """Coefficients of each term as a polynomial of ``x x'``, white noise's level included."""
    n, n_terms, _ = factors.shape
    weights = torch.zeros(n, n_terms, _MAX_DEGREE + 1, device=factors.device)
    weights[..., 0] = factors.any(2).float()
    for place in range(n_terms):
        kind, shape = kernels.kind[:, place], kernels.shape[:, place]
        shift = torch.zeros_like(weights)
        shift[..., 1:] = weights[..., :-1]
        linear = (kind == _LINEAR)[:, None, None]
        scaled = torch.where((kind == _WHITE) | (kind == _LINEAR), shape, 1.0)[:, None, None]
        changed = scaled * weights + torch.where(linear, shift, 0.0)
        weights = torch.where(factors[:, :, place, None], changed, weights)
    return weights


def _waves(
    draws: Draws, kernels: Kernels, factors: Tensor, weight: Tensor, length: int, n_waves: int
) -> Tensor:
    """Waves whose frequencies are those of terms drawn by weight."""
    term = torch.multinomial(weight, n_waves, replacement=True, generator=draws.generator)
    chosen = factors.gather(1, term[..., None].expand(-1, -1, factors.shape[2]))
    frequency = torch.where(chosen, _frequencies(draws, kernels, n_waves), 0.0).sum(2)
    spread = (weight.sum(1, keepdim=True) / n_waves).sqrt()
    amplitudes = [spread * draws.normal(n_waves) for _ in range(2)]
    return sum_of_waves(frequency, amplitudes[0], amplitudes[1], length)


def _frequencies(draws: Draws, kernels: Kernels, n_waves: int) -> Tensor:
    """Cycles per step ``[n_series, n_waves, n_kernels]`` from each kernel's spectral density."""
    kind, shape = kernels.kind[:, None], kernels.shape[:, None]
    size = (n_waves, kernels.kind.shape[1])
    # Rational quadratic kernels are RBF with gamma distributed precision, Matern ones have
    # Student-t distributed frequencies, that is normal ones over the root of a gamma variate.
    mixed = (kind == _RATIONAL) | (kind == _MATERN)
    shape_or_one = torch.where(mixed, shape, 1.0).expand(-1, *size)
    precision = draws.gamma(shape_or_one) / shape_or_one
    exponent = torch.where(kind == _RATIONAL, 0.5, torch.where(kind == _MATERN, -0.5, 0.0))
    width = precision.clamp_min(1e-20) ** exponent / (2 * math.pi * kernels.length_scale[:, None])
    harmonic = _harmonics(draws, kernels.shape, n_waves)
    frequency = torch.where(kind == _PERIODIC, harmonic / kernels.period[:, None], 0.0)
    return torch.where((kind == _RBF) | mixed, draws.normal(*size) * width, frequency)


def _harmonics(draws: Draws, shape: Tensor, n_waves: int) -> Tensor:
    """Harmonics with random signs, as likely as the coefficients of the periodic kernel's series.

    Signs matter in products: ``cos a cos b`` holds the sum and the difference of a and b.
    """
    phase = torch.arange(_POINTS, device=shape.device) * (math.pi / _POINTS)
    kernel = (-2 * (phase.sin() / shape[..., None].clamp_min(0.2)) ** 2).exp()
    spectrum = torch.fft.fft(kernel).real.clamp_min(0)  # of harmonics 0, 1, ..., -2, -1
    flat = torch.multinomial(
        spectrum.flatten(0, 1), n_waves, replacement=True, generator=draws.generator
    )
    signed = torch.where(flat < _POINTS // 2, flat, flat - _POINTS)
    return signed.reshape(*shape.shape, n_waves).transpose(1, 2).to(shape.dtype)


def sum_of_waves(frequency: Tensor, cosine: Tensor, sine: Tensor, length: int) -> Tensor:
    """``sum_m cosine_m cos(2 pi frequency_m t) + sine_m sin(2 pi frequency_m t)``, t = 0, 1, ...

    With ``t = block * a + b``, the addition theorem turns the sum into a matrix product, and
    trigonometric functions are taken at ``a`` and ``b`` only.

    Parameters
    ----------
    frequency : Tensor
        ``[n_series, n_waves]``, cycles per step.
    cosine, sine : Tensor
        ``[n_series, n_waves]``, amplitudes.
    length : int
        Steps.

    Returns
    -------
    Tensor
        ``[n_series, length]``.
    """
    frequency = frequency - frequency.round()  # aliases are equal at whole steps
    block = math.isqrt(length - 1) + 1
    steps = torch.arange(block, device=frequency.device)
    coarse = frequency[:, None] * block * steps[:, None]
    coarse = 2 * math.pi * (coarse - coarse.round())
    fine = 2 * math.pi * frequency[..., None] * steps
    cos, sin = coarse.cos(), coarse.sin()
    cosine, sine = cosine[:, None], sine[:, None]
    left = torch.cat((cosine * cos + sine * sin, sine * cos - cosine * sin), dim=2)
    right = torch.cat((fine.cos(), fine.sin()), dim=1)
    return torch.bmm(left, right).flatten(1)[:, :length]
