"""Cycles of series whose values are all known."""

import torch
from torch import Tensor

from lagllama_adapters.model.cycles import tables
from lagllama_adapters.model.cycles.copies import Copies

__all__ = ["CycleHistory"]

_SPREAD_CYCLES = 3  # changes from cycle to cycle whose mean is the spread of a phase
_FLOOR = 0.02  # of the mean spread: phases that never changed
_WORST_RECORD = 3.0  # log of an error over the least one
_PART_OF_BLOCK = 2  # steps ahead of which moves are judged, at most a period
_RECENT_CYCLES, _RECENT_VALUES = 2, 16  # that "lately" goes back, the larger number of values
_EVIDENCE = 0.25  # of a value's likelihood where it is not measured how alike neighbours are
_MOST_ALIKE = 0.999  # neighbouring errors, of which then 2,000 tell what one tells
_MUCH = 300.0  # independent values: the unit of how much evidence there is
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
    by_evidence : bool
        Whether ``proven`` is of all kinds of copies, or of the means and the smooth one alone, for
        heads that do not read it.
    independent : bool
        Whether values count as evidence as far as their errors are independent of each other, or
        each as a quarter of one.

    Attributes
    ----------
    sums : list of Tensor
        ``[batch, 2, 2, 1 + time]`` each: for each period the sum and the number of the observed
        among the last 1 to 16 values of the same phase.
    windows : list of Tensor
        Those of the means that are taken over windows, cumulated over time.
    totals : Tensor
        ``[batch, 2, 9, 1 + time]``: the value and whether it was observed, and the cumulated
        `tables.increments`.
    """

    def __init__(
        self,
        scaled: Tensor,
        observed: Tensor,
        periods: Tensor,
        last: Tensor,
        block: int,
        by_evidence: bool = False,
        independent: bool = False,
    ) -> None:
        self.periods, self.last, self.block = periods, last, block
        self.independent = independent
        mask = observed.to(scaled.dtype)
        both = torch.nn.functional.pad(torch.stack((scaled * mask, mask), dim=1), (1, 0))
        row = torch.arange(both.shape[2], device=periods.device)
        period = periods[..., None]
        index = row - period
        sums = both[:, None].expand(-1, len(periods[0]), -1, -1)
        before = earlier = tables.columns(sums, index)
        self.sums = [sums]
        for k in range(tables.DOUBLINGS):
            sums = sums + earlier
            self.sums.append(sums)
            # Of position i - 2^(k + 1) p, which the next doubling adds.
            if k + 1 < tables.DOUBLINGS:
                earlier = tables.columns(sums, row - 2 ** (k + 1) * period)
        four_before = tables.columns(self.sums[2], index)
        steps = tables.increments(self.sums[0], before, four_before, self.sums[3])
        self.totals = torch.cat((self.sums[0], steps.cumsum(-1)), dim=2)
        self.windows = [self.sums[k].cumsum(-1) for k, _ in tables.WINDOWS]
        means = tables.means(self.sums, dim=2)
        for cumulated, (_, parts) in zip(self.windows, tables.WINDOWS, strict=True):
            width = period // parts
            ends = torch.cat(((row + width).clamp(max=len(row) - 1), row - width - 1), dim=-1)
            until, before_it = tables.columns(cumulated, ends).chunk(2, dim=-1)
            means.append(tables.smoothed(until - before_it, dim=2))
        self._copies = torch.stack(means, dim=-1)  # [batch, 2, 1 + time, 7]
        back = tables.steps_back(periods)[..., None]
        reads = [self.totals]  # 0 steps back
        for i, part in enumerate(tables.READ_AT[1:], start=1):
            reads.append(tables.columns(self.totals[:, :, part], row - back[:, :, i]))
        moves = tables.moves(reads, dim=2)
        self._moves = torch.stack(moves, dim=2)  # [batch, 2, 5, 1 + time]
        lead = period.clamp(max=max(1, block // _PART_OF_BLOCK))
        self._errors = self._cumulated_errors(index, row - lead if by_evidence else None)
        change = (self.sums[0][:, 0, 0] - before[:, 0, 0]).abs()
        pairs = self.sums[0][:, 0, 1] * before[:, 0, 1]
        self._spread = self._spreads(torch.stack((change * pairs, pairs), dim=1))

    def _cumulated_errors(self, before: Tensor, start: Tensor | None) -> Tensor:
        """``[2 * batch, 1 + time, n + 1]``: of copies of one period before, and their number.

        Where evidence is of independent values, two more before the number: products of
        neighbouring errors of the mean of four cycles, and their squares.
        """
        copies = tables.columns(self._copies.transpose(2, 3), before)
        if start is None:
            copies = copies[:, :, : tables.MEANS + 1]
        else:
            copies = torch.cat((copies, self._moved(copies, start)), dim=2)
        now, mask = self.sums[0].split(1, dim=2)
        # All of them over the same times: where there are two of the last four cycles to compare.
        known = mask * (tables.columns(self.sums[1][:, :, 1:], before) > 0)
        errors = (now - copies) * known
        parts = [errors.abs()]
        if self.independent:
            one = errors[:, :, 2:3]
            parts += [torch.nn.functional.pad(one[..., 1:] * one[..., :-1], (1, 0)), one.square()]
        both = torch.cat((*parts, known), dim=2).cumsum(-1)
        return both.flatten(0, 1).transpose(1, 2).contiguous()

    def _moved(self, copies: Tensor, start: Tensor) -> Tensor:
        """``[batch, 2, 5, 1 + time]``: copies with the moves that were known at ``start``."""
        change, *moves = tables.columns(self._moves, start).unbind(2)
        drift = tables.carried(change, torch.ones_like(change))
        of = [copies[:, :, k] for k in (1, 0, 2, 0, 3)]
        return torch.stack([x + move for x, move in zip(of, (drift, *moves), strict=True)], dim=2)

    def records(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """``log_records`` and ``proven``, see `Copies`, of ``[batch, token]``."""
        until = torch.minimum(position, self.last)[:, None] + 1
        recent = (_RECENT_CYCLES * self.periods).clamp_min(_RECENT_VALUES)[..., None]
        ends = torch.cat((until.expand(-1, len(self.periods[0]), -1), until - recent), dim=-1)
        found = tables.rows(self._errors, ends.clamp_min(0).flatten(0, 1))
        found, before = found.view(*ends.shape, -1).chunk(2, dim=2)
        # [all of the history or what is recent, batch, 2, token, n + 1]
        sums = torch.stack((found, found - before))
        count = sums[..., -1:]
        if self.independent:
            sums, products, squares = sums[..., :-1].split((sums.shape[-1] - 3, 1, 1), dim=-1)
            alike = (products / squares.clamp_min(_LEAST**2)).clamp(0, _MOST_ALIKE)
            evidence = count * (1 - alike) / (1 + alike)
            much = -(evidence[..., 0] / _MUCH).log1p()
        else:
            sums, evidence = sums[..., :-1], _EVIDENCE * count
            much = torch.zeros_like(count[..., 0])
        log = (sums / count.clamp_min(1)).clamp_min(_LEAST).log()
        log = torch.where(count > 0, log, torch.inf)
        proven = (_over_the_least(log) * -evidence).softmax(-1)
        least = _over_the_least(log[0, ..., : tables.MEANS + 1])
        records = torch.cat((least, much.movedim(0, -1)), dim=-1)
        return records.transpose(1, 2).flatten(2), proven.permute(1, 3, 0, 2, 4).flatten(3)

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
        token = position[:, None, :, None]
        offset, cycle = (x[:, :, None] for x in tables.same_phase(self.periods, self.block))
        period = self.periods[..., None, None]
        centres = [tables.window_centres(offset, period, period // n) for _, n in tables.WINDOWS]
        where = torch.stack((offset, *centres), dim=-2) + (token + 1)[..., None]
        found = tables.rows(self._copies.flatten(0, 1), where.clamp_min(0).flatten(0, 1))
        found = found.unflatten(0, (-1, len(self.periods[0])))  # [batch, 2, token, 3, block, 7]
        rows = (position + 1)[:, None].expand(-1, len(self.periods[0]), -1)
        change, *moves = tables.columns(self._moves, rows).unbind(2)
        drift = tables.carried(change[..., None], cycle)
        n = tables.MEANS
        smooth = [found[..., 1 + i, :, n + i] for i in range(len(centres))]
        shapes = tables.shapes(found[..., 0, :, :n], smooth, drift)
        return Copies(
            shapes.permute(0, 2, 3, 1, 4).flatten(3),
            torch.stack(moves, dim=-1).transpose(1, 2).flatten(2),
            self.log_spread(position),
            *self.records(position),
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


def _over_the_least(log: Tensor) -> Tensor:
    """Logs of errors over the least of a period: one step and one season ahead do not compare."""
    return (log - log.amin(-1, keepdim=True)).clamp(max=_WORST_RECORD).nan_to_num(0.0)
