"""Linear maps through the faster of torch's two float32 matrix products on a CPU."""

import platform

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Linear"]

# Untested elsewhere: there torch chooses.
_HAS_ONEDNN = (
    platform.machine() in ("x86_64", "AMD64")
    and torch.backends.mkldnn.is_available()
    and hasattr(torch.ops.mkldnn, "_linear_pointwise")
)


class Linear(nn.Linear):
    """`torch.nn.Linear`, through oneDNN where no gradient is asked for.

    For float32 torch takes MKL, which does not use AVX-512 on AMD's processors; oneDNN does, and
    takes half the time there for the same digits (on Intel's they are alike).
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map ``[..., in_features]`` to ``[..., out_features]``."""
        return _linear(input, self.weight, self.bias)

    def transposed(self, input: Tensor) -> Tensor:
        """Map ``[rows, in_features]`` to ``[out_features, rows]``, contiguous; without the bias."""
        return _linear(self.weight, input, None)


def _linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    by_onednn = (
        _HAS_ONEDNN
        and input.dtype == torch.float32 == weight.dtype
        and input.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()  # the compiler chooses for itself
    )
    if not by_onednn:
        return F.linear(input, weight, bias)
    return torch.ops.mkldnn._linear_pointwise(input, weight, bias, "none", [], "")  # type: ignore[no-any-return]
