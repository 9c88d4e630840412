"""Series of files as vectors, in one table."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from lagllama_adapters.data.atomic_files import write_atomically
from lagllama_adapters.data.files import Fault, FileSettings, Paths, find_sources, read_files
from lagllama_adapters.inference.files.arguments import check_no_covariates, check_on_error
from lagllama_adapters.inference.files.parts import write_faults
from lagllama_adapters.inference.files.worker import without_faulty
from lagllama_adapters.inference.predictor import LagLlamaPredictor

__all__ = ["EmbeddingReport", "embed_files"]

_BATCH = 256  # series
_SUFFIXES = (".parquet", ".csv")


@dataclass(frozen=True)
class EmbeddingReport:
    """What was embedded.

    Attributes
    ----------
    file : Path
        With the vectors.
    series : int
        That have one.
    faults : list of Fault
        What was left out and why; also in ``FILE.faults.csv`` if there are any.
    """

    file: Path
    series: int
    faults: list[Fault]


def embed_files(
    paths: Paths,
    file: str | Path,
    *,
    pool: Literal["last", "mean"] = "last",
    checkpoint: str | os.PathLike[str] = "base",
    context_length: int | None = None,
    season_length: int | None = None,
    files: FileSettings | None = None,
    on_error: Literal["skip", "fail"] = "skip",
    device: str | None = None,
    dtype: str | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> EmbeddingReport:
    """Write a vector for each series of files, in bounded memory; the file appears complete.

    Parameters
    ----------
    paths : path, Source or sequence of them
        Files, folders and patterns.
    file : path
        To write, in an existing folder, which replaces one that is there. ``.parquet``: ``item_id``
        (string) and ``embedding`` (lists of ``d_model`` float32); ``.csv``: ``item_id``, ``e0``,
        ``e1``, ...
    pool : {"last", "mean"}, default "last"
        As for `LagLlamaPredictor.embed`.
    checkpoint, device, dtype : optional
        As for `LagLlamaPredictor`.
    context_length, season_length : int, optional
        As in `ForecastOptions`.
    files : FileSettings, optional
        Layout of the files; None: found out. Without covariates.
    on_error : {"skip", "fail"}, default "skip"
        What to do where a series cannot be read or embedded: list it, or stop with the error.
    progress : callable, optional
        Called with the number of series done, the number of faults, and the file being read.

    Returns
    -------
    EmbeddingReport
        Of this run.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        For arguments out of range, if no series can be embedded, and, with ``on_error="fail"``, at
        the first fault.
    """
    path, files = Path(file), files or FileSettings()
    if path.suffix not in _SUFFIXES or path.is_dir() or not path.parent.is_dir():
        raise ValueError(f"file: got {path}, expected {_SUFFIXES} in an existing folder")
    if pool not in ("last", "mean"):
        raise ValueError(f"pool: got {pool!r}, expected 'last' or 'mean'")
    check_on_error(on_error)
    check_no_covariates(files)
    sources = find_sources(paths)
    predictor = LagLlamaPredictor(checkpoint, device, dtype)
    faults: list[Fault] = []
    count = 0

    def keep(found: list[Fault]) -> None:
        faults.extend(found)
        if found and on_error == "fail":
            raise ValueError(f"{found[0]}; or leave such series out (on_error 'skip')")

    def good() -> Iterator[Any]:
        for one in read_files(sources, files):
            if isinstance(one, Fault):
                keep([one])
            else:
                yield one

    series = good()
    with _writer(path, predictor.config.d_model) as write:
        while batch := list(islice(series, _BATCH)):
            kept, vectors, wrong = without_faulty(
                batch,
                lambda panel: predictor.embed(
                    panel, pool, context_length=context_length, season_length=season_length
                ),
            )
            keep(wrong)
            if vectors is not None:
                write([str(one.series.item_id) for one in kept], vectors)
                count += len(kept)
            if progress is not None:
                progress(count, len(faults), batch[-1].file)
        if not count:
            why = f"; the first fault: {faults[0]}" if faults else ""
            raise ValueError(f"got no series that can be embedded{why}")
    told = path.with_name(f"{path.name}.faults.csv")
    if faults:
        write_faults(told, faults)
    else:
        told.unlink(missing_ok=True)  # of an earlier run
    return EmbeddingReport(path, count, faults)


Write = Callable[[list[str], npt.NDArray[np.float32]], None]


@contextmanager
def _writer(path: Path, width: int) -> Iterator[Write]:
    """A function that adds rows to a file, which appears at the end."""
    is_csv = path.suffix == ".csv"
    columns: dict[str, Any] = {"item_id": pa.string()}
    if is_csv:
        columns |= {f"e{column}": pa.float32() for column in range(width)}
    else:
        columns["embedding"] = pa.list_(pa.float32(), width)
    schema = pa.schema(columns)
    with write_atomically(path) as file, _table_writer(file, schema, is_csv) as table:

        def write(names: list[str], vectors: npt.NDArray[np.float32]) -> None:
            flat = pa.array(np.ascontiguousarray(vectors).reshape(-1))
            lists = [pa.FixedSizeListArray.from_arrays(flat, width)]
            values = [pa.array(column) for column in vectors.T] if is_csv else lists
            table.write_table(pa.table([pa.array(names, pa.string()), *values], schema=schema))

        yield write


def _table_writer(file: IO[bytes], schema: Any, is_csv: bool) -> Any:
    if is_csv:
        return pa_csv.CSVWriter(
            file, schema, write_options=pa_csv.WriteOptions(quoting_style="needed")
        )
    return pq.ParquetWriter(file, schema)
