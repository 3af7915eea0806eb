"""Wrong backwards through updates, where a gradient check applies as well."""

import numpy as np

from odyssey.op_specs import Case, OpSpec
from odyssey.reference import sgd_momentum_update_inplace
from zoo.wrong import wrong

MOMENTUM, DECAY = 0.9, 0.1


def sgd(ops, param, grad, velocity, lr):
    """The new parameter after one step."""
    param, velocity = param.copy(), velocity.copy()
    sgd_momentum_update_inplace(param, grad, velocity, lr, MOMENTUM, weight_decay=DECAY)
    return (param,)


def loss(ops, w):
    return (float((w**4).sum() / 4 + np.cos(w).sum()),)


SGD = OpSpec(
    "sgd",
    (Case("one step", ((3, 4), (3, 4), (3, 4), lambda rng: np.array(0.5))),),
    bars=(0, 0, 0, 0, 0),
    run_forward=lambda ops, p, g, v, lr: sgd(ops, p, g, v, float(lr)),
)
STEP = OpSpec("step", (Case("w", ((3, 4),)),), bars=(0, 0), run_forward=loss)


def slopes(grad_output, lr):
    return (
        grad_output * (1 - lr * DECAY),
        -lr * grad_output,
        -lr * MOMENTUM * grad_output,
    )


def of_rate(grad_output, param, grad, velocity):
    step = MOMENTUM * velocity + grad + DECAY * param
    return np.array(-(grad_output * step).sum())


@wrong("sgd", "sign of the step turned round", "wrong sign", input=1, spec=SGD)
def sgd_sign(grad_output, param, grad, velocity, lr):
    grads = slopes(grad_output, float(lr))
    rate = of_rate(grad_output, param, grad, velocity)
    return grads[0], -grads[1], grads[2], rate


@wrong("sgd", "learning rate forgotten", "wrong factor", input=1, spec=SGD)
def sgd_without_rate(grad_output, param, grad, velocity, lr):
    grads = slopes(grad_output, float(lr))
    rate = of_rate(grad_output, param, grad, velocity)
    return grads[0], -grad_output, grads[2], rate


@wrong("sgd", "momentum forgotten", "wrong factor", input=2, spec=SGD)
def sgd_without_momentum(grad_output, param, grad, velocity, lr):
    grads = slopes(grad_output, float(lr))
    rate = of_rate(grad_output, param, grad, velocity)
    return *grads[:2], grads[1], rate


@wrong("step", "gradient after the parameter has moved",
       "gradient at the updated value", spec=STEP)  # fmt: skip
def step_after_the_update(grad_output, w):
    def slope(at):
        return grad_output * (at**3 - np.sin(at))

    return slope(w - 0.05 * slope(w))
