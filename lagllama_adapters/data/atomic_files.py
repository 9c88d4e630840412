"""Files that appear complete or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["write_atomically", "write_text"]


@contextmanager
def write_atomically(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears complete or not at all, also if the machine stops."""
    # Processes of two machines may have the same number.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file, complete or not at all."""
    with write_atomically(path) as file:
        file.write(text.encode())
