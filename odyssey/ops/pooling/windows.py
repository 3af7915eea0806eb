"""The windows of pooling: checks of the arguments, and the pixels in each window.

A window of R x R pixels (R = kernel_size) moves over the padded input, ``stride``
pixels at a time.  Output row p depends on the R rows from p*stride - padding on;
likewise for columns.
"""

from typing import NamedTuple

import numpy as np

from odyssey import checks


class Windows(NamedTuple):
    """P x Q windows of R x R pixels."""

    R: int
    stride: int
    padding: int
    P: int
    Q: int

    def bounds(self, H: int, W: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows (P, 2) and columns (Q, 2) of x that each window holds.

        A row of either is the first one and the one after the last.
        """
        return self._bounds(self.P, H), self._bounds(self.Q, W)

    def covering(self, H: int, W: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the windows that cover each row (H, 2) and each column (W, 2) of x."""
        return self._covering(self.P, H), self._covering(self.Q, W)

    def _bounds(self, P: int, H: int) -> np.ndarray:
        first = [p * self.stride - self.padding for p in range(P)]
        return np.array([(max(h, 0), min(h + self.R, H)) for h in first], np.int64)

    def _covering(self, P: int, H: int) -> np.ndarray:
        # window p covers row h if p*stride - padding <= h < p*stride - padding + R,
        # that is (h + padding - R)/stride < p <= (h + padding)/stride
        padded, step = range(self.padding, self.padding + H), self.stride
        pairs = [
            (max((h - self.R) // step + 1, 0), min(h // step + 1, P)) for h in padded
        ]
        return np.array(pairs, np.int64)


def lay_out(
    op: str, x: np.ndarray, kernel_size: int, stride: int | None, padding: int
) -> Windows:
    """Check the arguments of an operation; return its windows."""
    check_input(op, x)
    kernel_size = checks.check_int(op, "kernel_size", kernel_size, 1)
    stride = (
        kernel_size if stride is None else checks.check_int(op, "stride", stride, 1)
    )
    padding = checks.check_int(op, "padding", padding, 0)
    if 2 * padding > kernel_size:
        raise ValueError(
            f"{op}: padding must be at most half of kernel_size, "
            f"got padding {padding} and kernel_size {kernel_size}"
        )
    H, W = x.shape[2] + 2 * padding, x.shape[3] + 2 * padding
    if kernel_size > min(H, W):
        raise ValueError(
            f"{op}: kernel_size must be at most the padded input, "
            f"got kernel_size {kernel_size} and a padded input of {H} x {W}"
        )
    P, Q = (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1
    return Windows(kernel_size, stride, padding, P, Q)


def check_input(op: str, x: np.ndarray) -> None:
    """Raise unless ``x`` is (N, C, H, W) with pixels to pool."""
    checks.check_activations(op, x=x)
    checks.check_ndim(op, "x", x, "(N, C, H, W)")
    if 0 in x.shape[1:]:
        raise ValueError(
            f"{op}: x must have C, H and W of at least 1, got shape {x.shape}"
        )


def check_grad_output(
    op: str, x: np.ndarray, grad_output: np.ndarray, P: int, Q: int
) -> None:
    """Raise unless ``grad_output`` has the dtype of ``x`` and the result's shape."""
    checks.check_activations(op, x=x, grad_output=grad_output)
    checks.check_shape(op, "grad_output", grad_output, (*x.shape[:2], P, Q))
