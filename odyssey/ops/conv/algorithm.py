"""What a way of summing a convolution has to offer: the modules of this folder do.

A type checker holds each of them against this.
"""

from typing import Protocol

import numpy as np


class Algorithm(Protocol):
    """The three products; each fills ``out`` and tells whether that is done."""

    def forward(
        self,
        x: np.ndarray,  # (N, H, W, C)
        kernel: np.ndarray,  # (K, C, R, S)
        bias: np.ndarray,  # (K,)
        addend: np.ndarray,  # (N, P, Q, K), or without images: nothing is added
        relu: bool,
        stride: int,
        padding: int,
        out: np.ndarray,  # (N, P, Q, K)
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


class FastAlgorithm(Algorithm, Protocol):
    """One that is for some shapes only, and pays for fewer."""

    def worthwhile(
        self, kernel: np.ndarray, N: int, P: int, Q: int, product: str
    ) -> bool:
        """Tell whether ``product``, one of the above, is found faster this way."""
