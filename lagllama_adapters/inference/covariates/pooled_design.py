"""Features that the series of a pool share: columns at lags, by static covariates, and curves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lagllama_adapters.data.panel import Panel
from lagllama_adapters.data.series import Series, SeriesError
from lagllama_adapters.inference.covariates.columns import Column, named_columns, word_levels
from lagllama_adapters.inference.covariates.design import lagged
from lagllama_adapters.inference.covariates.static import StaticNumbers, names_of

__all__ = ["PooledDesign"]

Floats = npt.NDArray[np.float64]
_LAGS = (0,)
_PAST_LAGS = (1, 2, 3)
_KNOTS = (1 / 3, 2 / 3)
_MOST_FEATURES = 200


@dataclass(frozen=True)
class PooledDesign:
    """Which features there are, in this order.

    Attributes
    ----------
    levels : tuple of (str, tuple of str)
        Words of the covariates that are words.
    past, known : tuple of (str, int)
        Columns at lags: known up to now, and known ahead.
    static : StaticNumbers
        Times each column that is known ahead; of mean 0 within a series, they are no features by
        themselves.
    knots : tuple of (str, float)
        Columns that are known ahead, where lines through them break.
    logs : tuple of (str, float)
        Columns of which the logarithm is read, from some least value on: prices of goods that cost
        more or less have effects in common by their relative changes.
    """

    levels: tuple[tuple[str, tuple[str, ...]], ...]
    past: tuple[tuple[str, int], ...]
    known: tuple[tuple[str, int], ...]
    static: StaticNumbers
    knots: tuple[tuple[str, float], ...]
    logs: tuple[tuple[str, float], ...] = ()

    @classmethod
    def candidates(cls, panel: Panel, lags: Sequence[int] | None) -> list["PooledDesign"]:
        """Designs of the covariates of a panel: as they are, and logarithms where there are some.

        Parameters
        ----------
        panel : Panel
            Series with covariates or without.
        lags : sequence of int, optional
            At which columns are read; None: 0 for those known ahead, 1 to 3 for others.

        Raises
        ------
        SeriesError
            See `panel_columns` and `StaticNumbers.of`; if a name is known ahead in one series and
            not in another; if there are static covariates and nothing is known ahead.
        ValueError
            If there are more than 200 features.
        """
        levels = word_levels(panel)
        past: dict[str, list[Floats]] = {}
        known: dict[str, list[Floats]] = {}
        kinds: dict[str, tuple[bool, bool]] = {}
        for position, series in enumerate(panel):
            try:
                both = named_columns(series, None, levels)
                for name in {**both[0], **both[1]}:
                    kind = name in both[0], name in both[1]
                    if kinds.setdefault(name, kind) != kind:
                        raise SeriesError(
                            f"covariates: got {name!r} as a past covariate in some series and as a "
                            "future one in others, expected the same in all series of a pool"
                        )
            except SeriesError as error:
                raise SeriesError(error.reason, position, series.item_id) from error
            for values, columns in zip((past, known), both, strict=True):
                for name, column in columns.items():
                    values.setdefault(name, []).append(column.values[: len(series)])
        if not known and names_of(panel):
            raise ValueError(
                f"static_covariates: got {names_of(panel)} without a covariate that is known "
                "ahead, expected some future_covariates: what does not change within a series is "
                "in its level, and can only tell how strong the effects of others are; leave them "
                "out"
            )
        ahead = _LAGS if lags is None else tuple(lags)
        before = _PAST_LAGS if lags is None else tuple(lag for lag in lags if lag > 0)
        knots, logs = [], []
        for values in (past, known):
            for name, parts in values.items():
                together = np.unique(np.concatenate(parts))
                if len(together) > 2 and together[0] > 0:
                    logs.append((name, float(together[0])))
        for name, parts in known.items():
            together = np.concatenate(parts)
            if len(np.unique(together)) > 2:
                points = np.unique(np.quantile(together, _KNOTS))
                knots += [(name, float(knot)) for knot in points]
        design = cls(
            tuple((name, tuple(words)) for name, words in levels.items()),
            tuple((name, lag) for name in past for lag in before),
            tuple((name, lag) for name in known for lag in ahead),
            StaticNumbers.of(panel),
            tuple(knots),
        )
        if design.sizes and design.sizes[-1] > _MOST_FEATURES:
            raise ValueError(
                f"covariates: got {len(design.past)} past and {len(design.known)} future columns, "
                f"lags and words counted, and {len(design.static)} static ones, which make "
                f"{design.sizes[-1]} features, expected at most {_MOST_FEATURES} in a pool; leave "
                "some out, or group words"
            )
        return [design, design._with_logs(tuple(logs))] if logs else [design]

    def _with_logs(self, logs: tuple[tuple[str, float], ...]) -> "PooledDesign":
        names = {name for name, _ in logs}
        knots = ((name, float(np.log(x)) if name in names else x) for name, x in self.knots)
        return replace(self, logs=logs, knots=tuple(knots))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the designs that there are: how many of the first features belong to each."""
        linear = len(self.past) + len(self.known)
        crossed = linear + len(self.static) * len(self.known)
        return tuple(sorted({linear, crossed, crossed + len(self.knots)} - {0}))

    def features(self, series: Series, horizon: int | None) -> Floats:
        """Features of a series, in their own units.

        Parameters
        ----------
        series : Series
            One of the pool, or another; what it lacks is 0.
        horizon : int, optional
            Steps ahead; None: none, though what is known ahead counts for leads.

        Returns
        -------
        ndarray
            ``[history + horizon, feature]``, NaN where a step is not known.

        Raises
        ------
        SeriesError
            See `panel_columns` and `StaticNumbers.of_series`.
        """
        both = named_columns(series, horizon, dict(self.levels))
        past, known = (self._logarithms(columns) for columns in both)
        steps = len(series) + (horizon or 0)
        history = len(series)
        first = [_at_lag(past, name, lag, steps) for name, lag in self.past]
        linear = [_at_lag(known, name, lag, steps) for name, lag in self.known]
        crossed = []
        for number in self.static.of_series(series).tolist():
            # Around the mean of the series, or steps without a past would count by its level.
            crossed += [number * (column - _mean(column[:history])) for column in linear]
        curves = [
            (_at_lag(known, name, 0, steps) - knot).clip(min=0) if name in known else _none(steps)
            for name, knot in self.knots
        ]
        columns = [*first, *linear, *crossed, *curves]
        return np.stack(columns, axis=1) if columns else np.zeros((steps, 0))

    def _logarithms(self, columns: Mapping[str, Column]) -> dict[str, Column]:
        changed = dict(columns)
        for name, least in self.logs:
            if name in columns:
                values = np.log(columns[name].values.clip(min=least))
                changed[name] = replace(columns[name], values=values)
        return changed


def _at_lag(columns: Mapping[str, Column], name: str, lag: int, steps: int) -> Floats:
    if name not in columns:
        return _none(steps)
    return lagged(columns[name].values, lag, max(steps, len(columns[name].values)))[:steps]


def _none(steps: int) -> Floats:
    return np.zeros(steps)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
