"""Configuration of the sampling."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from lagllama_adapters.model.config.checks import (
    check_booleans,
    check_choices,
    check_integers,
    require,
)

__all__ = ["SamplingConfig"]

Rescaling = Literal["frozen", "per_step"]


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How paths continue beyond the block of one token.

    Parameters
    ----------
    rescaling : {"frozen", "per_step"}
        Whether ``loc`` and ``scale`` stay as at forecast start or are re-estimated on the window
        grown by the samples at each step, as the published procedure does.
    path_stride : int
        Every how many sampled steps a path reads its own samples back as a token, counted backwards
        from the end of each block; 1: every step. A token's lags hold the steps between, so that
        weights with dense lags lose nothing by a stride and sample long horizons faster.
    context_stride : int
        Every how many steps the context has a token before its last ``dense_context`` steps, each
        of which has one; 1: every step. Lags and measured seasons hold the steps between here too.
        Training reads every step.
    dense_context : int
        Likewise.
    exact_constants : bool
        Whether the forecast of a series that never changed, of two or more values, is that constant
        exactly.
    path_bounds : bool
        Whether paths stay within an envelope around the extremes of the history, which widens with
        the root of the horizon, and never cross an extreme on which the history often rests.
    bounded_spread : bool
        Whether the spread of a step of a path stays, in units before the asinh of inputs, what it
        is at the extremes of the history where the path is beyond them. Otherwise it grows with the
        distance, and paths of hundreds of steps run away. Needs ``path_bounds``.

    Raises
    ------
    ValueError
        If a value is of another type or outside its domain; the message names the field.
    """

    GROUP: ClassVar[str] = "sampling"

    rescaling: Rescaling = "frozen"
    path_stride: int = 1
    context_stride: int = 1
    dense_context: int = 1
    exact_constants: bool = False
    path_bounds: bool = False
    bounded_spread: bool = False

    def __post_init__(self) -> None:
        check_choices(self, rescaling=Rescaling)
        check_integers(self, 1, "path_stride", "context_stride", "dense_context")
        check_booleans(self, "exact_constants", "path_bounds", "bounded_spread")
        valid = self.path_bounds or not self.bounded_spread
        expected = "False without path_bounds"
        require(valid, self.GROUP, "bounded_spread", self.bounded_spread, expected)

    def context_positions(self, context_length: int) -> tuple[int, ...]:
        """Steps of a context that have a token, from 0, ascending; the last one always does.

        Parameters
        ----------
        context_length : int
            Steps.
        """
        dense = max(0, context_length - self.dense_context)
        before = range(dense - self.context_stride, -1, -self.context_stride)
        return (*before[::-1], *range(dense, context_length))
