"""What networks are made of: pairs of forward and backward that work on named tensors.

    context.py   what a forward is given (`Context`) and a backward fills (`Gradients`)
    norm.py      batch norm with the relu after it
    conv_norm.py convolution with batch norm, relu, and the addition that ends a branch
    shortcut.py  the way around a residual block

An operation (`odyssey.ops`) takes arrays; a layer takes names and finds its arrays by
them: parameters, running statistics and gradients are dictionaries with the same names.
A forward returns its result and a cache, in which it notes how it was called and what
its backward needs.  A backward takes `Gradients`, leaves there what it finds of
parameters, and returns the gradient of its input.

No layer writes over a gradient that it is given, unless the caller says so at the call:
``reuse=grad_output`` lends the memory of an array that is not needed afterwards.
"""
