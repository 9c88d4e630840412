"""Checks of arguments that functions of files share."""

from lagllama_adapters.data.files import FileSettings

__all__ = ["check_no_covariates", "check_on_error"]


def check_on_error(on_error: str) -> None:
    """Refuse an unknown way to go on.

    Raises
    ------
    ValueError
        If it is neither "skip" nor "fail".
    """
    if on_error not in ("skip", "fail"):
        raise ValueError(f"on_error: got {on_error!r}, expected 'skip' or 'fail'")


def check_no_covariates(files: FileSettings) -> None:
    """Refuse covariates where nothing reads them.

    Raises
    ------
    ValueError
        If some are named.
    """
    if files.covariates:
        raise ValueError(f"covariates: got {list(files.covariates)}, expected none; leave them out")
