"""Cycles of series whose values are all known."""

import torch
from torch import Tensor

from lagllama_adapters.model.cycles import tables
from lagllama_adapters.model.cycles.copies import Copies

__all__ = ["CycleHistory"]

_SPREAD_CYCLES = 3  # changes from cycle to cycle whose mean is the spread of a phase
_FLOOR = 0.02  # of the mean spread: phases that never changed
_WORST_RECORD = 3.0  # log of an error over the least one
_LEAST = 1e-3  # of the mean spread, in units of the scale: a series that never changed


class CycleHistory:
    """Cycles of series whose values are all known.

    Tables have a row more than the series has values: row 0 is the time before it, without
    observations, and row ``i + 1`` position i.

    Parameters
    ----------
    scaled, observed : Tensor
        ``[batch, time]``, in the network's space, clamped as its tokens are.
    periods : Tensor
        ``[batch, 2]``, int64, see `measure_seasons`.
    last : Tensor
        ``[batch, 1]``, int64: position at which the history that was measured ends. The spread of
        phases is that of cycles up to there; what a path samples must not make it wider.
    block : int
        Steps ahead.

    Attributes
    ----------
    sums : list of Tensor
        ``[batch, 2, 2, 1 + time]`` each: for each period the sum and the number of the observed
        among the last 1 to 16 values of the same phase.
    fours : Tensor
        The third of them, cumulated over time.
    totals : Tensor
        ``[batch, 2, 8, 1 + time]``: see `tables.increments`; all but the last two cumulative.
    """

    def __init__(
        self, scaled: Tensor, observed: Tensor, periods: Tensor, last: Tensor, block: int
    ) -> None:
        self.periods, self.last, self.block = periods, last, block
        mask = observed.to(scaled.dtype)
        rows = torch.nn.functional.pad(torch.stack((scaled * mask, mask), dim=1), (1, 0))
        self.sums = [rows[:, None].expand(-1, len(periods[0]), -1, -1)]
        index = torch.arange(rows.shape[2], device=periods.device) - periods[..., None]
        first_before = tables.columns(self.sums[0], index)
        earlier = first_before
        for k in range(tables.DOUBLINGS):
            self.sums.append(self.sums[k] + earlier)
            # Of position i - 2^(k + 1) p, which the next doubling adds.
            distance = 2 ** (k + 1) * periods[..., None]
            if k + 1 < tables.DOUBLINGS:
                there = torch.arange(rows.shape[2], device=periods.device) - distance
                earlier = tables.columns(self.sums[k + 1], there)
        four_before = tables.columns(self.sums[2], index)
        steps = tables.increments(self.sums[0], first_before, four_before)
        self.totals = torch.cat((steps.cumsum(-1), self.sums[0]), dim=2)
        self._means = torch.stack(tables.means(self.sums, dim=2), dim=-1)  # [batch, 2, 1 + time, 5]
        self.fours = self.sums[2].cumsum(-1)
        width = (periods // tables.SMOOTH)[..., None]
        row = torch.arange(rows.shape[2], device=periods.device)
        ends = (row + width).clamp(max=rows.shape[2] - 1), row - width - 1
        window = tables.columns(self.fours, ends[0]) - tables.columns(self.fours, ends[1])
        self._smooth = tables.smoothed(window, dim=2)
        self._errors = self._cumulated_errors(index)
        change = (self.sums[0][:, 0, 0] - first_before[:, 0, 0]).abs()
        both = self.sums[0][:, 0, 1] * first_before[:, 0, 1]
        self._spread = self._spreads(torch.stack((change * both, both), dim=1))

    def _cumulated_errors(self, index: Tensor) -> Tensor:
        """``[2 * batch, 1 + time, 6 + 1]``: of means one period ahead, and their number."""
        copies = torch.cat((self._means, self._smooth[..., None]), dim=-1)
        earlier = tables.columns(copies.transpose(2, 3), index)
        now, mask = self.sums[0].split(1, dim=2)
        # All means over the same times: where there are two of the last four cycles to compare.
        known = mask * (tables.columns(self.sums[1][:, :, 1:], index) > 0)
        errors = (now - earlier).abs() * known
        both = torch.cat((errors, known), dim=2).cumsum(-1)
        return both.flatten(0, 1).transpose(1, 2).contiguous()

    def log_records(self, position: Tensor) -> Tensor:
        """See `Copies`, ``[batch, token, 2 * 6]``."""
        until = torch.minimum(position, self.last) + 1
        rows = until[:, None].expand(-1, len(self.periods[0]), -1)
        found = tables.rows(self._errors, rows.flatten(0, 1)).view(*rows.shape, -1)
        errors, count = found[..., :-1], found[..., -1:]
        log = (errors / count.clamp_min(1)).clamp_min(_LEAST).log()
        log = torch.where(count > 0, log, torch.inf)
        # Within a period only: errors one step and one season ahead do not compare.
        relative = (log - log.amin(-1, keepdim=True)).clamp(max=_WORST_RECORD)
        return relative.nan_to_num(0.0).transpose(1, 2).flatten(2)

    def _spreads(self, change: Tensor) -> Tensor:
        """``[batch, 1 + time, 4]``: sum and number of the last changes near a phase, and cumulated.

        ``change`` is ``[batch, 2, 1 + time]``, absolute changes to one period before and whether
        there is one.
        """
        total, index = change, torch.arange(change.shape[2], device=change.device)
        for k in range(1, _SPREAD_CYCLES):
            there = (index - k * self.periods[:, :1]).clamp_min(0)[:, None].expand_as(change)
            total = total + change.gather(2, there)
        # Few cycles tell little of one phase: of three neighbouring ones.
        near = total + torch.nn.functional.pad(total[..., :-1], (1, 0))
        near = near + torch.nn.functional.pad(total[..., 1:], (0, 1))
        return torch.cat((near, total.cumsum(2)), dim=1).transpose(1, 2).contiguous()

    def ahead(self, position: Tensor) -> Copies:
        """Copies for tokens.

        Parameters
        ----------
        position : Tensor
            ``[batch, token]``, int64.

        Returns
        -------
        Copies
            For ``[batch, token]``.
        """
        offset, cycle = tables.same_phase(self.periods, self.block)
        rows = position[:, None, :, None] + offset[:, :, None] + 1  # [batch, 2, token, block]
        found = tables.rows(self._means.flatten(0, 1), rows.clamp_min(0).flatten(0, 1))
        back = tables.steps_back(self.periods)  # [batch, 2, 4]
        there = (position[:, None, :, None] + 1 - back[:, :, None]).flatten(2)
        read = tables.columns(self.totals, there).unflatten(-1, (-1, back.shape[-1]))
        change, *moves = tables.moves(read.transpose(2, 3).unbind(-2))
        drift = tables.carried(change[..., None], cycle[:, :, None])
        found = found.unflatten(0, (-1, len(self.periods[0])))
        centre = (
            position[:, None, :, None] + tables.smooth_centres(self.periods, self.block)[:, :, None]
        )
        smooth = tables.rows(
            self._smooth.flatten(0, 1)[..., None], (centre + 1).clamp_min(0).flatten(0, 1)
        )
        shapes = tables.shapes(found, smooth.view(found.shape[:-1]), drift)
        return Copies(
            shapes.permute(0, 2, 3, 1, 4).flatten(3),
            torch.stack(moves, dim=-1).transpose(1, 2).flatten(2),
            self.log_spread(position),
            self.log_records(position),
        )

    def log_spread(self, position: Tensor) -> Tensor:
        """See `Copies`, ``[batch, token, block]``."""
        period = self.periods[:, :1, None]
        until = torch.minimum(position, self.last)[..., None]
        ahead = torch.arange(1, self.block + 1, device=period.device) + position[..., None]
        phase = ahead - period * (-(-(ahead - until) // period))
        # The neighbours of the last value are those of the cycle before.
        phase = phase - period * (phase == until)
        found = tables.rows(self._spread[..., :2].contiguous(), (phase + 1).clamp_min(0))
        spread = found[..., 0] / found[..., 1].clamp_min(1)
        # The mean over all phases of the same cycles.
        ends = torch.cat((until + 1, (until + 1 - period).clamp_min(0)), dim=-1)
        sums = tables.rows(self._spread, ends)[..., 2:]
        cycles = sums[..., 0, :] - sums[..., 1, :]
        mean = (cycles[..., :1] / cycles[..., 1:].clamp_min(1)).clamp_min(_LEAST)
        relative = (spread / mean).clamp(_FLOOR, 1 / _FLOOR)
        known = (found[..., 1] > 0) & (period > 1)
        return torch.where(known, relative.log(), 0.0)
