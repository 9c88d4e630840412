"""Randomness of sample paths: a standard normal score for each series, path and step.

The sampler turns a score into a value by the inverse of the distribution function that the network
emits. Scores may be independent across paths (plain), or stratified: of the N paths of a series,
exactly one falls into each N-th of every step's distribution.
"""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lagllama_adapters.model.heads import Head

__all__ = ["SAMPLINGS", "check_sampling", "draw_scores", "series_generator"]

SAMPLINGS = ("auto", "plain", "stratified")

# Levels beyond these would be infinite scores, or more than float64 tells apart.
_LOWEST, _HIGHEST = 2.0**-54, 1 - 2.0**-53


def check_sampling(sampling: str) -> None:
    """Refuse what is not one of `SAMPLINGS`.

    Raises
    ------
    ValueError
        Otherwise; the message names them.
    """
    if sampling not in SAMPLINGS:
        choices = " or ".join(map(repr, SAMPLINGS))
        raise ValueError(f"sampling: got {sampling!r}, expected {choices}")


def draw_scores(
    head: Head,
    seed: int,
    keys: Sequence[bytes],
    num_samples: int,
    steps: int,
    sampling: str = "auto",
    mixing: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Draw the scores of all paths, each series from a generator of its own.

    Parameters
    ----------
    head : Head
        Whose dependence over steps the scores have.
    seed : int
        Of the forecast.
    keys : sequence of bytes
        One for each series. Its scores depend on its key and the seed, and with ``mixing`` alone on
        the other series.
    num_samples : int
        Paths per series.
    steps : int
        Steps ahead. More steps continue the paths of fewer.
    sampling : {"auto", "plain", "stratified"}, default "auto"
        Independent paths, or Latin hypercube sampling with dependence (Packham & Schmidt 2010,
        J. Comp. Finance 13): the N scores of a step are replaced by those at the levels
        ``(rank + jitter) / N``, rank counting from 0 and jitter uniform in [0, 1). Each path
        remains standard normal at each step, and ranks stay as the head has joined them. "auto":
        stratified for heads that emit blocks, plain for those that emit one step, whose paths soon
        lose what stratification gave them.
    mixing : callable, optional
        Makes shocks ``[series, ...]`` of ones that are independent across series. None: they stay
        so.

    Returns
    -------
    Tensor
        ``[series, path, step]``, float64 on the CPU, finite.
    """
    auto = sampling == "auto"
    stratified = head.block_length > 1 if auto else sampling == "stratified"
    size = (steps, num_samples, head.dependence.n_shocks + stratified)
    uniform = torch.empty(len(keys), *size, dtype=torch.float64)
    for row, key in zip(uniform, keys, strict=True):
        torch.rand(size, generator=series_generator(seed, key), dtype=torch.float64, out=row)
    shocks = _score_of(uniform[..., : head.dependence.n_shocks])
    if mixing is not None:
        shocks = mixing(shocks)
    scores = head.dependence.join(shocks.transpose(1, 2))
    if not stratified:
        return scores
    order, ranks = scores.argsort(dim=1), torch.arange(num_samples)
    rank = torch.empty_like(order).scatter_(1, order, ranks[:, None].expand_as(order))
    return _score_of((rank + uniform[..., -1].transpose(1, 2)) / num_samples)


def _score_of(level: Tensor) -> Tensor:
    score: Tensor = torch.special.ndtri(level.clamp(_LOWEST, _HIGHEST))
    return score


def series_generator(seed: int, key: bytes) -> torch.Generator:
    """Randomness of one series: of the seed of a forecast and the key of the series."""
    material = hashlib.blake2b(b"%d/" % seed + key, digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(material, "big") >> 1)
