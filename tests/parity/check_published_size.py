"""Check the converter at the published size, on files too large for this repository.

    python tests/parity/check_published_size.py FOLDER

FOLDER holds ``lag-llama-random.ckpt``, written by the original project's training loop, and
``lagllama_random.safetensors``, the same network's ``state_dict``. Passes if converting the first
gives the tensors of the second, bit for bit, and a network of 2,449,299 parameters.
"""

import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from lagllama_adapters.checkpoints import convert_published_checkpoint, read_checkpoint
from lagllama_adapters.checkpoints.published import to_published_state_dict
from lagllama_adapters.model.config import LagLlamaConfig


def check(folder: Path) -> list[str]:
    """Give what differs, as lines of text."""
    with tempfile.TemporaryDirectory() as scratch:
        converted = convert_published_checkpoint(folder / "lag-llama-random.ckpt", scratch)
        model = read_checkpoint(converted)
    expected = load_file(folder / "lagllama_random.safetensors")
    got = to_published_state_dict(model.state_dict())
    problems = [f"tensor in one of them only: {key}" for key in sorted(expected.keys() ^ got)]
    problems += [
        f"tensor differs: {key}"
        for key in sorted(expected.keys() & got)
        if not torch.equal(expected[key], got[key])
    ]
    count = sum(parameter.numel() for parameter in model.parameters())
    if count != 2_449_299:
        problems.append(f"parameters: got {count}, expected 2449299")
    if model.config != LagLlamaConfig():
        problems.append(f"configuration: got {model.config}, expected the published one")
    return problems


if __name__ == "__main__":
    found = check(Path(sys.argv[1]))
    sys.stdout.write("\n".join(found or ["converted weights equal the original's"]) + "\n")
    sys.exit(bool(found))
