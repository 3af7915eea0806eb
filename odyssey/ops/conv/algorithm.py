"""The functions that every method of summing a convolution must have.

A type checker compares the modules of this folder with this protocol.
"""

from typing import Protocol

import numpy as np


class Algorithm(Protocol):
    """The three sums; each fills ``out`` and returns whether it succeeded."""

    def forward(
        self,
        x: np.ndarray,  # (N, H, W, C)
        kernel: np.ndarray,  # (K, C, R, S)
        bias: np.ndarray,  # (K,)
        addend: np.ndarray,  # (N, P, Q, K), or no images: nothing is added
        relu: bool,
        stride: int,
        padding: int,
        out: np.ndarray,  # (N, P, Q, K)
        *,
        made: dict[str, np.ndarray] | None = None,  # of a `PreparedKernel`
    ) -> bool:
        """Write the convolution of ``x`` with ``kernel``."""

    def grad_input(
        self,
        grad_output: np.ndarray,  # (N, P, Q, K)
        kernel: np.ndarray,
        addend: np.ndarray,  # (N, H, W, C), or without images
        stride: int,
        padding: int,
        out: np.ndarray,  # (N, H, W, C)
    ) -> bool:
        """Write the gradient of the input, plus ``addend``."""

    def grad_kernel(
        self,
        grad_output: np.ndarray,
        x: np.ndarray,
        stride: int,
        padding: int,
        out: np.ndarray,  # (K, C, R, S)
    ) -> bool:
        """Write the gradient of the kernel."""


class WinogradAlgorithm(Algorithm, Protocol):
    """What Winograd's methods can do besides."""

    def forward(
        self,
        x: np.ndarray,
        kernel: np.ndarray,
        bias: np.ndarray,
        addend: np.ndarray,
        relu: bool,
        stride: int,
        padding: int,
        out: np.ndarray,
        *,
        made: dict[str, np.ndarray] | None = None,
        moments: np.ndarray | None = None,  # of `room_for_moments`, to be filled
    ) -> bool:
        """Write the convolution, and what the statistics of its results follow from."""

    def chunk_of(self, kernel: np.ndarray) -> int:
        """Return how many tiles a thread takes at a time; moments are of so many."""


class FastAlgorithm(Algorithm, Protocol):
    """A method for some shapes only, which is faster for some of these."""

    def worthwhile(
        self, kernel: np.ndarray, N: int, P: int, Q: int, product: str
    ) -> bool:
        """Return whether this method is faster for ``product``, one of the above."""
