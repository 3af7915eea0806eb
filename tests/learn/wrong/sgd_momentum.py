"""Wrong tries of the update."""

from tries import Try

from odyssey.learn.grading import ARGUMENTS, CASES, EDGES, HAND

NAME = "sgd_momentum_update_inplace"
VELOCITY = "velocity[...] = momentum * velocity + g"
STEP = "param -= lr * (g + momentum * velocity if nesterov else velocity)"

TRIES = [
    Try(
        "another array, which the caller does not see",
        VELOCITY,
        "velocity = momentum * velocity + g",
        NAME,
        HAND,
        "velocity[...] = ... writes into the array",
    ),
    Try(
        "a param that the caller does not see",
        STEP,
        STEP.replace("param -= ", "param = param - "),
        NAME,
        HAND,
        "param afterwards is wrong",
    ),
    Try(
        "uphill",
        "param -= ",
        "param += ",
        NAME,
        HAND,
        "param    = param - 0.1 * step",
    ),
    Try(
        "lr in the velocity",
        f"{VELOCITY}\n    {STEP}",
        "velocity[...] = momentum * velocity + lr * g\n"
        "    param -= g * lr + momentum * velocity if nesterov else velocity",
        NAME,
        HAND,
        "velocity afterwards is wrong",
    ),
    Try(
        "1 - momentum times the gradient",
        VELOCITY,
        "velocity[...] = momentum * velocity + (1 - momentum) * g",
        NAME,
        HAND,
        "velocity afterwards is wrong",
    ),
    Try(
        "the old velocity for Nesterov",
        f"{VELOCITY}\n    {STEP}",
        f"{STEP}\n    {VELOCITY}",
        NAME,
        HAND,
        "step     = g + 0.5 * velocity",
    ),
    Try(
        "weight decay on the step alone",
        "g = grad + weight_decay * param",
        "g = grad + 0.0\n    param -= lr * weight_decay * param",
        NAME,
        HAND,
        "g        = grad + 1 * param",
    ),
    Try(
        "always Nesterov",
        "(g + momentum * velocity if nesterov else velocity)",
        "(g + momentum * velocity)",
        NAME,
        CASES,
        "momentum 0.9",
    ),
    Try(
        "returns the parameter",
        STEP,
        f"{STEP}\n    return param",
        NAME,
        HAND,
        "it must return nothing",
    ),
    Try(
        "the gradient is changed",
        "g = grad + weight_decay * param",
        "grad += weight_decay * param\n    g = grad",
        NAME,
        ARGUMENTS,
        "changed its argument grad",
    ),
    Try(
        "loops over one axis",
        "param -= lr * (g + momentum * velocity if nesterov else velocity)",
        "for i in range(len(param)):\n"
        "        step = g[i] + momentum * velocity[i] if nesterov else velocity[i]\n"
        "        param[i] -= lr * step",
        NAME,
        EDGES,
        "one number",
    ),
]
