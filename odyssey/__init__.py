"""Deep learning by hand: every gradient derived, then coded, in NumPy and Numba.

The gradient of an argument ``name`` is called ``grad_name``, that of ``x`` is
``grad_input``; it has the argument's shape and dtype.  The gradient of an operation's
result is ``grad_output``.

``op_backward(grad_output, <the forward's arguments>)`` returns gradients in the order
of these arguments.  ``conv2d_backward`` and ``linear_backward`` take no bias, because
no gradient depends on it, but return its gradient; ``dropout_backward(grad_output,
mask)`` takes the forward's second result instead of its arguments.  Nothing is mutated
unless the name ends in ``_inplace`` or an ``out`` is given.

Sizes are N, C, H, W (batch, channels, height, width of an input), K, R, S (kernels,
their height and width), P, Q (height and width of an output).
"""

from odyssey import forks as _forks  # noqa: F401  (registers its hook now)
from odyssey import lazy
from odyssey.gradcheck import gradcheck as gradcheck

__version__ = "0.1.0"

#: The module of each public name, from the modules' ``__all__``.  A name is imported at
#: its first use.  ``gradcheck`` is not listed, because its module has the same name:
#: importing the module later would replace the function.
_HOMES = lazy.exports(
    __name__,
    [
        "data.batching",
        "folding",
        "init",
        "muon",
        "ops",
        "optim",
        "schedules",
        "weights.hexfile",
    ],
)

__all__ = sorted([*_HOMES, "gradcheck", "reference"])

__getattr__, __dir__ = lazy.attach(__name__, _HOMES, public=[*__all__, "__version__"])
