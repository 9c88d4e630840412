"""Settings and report of fine-tuning."""

import os
from dataclasses import dataclass

from lagllama_adapters.training.adaptation import MODES, Adaptation
from lagllama_adapters.training.loop import LoopSettings
from lagllama_adapters.training.optimization import OptimizerName, OptimizerSettings

__all__ = ["FinetuneReport", "FinetuneSettings"]


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(LoopSettings):
    """How a network is fine-tuned.

    Parameters
    ----------
    mode : {"full", "head"}
        Which weights are trained: all, or those of the head, which turns the state of a token into
        a distribution.
    steps : int
        Most steps of the optimizer.
    batch_size : int
        Windows per step.
    optimizer : {"muon", "adamw"}
        See `OptimizerSettings`. Weights that Muon has pretrained are best tuned with it.
    learning_rate, weight_decay : float
        The rate rises over the first tenth of ``steps`` and falls over the last three tenths.
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
        Validations without a new best loss after which training stops.
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
        For an unknown mode or optimizer and for numbers that are not positive.
    """

    mode: str = "full"
    steps: int = 500
    batch_size: int = 32
    optimizer: OptimizerName = "muon"
    learning_rate: float = 2e-4
    weight_decay: float = 0.01
    ema_decay: float = 0.98
    horizon: int = 24
    validation_windows: int = 200
    validate_every: int = 25
    patience: int = 4
    folder: str | os.PathLike[str] | None = None
    progress_bar: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.adaptation()
        self.check_counts("steps", "horizon", "validation_windows", "patience")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate: got {self.learning_rate!r}, expected more than 0")
        self.optimization()

    def adaptation(self) -> Adaptation:
        """What is trained."""
        if self.mode not in MODES:
            expected = " or ".join(map(repr, MODES))
            raise ValueError(f"mode: got {self.mode!r}, expected {expected}")
        return MODES[self.mode]()

    def optimization(self) -> OptimizerSettings:
        """Optimizer and schedule."""
        return OptimizerSettings(
            name=self.optimizer,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            steps=self.steps,
        )


@dataclass(frozen=True)
class FinetuneReport:
    """What fine-tuning came to.

    Attributes
    ----------
    mode : {"full", "head"}
        Which weights were trained.
    losses : tuple of (int, float)
        Step and weighted quantile loss of the validation windows; the first entry, of step 0, is
        that of the weights given.
    best_step : int
        Step whose weights were kept; 0: those given.
    windows, horizon : int
        Number of validation windows, and their steps.
    """

    mode: str
    losses: tuple[tuple[int, float], ...]
    best_step: int
    windows: int
    horizon: int

    @property
    def kept(self) -> str:
        """``"tuned"``, or ``"given"`` where tuning did not lower the validation loss."""
        return "tuned" if self.best_step else "given"

    @property
    def loss_before(self) -> float:
        """Validation loss of the weights given."""
        return self.losses[0][1]

    @property
    def loss_after(self) -> float:
        """Validation loss of the weights kept, at most `loss_before`."""
        return dict(self.losses)[self.best_step]
