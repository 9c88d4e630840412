"""Compare models on series."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lagllama_adapters.comparison.cases import Case, Plan, Point, build_cases
from lagllama_adapters.comparison.collection import collect
from lagllama_adapters.comparison.hosts import Host, HostName, load_host
from lagllama_adapters.comparison.outcome import Backtest, Failure
from lagllama_adapters.comparison.result import Comparison
from lagllama_adapters.comparison.specs import DEFAULT_MODELS, ModelSpec, parse_models
from lagllama_adapters.data.files import FileSettings

__all__ = ["Progress", "compare"]

Progress = Callable[[int, int, str], None]
"""Called with forecasts done, all of them, and the model at work."""


def compare(
    series: Any,
    horizon: int | Mapping[str, int],
    models: str | Sequence[Any] | Mapping[str, Any] = DEFAULT_MODELS,
    *,
    host: HostName = "darts",
    origins: int = 3,
    stride: int | None = None,
    season_length: int | None = None,
    min_history: int | None = None,
    num_samples: int = 200,
    seed: int = 0,
    checkpoint: str = "base",
    pooled: bool = True,
    trained_once: Sequence[str] = (),
    point: Point = "median",
    baseline: str | None = None,
    files: FileSettings | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Backtest models on series, by a host's own models and metrics.

    Each series is forecast from its last origins: what precedes an origin is known, what follows is
    compared with the forecast. Models of single series are fitted anew at each origin. Models that
    learn from many, and tuning, are trained once, on what precedes the first origins.

    Parameters
    ----------
    series : mapping, sequence, DataFrame, Series, TimeSeries, Panel, path or paths
        A dictionary or list of pandas series, Darts ``TimeSeries``, arrays or `Series`; a frame
        with a column per series, in long form, or with series in its row index as sktime has them;
        files and folders as for ``lagllama forecast``. Columns and components are compared as
        series of their own.
    horizon : int or mapping of str to int
        Steps ahead, for all series or by their names.
    models : str, sequence or mapping
        Words: ``"zero-shot"``, ``"tuned"``, ``"seasonal-naive"``, ``"auto-arima"``, ``"auto-ets"``,
        ``"auto-theta"`` (these three by statsforecast: ``pip install
        "lagllama_adapters[compare]"``), ``"deepar"``. With an option: ``"tuned:lora"``,
        ``"zero-shot:published"`` or a folder of weights. Models of the host: objects, functions of
        a `Setting` that return one, import paths such as
        ``"darts.models.Theta(season_mode=None)"``, whose arguments are literals or fields of a
        `Setting`. A mapping, or ``"name=model"``, gives names.
    host : {"darts", "sktime"}
        Whose models and metrics.
    origins : int, default 3
        Most forecasts of each series; the last ends with the series.
    stride : int, optional
        Steps from one origin to the next. None: the horizon.
    season_length : int, optional
        Steps of a season, for all series. None: by frequency (24 for hours, 12 for months, 1 for
        years and for series without a calendar).
    min_history : int, optional
        Fewest steps before an origin. None: two seasons, and 8 at least.
    num_samples : int, default 200
        Paths of a forecast, where the host draws some.
    seed : int, default 0
        Of paths and of trainings.
    checkpoint : str, default "base"
        Weights of Lag-Llama.
    pooled : bool, default True
        Whether models that are trained once learn from all series of a season together, or from
        each one alone.
    trained_once : sequence of str, optional
        Names of other models of sktime that are fitted once, on what precedes the first origins,
        and from then on told what came (``update(update_params=False)``). Series of the same times,
        such as those of a panel, are one panel to them, unless ``pooled`` is False. Darts' models
        are trained once if they are global, and no others can be.
    point : {"median", "host"}, default "median"
        Which forecast MASE judges: the median, which is the best one by absolute errors, or what
        the host's own backtest takes. That is sktime's ``predict``, a mean for many models; for
        Darts it is the median.
    baseline : str, optional
        Name of the model by which scores are divided. None: the seasonal naive forecast, else the
        first model.
    files : FileSettings, optional
        How files and frames are read.
    progress : callable, optional
        Called with the number of pairs of series and model that are done, that of all, and the name
        of the model at work.

    Returns
    -------
    Comparison
        Also of models that failed on some series or on all, with their errors.

    Raises
    ------
    ValueError
        If an argument is out of range, a model is unknown, or no series can be used.
    TypeError
        If series or models are of no known kind.
    ImportError
        If the host, or what a model needs, is not installed.
    FileNotFoundError
        If a path does not exist.

    Notes
    -----
    Figures are those of the host. Darts counts the quantile loss twice as high as sktime. Points
    for ``mase`` are medians. A forecast without a distribution counts as certain.
    """
    if isinstance(horizon, Mapping):
        horizons, longest = horizon, max(horizon.values(), default=0)
    else:
        horizons, longest = None, horizon
    plan = Plan(
        horizon=longest,
        origins=origins,
        stride=stride,
        season_length=season_length,
        min_history=min_history,
        num_samples=num_samples,
        seed=seed,
        checkpoint=checkpoint,
        pooled=pooled,
        point=point,
    )
    specs = _trained_once(parse_models(models), trained_once)
    runner = load_host(host)
    for spec in specs:
        runner.check(spec)
    reference = _baseline(specs, baseline)
    found, faults = collect(series, files or FileSettings())
    _check_horizons(horizons, [str(one.item_id) for one in found], plan)
    cases, short = build_cases(found, plan, horizons)
    outcomes: dict[tuple[str, str], Backtest | Failure] = {}
    total = len(cases) * len(specs)
    for spec in specs:
        if progress is not None:
            progress(len(outcomes), total, spec.label)
        for case, outcome in _backtests(runner, spec, cases, plan):
            outcomes[case.name, spec.label] = outcome
            if progress is not None:
                progress(len(outcomes), total, spec.label)
    return Comparison(
        models=tuple(spec.label for spec in specs),
        cases=tuple(cases),
        outcomes=outcomes,
        faults=(*faults, *short),
        baseline=reference,
        settings={
            "host": host,
            "models": {spec.label: spec.description for spec in specs},
            "trained_once": [spec.label for spec in specs if spec.is_trained_once],
            "baseline": reference,
            **asdict(plan),
            "horizon": plan.horizon if horizons is None else dict(horizons),
        },
        versions=_versions(runner.libraries),
    )


