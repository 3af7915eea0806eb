"""The linear layer."""


def linear(x, weights, bias=None):
    """Return x (N, in) @ weights (out, in).T + bias (out,), of shape (N, out)."""
    return x @ weights.T if bias is None else x @ weights.T + bias


def linear_backward(grad_output, x, weights):
    """Return grad_input, grad_weights and grad_bias of :func:`linear`."""
    return grad_output @ weights, grad_output.T @ x, grad_output.sum(axis=0)
