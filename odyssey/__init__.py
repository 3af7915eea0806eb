"""Deep learning by hand: every gradient derived, then coded, in NumPy and Numba.

One gradient rule holds everywhere.  The gradient of ``name`` is ``grad_name`` and has
its shape and dtype; the gradient that comes from above is ``grad_output``.
``op_backward(grad_output, <the forward's arguments>)`` returns gradients in the order
of these arguments.  ``conv2d_backward`` and ``linear_backward`` take no bias, on which
no gradient depends, but return its own; ``dropout_backward(grad_output, mask)`` takes
the forward's second result in place of its arguments.  Nothing is mutated unless the
name ends in ``_inplace`` or an ``out`` is given.

Sizes are N, C, H, W (batch, channels, height, width of an input), K, R, S (kernels,
their height and width), P, Q (height and width of an output).
"""

import os
import signal
import sys

# While the module of `python -m` is looked for, argv is "-m" and what follows its name.
if sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)] in ("odyssey", "-modyssey"):
    # A signal during the imports is no error.
    for _name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"):
        _signum = getattr(signal, _name, None)  # Windows lacks two
        if _signum and signal.getsignal(_signum) != signal.SIG_IGN:
            signal.signal(_signum, lambda signum, frame: os._exit(128 + signum))

from odyssey import forks as _forks  # noqa: F401  (there before the first fork)
from odyssey import lazy
from odyssey.gradcheck import gradcheck as gradcheck

__version__ = "0.1.0"

#: Where each public name comes from; ``__init__.pyi`` tells editors the same.  It is
#: imported when first asked for.  ``gradcheck`` is not in it, for its module has the
#: same name: importing that later would put the module in the function's place.
_HOMES = {
    name: module
    for module, names in {
        "odyssey.data.batching": ["compute_num_batches", "extract_batch_pair"],
        "odyssey.folding": ["fold_batch_norm"],
        "odyssey.init": ["he_normal", "uniform_fan_in"],
        "odyssey.ops.activation": ["relu", "relu_backward"],
        "odyssey.ops.addition": ["add", "add_backward"],
        "odyssey.ops.batch_norm": ["batch_norm2d", "batch_norm2d_backward"],
        "odyssey.ops.batch_statistics": ["batch_statistics"],
        "odyssey.ops.conv": ["conv2d", "conv2d_backward"],
        "odyssey.ops.dropout": ["dropout", "dropout_backward"],
        "odyssey.ops.linear": ["linear", "linear_backward"],
        "odyssey.ops.loss": [
            "cross_entropy",
            "cross_entropy_backward",
            "softmax",
            "softmax_backward",
        ],
        "odyssey.ops.pooling": [
            "avgpool2d",
            "avgpool2d_backward",
            "global_avgpool2d",
            "global_avgpool2d_backward",
            "maxpool2d",
            "maxpool2d_backward",
        ],
        "odyssey.optim": [
            "clip_grad_norm_inplace",
            "global_grad_norm",
            "sgd_momentum_update_inplace",
        ],
        "odyssey.schedules": ["step_decay"],
        "odyssey.weights.hexfile": [
            "load_tensor",
            "load_tensor_with_name",
            "save_tensor",
        ],
    }.items()
    for name in names
}

__all__ = sorted([*_HOMES, "gradcheck", "reference"])

__getattr__, __dir__ = lazy.attach(__name__, _HOMES, public=[*__all__, "__version__"])
