"""Every operation in plain NumPy, one file for each family: read these files first.

    conv.py  batch_norm.py  activation.py  gelu.py  addition.py  pooling.py  linear.py
    dropout.py  loss.py  optim.py  batching.py

Each function has the name, arguments and results of its fast twin in ``odyssey``, and
the twin is tested against it.  Nothing is optimised: loops run over the taps of a
kernel or the windows of an image.  Only the fast twins have types and check arguments.

Those in `WIDENED` take activations of bfloat16 too: they compute in float32, and what
has the dtype of the activations is rounded once, in the end.

Each backward is below its forward.  It takes ``grad_output``, the gradient of the loss
with respect to the forward's result.  It returns the gradient with respect to each
argument, in the order and with the shapes of the arguments: that of ``x`` is called
``grad_input``, all others ``grad_<name>``.  A comment quotes the line of the forward
that the next line differentiates.

Sizes: N images of C channels and H x W pixels; K kernels of R x S taps; P x Q outputs.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from odyssey import bfloat16 as _bfloat16

__all__: list[str] = []

if TYPE_CHECKING:  # a type checker does not see what the loop below does

    def __getattr__(name: str) -> Callable[..., Any]: ...


#: Files whose functions may be given bfloat16.
WIDENED = (
    "conv",
    "batch_norm",
    "activation",
    "gelu",
    "addition",
    "pooling",
    "linear",
    "dropout",
)
#: What has more results than the first one in the dtype of the activations.
ROUNDED = {"add_backward": 2}

# Every public function of the files is put here, so that no list has to be kept.
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    for _name, _value in vars(importlib.import_module(_module.name)).items():
        if getattr(_value, "__module__", "") == _module.name and _name[0] != "_":
            if _module.name.rpartition(".")[2] in WIDENED:
                _value = _bfloat16.widened(_value, ROUNDED.get(_name, 1))
            globals()[_name] = _value
            __all__.append(_name)
