"""A kernel that stays the same, with what convolutions make of it before they begin.

Winograd's method works with a kernel of 36 numbers for each 3x3 (`winograd_domain.py`).
In training every step has other kernels.  In inference they stay, and are turned once.
"""

import numpy as np

from odyssey.checks import check_floating, check_ndim

__all__ = ["PreparedKernel"]


class PreparedKernel:
    """Keep a copy of a kernel for many convolutions, in inference.

    ``conv2d`` takes it in the place of the kernel, and gives the same bits.  What it
    makes of the kernel is made at the first convolution that needs it, and kept: up to
    four times the bytes of the kernel.  It has no backward.

    Parameters
    ----------
    kernel : (K, C, R, S), float32 or float64

    Attributes
    ----------
    array : (K, C, R, S), read-only
    made : dict
        What was made of it, by the name of its layout.

    Raises
    ------
    TypeError
        For other dtypes.
    ValueError
        For other ranks.
    """

    def __init__(self, kernel: np.ndarray) -> None:
        check_floating("PreparedKernel", kernel=kernel)
        check_ndim("PreparedKernel", "kernel", kernel, "(K, C, R, S)")
        self.array = np.array(kernel, order="C")
        self.array.flags.writeable = False
        self.made: dict[str, np.ndarray] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """K, C, R and S."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        """That of the kernel."""
        return self.array.dtype

    def __repr__(self) -> str:
        return f"PreparedKernel of shape {self.shape} and dtype {self.dtype}"
