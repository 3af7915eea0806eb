"""What holds arrays is shown in a line, whatever is in them."""

import numpy as np
from standin import Batches, fresh_state, predictor, train_step

from odyssey.data.dataset import CIFAR10_CLASSES, Dataset
from odyssey.training.evaluation import evaluate
from odyssey.training.state import TrainingState


def test_state():
    state = fresh_state()
    state.step, state.epoch = 12, 2
    assert repr(state) == (
        "TrainingState(12 steps, 2 epochs done; 1 tensors, 50 numbers)"
    )
    averaged = TrainingState.fresh(state.params, state.running, averaged=True)
    assert repr(averaged).endswith("1 tensors, 50 numbers, averages)")


def test_results_of_a_step_and_of_an_evaluation():
    state, batches = fresh_state(), Batches()
    x, labels = next(batches.epoch(0))
    result = train_step(state, x, labels, 0.1)
    assert repr(result) == (
        f"StepResult(loss {result.loss:.6g}, {result.correct} correct, "
        f"gradient norm {result.grad_norm:.6g})"
    )
    result = evaluate(predictor(state), batches.epoch(0))
    assert repr(result) == (
        f"Evaluation({result.correct} of 40 right, loss {result.loss:.4f})"
    )


def test_data():
    images, labels = np.zeros((1200, 3, 32, 32), np.uint8), np.zeros(1200, np.int64)
    data = Dataset(images, labels, images[:20], labels[:20], CIFAR10_CLASSES)
    assert repr(data) == "Dataset(1,200 training, 20 test images, 10 classes)"
