"""Silence for what Lightning says about itself, on which users cannot act."""

import importlib
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]

# Lightning comes under two names, which share one variable for where to log: the one that was
# imported last has the lines of both.
_LOGGERS = tuple(
    logging.getLogger(name)
    for name in (
        "pytorch_lightning.utilities.rank_zero",
        "pytorch_lightning.accelerators.cuda",
        "lightning_fabric.utilities.rank_zero",
        "lightning.pytorch.utilities.rank_zero",
        "lightning.pytorch.accelerators.cuda",
        "lightning.fabric.utilities.rank_zero",
        "lightning_utilities.core.rank_zero",
        "pytorch_lightning.trainer.connectors.checkpoint_connector",
        "pytorch_lightning.tuner.batch_size_scaling",
        "pytorch_lightning.tuner.lr_finder",
    )
)
# Its use of torch's tree utilities, pinned memory that is asked for without an accelerator, which
# of two objects moves batches to the device, and that a fit without validation series has none.
_ABOUT_ITSELF = (
    ".*treespec",
    ".*pin_memory",
    ".*transfer_batch_to_device",
    ".*across ranks is zero",
)


@contextmanager
def quiet(*, verbose: bool, show_warnings: bool) -> Iterator[None]:
    """Silence Lightning for the duration of a block.

    Parameters
    ----------
    verbose : bool
        Whether to let its log lines through (hardware found, why training stopped).
    show_warnings : bool
        Whether to let its warnings about itself, and those that it calls possible, through. Other
        warnings always pass.
    """
    # Not their levels: setting one empties the caches of all loggers of the process.
    loggers = [] if verbose else [log for log in _LOGGERS if _is_serious not in log.filters]
    for logger in loggers:
        logger.addFilter(_is_serious)
    try:
        with warnings.catch_warnings():
            if not show_warnings:
                for category in _possible_warnings():
                    warnings.simplefilter("ignore", category)
                for message in _ABOUT_ITSELF:
                    warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_serious)


def _possible_warnings() -> list[type[Warning]]:
    """Return ``PossibleUserWarning`` of each package of Lightning that is imported."""
    packages = [name for name in ("lightning.fabric", "lightning_fabric") if name in sys.modules]
    found = [importlib.import_module(f"{name}.utilities.warnings") for name in packages]
    return [module.PossibleUserWarning for module in found]


def _is_serious(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
