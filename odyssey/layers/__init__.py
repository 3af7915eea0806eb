"""What networks are made of: pairs of forward and backward that work on named tensors.

    context.py      `Context`, for forwards, and `Gradients`, which backwards fill
    norm.py         batch norm with the relu after it
    synchronized.py batch norm over the values of all ranks, in data-parallel training
    conv_norm.py    convolution, batch norm, relu, and the addition that ends a branch
    shortcut.py     the shortcut of a residual block
    linear_relu.py  a hidden linear layer with relu and dropout
    blocks.py       blocks one after another; what is kept of each for the backward
    listed.py       a network's layers as a list: shapes of tensors, batch norms folded

An operation (`odyssey.ops`) takes arrays; a layer takes names and finds its arrays by
them: parameters, running statistics and gradients are dictionaries with the same names.
A forward returns its result and a cache, which holds the tensors and options that its
backward needs.  A backward writes the gradients of its parameters into `Gradients` and
returns the gradient of its input.

No layer overwrites a gradient that it is given, unless the call says so:
``reuse=grad_output`` lends the memory of an array that is not needed afterwards.
"""
