"""Command line: ``lagllama``. One command, one file."""

from lagllama_adapters.cli.app import app

__all__ = ["app"]
