"""Every operation in plain NumPy, a file for each family: read these files first.

    conv.py  batch_norm.py  activation.py  addition.py  pooling.py  linear.py
    dropout.py  loss.py  optim.py  batching.py

Each function has the name, arguments and results of its fast twin in ``odyssey``, and
the twin is tested against it.  Nothing is tuned: loops run over the taps of a kernel or
the pixels of an image.  Types, and checks of arguments, are the twins' business.

A backward stands below its forward.  It takes ``grad_output``, the gradient of the loss
with respect to the forward's result, and returns the gradient with respect to each
argument: ``grad_<name>``, that of ``x`` ``grad_input``, shaped like it, in the order of
the arguments.  The comments in it quote the line of the forward that the next line
differentiates.

Sizes: N images of C channels and H x W pixels; K kernels of R x S taps; P x Q outputs.
"""

import importlib
import pkgutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

__all__: list[str] = []

if TYPE_CHECKING:  # which does not see what the loop below does

    def __getattr__(name: str) -> Callable[..., Any]: ...


# What the files define is offered here: a new one need not be listed anywhere.
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    for _name, _value in vars(importlib.import_module(_module.name)).items():
        if getattr(_value, "__module__", "") == _module.name and _name[0] != "_":
            globals()[_name] = _value
            __all__.append(_name)
