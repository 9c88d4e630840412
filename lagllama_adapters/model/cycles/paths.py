"""Cycles of sample paths that go on from a known history."""

import torch
from torch import Tensor

from lagllama_adapters.model.cycles import tables
from lagllama_adapters.model.cycles.copies import Copies
from lagllama_adapters.model.cycles.history import CycleHistory

__all__ = ["CyclePaths"]


class CyclePaths:
    """Cycles of sample paths that go on from one history.

    Parameters
    ----------
    history : CycleHistory
        Of the series.
    horizon : int
        Most steps that `append` takes in all.
    paths : int
        Per series.
    """

    def __init__(self, history: CycleHistory, horizon: int, paths: int) -> None:
        self.history, self.done = history, 0
        self._known = history.totals.shape[-1] - 1
        size = (horizon, *history.totals.shape[:2])
        self._sums = [history.totals.new_zeros(*size, 2, paths) for _ in history.sums]
        self._windows = [torch.zeros_like(self._sums[0]) for _ in history.windows]
        self._totals = history.totals.new_zeros(*size, history.totals.shape[2], paths)

    def append(self, sampled: Tensor) -> None:
        """Add steps ``[step, series, path]``, in the network's space, clamped."""
        rows = slice(self.done, self.done + len(sampled))
        periods = self.history.periods
        both = torch.stack((sampled, torch.ones_like(sampled)), dim=2)
        self._sums[0][rows] = both[:, :, None]
        steps = torch.arange(self.done, rows.stop, device=sampled.device)[:, None, None]
        for k in range(tables.DOUBLINGS):
            earlier = self._read(self._sums[k], self.history.sums[k], steps - 2**k * periods)
            self._sums[k + 1][rows] = self._sums[k][rows] + earlier
        before = steps - periods
        first = self._read(self._sums[0], self.history.sums[0], before)
        four = self._read(self._sums[2], self.history.sums[2], before)
        one = self._sums[0][rows]
        more = tables.increments(one, first, four, self._sums[3][rows], dim=3)
        last = steps[:1] - 1 - 0 * periods
        for own, old, (k, _) in zip(
            self._windows, self.history.windows, tables.WINDOWS, strict=True
        ):
            own[rows] = self._read(own, old, last) + self._sums[k][rows].cumsum(0)
        total = self._read(self._totals, self.history.totals, last)[:, :, :, 2:]
        self._totals[rows] = torch.cat((one, total + more.cumsum(0)), dim=3)
        self.done = rows.stop

    def _read(self, own: Tensor, old: Tensor, steps: Tensor) -> Tensor:
        """``[step, series, 2, n, path]`` at ``steps`` ``[step, series, 2]``, negative in the past.

        ``own`` is ``[horizon, series, 2, n, path]``, ``old`` ``[series, 2, n, 1 + time]``.
        """
        rows = (self._known + steps + 1).clamp(0, self._known).permute(1, 2, 0)
        past = tables.columns(old, rows).permute(3, 0, 1, 2)[..., None]
        index = steps.clamp_min(0)[..., None, None].expand(-1, -1, -1, *own.shape[3:])
        return torch.where(steps[..., None, None] >= 0, own.gather(0, index), past)

    def ahead(self) -> Copies:
        """Copies for the last appended step: of ``[series, path]``."""
        history, here = self.history, self.done - 1
        offset, cycle = tables.same_phase(history.periods, history.block)  # [series, 2, block]
        at = here + offset.permute(2, 0, 1)
        pairs = zip(self._sums, history.sums, strict=True)
        found = torch.stack(tables.means([self._read(*pair, at) for pair in pairs], dim=3), dim=-1)
        back = here - tables.steps_back(history.periods).permute(2, 0, 1)
        read = self._read(self._totals, history.totals, back).unbind(0)
        reads = (x[:, :, part] for x, part in zip(read, tables.READ_AT, strict=True))
        change, *moves = tables.moves(reads, dim=2)  # [series, 2, path]
        found = found.permute(1, 3, 0, 2, 4)  # [series, path, block, 2, mean]
        drift = tables.carried(change[..., None], cycle[:, :, None]).permute(0, 2, 3, 1)
        smooth = []
        for own, old, (_, parts) in zip(
            self._windows, history.windows, tables.WINDOWS, strict=True
        ):
            period, width = history.periods[..., None], history.periods // parts
            centre = tables.window_centres(offset, period, width[..., None]).permute(2, 0, 1) + here
            window = self._read(own, old, centre + width) - self._read(own, old, centre - width - 1)
            smooth.append(tables.smoothed(window, dim=3).permute(1, 3, 0, 2))
        shapes = tables.shapes(found, smooth, drift)
        position = torch.full_like(history.last, self._known + here)
        return Copies(
            shapes.flatten(3),
            torch.stack(moves, dim=-1).transpose(1, 2).flatten(2),
            history.log_spread(position),
            *history.records(position),
        )
