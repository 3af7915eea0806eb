"""The memory that a step of training will occupy, found without computing the step.

The step is run with kernels that do nothing.  Every array of the real step is made, by
the code that will make it then, for the batch and the threads that there will be, and
`odyssey.memory` counts; but no page of an array is written to, so that it takes neither
the time nor the memory of a step.
"""

import contextlib
import ctypes
import gc
import os
from typing import Any, NamedTuple

import numpy as np
from numba.core import config as numba_config
from numba.core.registry import CPUDispatcher

from odyssey import memory
from odyssey.layers.context import Tensors
from odyssey.network import Config, Network
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import global_grad_norm, sgd_momentum_update_inplace
from odyssey.threads import called_as

BYTES = 4  # of a parameter, a gradient and a momentum, float32


class Footprint(NamedTuple):
    """Bytes that a step occupies at its peak, by part."""

    program: int  # Python, Numba, the libraries and the compiled kernels
    parameters: int  # with running statistics
    momentum: int
    images: int  # of the batch
    activations: int  # kept for the backward, as far as alive at the peak
    gradients: int  # of the parameters, likewise
    workspaces: int  # of the kernel that runs at the peak
    temporaries: int  # other arrays at the peak
    gaps: int  # between arrays, too small for what came later

    @property
    def total(self) -> int:
        """Return the sum of all parts."""
        return sum(self)


class Nothing(CPUDispatcher):
    """A kernel that computes nothing."""

    def __call__(self, *args: Any, **named: Any) -> None:
        """Return at once."""


def footprint(
    network: Network,
    config: Config,
    batch_size: int,
    *,
    recompute: bool = False,
    image: tuple[int, int, int] = (3, 32, 32),
) -> Footprint:
    """Return what a step of training with momentum occupies at its peak.

    Parameters
    ----------
    network : Network
        In the precision of the training.
    config : Config
        Its options.
    batch_size : int
    recompute : bool
        Keep only the input of each block for the backward.
    image : channels, height and width

    Raises
    ------
    RuntimeError
        Where kernels are not compiled (NUMBA_DISABLE_JIT).
    """
    if numba_config.DISABLE_JIT:
        raise RuntimeError("footprint: kernels must be compiled (NUMBA_DISABLE_JIT)")
    program = _program(network, config, image)
    params, state = (
        _zeros(network.parameter_shapes(config)),
        _zeros(network.state_shapes(config)),
    )
    C, H, W = image
    x = np.zeros((batch_size, H, W, C), np.float32).transpose(0, 3, 1, 2)
    with called_as(Nothing), np.errstate(all="ignore"), memory.watching() as watch:
        kept, gradients = _step(network, config, params, state, x, watch, recompute)
    at_peak = {"activations": 0, "gradients": 0, memory.WORKSPACE: 0, memory.ARRAY: 0}
    for number, length, kind in watch.most.values():
        if number in kept:
            kind = "activations"
        elif number in gradients:
            kind = "gradients"
        at_peak[kind] += length
    size = BYTES * sum(param.size for param in params.values())
    return Footprint(
        program=program,
        parameters=size + BYTES * sum(array.size for array in state.values()),
        momentum=size,
        images=x.nbytes,
        activations=at_peak["activations"],
        gradients=at_peak["gradients"],
        workspaces=at_peak[memory.WORKSPACE],
        temporaries=at_peak[memory.ARRAY],
        gaps=watch.reached - watch.peak,
    )


def _step(
    network: Network,
    config: Config,
    params: Tensors,
    state: Tensors,
    x: np.ndarray,
    watch: memory.Watch,
    recompute: bool,
) -> tuple[set[int], set[int]]:
    """Run a step; return the numbers of the arrays kept, and of the gradients."""
    rng = np.random.default_rng(0)
    logits, _, cache = network.run_training(
        params, state, x, config, rng, recompute=recompute
    )
    kept = {number for number, *_ in memory.live(watch).values()}
    logits[...] = 0
    grad_logits = cross_entropy_backward(1.0, logits, np.zeros(len(x), np.int64))
    grads = network.run_backward(grad_logits, cache, params, config)
    del cache, logits, grad_logits
    left = {number for number, *_ in memory.live(watch).values()} - kept
    assert grads.keys() == params.keys()
    return kept, left


def _program(network: Network, config: Config, image: tuple[int, int, int]) -> int:
    """Return what the program occupies once it has loaded its kernels.

    Two images are enough to load them; what the step itself needed is given back.
    """
    params, state = network.initialize(config, 0)
    velocities = {name: np.zeros_like(param) for name, param in params.items()}
    x = np.zeros((2, *image), np.float32)
    for _ in range(2):
        logits, _, cache = network.run_training(
            params, state, x, config, np.random.default_rng(0)
        )
        grad_logits = cross_entropy_backward(1.0, logits, np.zeros(2, np.int64))
        grads = network.run_backward(grad_logits, cache, params, config)
        cross_entropy(logits, np.zeros(2, np.int64))
        global_grad_norm(grads)
        for name, param in params.items():
            sgd_momentum_update_inplace(param, grads[name], velocities[name], 0.0)
        del cache, logits, grad_logits, grads
    del params, state, velocities, x, param
    gc.collect()
    memory.release()
    with contextlib.suppress(OSError, AttributeError):  # GNU's C library has it
        ctypes.CDLL(None).malloc_trim(0)
    return _resident()


def _zeros(shapes: dict[str, tuple[int, ...]]) -> Tensors:
    """Return arrays that occupy nothing until they are written to."""
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


def _resident() -> int:
    """Return the bytes of memory that this process occupies now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
