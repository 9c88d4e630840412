"""Forecasts of a frozen network, corrected by a regressor of another package."""

import copy
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.evaluation import QUANTILE_LEVELS, window_quantile_losses
from lagllama_adapters.inference.arguments import positive_integer
from lagllama_adapters.inference.insight.reading import refuse_covariates
from lagllama_adapters.inference.options import ForecastOptions
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.choice import Choice, choose
from lagllama_adapters.training.features.rows import FeatureRows, past_windows
from lagllama_adapters.training.hold_out import ORIGINS, hold_out, panel_corpus, window_groups

__all__ = ["FeatureRegression", "Regressor"]

_VALIDATION_WINDOWS = 200
_SHARES = (0.25, 0.5, 0.75, 1.0)

Floats = npt.NDArray[np.floating[Any]]


class Regressor(Protocol):
    """What is asked of a regressor: the interface of scikit-learn."""

    def fit(self, rows: Any, targets: Any, /) -> Any:
        """Learn targets from rows of features."""

    def predict(self, rows: Any, /) -> Any:
        """Targets of rows of features."""


class FeatureRegression:
    """A regressor on embeddings, which corrects the forecasts of a frozen network.

    The series are cut at many points. The rows of the regression are the embeddings of the
    histories; its targets are what the median forecast missed, step by step, in units of the
    distance between the quantiles at 0.1 and 0.9. So the network itself stays as it is, and a
    series may have any level.

    The last steps of the series are held out, as in `finetune`. The correction is applied by a
    share of 0, 0.25, 0.5, 0.75 or 1: what forecasts these steps best, if it does so by more than
    chance (`choose`).

    Parameters
    ----------
    model : LagLlama
        Network; not changed.
    regressor : object with ``fit`` and ``predict``
        Any of scikit-learn or like it; a copy is fitted, the one given stays as it is. One that
        takes several targets predicts all steps at once. Of others each row is a step, whose number
        (from 1) is the last feature.
    horizon : int
        Steps ahead.
    level_parameter : str, optional
        Parameter of the regressor that takes a quantile level, such as "quantile" of
        ``HistGradientBoostingRegressor(loss="quantile", quantile=0.5)``: one copy is fitted for
        each level. None: all quantiles of a step move by what the regressor predicts.
    context_length : int, optional
        Tokens of context; what the weights recommend if None.
    max_windows : int
        Most windows to learn from.
    margin : float
        By how many standard errors corrected forecasts must be better; see `choose`.
    seed : int
        Of the paths.

    Attributes
    ----------
    choice : Choice or None
        The share that was chosen, and by which losses; None before `fit`.

    Raises
    ------
    ValueError
        For counts that are not positive, a context beyond the limit of the weights and a parameter
        that the regressor does not have.
    TypeError
        For a regressor without ``fit`` or ``predict``.
    """

    def __init__(
        self,
        model: LagLlama,
        regressor: Regressor,
        horizon: int,
        *,
        level_parameter: str | None = None,
        context_length: int | None = None,
        max_windows: int = 1000,
        margin: float = 1.0,
        seed: int = 0,
    ) -> None:
        if not all(callable(getattr(regressor, name, None)) for name in ("fit", "predict")):
            raise TypeError(
                f"regressor: got {regressor!r}, expected an object with the methods fit and "
                "predict, such as sklearn.linear_model.Ridge()"
            )
        if level_parameter is not None:
            known = regressor.get_params() if hasattr(regressor, "get_params") else {}
            if level_parameter not in known:
                raise ValueError(
                    f"level_parameter: got {level_parameter!r}, expected a parameter of "
                    f"{regressor!r}, one of {sorted(known)}"
                )
        if not margin >= 0:
            raise ValueError(f"margin: got {margin!r}, expected 0 or more standard errors")
        self.model = model
        self.regressor = regressor
        self.horizon = positive_integer("horizon", horizon)
        self.level_parameter = level_parameter
        self.options = ForecastOptions(context_length=context_length, seed=seed)
        self.options.context_tokens(model.config)
        self.max_windows = positive_integer("max_windows", max_windows)
        self.margin = margin
        self.choice: Choice | None = None
        self._fitted: list[Regressor] = []
        self._steps_are_rows = not _takes_several_targets(regressor)

    def fit(self, panel: Panel) -> Self:
        """Learn from a panel.

        Parameters
        ----------
        panel : Panel
            Series without covariates. ``lagllama_adapters.darts.series_panel`` and
            ``lagllama_adapters.sktime.frame_panel`` make one of a host's data.

        Returns
        -------
        FeatureRegression
            Itself.

        Raises
        ------
        ValueError
            If the series are too short to learn from and hold anything out.
        SeriesError
            For covariates.
        """
        refuse_covariates(panel)
        corpus = panel_corpus(
            panel.targets, [one.start for one in panel], [one.freq for one in panel]
        )
        training, task = hold_out(corpus, self.horizon, _VALIDATION_WINDOWS, origins=ORIGINS)
        self._fitted = self._learn(training, task.horizon)
        rows = FeatureRows.of(self.model, task.panel, task.horizon, self.options)
        missed, total = self._missed(rows.embedding, task.horizon), np.nansum(np.abs(task.future))
        losses = {
            share: window_quantile_losses(self._mixed(rows, missed, share), task.future)
            / (total or 1.0)
            for share in (0.0, *_SHARES)
        }
        self.choice = choose(losses, self.margin, window_groups(task))
        if task.horizon < self.horizon:  # the panel was too short to judge by all steps
            self._fitted = self._learn(corpus, self.horizon)
        return self

    def predict(self, panel: Panel) -> npt.NDArray[np.float64]:
        """Forecast series, those learnt from or others.

        Parameters
        ----------
        panel : Panel
            Series without covariates.

        Returns
        -------
        ndarray
            ``[series, 9, horizon]``: quantiles at levels 0.1 ... 0.9, in data units.

        Raises
        ------
        RuntimeError
            Before `fit`.
        SeriesError
            For covariates.
        """
        if self.choice is None:
            raise RuntimeError("got a regression that has learnt nothing; call fit(panel) first")
        rows = FeatureRows.of(self.model, panel, self.horizon, self.options)
        if self.choice.share == 0:
            return rows.quantiles
        return self._mixed(rows, self._missed(rows.embedding, self.horizon), self.choice.share)

    def _learn(self, training: Corpus, horizon: int) -> list[Regressor]:
        past, future = past_windows(training, horizon, self.max_windows)
        rows = FeatureRows.of(self.model, past, horizon, self.options)
        target = rows.missed(future)
        features: Floats = rows.embedding
        if self._steps_are_rows:
            features, target = _by_step(rows.embedding, horizon), target.reshape(-1, 1)
        is_known = np.isfinite(target).all(axis=1)
        if not is_known.any():
            raise ValueError(
                f"got {len(past)} windows, expected some without missing values after the cut and "
                "with a forecast that has a spread; fill gaps, or take a regressor of one target"
            )
        features, target = features[is_known], target[is_known]
        target = target.ravel() if self._steps_are_rows else target
        if self.level_parameter is None:
            return [copy.deepcopy(self.regressor).fit(features, target)]
        fitted = []
        for level in QUANTILE_LEVELS:
            one: Any = copy.deepcopy(self.regressor)
            one.set_params(**{self.level_parameter: level})
            fitted.append(one.fit(features, target))
        return fitted

    def _missed(self, embedding: npt.NDArray[np.float32], horizon: int) -> Floats:
        """``[series, horizon]`` or ``[series, 9, horizon]``, in units."""
        features = _by_step(embedding, horizon) if self._steps_are_rows else embedding
        predicted = [
            np.asarray(one.predict(features), dtype=np.float64).reshape(len(embedding), horizon)
            for one in self._fitted
        ]
        return predicted[0] if self.level_parameter is None else np.stack(predicted, axis=1)

    @staticmethod
    def _mixed(rows: FeatureRows, missed: Floats, share: float) -> npt.NDArray[np.float64]:
        return np.asarray((1 - share) * rows.quantiles + share * rows.corrected(missed))


def _by_step(embedding: Floats, horizon: int) -> Floats:
    """``[series * horizon, d_model + 1]``: each row once for every step."""
    step = np.tile(np.arange(1, horizon + 1), len(embedding))
    return np.column_stack((embedding.repeat(horizon, axis=0), step))


def _takes_several_targets(regressor: Regressor) -> bool:
    tags = getattr(regressor, "__sklearn_tags__", None)
    return bool(tags is not None and tags().target_tags.multi_output)
