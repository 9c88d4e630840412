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
        self._copies = torch.stack(means, dim=2)  # [batch, 2, 7, 1 + time]
        back = tables.steps_back(periods)[..., None]
        reads = [self.totals]  # 0 steps back
        for i, part in enumerate(tables.READ_AT[1:], start=1):
            reads.append(tables.columns(self.totals[:, :, part], row - back[:, :, i]))
        moves = tables.moves(reads, dim=2)
        self._moves = torch.stack(moves, dim=2)  # [batch, 2, 5, 1 + time]
        lead = period.clamp(max=max(1, block // _PART_OF_BLOCK))
        self._errors, self._evidence = self._judged(index, row - lead if by_evidence else None)
        change = (self.sums[0][:, :1, :1] - before[:, :1, :1]).abs()
        pairs = self.sums[0][:, :1, 1:] * before[:, :1, 1:]
        self._near, self._changes = self._spreads(torch.cat((change * pairs, pairs), dim=2), row)

    def _judged(self, before: Tensor, start: Tensor | None) -> tuple[Tensor, Tensor]:
        """Errors of copies of one period before, and how many there are, cumulated over time.

        ``[batch, 2, n, 1 + time]`` and ``[batch, 2, 1, 1 + time]``; where evidence is of
        independent values, products of neighbouring errors of the mean of four cycles and their
        squares come before the number.
        """
        if start is None:
            copies = tables.columns(self._copies[:, :, : tables.MEANS + 1], before)
        else:
            copies = tables.columns(self._copies, before)
            copies = torch.cat((copies, *self._moved(copies, start)), dim=2)
        now, mask = self.sums[0].split(1, dim=2)
        # All of them over the same times: where there are two of the last four cycles to compare.
        known = mask * (tables.columns(self.sums[1][:, :, 1:], before) > 0)
        # In place: long histories have megabytes here, which cost as much to allocate as to fill.
        errors, evidence = (now - copies).mul_(known), known
        if self.independent:
            one = errors[:, :, 2:3].clone()
            neighbours = torch.nn.functional.pad(one[..., 1:] * one[..., :-1], (1, 0))
            evidence = torch.cat((neighbours, one.square(), known), dim=2)
        return errors.abs_().cumsum_(-1), evidence.cumsum(-1)

    def _moved(self, copies: Tensor, start: Tensor) -> list[Tensor]:
        """``[batch, 2, 1, 1 + time]`` each: copies with the moves that were known at ``start``."""
        change, *moves = tables.columns(self._moves, start).split(1, dim=2)
        drift = tables.carried(change, torch.ones_like(change))
        of = (copies[:, :, k : k + 1] for k in (1, 0, 2, 0, 3))
        return [x + move for x, move in zip(of, (drift, *moves), strict=True)]

    def records(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """``log_records`` and ``proven``, see `Copies`, of ``[batch, token]``."""
        until = torch.minimum(position, self.last)[:, None] + 1
        recent = (_RECENT_CYCLES * self.periods).clamp_min(_RECENT_VALUES)[..., None]
        ends = torch.cat((until.expand(-1, len(self.periods[0]), -1), until - recent), dim=-1)
        # [all of the history or what is recent, batch, 2, n, token]
        sums, evidence = (_until(table, ends) for table in (self._errors, self._evidence))
        count = evidence[..., -1:, :]
        if self.independent:
            products, squares = evidence[..., :1, :], evidence[..., 1:2, :]
            alike = (products / squares.clamp_min(_LEAST**2)).clamp(0, _MOST_ALIKE)
            evidence = count * (1 - alike) / (1 + alike)
            much = -(evidence / _MUCH).log1p()
        else:
            evidence = _EVIDENCE * count
            much = torch.zeros_like(count)
        log = (sums / count.clamp_min(1)).clamp_min(_LEAST).log()
        log = torch.where(count > 0, log, torch.inf)
        proven = (_over_the_least(log) * -evidence).softmax(-2)
        least = _over_the_least(log[0, :, :, : tables.MEANS + 1])
        records = torch.cat((least, *much), dim=2)
        return records.permute(0, 3, 1, 2).flatten(2), proven.permute(1, 4, 0, 2, 3).flatten(3)

    def _spreads(self, change: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
        """Sum and number of the last changes near a phase, and cumulated over time.

        ``[batch, 1, 2, 1 + time]`` each, as ``change``: absolute changes to one period before and
        whether there is one.
        """
        total, period = change, self.periods[:, :1, None]
        for k in range(1, _SPREAD_CYCLES):
            total = total + tables.columns(change, row - k * period)
        # Few cycles tell little of one phase: of three neighbouring ones.
        near = total + torch.nn.functional.pad(total[..., :-1], (1, 0))
        near = near + torch.nn.functional.pad(total[..., 1:], (0, 1))
        return near, total.cumsum(-1)

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
        found = tables.columns(self._copies, where.flatten(2))
        found = found.unflatten(-1, where.shape[2:])  # [batch, 2, 7, token, 3, block]
        rows = (position + 1)[:, None].expand(-1, len(self.periods[0]), -1)
        change, *moves = tables.columns(self._moves, rows).unbind(2)
        drift = tables.carried(change[..., None], cycle)
        n = tables.MEANS
        smooth = [found[:, :, n + i, :, 1 + i] for i in range(len(centres))]
        shapes = tables.shapes(found[:, :, :n, :, 0].movedim(2, -1), smooth, drift)
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
        found = tables.columns(self._near, (phase + 1).flatten(1)[:, None])
        total, number = found[:, 0].unflatten(-1, phase.shape[1:]).unbind(1)
        spread = total / number.clamp_min(1)
        # The mean over all phases of the same cycles.
        ends = torch.cat((until + 1, until + 1 - period), dim=1)
        _, cycles = _until(self._changes, ends.mT)
        total, of = cycles[:, 0].unbind(1)
        mean = (total / of.clamp_min(1)).clamp_min(_LEAST)[..., None]
        relative = (spread / mean).clamp(_FLOOR, 1 / _FLOOR)
        known = (number > 0) & (period > 1)
        return torch.where(known, relative.log(), 0.0)


def _until(cumulated: Tensor, ends: Tensor) -> Tensor:
    """``[2, batch, m, n, token]``: what was cumulated until each first end, and since the second.

    ``ends`` is ``[batch, m, 2 * token]``, the first ones of all tokens before the second ones.
    """
    found, before = tables.columns(cumulated, ends).chunk(2, dim=-1)
    return torch.stack((found, found - before))


def _over_the_least(log: Tensor) -> Tensor:
    """Logs of errors over the least of a period: one step and one season ahead do not compare."""
    return (log - log.amin(-2, keepdim=True)).clamp(max=_WORST_RECORD).nan_to_num(0.0)
