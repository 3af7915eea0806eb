"""Deep learning by hand: every gradient derived, then coded, in NumPy and Numba.

One gradient rule holds everywhere.  The gradient of ``name`` is ``grad_name``, that of
``x`` is ``grad_input``, and has its shape and dtype; the gradient that comes from above
is ``grad_output``.
``op_backward(grad_output, <the forward's arguments>)`` returns gradients in the order
of these arguments.  ``conv2d_backward`` and ``linear_backward`` take no bias, on which
no gradient depends, but return its own; ``dropout_backward(grad_output, mask)`` takes
the forward's second result in place of its arguments.  Nothing is mutated unless the
name ends in ``_inplace`` or an ``out`` is given.

Sizes are N, C, H, W (batch, channels, height, width of an input), K, R, S (kernels,
their height and width), P, Q (height and width of an output).
"""

from odyssey import forks as _forks  # noqa: F401  (there before the first fork)
from odyssey import lazy
from odyssey.gradcheck import gradcheck as gradcheck

__version__ = "0.1.0"

#: Where each public name comes from: the modules say it themselves, in ``__all__``.
#: It is imported when first asked for.  ``gradcheck`` is not in it, for its module has
#: the same name: importing that later would put the module in the function's place.
_HOMES = lazy.exports(
    __name__,
    [
        "data.batching",
        "folding",
        "init",
        "ops",
        "optim",
        "schedules",
        "weights.hexfile",
    ],
)

__all__ = sorted([*_HOMES, "gradcheck", "reference"])

__getattr__, __dir__ = lazy.attach(__name__, _HOMES, public=[*__all__, "__version__"])
