"""Values that change places among paths."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["reordered"]

Floats = npt.NDArray[np.floating[Any]]


def reordered(samples: Floats, template: Floats, ties: Floats) -> Floats:
    """The same values at each step, in the order of a template (Clark et al. 2004).

    Parameters
    ----------
    samples : ndarray
        ``[sample, step]``.
    template : ndarray
        Same shape: at each step, the path with the k-th smallest value here gets the k-th smallest
        of ``samples``.
    ties : ndarray
        Same shape: orders values of the template that are equal.

    Returns
    -------
    ndarray
        ``[sample, step]``.
    """
    order = np.lexsort((ties, template), axis=0)
    result = np.empty_like(samples)
    np.put_along_axis(result, order, np.sort(samples, axis=0), axis=0)
    return result
