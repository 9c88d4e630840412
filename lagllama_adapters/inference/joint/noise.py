"""Scores that correlate across the series of groups."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference.joint.in_context import in_context_scores
from lagllama_adapters.inference.joint.mixing import Mixing
from lagllama_adapters.inference.noise import draw_scores
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama

__all__ = ["Group", "JointNoise"]


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of series in a panel, and how they hang together."""

    rows: list[int]
    mixing: Mixing


@dataclass(frozen=True, eq=False)
class JointNoise:
    """Correlated scores of the series of groups.

    Attributes
    ----------
    model : LagLlama
        Whose head joins the steps.
    groups : list of Group
        Those whose series are not independent.
    seed : int
        Of the forecast.
    keys : list of bytes
        Of all series of the panel.
    """

    model: LagLlama
    groups: list[Group]
    seed: int
    keys: list[bytes]

    @classmethod
    def of(
        cls,
        model: LagLlama,
        panel: Panel,
        groups: Sequence[list[int]],
        options: ForecastOptions,
        seed: int,
        keys: list[bytes],
    ) -> "JointNoise":
        """Estimate how the series of groups hang together.

        Parameters
        ----------
        model : LagLlama
            Network on the device to compute on.
        panel : Panel
            Series as the network reads them.
        groups : sequence of list of int
            Rows of each, from `groups_of`.
        options : ForecastOptions
            Of the forecast.
        seed : int
            Of the forecast.
        keys : list of bytes
            Of all series of the panel, see `draw_scores`.
        """
        rows = [row for group in groups for row in group]
        found = []
        if rows:
            scores = in_context_scores(model, panel.take(rows), options)
            place = {row: i for i, row in enumerate(rows)}
            mixings = (Mixing.of_scores(scores[[place[row] for row in own]]) for own in groups)
            found = [Group(own, mixing) for own, mixing in zip(groups, mixings, strict=True)]
        return cls(model, [group for group in found if not group.mixing.is_identity], seed, keys)

    @classmethod
    def before(
        cls,
        model: LagLlama,
        panel: Panel,
        counts: Sequence[int],
        groups: Sequence[list[int]],
        options: ForecastOptions,
        seed: int,
        keys: list[bytes],
    ) -> "JointNoise":
        """Estimate it from what precedes the last steps of all series of a group.

        Parameters
        ----------
        model, panel, groups, options, seed, keys
            As in `of`.
        counts : sequence of int
            Steps at the end of each series that are not looked at; series of a group end together.
        """
        members, kept = list(panel), []
        for rows in groups:
            longest = max(counts[row] for row in rows)
            known = []
            for row in rows:
                earlier = panel[row].without_last(longest)
                if earlier is not None:
                    members[row] = earlier
                    known.append(row)
            if len(known) > 1:
                kept.append(known)
        return cls.of(model, Panel(tuple(members)), kept, options, seed, keys)

    def scores(
        self, group: Group, num_samples: int, steps: int, sampling: str, suffix: bytes = b""
    ) -> npt.NDArray[np.float64]:
        """Scores of a group, ``[series, sample, step]``, of the shocks of its own series.

        Parameters
        ----------
        group : Group
            One of `groups`.
        num_samples, steps, sampling
            See `draw_scores`.
        suffix : bytes
            Of the keys.
        """
        keys = [self.keys[row] + suffix for row in group.rows]
        head, mixing = self.model.head, group.mixing
        drawn = draw_scores(head, self.seed, keys, num_samples, steps, sampling, mixing)
        return np.asarray(drawn.numpy())
