"""Settings and report of fine-tuning."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from lagllama_adapters.training.adaptation import Adaptation, Covariates, Spec, adaptation
from lagllama_adapters.training.choice import Choice
from lagllama_adapters.training.loop import LoopSettings
from lagllama_adapters.training.optimization import (
    COVARIATE_RATE,
    OptimizerName,
    OptimizerSettings,
)

__all__ = ["FinetuneReport", "FinetuneSettings"]


# Where the number of steps is not given.
_TIMES_SHOWN, _LEAST_STEPS, _MOST_STEPS = 8, 150, 500


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(LoopSettings):
    """How a network is fine-tuned.

    Parameters
    ----------
    mode : {"full", "head", "last_layers", "lora", "bias", "covariates"} or mapping
        What is trained: all weights; those of the head, which turns the state of a token into a
        distribution; the last blocks and the head; low-rank updates, merged at the end; biases and
        gains of norms; parts that read covariates, which all other modes train as well where the
        panel has some. ``{word: options}`` has options of the way, such as
        ``{"lora": {"rank": 8}}`` or ``{"last_layers": {"k": 2}}``: see `LastLayers` and `Lora`.
    steps : int, optional
        Most steps of the optimizer. None: as many as show each observed value about eight times,
        150 at least and 500 at most; see `steps_for`.
    batch_size : int
        Windows per step.
    optimizer : {"muon", "adamw"}
        See `OptimizerSettings`. Weights that Muon has pretrained are best tuned with it.
    learning_rate : float, optional
        Rises over the first tenth of ``steps`` and falls over the last three tenths. None: 4e-4,
        2e-3 where few weights are trained (``"lora"`` and ``"bias"``), and 1e-2 for
        ``"covariates"``, which in other modes have that rate whatever is given here.
    weight_decay : float
        Of matrices.
    gradient_clip : float or None
        Largest norm of the gradient; None: no limit.
    ema_decay : float
        Decay of the averaged weights, which are the ones judged and kept.
    rollout_length : int
        Tokens of a window beyond the context, so that the network also learns to go on from a loc
        and scale that are some steps old.
    history_discount : float
        See ``discount`` of `window_loss`.
    horizon : int
        Steps ahead by which the network is judged; see `hold_out`.
    validation_windows : int
        Most windows by which it is judged.
    validate_every : int
        Steps between validations.
    patience : int
        Validations without a new best loss after which training stops. Many gains come only when
        the rate falls.
    margin : float
        By how many standard errors, over the validation windows, tuned weights must be better than
        those given to be kept; 0: any gain is enough. With less than 8 windows those given are kept
        unless it is 0.
    mix : bool
        Whether weights on the line from those given to those tuned are candidates too.
    history_fraction : float
        Share of each series, its end, that is tuned on, in (0, 1].
    n_series : int, optional
        Most series, evenly spread over the panel; None: all.
    past_covariates : sequence of str
        Covariates that forecasts will know up to now only, although the series have them as known
        ahead.
    precision : {"auto", "float32", "bfloat16"}
        See `LoopSettings`; bfloat16 takes half the time on a CPU with instructions for it.
    seed : int
        Of windows, and of the paths of validation forecasts.
    folder : path, optional
        Where the state of the run is kept after each validation: if the run is interrupted, the
        next call goes on from there. A run that ends leaves nothing there.
    progress_bar : bool
        Whether to show one.

    Raises
    ------
    ValueError
        For an unknown mode or optimizer and for numbers out of range.
    """

    mode: Spec = "full"
    steps: int | None = None
    batch_size: int = 16
    optimizer: OptimizerName = "muon"
    learning_rate: float | None = None
    weight_decay: float = 0.01
    ema_decay: float = 0.98
    horizon: int = 24
    validation_windows: int = 200
    validate_every: int = 25
    patience: int = 8
    margin: float = 1.0
    mix: bool = True
    history_fraction: float = 1.0
    n_series: int | None = None
    past_covariates: Sequence[str] = ()
    folder: str | os.PathLike[str] | None = None
    progress_bar: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.adaptation()
        self.check_counts("horizon", "validation_windows", "patience")
        self.check_counts(*(x for x in ("steps", "n_series") if getattr(self, x) is not None))
        names = self.past_covariates
        is_list = isinstance(names, Sequence) and not isinstance(names, str)
        if not is_list or not all(isinstance(name, str) for name in names):
            raise ValueError(f"past_covariates: got {names!r}, expected a list of names")
        object.__setattr__(self, "past_covariates", tuple(names))
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise ValueError(f"learning_rate: got {self.learning_rate!r}, expected more than 0")
        if not self.margin >= 0:
            raise ValueError(f"margin: got {self.margin!r}, expected 0 or more standard errors")
        if not 0 < self.history_fraction <= 1:
            raise ValueError(
                f"history_fraction: got {self.history_fraction!r}, expected more than 0 and at "
                "most 1, the whole history"
            )
        self.optimization()

    def adaptation(self) -> Adaptation:
        """What is trained."""
        try:
            chosen = adaptation(self.mode)
        except ValueError as error:
            raise ValueError(f"mode: {error}") from error
        if chosen is None:
            raise ValueError(f"mode: got {self.mode!r}, expected something that is trained")
        return chosen

    def steps_for(self, observed: int, tokens: int) -> int:
        """Most steps of a tuning.

        Small panels are learned by heart in as many steps as large ones need.

        Parameters
        ----------
        observed : int
            Values that are trained on.
        tokens : int
            Of a window.
        """
        if self.steps is not None:
            return self.steps
        enough = _TIMES_SHOWN * observed // (self.batch_size * tokens)
        return min(max(enough, _LEAST_STEPS), _MOST_STEPS)

    def optimization(self) -> OptimizerSettings:
        """Optimizer and schedule."""
        chosen = self.adaptation()
        rate = chosen.learning_rate if self.learning_rate is None else self.learning_rate
        return OptimizerSettings(
            name=self.optimizer,
            learning_rate=rate,
            covariate_rate=rate if isinstance(chosen, Covariates) else COVARIATE_RATE,
            weight_decay=self.weight_decay,
            steps=_MOST_STEPS if self.steps is None else self.steps,
        )


@dataclass(frozen=True)
class FinetuneReport:
    """What fine-tuning came to.

    Attributes
    ----------
    mode : str or mapping
        What was trained.
    losses : tuple of (int, float)
        Step and weighted quantile loss of the validation windows; the first entry, of step 0, is
        that of the weights given.
    best_step : int
        Step of the best weights of training; 0: none were better than those given.
    windows, horizon : int
        Number of validation windows, and their steps.
    choice : Choice
        Between the weights given, the best ones and their mixtures.
    """

    mode: Spec
    losses: tuple[tuple[int, float], ...]
    best_step: int
    windows: int
    horizon: int
    choice: Choice

    @property
    def share(self) -> float:
        """Of the tuned weights in those kept, 0 (those given) to 1."""
        return self.choice.share

    @property
    def kept(self) -> str:
        """``"tuned"``, ``"mixed"``, or ``"given"`` where tuning was not better by the margin."""
        return {0.0: "given", 1.0: "tuned"}.get(self.share, "mixed")

    @property
    def loss_before(self) -> float:
        """Validation loss of the weights given."""
        return self.losses[0][1]

    @property
    def loss_after(self) -> float:
        """Validation loss of the weights kept, at most `loss_before`."""
        return self.choice.loss
