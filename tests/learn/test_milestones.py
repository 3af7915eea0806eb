"""Milestones: who is let in, what is refused, and that both trainings agree."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from odyssey import reference
from odyssey.data.synthetic import make_synthetic
from odyssey.learn import course, networks, training
from odyssey.learn.milestones import MILESTONES, compare, completed
from odyssey.learn.sources import solution
from odyssey.learn.training import Refused, refuse_disagreement, train

LISTED = re.findall(r"^    (\w+)  ", course.__doc__, re.MULTILINE)
DATA = make_synthetic(64, 1)
each = pytest.mark.parametrize("milestone", MILESTONES.values(), ids=list(MILESTONES))


def textbook() -> SimpleNamespace:
    """Return the twins, called as the student's functions are."""
    found = {name: getattr(reference, name) for name in reference.__all__}
    whole = found.pop("conv2d_backward")
    found["conv2d_grad_kernel"] = lambda *call: whole(*call)[1:]
    found["conv2d_grad_input"] = lambda *call: whole(*call)[0]
    ops = completed(found)
    ops.residual_block = lambda *call, **options: networks.residual_block(
        ops, *call, **options
    )[0]
    ops.residual_block_backward = lambda *call, **options: (
        networks.residual_block_backward(ops, *call, **options)
    )
    ops.he_normal = training._he_normal
    ops.cosine_warmup = lambda step, lr, total_steps, warmup_steps: lr
    return ops


@each
def test_a_milestone_needs_only_exercises_of_the_course(milestone):
    order = [course.ORDER.index(name) for name in milestone.needs]
    assert order == sorted(order)


def test_the_courses_order_is_the_one_that_is_written_down():
    assert list(course.ORDER) == LISTED


@each
def test_every_parameter_has_its_gradient(milestone):
    """The networks' own backwards, by central differences along a random direction."""
    ops, network = textbook(), milestone.network
    params = {
        name: value.astype(np.float64)
        for name, value in training.initial_values(milestone, ops).items()
    }
    x = training.prepared(DATA.train_images[:2]).astype(np.float64)
    labels = DATA.train_labels[:2]

    def loss(values):
        return ops.cross_entropy(network.forward(ops, values, x)[0], labels)

    logits, cache = network.forward(ops, params, x)
    grad_logits = ops.cross_entropy_backward(1.0, logits, labels)
    grads = network.backward(ops, params, grad_logits, cache)
    assert grads.keys() == params.keys()
    rng, eps = np.random.default_rng(0), 1e-6
    for name, grad in grads.items():
        assert grad.shape == params[name].shape
        direction = rng.standard_normal(grad.shape)
        high, low = (
            loss({**params, name: params[name] + sign * eps * direction})
            for sign in (1, -1)
        )
        numeric = (high - low) / (2 * eps)
        assert numeric == pytest.approx(np.vdot(grad, direction), rel=1e-3), name


@each
def test_a_gradient_that_is_zero_all_along_is_refused(milestone):
    ops = textbook()
    right = ops.linear_backward

    def lost(grad_output, x, weights):
        grad_input, grad_weights, grad_bias = right(grad_output, x, weights)
        return 0 * grad_input, grad_weights, grad_bias

    ops.linear_backward = lost
    with pytest.raises(Refused, match=r"the gradient of .*, .* was zero in each of"):
        train(milestone, ops, DATA, 2)


def test_an_absent_gradient_and_a_loss_of_nan_are_refused():
    milestone, ops = MILESTONES["linear"], textbook()
    right = ops.linear_backward
    ops.linear_backward = lambda *call: (*right(*call)[:2], None)
    with pytest.raises(Refused, match="gives no gradient of fc1_bias, fc2_bias"):
        train(milestone, ops, DATA, 2)
    ops = textbook()
    ops.cross_entropy = lambda logits, labels: float("nan")
    with pytest.raises(Refused, match="the loss is nan in step 1"):
        train(milestone, ops, DATA, 2)


def test_both_trainings_agree_and_another_gradient_does_not():
    milestone = MILESTONES["linear"]
    yours = train(milestone, textbook(), DATA, 12)
    library = compare(milestone, DATA, yours)
    assert training.largest_difference(yours, library) < 1e-5
    assert refuse_disagreement(yours, library) < 1e-5
    assert yours.losses[-1] < yours.losses[0]

    ops = textbook()
    right = ops.linear_backward

    def half(*call):
        grad_input, grad_weights, grad_bias = right(*call)
        return grad_input, 0.5 * grad_weights, grad_bias

    ops.linear_backward = half
    halved = train(milestone, ops, DATA, 1)
    with pytest.raises(Refused, match="the gradient of fc1_weights in the first step"):
        refuse_disagreement(halved, library)
    halved.losses[0] *= 1.0001
    with pytest.raises(Refused, match="the loss in the first step differs"):
        refuse_disagreement(halved, library)


def test_cifar10_is_taken_if_it_is_there(tiny_cifar_dir, tmp_path):
    name, data = training.load_data(tiny_cifar_dir)
    assert name == "CIFAR-10" and len(data.train_images) == 100
    name, data = training.load_data(tmp_path / "nothing")
    assert name == "the synthetic set" and len(data.train_images) == 512


def test_the_command_refuses_until_all_that_is_needed_passes(learn, tmp_path):
    result = learn("milestone", "linear", "--steps", 2)
    assert result.exit_code == 1
    assert "relu is needed and not begun" in result.output
    for name in MILESTONES["linear"].needs:
        assert learn("start", name).exit_code == 0
        Path("odyssey_course", f"{name}.py").write_text(solution(course.load(name)))
    path = Path("odyssey_course/linear.py")
    text = path.read_text()
    path.write_text(text.replace("sum(axis=0)", "mean(axis=0)"))
    result = learn("milestone", "linear", "--steps", 2)
    assert result.exit_code == 1
    assert "linear is needed and does not pass, 6 of 13 checks" in result.output

    path.write_text(text)
    result = learn("milestone", "linear", "--steps", 2)
    assert result.exit_code == 0, result.output
    assert "The losses agree: in the first step they differ by" in result.output
    assert "time of the fastest step" in result.output
    assert "Milestones: linear (passed), lenet, resnet8" in learn().output


def test_own_functions_update_where_the_milestone_says_so():
    calls, ops = [], textbook()
    right = ops.sgd_momentum_update_inplace

    def update(param, grad, velocity, lr, momentum):
        calls.append(lr)
        right(param, grad, velocity, lr, momentum)

    ops.sgd_momentum_update_inplace = update
    train(MILESTONES["linear"], ops, DATA, 1)
    assert calls == []
    train(replace(MILESTONES["linear"], own_update=True), ops, DATA, 1)
    assert len(calls) == 4
