"""All operations that have a backward, with the cases that they are checked on.

The tests compare an operation listed here with its twin, gradient-check it, and try it
on every memory layout; ``tests/test_inventory.py`` fails for one that is not listed.
The exercises of `odyssey.learn` are checked on the same cases.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SEED = 20

Draw = Callable[[np.random.Generator], Any]


@dataclass(frozen=True)
class Case:
    """Inputs of one call: shapes of floating arrays, or functions that draw them."""

    label: str
    inputs: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)

    def make(self, seed: int = SEED) -> tuple[np.ndarray, ...]:
        """Draw the inputs: float64 arrays, and labels; the same for the same seed."""
        rng = np.random.default_rng(seed)
        return tuple(
            np.asarray(draw(rng) if callable(draw) else rng.standard_normal(draw))
            for draw in self.inputs
        )


@dataclass(frozen=True)
class OpSpec:
    """One operation: how it is called, what it must live up to, and its cases.

    ``bars`` bound the errors in float32 of the result and of each gradient, relative
    to the rms of what is right (``nerr`` of ``tests/op_checks.py``); 0 asks for the
    same bits.  ``linear_in`` names the inputs in which the result is linear once the
    others in the tuple are zero.  ``batched`` are the inputs with an axis of images.
    ``pytorch`` is what ``tests/golden/make_golden_ops.py`` calls: cases of such an
    operation are compared with numbers made by it, which are kept.  ``bfloat16`` tells
    whether activations, which are the ``batched`` inputs, may have that dtype.
    """

    name: str
    cases: tuple[Case, ...]
    bars: tuple[float, ...]
    linear_in: dict[int, tuple[int, ...]] = field(default_factory=dict)
    batched: tuple[int, ...] = (0,)
    backward_takes: int | None = None
    run_forward: Callable[..., Any] | None = None
    run_backward: Callable[..., Any] | None = None
    pytorch: str = ""
    bfloat16: bool = False

    @property
    def num_grads(self) -> int:
        """How many gradients the backward returns."""
        return len(self.bars) - 1

    def forward(
        self, ops: Any, inputs: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        """Return the results of the forward; what has a gradient comes first."""
        if self.run_forward:
            return self.run_forward(ops, *inputs, **options)
        result = getattr(ops, self.name)(*inputs, **options)
        return result if isinstance(result, tuple) else (result,)

    def backward(
        self,
        ops: Any,
        grad_output: Any,
        inputs: Sequence[Any],
        options: Mapping[str, Any],
    ) -> tuple[Any, ...]:
        """Return the gradients of the first inputs, as many as ``inputs`` has."""
        if self.run_backward:
            return self.run_backward(ops, grad_output, *inputs, **options)
        handed_on = inputs[: self.backward_takes]
        backward = getattr(ops, self.name + "_backward")
        result = backward(grad_output, *handed_on, **options)
        result = result if isinstance(result, tuple) else (result,)
        return result[: len(inputs)]

    def grad_output(
        self,
        ops: Any,
        inputs: Sequence[Any],
        options: Mapping[str, Any],
        seed: int = SEED + 1,
    ) -> Any:
        """Draw an upstream gradient: never ones, under which much would pass."""
        out = self.forward(ops, inputs, options)[0]
        upstream = np.random.default_rng(seed).standard_normal(np.shape(out))
        if not isinstance(out, np.ndarray):
            return float(upstream)
        return np.asarray(upstream, out.dtype)


def nonzero(*shape: int) -> Draw:
    """Draw random numbers at least 0.1 away from zero, where relu has its corner."""

    def draw(rng: np.random.Generator) -> Any:
        x = rng.standard_normal(shape)
        return x + np.copysign(0.1, x)

    return draw


def distinct(*shape: int) -> Draw:
    """Draw random numbers at least 0.1 apart, so that no window has two maxima."""
    return lambda rng: 0.1 * rng.permutation(np.prod(shape)).reshape(shape) - 2.0


def positive(*shape: int) -> Draw:
    """Draw random numbers from 0.5 to 2."""
    return lambda rng: rng.uniform(0.5, 2.0, shape)


def classes(count: int, num_classes: int, dtype: Any = np.int64) -> Draw:
    """Draw integer labels."""
    return lambda rng: rng.integers(0, num_classes, count).astype(dtype)


def distributions(*shape: int) -> Draw:
    """Draw labels that are distributions, one a row."""
    return lambda rng: rng.dirichlet(np.ones(shape[1]), shape[0])


def window(kernel_size: int, **options: int) -> dict[str, int]:
    """Return the options of a pooling operation."""
    return {"kernel_size": kernel_size, **options}


def _dropout(ops: Any, x: np.ndarray, p: float) -> Any:
    # A fresh generator each time: forward and backward must mean the same mask.
    return ops.dropout(x, p, np.random.default_rng(SEED))


def _dropout_backward(
    ops: Any, grad_output: np.ndarray, x: np.ndarray, p: float
) -> tuple[Any]:
    return (ops.dropout_backward(grad_output, _dropout(ops, x, p)[1]),)


CONV = (
    Case("3x3", ((2, 3, 6, 5), (4, 3, 3, 3), (4,)), {"padding": 1}),
    Case("3x3 stride 2", ((2, 3, 7, 6), (5, 3, 3, 3)), {"stride": 2, "padding": 1}),
    Case("1x1 stride 2", ((3, 4, 5, 5), (2, 4, 1, 1), (2,)), {"stride": 2}),
    Case("3x2, one image", ((1, 2, 4, 5), (3, 2, 3, 2), (3,))),
    Case("2x2 leaves a tail", ((2, 2, 5, 5), (3, 2, 2, 2)), {"stride": 2}),
    Case("5x4 stride 3", ((2, 1, 8, 7), (2, 1, 5, 4)), {"stride": 3, "padding": 2}),
    Case("one place", ((2, 3, 3, 4), (2, 3, 3, 4), (2,)), {"stride": 5}),
    Case("wide 3x3", ((2, 17, 9, 6), (35, 17, 3, 3)), {"padding": 1}),
    Case("wide 1x1", ((2, 40, 5, 4), (24, 40, 1, 1)), {"stride": 2}),
)

STATISTICS = ((3,), (3,), (3,), positive(3))
BATCH_NORM = (
    Case("training", ((4, 3, 5, 2), *STATISTICS)),
    Case("one image", ((1, 3, 2, 3), *STATISTICS), {"momentum": 0.3, "eps": 1e-3}),
    Case("evaluation", ((4, 3, 5, 2), *STATISTICS), {"training": False}),
    Case("wide", ((3, 37, 4, 5), (37,), (37,), (37,), positive(37))),
)

POOLS = (
    ("2", (2, 3, 4, 6), window(2)),
    ("3 stride 2 padded", (2, 3, 7, 6), window(3, stride=2, padding=1)),
    ("2 leaves a tail", (1, 2, 5, 7), window(2)),
    ("3 stride 1", (2, 1, 4, 5), window(3, stride=1, padding=1)),
    ("4 stride 3", (2, 2, 6, 5), window(4, stride=3, padding=2)),
    ("stride beyond the window", (2, 2, 7, 8), window(2, stride=3)),
)

OPS = (
    OpSpec(
        "conv2d",
        CONV,
        bars=(5e-6, 5e-6, 2e-5, 2e-5),
        linear_in={0: (2,), 1: (2,), 2: (0,)},
        backward_takes=2,
        pytorch="F.conv2d",
        bfloat16=True,
    ),
    OpSpec(
        "batch_norm2d",
        BATCH_NORM,
        bars=(5e-6, 5e-6, 5e-6, 5e-6),
        pytorch="batch_norm2d",
        bfloat16=True,
    ),
    OpSpec(
        "relu",
        (
            Case("activations", (nonzero(2, 3, 4, 5),)),
            Case("a matrix", (nonzero(7, 3),)),
            Case("a number", (positive(),)),
        ),
        bars=(0, 0),
        pytorch="F.relu",
        bfloat16=True,
    ),
    OpSpec(
        "gelu",
        (
            Case("activations", ((2, 3, 4, 5),)),
            Case("a matrix", ((7, 3),), {"approximate": "tanh"}),
            Case("far from 0", (lambda rng: rng.uniform(-9, 9, (3, 37)),)),
            Case("a number", (positive(),), {"approximate": "tanh"}),
        ),
        bars=(1e-6, 1e-6),
        pytorch="F.gelu",
        bfloat16=True,
    ),
    OpSpec(
        "add",
        (
            Case("activations", ((2, 3, 4, 5), (2, 3, 4, 5))),
            Case("a number a channel", ((2, 3, 4, 5), (3, 1, 1))),
            Case("both stretched", ((4, 1, 2), (3, 1))),
            Case("a number", ((2, 3), ())),
        ),
        bars=(0, 1e-6, 1e-6),
        linear_in={0: (1,), 1: (0,)},
        batched=(0, 1),
        pytorch="torch.add",
        bfloat16=True,
    ),
    OpSpec(
        "avgpool2d",
        tuple(Case(label, (shape,), options) for label, shape, options in POOLS),
        bars=(1e-6, 1e-6),
        linear_in={0: ()},
        pytorch="F.avg_pool2d",
        bfloat16=True,
    ),
    OpSpec(
        "maxpool2d",
        tuple(Case(label, (distinct(*shape),), o) for label, shape, o in POOLS),
        bars=(0, 1e-6),
        pytorch="F.max_pool2d",
        bfloat16=True,
    ),
    OpSpec(
        "global_avgpool2d",
        (Case("4x5", ((2, 3, 4, 5),)), Case("1x1", ((2, 3, 1, 1),))),
        bars=(1e-6, 1e-6),
        linear_in={0: ()},
        pytorch="lambda x: F.adaptive_avg_pool2d(x, 1)",
        bfloat16=True,
    ),
    OpSpec(
        "linear",
        (
            Case("bias", ((5, 7), (3, 7), (3,))),
            Case("no bias, one row", ((1, 4), (2, 4))),
            Case("wide", ((9, 65), (17, 65), (17,))),
        ),
        bars=(5e-6, 5e-6, 5e-6, 5e-6),
        linear_in={0: (2,), 1: (2,), 2: (0,)},
        backward_takes=2,
        pytorch="F.linear",
        bfloat16=True,
    ),
    OpSpec(
        "dropout",
        (Case("activations", ((2, 3, 4, 5),), {"p": 0.4}),),
        bars=(1e-6, 1e-6),
        linear_in={0: ()},
        run_forward=_dropout,
        run_backward=_dropout_backward,
        bfloat16=True,
        # PyTorch does not tell its mask
    ),
    OpSpec(
        "softmax",
        (Case("4x5", ((4, 5),)), Case("one class", ((3, 1),))),
        bars=(1e-6, 1e-6),
        pytorch="lambda logits: F.softmax(logits, dim=1)",
    ),
    OpSpec(
        "cross_entropy",
        (
            Case("classes", ((6, 5), classes(6, 5))),
            Case("smoothed", ((4, 3), classes(4, 3, "u1")), {"label_smoothing": 0.1}),
            Case("distributions", ((5, 4), distributions(5, 4))),
            Case("both", ((3, 4), distributions(3, 4)), {"label_smoothing": 0.2}),
        ),
        bars=(1e-6, 1e-6),
        pytorch="cross_entropy",
    ),
)

ALL_CASES = [(spec, case) for spec in OPS for case in spec.cases]
FIRST_CASES = [(spec, spec.cases[0]) for spec in OPS]


def name_of(value: OpSpec | Case) -> str:
    """Return the words that stand for a spec or a case in the name of a test."""
    return value.name if isinstance(value, OpSpec) else value.label.replace(" ", "-")
