"""One step of training: what is called in which order, and what becomes of it."""

import numpy as np
import pytest
from small_network import CONFIG, NETWORK
from standin import recipe

import odyssey
from odyssey.errors import NonFiniteError
from odyssey.training import step as step_module
from odyssey.training.state import TrainingState
from odyssey.training.step import (
    inference,
    noise_generator,
    predictor,
    training_step,
)

RNG = np.random.default_rng(1)
X = RNG.standard_normal((6, 5)).astype("f4")
LABELS = np.array([0, 2, 1, 1, 0, 2])
LR = 0.1


def fresh(averaged=False):
    return TrainingState.fresh(*NETWORK.initialize(CONFIG, 3), averaged)


def step(state, *, reduce=None, network=NETWORK, x=X, **changes):
    return training_step(
        state,
        x,
        LABELS,
        LR,
        network=network,
        config=CONFIG,
        recipe=recipe(**changes),
        reduce=reduce,
    )


def by_hand(state, change=lambda grads: None, **changes):
    """Loss, gradients and parameters of a step, from operations alone."""
    made = recipe(**changes)
    rng = noise_generator(made.seed, state.step)
    logits, running, cache = NETWORK.forward(
        state.params, state.running, X, CONFIG, True, rng
    )
    loss = odyssey.cross_entropy(logits, LABELS, made.label_smoothing)
    grad_logits = odyssey.cross_entropy_backward(
        1.0, logits, LABELS, made.label_smoothing
    )
    grads = NETWORK.backward(grad_logits, cache, state.params, CONFIG)
    change(grads)
    if made.clip_grad_norm is not None:
        odyssey.clip_grad_norm_inplace(grads, made.clip_grad_norm)
    params = {name: array.copy() for name, array in state.params.items()}
    velocities = {name: array.copy() for name, array in state.velocities.items()}
    for name, param in params.items():
        odyssey.sgd_momentum_update_inplace(
            param,
            grads[name],
            velocities[name],
            LR,
            made.momentum,
            weight_decay=made.weight_decay_of(param),
            nesterov=made.nesterov,
        )
    return loss, grads, params, running


def assert_equal(got, want):
    assert list(got) == list(want)
    for name, array in want.items():
        np.testing.assert_array_equal(got[name], array)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"clip_grad_norm": 0.1, "label_smoothing": 0.1},
        {"nesterov": True, "norm_weight_decay": 0.0},
    ],
    ids=str,
)
def test_a_step_is_forward_loss_backward_and_update(changes):
    state = fresh()
    for number in range(3):
        state.step = number  # the trainer counts
        loss, grads, params, running = by_hand(state, **changes)
        logits = NETWORK.forward(
            state.params,
            state.running,
            X,
            CONFIG,
            True,
            noise_generator(0, number),
        )[0]
        result = step(state, **changes)
        assert result.loss == loss
        assert result.correct == (logits.argmax(axis=1) == LABELS).sum()
        assert_equal(result.grads, grads)
        assert_equal(state.params, params)
        assert_equal(state.running, running)


def test_the_norm_is_that_of_the_gradients_before_they_are_clipped():
    state = fresh()
    _, grads, _, _ = by_hand(state)
    norm = odyssey.global_grad_norm(grads)
    result = step(state, clip_grad_norm=norm / 2)
    assert result.grad_norm == norm
    assert odyssey.global_grad_norm(result.grads) == pytest.approx(norm / 2, rel=1e-5)


def test_reduce_comes_between_backward_and_update(monkeypatch):
    calls = []

    def noting(name, function):
        def noted(*args, **kwargs):
            calls.append(name)
            return function(*args, **kwargs)

        return noted

    for name in ("clip_grad_norm_inplace", "update_parameters", "check_step"):
        monkeypatch.setattr(step_module, name, noting(name, getattr(step_module, name)))
    network = NETWORK._replace(
        forward=noting("forward", NETWORK.forward),
        backward=noting("backward", NETWORK.backward),
    )
    state = fresh()
    step(state, network=network, reduce=noting("reduce", len), clip_grad_norm=1.0)
    assert calls[:3] == ["forward", "backward", "reduce"]
    assert calls[3:5] == ["check_step", "clip_grad_norm_inplace"]
    assert calls[5:] == ["update_parameters"]


