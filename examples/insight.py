"""What embeddings, attention and experts are good for: five uses, on data inside sktime.

    python examples/insight.py
    python examples/insight.py --checkpoint tiny --pictures FOLDER

- classification: logistic regression on embeddings beside the same on summary features;
- clustering: agreement of k-means clusters with the classes (adjusted Rand index);
- retrieval: how often the nearest other series has the same class (cosine similarity);
- anomalies: log score of each observed step under its one-step forecast;
- explanation: what the forecast of airline passengers is mixed from, and which years it depends on.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sktime.datasets import load_airline, load_UCR_UEA_dataset

from lagllama_adapters import LagLlamaPredictor
from lagllama_adapters.data.panel import Panel
from lagllama_adapters.inference import ForecastOptions

DATA_SETS = ("ArrowHead", "GunPoint", "ItalyPowerDemand", "OSULeaf")
POOLS = ("mean", "last")


class Labelled(NamedTuple):
    """Series of one length and their classes."""

    values: np.ndarray  # [series, time]
    classes: np.ndarray


def load(name: str, split: str) -> Labelled:
    """A data set of sktime, from inside its package."""
    values, classes = load_UCR_UEA_dataset(name, split=split, return_type="numpy3D")
    return Labelled(values[:, 0].astype(np.float64), classes)


def embeddings(predictor: LagLlamaPredictor, values: np.ndarray) -> np.ndarray:
    """Mean and last state of all that the network can read of each series."""
    context = min(values.shape[1], predictor.config.max_context_length)
    pools = [predictor.embed(list(values), pool, context_length=context) for pool in POOLS]
    return np.concatenate(pools, axis=1)


def summary_features(values: np.ndarray) -> np.ndarray:
    """Moments, quantiles and autocorrelations: the plain baseline."""
    centred = values - values.mean(1, keepdims=True)
    spread = centred.std(1, keepdims=True) + 1e-9
    scaled = centred / spread
    lags = [1, 2, 4, 8, 12]
    correlations = [(scaled[:, lag:] * scaled[:, :-lag]).mean(1) for lag in lags]
    moments = [values.mean(1), spread[:, 0], (scaled**3).mean(1), (scaled**4).mean(1)]
    quantiles = np.quantile(values, (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0), axis=1)
    return np.stack([*moments, *correlations, *quantiles], axis=1)


def classify(train: np.ndarray, test: np.ndarray, data: tuple[Labelled, Labelled]) -> float:
    """Accuracy of a logistic regression on the test split."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(model.fit(train, data[0].classes).score(test, data[1].classes))


def cluster(features: np.ndarray, classes: np.ndarray) -> float:
    """Adjusted Rand index of k-means with as many clusters as there are classes."""
    scaled = StandardScaler().fit_transform(features)
    means = KMeans(len(np.unique(classes)), n_init=10, random_state=0)
    return float(adjusted_rand_score(classes, means.fit_predict(scaled)))


def nearest(features: np.ndarray) -> np.ndarray:
    """For each series the most similar other one, by the cosine of standardised features."""
    scaled = StandardScaler().fit_transform(features)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    similarity = scaled @ scaled.T
    np.fill_diagonal(similarity, -np.inf)
    return similarity.argmax(1)


def anomaly_scores(predictor: LagLlamaPredictor, values: np.ndarray, steps: int) -> np.ndarray:
    """Negative log scores of the last steps, under normals with the moments of their forecasts."""
    options = ForecastOptions(num_samples=200, seed=0)
    panel = Panel.from_arrays([values])
    samples = predictor.one_step(panel, steps, options).samples[0]
    mean, spread = samples.mean(0), samples.std(0)
    return 0.5 * ((values[-steps:] - mean) / spread) ** 2 + np.log(spread * np.sqrt(2 * np.pi))


def explain(predictor: LagLlamaPredictor, folder: Path | None) -> str:
    """What the forecast of the airline passengers is mixed from; pictures if there is a folder."""
    y = load_airline()
    when = {"start": y.index[0].to_timestamp(), "freq": "MS"}
    experts = predictor.experts(y.to_numpy(), **when)
    if folder is not None:
        from lagllama_adapters.inference.insight.plots import plot_attention, plot_explanation

        folder.mkdir(exist_ok=True)
        forecast = predictor.predict(y.to_numpy(), 24, seed=0, **when)
        saliency = predictor.saliency(y.to_numpy(), 24, pieces=24, **when)
        picture = plot_explanation(forecast, saliency, experts)
        picture.savefig(folder / "explanation.png", dpi=120)
        attention = predictor.attention(y.to_numpy(), **when)
        plot_attention(attention).savefig(folder / "attention.png", dpi=120)
    return experts.describe()


def figures(predictor: LagLlamaPredictor, name: str) -> list[float]:
    """Accuracy, Rand index and same-class share: of embeddings, then of summary features."""
    data = load(name, "train"), load(name, "test")
    row = []
    for features in (lambda values: embeddings(predictor, values), summary_features):
        train, test = (features(part.values) for part in data)
        neighbour = data[1].classes[nearest(test)]
        row += [
            classify(train, test, data),
            cluster(test, data[1].classes),
            float((neighbour == data[1].classes).mean()),
        ]
    return row


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", default="base")
    parser.add_argument("--data", nargs="+", default=DATA_SETS, help="names of UCR sets")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures")
    arguments = parser.parse_args(argv)
    predictor = LagLlamaPredictor(arguments.checkpoint)
    console = Console(width=120)

    kinds = ("accuracy", "Rand index", "same class")
    columns = [f"{of}: {kind}" for of in ("embedding", "summary") for kind in kinds]
    table = Table("data set", *columns)
    for name in arguments.data:
        table.add_row(name, *(f"{value:.3f}" for value in figures(predictor, name)))
    console.print(table)

    y = load_airline().to_numpy().copy()
    y[-30] *= 1.5  # a month that did not happen
    scores = anomaly_scores(predictor, y, steps=60)
    found = len(y) - 60 + int(scores.argmax())
    console.print(f"made anomaly: step {len(y) - 30}; most surprising step: {found}")
    console.print(f"airline: {explain(predictor, arguments.pictures)}")


if __name__ == "__main__":
    main()