def _backtests(
    host: Host, spec: ModelSpec, cases: Sequence[Case], plan: Plan
) -> Iterator[tuple[Case, Backtest | Failure]]:
    """By season and horizon: what is trained on many series is told one."""
    groups: dict[tuple[int, str | None, int], list[Case]] = {}
    for case in cases:
        groups.setdefault((case.season, case.freq, case.horizon), []).append(case)
    for (_, _, horizon), alike in groups.items():
        yield from host.backtest(spec, alike, replace(plan, horizon=horizon))


def _check_horizons(horizons: Mapping[str, int] | None, names: Sequence[str], plan: Plan) -> None:
    if horizons is None:
        return
    if missing := [name for name in names if name not in horizons]:
        raise ValueError(
            f"horizon: got none for {missing[:3]}, expected one for each series; give them all, or "
            "one number"
        )
    for steps in horizons.values():
        replace(plan, horizon=steps)  # which checks it


def _trained_once(specs: Sequence[ModelSpec], names: Sequence[str]) -> list[ModelSpec]:
    names = [names] if isinstance(names, str) else names
    labels = [spec.label for spec in specs]
    if unknown := [name for name in names if name not in labels]:
        raise ValueError(f"trained_once: got {unknown}, expected names of the models {labels}")
    return [replace(spec, is_trained_once=spec.label in names) for spec in specs]


def _baseline(specs: Sequence[ModelSpec], named: str | None) -> str:
    labels = [spec.label for spec in specs]
    if named is None:
        naive = [spec.label for spec in specs if spec.word == "seasonal-naive"]
        return naive[0] if naive else labels[0]
    for spec in specs:
        if named in (spec.label, spec.description):
            return spec.label
    raise ValueError(f"baseline: got {named!r}, expected one of the models {labels}")


def _versions(libraries: Sequence[str]) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("lagllama-adapters", *libraries):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
