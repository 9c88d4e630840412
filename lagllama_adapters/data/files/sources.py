"""Data files, found by paths, folders and patterns."""

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lagllama_adapters.data.sources import unlisted_files

__all__ = ["SUFFIXES", "Paths", "Source", "digest", "find_sources"]

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet", ".arrow", ".tsf")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Source:
    """A file of data.

    Attributes
    ----------
    path : Path
        Where it is.
    name : str
        Its path below the folder that was given, or its own name; without the suffix.
    shown : str
        What the user knows it by; its path unless given.
    """

    path: Path
    name: str
    shown: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "shown", self.shown or str(self.path))

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def count_lines(self) -> float:
        """Rows of a Parquet file; lines of another one if they are as long as the first ones."""
        try:
            if self.path.suffix == ".parquet":
                return float(max(1, pq.read_metadata(self.path).num_rows))
            with pa.input_stream(str(self.path), compression="detect") as file:
                head = file.read(1 << 16)
        except (pa.ArrowException, OSError):  # damaged, which its reader says
            return 1.0
        lines = int(head.count(b"\n"))
        return max(1.0, self.size * lines / max(1, len(head)))


Paths = str | Path | Source | Sequence[str | Path | Source]


def find_sources(paths: Paths) -> list[Source]:
    """Files of data at some paths.

    Parameters
    ----------
    paths : path, Source or sequence of them
        Files; folders, which are searched with all below them, hidden ones left out; and patterns
        such as ``"sales/*.csv"`` (``**`` for any depth).

    Returns
    -------
    list of Source
        In the order given, those of a folder or a pattern in alphabetical order.

    Raises
    ------
    FileNotFoundError
        If a path does not exist, or nothing matches a pattern.
    ValueError
        If a path holds no file that can be read, a file is given twice, or two files of data have
        the same name.
    """
    given = [paths] if isinstance(paths, str | Path | Source) else list(paths)
    found = [
        source
        for path in given
        for source in ([path] if isinstance(path, Source) else _sources_at(Path(path)))
    ]
    names: dict[str, Path] = {}
    for source in found:
        before = names.setdefault(source.name, source.path)
        if before is not source.path:
            raise ValueError(
                f"{source.path}: got a file of the same name as {before}, by which series are "
                "told apart; rename one, or give a folder that holds both"
            )
    return found


def digest(sources: Iterable[Source]) -> str:
    """Hexadecimal digest of names and contents, by which a change is noticed."""
    total = blake2b(digest_size=16)
    for source in sources:
        content = blake2b(digest_size=16)
        with source.path.open("rb") as file:
            while block := file.read(_BLOCK):
                content.update(block)
        total.update(f"{source.path.name}\0{source.name}\0{content.hexdigest()}\n".encode())
    return total.hexdigest()


def _sources_at(root: Path) -> list[Source]:
    if root.is_file():
        if _suffix(root) is None:
            raise ValueError(f"{root}: got a {root.suffix or 'nameless'} file, expected {SUFFIXES}")
        return [Source(root, _without_suffix(root).name)]
    if root.is_dir():
        found = [path for path in sorted(root.rglob("*")) if path.is_file() and _suffix(path)]
        found = [p for p in found if not any(x.startswith(".") for x in p.relative_to(root).parts)]
        saved = [path.parent for path in root.rglob("dataset_info.json")]
        unlisted = {path for folder in saved for path in unlisted_files(folder)}
        found = [path for path in found if path not in unlisted]
        if not found:
            raise ValueError(f"{root}: got a folder without data, expected files {SUFFIXES}")
        return [Source(p, _without_suffix(p.relative_to(root)).as_posix()) for p in found]
    if not glob.has_magic(str(root)):
        raise FileNotFoundError(f"{root}: got a path that does not exist, expected files of data")
    matches = [Path(path) for path in sorted(glob.glob(str(root), recursive=True))]
    matches = [path for path in matches if path.is_file() and _suffix(path)]
    if not matches:
        raise FileNotFoundError(f"{root}: got a pattern that no file of data matches {SUFFIXES}")
    folder = _fixed_part(root)
    return [Source(p, _without_suffix(p.relative_to(folder)).as_posix()) for p in matches]


def _fixed_part(pattern: Path) -> Path:
    """The folder above the first part with a wildcard."""
    fixed = Path()
    for part in pattern.parts:
        if glob.has_magic(part):
            break
        fixed /= part
    return fixed


def _suffix(path: Path) -> str | None:
    return next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)


def _without_suffix(path: Path) -> Path:
    suffix = _suffix(path) or ""
    return path.with_name(path.name.removesuffix(suffix))
