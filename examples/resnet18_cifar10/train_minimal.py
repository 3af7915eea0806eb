"""Train ResNet-18 on CIFAR-10, in one file to be read from top to bottom.

python examples/resnet18_cifar10/train_minimal.py --epochs 8 --data-dir datasets/cifar10

The recipe is that of ``train.py --config resnet18_8epochs``, and the weights are the
same to the last bit.  train.py adds what a long run needs: options, logs, checkpoints,
an exact resume, and a stop at a loss or gradient that is not finite.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_EXAMPLES = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_EXAMPLES))
if (_EXAMPLES.parent / "odyssey" / "cli").is_dir():  # a checkout, perhaps not installed
    sys.path.insert(0, str(_EXAMPLES.parent))

from odyssey.data.augment import augment_batch
from odyssey.data.cifar10 import load_cifar10
from odyssey.data.loader import permutation
from odyssey.data.streams import SHUFFLE_STREAM
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import sgd_momentum_update_inplace
from odyssey.schedules import one_cycle
from resnet18_cifar10.architecture import ResNetConfig, fold, initialize
from resnet18_cifar10.model import backward, forward
from resnet18_cifar10.weights import save_weights

Tensors = dict[str, np.ndarray]  # by name: conv1_kernel, bn1_gamma ...

CONFIG = ResNetConfig()  # ResNet-18; ResNetConfig(width=16) is a quarter as wide
SEED = 0
BATCH_SIZE = 128
LR = 0.2  # the highest rate, see `learning_rate`
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1


def training_batches(
    images: np.ndarray, labels: np.ndarray, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of an epoch: shuffled, cropped, mirrored, normalised.

    Every random number is a function of the seed, the epoch and the image, so there is
    no random generator with a state.
    """
    order = permutation(len(images), seed=SEED, stream=SHUFFLE_STREAM, epoch=epoch)
    for start in range(0, len(images), BATCH_SIZE):
        indices = order[start : start + BATCH_SIZE]
        x = empty_batch(len(indices))
        augment_batch(
            images,
            indices,
            x,
            seed=SEED,
            epoch=epoch,
            padding=4,
            mode="reflect",
            flip="alternating",
        )
        yield x, labels[indices]


def empty_batch(count: int) -> np.ndarray:
    """Return an array for images (count, 3, 32, 32) in channels-last memory."""
    return np.empty((count, 32, 32, 3), np.float32).transpose(0, 3, 1, 2)


def learning_rate(step: int, steps: int) -> float:
    """Return the rate of an update: it rises in the first fifth, then falls to 0."""
    return one_cycle(step, LR, steps, peak=0.2, start_factor=0.2)


def train_step(
    params: Tensors,
    state: Tensors,
    velocities: Tensors,
    x: np.ndarray,
    labels: np.ndarray,
    lr: float,
) -> tuple[float, Tensors]:
    """Update ``params`` by one batch; return its loss and new running statistics."""
    logits, state, cache = forward(params, state, x, CONFIG)  # logits (N, 10)
    loss = cross_entropy(logits, labels, LABEL_SMOOTHING)
    grad_logits = cross_entropy_backward(1.0, logits, labels, LABEL_SMOOTHING)
    assert cache is not None  # in training there is one
    grads = backward(grad_logits, cache, params, CONFIG)
    for name, param in params.items():
        sgd_momentum_update_inplace(
            param,
            grads[name],
            velocities[name],
            lr,
            MOMENTUM,
            weight_decay=WEIGHT_DECAY,
            nesterov=True,
        )
    return loss, state


def accuracy(
    params: Tensors, state: Tensors, images: np.ndarray, labels: np.ndarray
) -> float:
    """Return the fraction of the images that are classified correctly."""
    folded = fold(params, state, CONFIG)  # batch norms into the kernels before them
    correct = 0
    for start in range(0, len(images), 100):
        indices = np.arange(start, min(start + 100, len(images)))
        x = empty_batch(len(indices))
        # normalises only: no crops, no flips
        augment_batch(images, indices, x, seed=SEED, epoch=0, padding=0, flip="none")
        logits, _, _ = forward(folded, {}, x, CONFIG, training=False, folded=True)
        correct += int(np.count_nonzero(logits.argmax(axis=1) == labels[indices]))
    return correct / len(images)


def main(epochs: int, data_dir: str, weights_dir: str) -> None:
    """Train, print a line for each epoch, and save the weights in hexadecimal."""
    data = load_cifar10(data_dir)
    params, state = initialize(CONFIG, SEED)
    velocities = {name: np.zeros_like(param) for name, param in params.items()}
    batches = -(-len(data.train_images) // BATCH_SIZE)  # of an epoch, rounded up
    step = 0
    for epoch in range(epochs):
        losses = []
        for x, labels in training_batches(data.train_images, data.train_labels, epoch):
            lr = learning_rate(step, epochs * batches)
            loss, state = train_step(params, state, velocities, x, labels, lr)
            losses.append(loss)
            step += 1
        test = accuracy(params, state, data.test_images, data.test_labels)
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, test {test:.2%}")
    save_weights(params, state, CONFIG, weights_dir)


if __name__ == "__main__":
    import argparse

    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--data-dir", default="datasets/cifar10")
    parser.add_argument("--weights-dir", default="resnet18_minimal")
    options = parser.parse_args()
    main(options.epochs, options.data_dir, options.weights_dir)
