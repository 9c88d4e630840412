"""The table of the Lag-Llama paper: data sets by models, with mean ranks."""

import numpy as np

__all__ = ["PaperTable"]


class PaperTable:
    """Losses of data sets (rows) and models (columns), in the order in which they come.

    The form of tables 1 and 2 of Rasul et al. 2023, arXiv 2310.08278.
    """

    def __init__(self) -> None:
        self._losses: dict[str, dict[str, float]] = {}

    def add(self, data_set: str, column: str, loss: float) -> None:
        """Enter a loss.

        Parameters
        ----------
        data_set, column : str
            Its place.
        loss : float
            Smaller is better.
        """
        self._losses.setdefault(data_set, {})[column] = loss

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(dict.fromkeys(name for row in self._losses.values() for name in row))

    def mean_ranks(self) -> dict[str, float]:
        """Mean over data sets of the rank of each column, 1 the best; equal losses share a rank."""
        losses = np.array([[row[name] for name in self.columns] for row in self._losses.values()])
        better = (losses[:, None, :] < losses[:, :, None]).sum(2)
        equal = (losses[:, None, :] == losses[:, :, None]).sum(2)
        ranks = better + (equal + 1) / 2
        return dict(zip(self.columns, ranks.mean(0).tolist(), strict=True))

    def rows(self) -> tuple[list[str], list[list[object]]]:
        """Header and rows of a CSV file; the last row has the mean ranks.

        Returns
        -------
        list of str
            "dataset" and the columns.
        list of list
            Names and losses.
        """
        table: list[list[object]] = [
            [name, *(row[column] for column in self.columns)] for name, row in self._losses.items()
        ]
        return ["dataset", *self.columns], [*table, ["mean rank", *self.mean_ranks().values()]]
