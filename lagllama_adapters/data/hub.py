"""Data sets from the Hugging Face hub."""

import re
from pathlib import Path

from huggingface_hub import snapshot_download

__all__ = ["fetch_data_sets", "is_hub_address"]

_SCHEME = "hf://datasets/"
_ADDRESS = re.compile(
    re.escape(_SCHEME) + r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<part>.+?))?/?"
)
_FILES = ("*.parquet", "*.arrow", "*.tsf", "state.json", "dataset_info.json")


def is_hub_address(path: str | Path) -> bool:
    """Whether a path is the address of a hub's data sets."""
    return isinstance(path, str) and path.startswith(_SCHEME)


def fetch_data_sets(address: str) -> Path:
    """Fetch the data files of a repository, or of a folder of it, unless the cache has them.

    Parameters
    ----------
    address : str
        ``hf://datasets/OWNER/NAME``, ``hf://datasets/OWNER/NAME/FOLDER`` or, with a branch, tag or
        commit, ``hf://datasets/OWNER/NAME@REVISION/FOLDER``.

    Returns
    -------
    Path
        Folder in the hub client's cache (``HF_HOME``), for `Corpus.read`.

    Raises
    ------
    ValueError
        If the address is not of this form, or the repository has no data file there.
    ConnectionError
        If the files are not on this machine and cannot be fetched; the message says what to do.
    """
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise ValueError(
            f"corpus: got {address!r}, expected {_SCHEME}OWNER/NAME, or {_SCHEME}OWNER/NAME/FOLDER"
        )
    part = parts["part"] or ""
    # A pattern's star passes slashes: whatever lies below.
    patterns = [f"{part}/{name}" if part else name for name in _FILES]
    patterns += [f"{part}/*/{name}" for name in _FILES if part] + ([part] if part else [])
    try:
        root = snapshot_download(
            parts["repo"],
            repo_type="dataset",
            revision=parts["revision"],
            allow_patterns=patterns,
        )
    except OSError as error:  # all of the hub client's and of the network's errors
        raise ConnectionError(
            f"{address}: not on this machine and could not be fetched: {str(error).rstrip('.')}. "
            "Check the name, connect (and unset HF_HUB_OFFLINE), set HF_ENDPOINT to a mirror, or "
            "fetch the files elsewhere and give their folder"
        ) from error
    folder = Path(root) / part
    if not folder.exists():
        raise ValueError(f"{address}: the repository has no {' or '.join(_FILES[:3])} there")
    return folder
