"""How much history tuning takes: losses on test windows by the share of it that is tuned on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from lagllama_adapters.data.corpus import Corpus
from lagllama_adapters.evaluation import SCORING, ForecastTask, score_task
from lagllama_adapters.inference import ForecastOptions, LagLlamaPredictor
from lagllama_adapters.model import LagLlama
from lagllama_adapters.training.finetuning import FinetuneSettings, finetune
from lagllama_adapters.training.hold_out import panel_corpus

__all__ = ["FewShot", "before_the_test", "few_shot_curve"]


@dataclass(frozen=True)
class FewShot:
    """A point of the curve.

    Attributes
    ----------
    name : str
        Data set.
    fraction : float
        Share of the history tuned on; 0: zero-shot.
    wql, relative_wql : float
        Weighted quantile loss of the test windows, and over that of the seasonal naive forecast.
    ratio : float
        Over that of the zero-shot forecast.
    kept : {"given", "mixed", "tuned"}
        See `FinetuneReport`; "given" for the fraction 0.
    """

    name: str
    fraction: float
    wql: float
    relative_wql: float
    ratio: float
    kept: str


def before_the_test(corpus: Corpus, task: ForecastTask) -> Corpus:
    """The series of a data set up to the first window by which they are tested.

    Parameters
    ----------
    corpus : Corpus
        That ``task`` was cut from.
    task : ForecastTask
        Of `build_tasks`.
    """
    windows: dict[str, int] = {}
    for window in task.panel.item_id or ():
        name, number = str(window).rsplit("/", 1)
        windows[name] = max(windows.get(name, 0), int(number))
    members = [
        i
        for i, (dataset, name) in enumerate(zip(corpus.dataset, corpus.item_id, strict=True))
        if dataset == task.name and name in windows
    ]
    return panel_corpus(
        [corpus[i][: -windows[corpus.item_id[i]] * task.horizon] for i in members],
        [corpus.start[i] for i in members],
        [corpus.freq[i] for i in members],
    )


def few_shot_curve(
    model: LagLlama,
    corpus: Corpus,
    task: ForecastTask,
    settings: FinetuneSettings,
    fractions: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    options: ForecastOptions = SCORING,
) -> Iterator[FewShot]:
    """Tune on more and more of the history, as the paper has it (arXiv 2310.08278, table 2).

    Of each series the end of the history is tuned on, validation included; the test windows come
    after it, and are forecast with all their history whatever the fraction.

    Parameters
    ----------
    model : LagLlama
        Where each tuning starts from; not changed.
    corpus : Corpus
        That ``task`` was cut from.
    task : ForecastTask
        Its windows are those tested.
    settings : FinetuneSettings
        How to tune; the horizon is that of the task.
    fractions : sequence of float
        In [0, 1].
    options : ForecastOptions, default `SCORING`
        How the test windows are forecast.

    Yields
    ------
    FewShot
        In the order of the fractions.

    Raises
    ------
    ValueError
        If a fraction is beyond [0, 1], before anything is tuned.
    """
    for fraction in fractions:
        if not 0 <= fraction <= 1:
            raise ValueError(f"fractions: got {fraction!r}, expected numbers from 0 to 1")
    history = before_the_test(corpus, task)
    zero_shot, _ = score_task(LagLlamaPredictor(model), task, options)
    for fraction in fractions:
        kept, score = "given", zero_shot
        if fraction > 0:
            chosen = replace(settings, horizon=task.horizon, history_fraction=fraction)
            tuned, report = finetune(model, history, chosen)
            kept = report.kept
            if kept != "given":
                score, _ = score_task(LagLlamaPredictor(tuned), task, options)
        ratio = score.wql / zero_shot.wql
        yield FewShot(task.name, fraction, score.wql, score.relative_wql, ratio, kept)