@pytest.mark.parametrize("clip", [None, 0.05])
def test_what_reduce_changes_is_what_the_update_and_the_clip_see(clip):
    def mean_with_another_process(grads):
        rng = np.random.default_rng(8)
        for grad in grads.values():
            grad += rng.standard_normal(grad.shape).astype(grad.dtype)
            grad *= 0.5

    state = fresh()
    untouched = step(fresh(), clip_grad_norm=clip)
    loss, grads, params, _ = by_hand(
        state, mean_with_another_process, clip_grad_norm=clip
    )
    seen = {}

    def reduce(found):
        assert list(found) == list(state.params)
        mean_with_another_process(found)
        seen.update((name, grad.copy()) for name, grad in found.items())

    result = step(state, reduce=reduce, clip_grad_norm=clip)
    assert result.loss == loss == untouched.loss
    assert result.grad_norm == odyssey.global_grad_norm(seen) != untouched.grad_norm
    assert_equal(result.grads, grads)
    assert_equal(state.params, params)


def test_two_halves_reduced_are_the_whole():
    """What data-parallel training does: each process has a half of the batch."""
    whole = fresh()
    want = step(whole)
    halves = []
    for part in (slice(0, 3), slice(3, 6)):
        training_step(
            fresh(),
            X[part],
            LABELS[part],
            LR,
            network=NETWORK,
            config=CONFIG,
            recipe=recipe(),
            reduce=lambda grads: halves.append(
                {name: grad.copy() for name, grad in grads.items()}
            ),
        )

    def mean(grads):
        for name, grad in grads.items():
            grad[...] = (halves[0][name] + halves[1][name]) / 2

    state = fresh()
    got = step(state, reduce=mean)
    assert got.loss == want.loss
    for name, grad in want.grads.items():  # the same sums in another order
        np.testing.assert_allclose(got.grads[name], grad, rtol=0, atol=1e-6)


def test_a_gradient_that_is_not_finite_stops_before_the_update():
    state = fresh()
    before = {name: array.copy() for name, array in state.tensors().items()}

    def spoil(grads):
        grads["fc_bias"][0] = np.nan

    with pytest.raises(NonFiniteError, match="fc_bias"):
        step(state, reduce=spoil)
    assert_equal(state.tensors(), before)


def test_averages_follow_the_weights():
    state = fresh(averaged=True)
    step(state, ema_decay=0.75)
    # up to the first update after the warmup they are copies
    assert_equal(state.averages, {**state.params, **state.running})
    before = {name: array.copy() for name, array in state.averages.items()}
    state.step, state.batch = 1, 1
    step(state, ema_decay=0.75)
    for name, value in {**state.params, **state.running}.items():
        want = np.float32(0.75) * before[name] + np.float32(0.25) * value
        np.testing.assert_array_equal(state.averages[name], want)


def test_predictions_are_those_of_the_averages_if_there_are_any():
    state = fresh(averaged=True)
    for array in state.averages.values():
        array += 1
    params, running = state.learned()
    want = NETWORK.forward(params, running, X, CONFIG, False, folded=True)[0]
    np.testing.assert_array_equal(
        predictor(state, network=NETWORK, config=CONFIG)(X), want
    )
    plain = inference(NETWORK, state.params, state.running, CONFIG)(X)
    assert not np.array_equal(plain, want)


def test_a_network_is_folded_once_for_all_batches():
    folds = []

    def fold(params, state, config):
        folds.append(config)
        return {name: 2 * param for name, param in params.items()}

    params, state = NETWORK.initialize(CONFIG, 3)
    predict = inference(NETWORK._replace(fold=fold), params, state, CONFIG)
    doubled = {name: 2 * param for name, param in params.items()}
    want = NETWORK.forward(doubled, {}, X, CONFIG, False, folded=True)[0]
    for _ in range(2):
        np.testing.assert_array_equal(predict(X), want)
    assert folds == [CONFIG]


def test_noise_is_a_function_of_seed_and_step():
    def draw(seed, number):
        return noise_generator(seed, number).random(4).tolist()

    assert draw(1, 2) == draw(1, 2)
    assert len({tuple(draw(seed, n)) for seed in (1, 2) for n in (0, 1)}) == 4
    # draws of a step do not run into those of the next
    many = noise_generator(1, 0).random(10_000)
    assert draw(1, 1)[0] not in many
