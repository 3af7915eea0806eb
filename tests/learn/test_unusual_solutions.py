"""Right solutions that are written in another way than the reference."""

import pytest
from tries import failures

LINEAR = """
import numpy as np


def linear(x, weights, bias=None):
    out = np.einsum("ni,ki->nk", x, weights)
    return out if bias is None else out + bias


def linear_backward(grad_output, x, weights):
    parts = zip("nk,ki->ni nk,ni->ki nk->k".split(), ((weights,), (x,), ()))
    return [np.einsum(how, grad_output, *others) for how, others in parts]
"""

CROSS_ENTROPY = """
import numpy as np


def _log_prob(logits):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def softmax(logits):
    return np.exp(_log_prob(logits))


def softmax_backward(grad_output, logits):
    prob = softmax(logits)
    return prob * (grad_output - (grad_output * prob).sum(axis=1, keepdims=True))


def _target(logits, labels, e):
    K = logits.shape[1]
    target = labels if labels.ndim == 2 else np.eye(K)[labels]
    return (1 - e) * target + e / K


def cross_entropy(logits, labels, label_smoothing=0.0):
    target = _target(logits, labels, label_smoothing)
    logits = logits.astype(WIDE)
    with np.errstate(invalid="ignore"):
        terms = np.where(target == 0, 0, target * _log_prob(logits))
    return -terms.sum() / len(logits)


def cross_entropy_backward(grad_output, logits, labels, label_smoothing=0.0):
    wide = logits.astype(WIDE)
    grad = softmax(wide) - _target(logits, labels, label_smoothing)
    return (grad_output * grad / len(logits)).astype(logits.dtype)
"""

BATCH_NORM = """
import numpy as np


def batch_norm2d_backward(
    grad_output, x, gamma, beta, running_mean, running_var,
    training=True, momentum=0.1, eps=1e-5,
):
    dtype = x.dtype
    arrays = (grad_output, x, gamma, running_mean, running_var)
    grad_output, x, gamma, mean, var = (a.astype(np.float64) for a in arrays)
    if training:
        mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    rstd = 1 / np.sqrt(var + eps)
    xhat = np.einsum("nchw,c->nchw", x - mean[:, None, None], rstd)
    grad_beta = np.einsum("nchw->c", grad_output)
    grad_gamma = np.einsum("nchw,nchw->c", grad_output, xhat)
    grad = grad_output
    if training:
        M = x.size // x.shape[1]
        both = grad_beta[:, None, None] + xhat * grad_gamma[:, None, None]
        grad = grad - both / M
    grad = grad * (gamma * rstd)[:, None, None]
    return tuple(g.astype(dtype) for g in (grad, grad_gamma, grad_beta))
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("linear", LINEAR),
        ("softmax_cross_entropy", CROSS_ENTROPY.replace("WIDE", "logits.dtype")),
        ("softmax_cross_entropy", CROSS_ENTROPY.replace("WIDE", "np.float64")),
        ("batch_norm2d_backward", BATCH_NORM),
    ],
)
def test_they_pass(name, text):
    assert failures(name, text) == []


def test_where_only_float32_is_wrong_the_advice_says_so():
    loses = BATCH_NORM.replace("a.astype(np.float64)", "a")
    (failed,) = failures("batch_norm2d_backward", loses)
    assert failed.about == "float32 in, float32 out"
    assert "With float64 arrays this case is right." in failed.message
