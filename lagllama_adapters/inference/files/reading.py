"""How much of the files is read."""

from collections.abc import Sequence

from lagllama_adapters.data.files import Source

__all__ = ["Reading"]


class Reading:
    """Position in files that are read one after the other.

    Parameters
    ----------
    sources : sequence of Source
        In the order of reading.

    Attributes
    ----------
    file : str
        Being read.
    share : float
        Of all bytes, those of the files before and, by lines of usual length, of this one.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.file, self.share = "", 0.0
        self._sources = {source.shown: source for source in sources}
        self._total = max(1, sum(source.size for source in sources))
        self._before = self._size = 0
        self._lines = 1.0

    def reached(self, file: str, line: int | None) -> None:
        """Take note of a series or a fault; other files than the sources do not count."""
        if file != self.file and file not in self._sources:
            return
        while file != self.file:  # also past files that held neither
            self._before += self._size
            self.file = next(iter(self._sources))
            source = self._sources.pop(self.file)
            self._size, self._lines = source.size, source.count_lines()
        within = 0.0 if line is None else min(1.0, line / self._lines)
        self.share = max(self.share, (self._before + within * self._size) / self._total)
