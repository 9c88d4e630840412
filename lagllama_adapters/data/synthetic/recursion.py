"""Linear recursions over time without a loop over steps."""

from torch import Tensor

__all__ = ["first_order_recursion", "second_order_recursion"]


def first_order_recursion(coefficient: Tensor, innovations: Tensor, stride: int = 1) -> Tensor:
    """Solve ``y[t] = coefficient[t] * y[t - stride] + innovations[t]``, with zeros before step 0.

    A scan by doubling (Hillis & Steele 1986, Comm. ACM 29): after pass k each step has summed its
    last ``2**k`` terms. AR(1), Ornstein-Uhlenbeck processes at whole steps, GARCH variances and
    decaying responses are of this form; higher orders are cascades of it.

    Parameters
    ----------
    coefficient : Tensor
        ``[n_series, 1]`` or, if it changes, ``[n_series, length]``; real or complex.
    innovations : Tensor
        ``[n_series, length]``.
    stride : int
        Steps back; a season for a seasonal recursion.

    Returns
    -------
    Tensor
        ``[n_series, length]``, of the wider dtype of the two.
    """
    changes = coefficient.shape[1] > 1
    values = innovations.to(coefficient.dtype) if coefficient.is_complex() else innovations.clone()
    while stride < values.shape[1]:
        last = coefficient[:, stride:] if changes else coefficient
        values[:, stride:] += last * values[:, :-stride]
        if changes:
            coefficient = coefficient.clone()
            coefficient[:, stride:] *= coefficient[:, :-stride].clone()
        else:
            coefficient = coefficient * coefficient
        stride *= 2
    return values


def second_order_recursion(root: Tensor, innovations: Tensor) -> Tensor:
    """Solve ``y[t] = 2 Re(root) y[t - 1] - |root|**2 y[t - 2] + innovations[t]``, from zeros.

    That is an AR(2) with a pair of conjugate roots: a cycle of period ``2 pi / angle(root)``.

    Parameters
    ----------
    root : Tensor
        ``[n_series, 1]``, complex with an imaginary part.
    innovations : Tensor
        ``[n_series, length]``, real.

    Returns
    -------
    Tensor
        ``[n_series, length]``, real.
    """
    # Partial fractions: of both conjugate first-order responses only the imaginary part remains.
    return (root * first_order_recursion(root, innovations)).imag / root.imag
