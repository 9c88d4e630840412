"""The published weights, fetched from their hub repository at a pinned revision."""

import os
import shutil
import uuid
from hashlib import sha256
from pathlib import Path

from huggingface_hub import hf_hub_download

from lagllama_adapters.checkpoints.format import CONFIG_FILE
from lagllama_adapters.checkpoints.migrations import FORMAT_VERSION
from lagllama_adapters.checkpoints.published import convert_published_checkpoint
from lagllama_adapters.model.config import LagLlamaConfig

PUBLISHED_REPO = "time-series-foundation-models/Lag-Llama"
PUBLISHED_FILE = "lag-llama.ckpt"
PUBLISHED_REVISION = "72dcfc29da106acfe38250a60f4ae29d1e56a3d9"


def cache_folder() -> Path:
    """Where converted checkpoints are kept.

    Returns
    -------
    Path
        ``$LAGLLAMA_CACHE`` if that is set, else ``lagllama_adapters`` in the user's cache folder
        (``$XDG_CACHE_HOME``, by default ``~/.cache``).
    """
    if chosen := os.environ.get("LAGLLAMA_CACHE"):
        return Path(chosen).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "lagllama_adapters"


def published_folder() -> Path:
    """Fetch and convert the published weights, unless the cache has them.

    Several processes may call this at once: each converts in its own temporary folder, and the
    first to finish provides the result.

    Returns
    -------
    Path
        A checkpoint folder.

    Raises
    ------
    ConnectionError
        If the file is not at hand and cannot be fetched; the message says what to do.
    ValueError
        If what was fetched is not a Lag-Llama checkpoint.
    """
    # Named after everything that decides what a conversion looks like.
    facts = LagLlamaConfig().to_dict()
    layout = sha256(repr((FORMAT_VERSION, facts)).encode()).hexdigest()[:8]
    folder = cache_folder() / f"published-{PUBLISHED_REVISION[:12]}-{layout}"
    if not (folder / CONFIG_FILE).is_file():
        _convert_once(_download(), folder)
    return folder


def _download() -> str:
    try:
        return hf_hub_download(PUBLISHED_REPO, PUBLISHED_FILE, revision=PUBLISHED_REVISION)
    except OSError as error:  # all of the hub client's and of the network's errors
        raise ConnectionError(
            f"the published weights ({PUBLISHED_REPO}, file {PUBLISHED_FILE}, revision "
            f"{PUBLISHED_REVISION}) are not on this machine and could not be fetched: "
            f"{str(error).rstrip('.')}. Connect once (and unset HF_HUB_OFFLINE), set "
            "HF_ENDPOINT to a mirror, or fetch the file elsewhere and give its path as the "
            "checkpoint; the checkpoint 'base' needs no network"
        ) from error


def _convert_once(source: str, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    own = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    try:
        convert_published_checkpoint(source, own)
        own.rename(folder)
    except OSError:
        if not (folder / CONFIG_FILE).is_file():  # no other process was faster
            raise
    finally:
        shutil.rmtree(own, ignore_errors=True)
