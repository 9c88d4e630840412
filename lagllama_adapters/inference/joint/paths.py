"""The paths of the series of groups, put into an order that is joint."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from torch import Tensor, from_numpy

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.batching import batches, series_at_once
from lagllama_adapters.inference.joint.noise import Group, JointNoise
from lagllama_adapters.inference.joint.reorder import Floats, reordered
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.inference.transforms import Branch, branches

__all__ = ["Draw", "join_paths", "join_steps"]

# Values ``[series, sample, step]`` in data units of some series of the panel, from their scores.
Draw = Callable[[Panel, int, Branch, Tensor], Floats]


def join_paths(
    samples: Floats,
    noise: JointNoise,
    panel: Panel,
    horizons: Sequence[int],
    options: ForecastOptions,
    draw: Draw,
) -> None:
    """Put the paths of groups into the order of correlated ones.

    In the first block, where all paths of a series have the same distributions, that is the order
    of the scores. Later blocks depend on what a path has been so far: there it is the order of
    paths that the network draws from correlated scores.

    Parameters
    ----------
    samples : ndarray
        ``[series, sample, step]``, independent across series; changed in place.
    noise : JointNoise
        Of the groups.
    panel : Panel
        Series as the network reads them.
    horizons : sequence of int
        Steps ahead of each.
    options : ForecastOptions
        Of the forecast.
    draw : callable
        ``draw(panel, horizon, branch, scores)`` draws paths.
    """
    config = noise.model.config
    block = config.block_length
    for groups in _bunches(noise.groups, series_at_once(options, max(horizons))):
        rows = [row for group in groups for row in group.rows]
        own, steps = panel.take(rows), [horizons[row] for row in rows]
        for branch in branches(options, panel.dtype):
            size = (branch.size(options.num_samples), max(steps), options.sampling)
            suffix = branch.key_suffix
            scores = np.concatenate([noise.scores(group, *size, suffix) for group in groups])
            ties = -scores if branch.is_mirrored else scores
            template = ties.copy()
            later = [place for place, count in enumerate(steps) if count > block]
            lengths = [len(own[place]) for place in later]
            for part in batches([steps[place] for place in later], lengths, config, options):
                some = [later[index] for index in part]
                longest = max(steps[place] for place in some)
                read = from_numpy(scores[some, :, :longest])
                drawn = draw(own.take(some), longest, branch, read)
                template[some, :, block:longest] = drawn[:, :, block:]
            for row, count, *order in zip(rows, steps, template, ties, strict=True):
                values = samples[row, branch.paths, :count]
                values[:] = reordered(values, *(one[:, :count] for one in order))


def join_steps(
    samples: Floats, noise: JointNoise, counts: Sequence[int], options: ForecastOptions
) -> None:
    """Put the samples of each step of groups into a joint order, one step apart from the others.

    Parameters
    ----------
    samples : ndarray
        ``[series, sample, step]`` of known steps, the last one of each series at the end; changed
        in place.
    noise : JointNoise
        Of the groups.
    counts : sequence of int
        Steps of each series.
    options : ForecastOptions
        Of the forecast.
    """
    for group in noise.groups:
        longest = max(counts[row] for row in group.rows)
        for branch in branches(options, samples.dtype):
            size = (branch.size(options.num_samples), longest, "plain")
            scores = noise.scores(group, *size, branch.key_suffix + b"/joint")
            # From the last step backwards: an order does not depend on how many steps are asked.
            scores = scores[:, :, ::-1]
            for own, row in zip(scores, group.rows, strict=True):
                end = slice(samples.shape[2] - counts[row], None)
                order = own[:, longest - counts[row] :]
                values = samples[row, branch.paths, end]
                values[:] = reordered(values, order, order)


def _bunches(groups: Sequence[Group], size: int) -> Iterator[list[Group]]:
    """Groups of together at most ``size`` series, or one alone that is larger."""
    bunch: list[Group] = []
    for group in groups:
        if bunch and sum(len(one.rows) for one in (*bunch, group)) > size:
            yield bunch
            bunch = []
        bunch.append(group)
    if bunch:
        yield bunch
