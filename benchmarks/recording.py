"""Record how long each operation takes while a program runs."""

import inspect
import math
import statistics
import time
from collections import defaultdict
from functools import partial, wraps
from types import ModuleType
from typing import NamedTuple

import numpy as np

#: Arrays that an operation writes to are arguments here, and count twice.
WRITTEN = {"sgd_momentum_update_inplace": ("param", "velocity")}


class Row(NamedTuple):
    """An operation at one shape: what it computes in a step, and for how long."""

    op: str  # the backward of a convolution counts as two, one for each gradient
    shape: str
    calls: int  # in a step
    seconds: float  # in a step, the median over steps
    flops: float  # in a step, of the direct sum; 0 where memory is the limit
    bytes: float  # in a step, of all arguments and results

    @property
    def rate(self) -> float | None:
        """Return operations per second, or bytes if there are no products."""
        return (self.flops or self.bytes) / self.seconds if self.seconds > 0 else None


class _Tally:
    def __init__(self):
        self.calls, self.seconds, self.flops, self.bytes = 0, 0.0, 0.0, 0.0

    def add(self, seconds, flops, size):
        self.calls += 1
        self.seconds += seconds
        self.flops += flops
        self.bytes += size


class Recorder:
    """A context in which the operations that ``modules`` have imported are timed."""

    def __init__(self, modules: list[ModuleType]):
        self.found = [
            (module, name, function)
            for module in modules
            for name, function in vars(module).items()
            if inspect.isfunction(function)
            and function.__module__.startswith(("odyssey.ops.", "odyssey.optim"))
        ]
        self.extra = 0.0  # seconds that the recorder itself has added
        self.clear()

    def __enter__(self):
        for module, name, function in self.found:
            setattr(module, name, self._timed(function))
        return self

    def __exit__(self, *exception):
        for module, name, function in self.found:
            setattr(module, name, function)

    def clear(self) -> None:
        """Forget all steps so far."""
        self.steps, self.step = [], defaultdict(_Tally)

    def end_step(self) -> None:
        """Begin the next step."""
        self.steps.append(self.step)
        self.step = defaultdict(_Tally)

    def rows(self) -> list[Row]:
        """Return the rows of a step, the longest first."""
        rows = [
            Row(
                *key,
                tally.calls,
                statistics.median(step[key].seconds for step in self.steps),
                tally.flops,
                tally.bytes,
            )
            for key, tally in self.steps[-1].items()
        ]
        return sorted(rows, key=lambda row: -row.seconds)

    def _timed(self, function):
        signature = inspect.signature(function)

        @wraps(function)
        def timed(*args, **kwargs):
            call = partial(function, *args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            seconds, result = _clock(call)
            begin = time.perf_counter()
            kernel_alone = None
            if given.arguments.get("needs_grad_input"):  # one gradient apart
                kernel_alone, _ = _clock(partial(call, needs_grad_input=False))
            # the statistics that it finds on the way are counted with the convolution
            op = function.__name__.removesuffix("_and_statistics")
            self._note(op, given.arguments, seconds, kernel_alone, result)
            self.extra += time.perf_counter() - begin
            return result

        return timed

    def _note(self, op, arguments, seconds, kernel_alone, result):
        shape = _shapes(op, arguments)
        work = _flops(op, arguments), _bytes(op, arguments, result)
        if op != "conv2d_backward":
            self.step[op, shape].add(seconds, *work)
            return
        rest = 0.0
        if kernel_alone is not None:
            rest = max(seconds - kernel_alone, 0.0)
            self.step[f"{op}, grad_input", shape].add(rest, *work)
        self.step[f"{op}, grad_kernel", shape].add(seconds - rest, *work)


def _clock(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def _shapes(op, arguments):
    """Return the shapes that distinguish one use of an operation from another."""
    if op in WRITTEN:
        return "all parameters"
    if op.startswith("conv2d"):
        _, C, H, W = arguments["x"].shape
        K, _, R, S = arguments["kernel"].shape
        strided = f" stride {arguments['stride']}" if arguments["stride"] > 1 else ""
        return f"{R}x{S}{strided}, {C} to {K}, {H}x{W}"
    arrays = [a for a in arguments.values() if isinstance(a, np.ndarray)]
    shape = " x ".join(map(str, max(arrays, key=lambda a: a.size).shape[1:]))
    fused = [
        name
        for name in ("addend", "relu")
        if isinstance(arguments.get(name), np.ndarray) or arguments.get(name) is True
    ]
    return ", ".join([shape, *fused])


def _flops(op, arguments):
    """Return the operations of one product of the direct sum, 0 for other operations.

    Taps that lie outside the image count like others.
    """
    x = arguments.get("x")
    if op.startswith("conv2d"):
        K, C, R, S = arguments["kernel"].shape
        stride, padding = arguments["stride"], arguments["padding"]
        N, _, H, W = x.shape
        P, Q = (H + 2 * padding - R) // stride + 1, (W + 2 * padding - S) // stride + 1
        return 2 * N * P * Q * K * C * R * S
    if op.startswith("linear"):
        products = 2 if op.endswith("_backward") else 1
        return products * 2 * x.shape[0] * math.prod(arguments["weights"].shape)
    return 0


def _bytes(op, arguments, result):
    # ``out`` is the result again
    given = [value for name, value in arguments.items() if name != "out"]
    arrays = [*given, *(result if isinstance(result, tuple) else [result])]
    arrays += [arguments[name] for name in WRITTEN.get(op, ())]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))
