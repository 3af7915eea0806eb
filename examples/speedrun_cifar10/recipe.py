"""The recipe of the speed run: whitening, update, schedule, and the six views.

Jordan 2024, arXiv:2404.00498, as of airbench94_muon:

- The whitening's kernel: the eigenvectors of the covariance of 2x2 patches, each
  divided by the root of its eigenvalue, so that its outputs have the variance 1 and no
  correlation.  Noise of little variance is kept from being enlarged without limit.
- The 3x3 kernels move by Muon, all else by SGD with Nesterov's momentum; all rates fall
  linearly to zero, that of the whitening's bias within its first epochs.
- The loss is summed over the batch, not averaged.
- An image is mirrored in every second epoch, and shifted by up to 2 pixels.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from odyssey.data.augment import normalize_batch
from odyssey.distributed.data_parallel import SOLO, DataParallel
from odyssey.muon import muon_update_inplace, scale_to_norm_inplace
from odyssey.network import Config
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import sgd_momentum_update_inplace
from odyssey.precision import in_precision
from odyssey.training.evaluation import count_correct
from odyssey.training.finite import check_step
from odyssey.training.model import StepResult
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState
from speedrun_cifar10.architecture import PATCH, with_both_signs
from speedrun_cifar10.example import NETWORK

#: Fields of the library's recipe.  Its rate, momentum and decay are those of Muon.
CHOICES: dict[str, Any] = {
    "lr": 0.24,
    "lr_scheduler": "one-cycle",
    "lr_cycle_peak": 0.0,  # of that only the way down
    "momentum": 0.6,
    "nesterov": True,
    "weight_decay": 0.0,
    "label_smoothing": 0.2,
    "pad_mode": "reflect",
    "flip": "alternating",
}
EPOCHS = 9  # there 8: with one more the mean of five seeds is above 94 %
BATCH_SIZE = 2000
PADDING = 2  # pixels that an image is shifted by at most
MUON_STEPS = 3  # of Newton and Schulz
BIAS_LR, HEAD_LR = 0.053, 0.67
SGD_MOMENTUM = 0.85
DECAY = 2e-6  # a rate times its weight decay, for each image of a batch
WHITENING_EPOCHS = 3  # in which the whitening's bias is trained
WHITENING_IMAGES = 5000  # that its kernel is computed from
WHITENING_EPS = 5e-4  # added to the eigenvalues


def whitening_kernel(
    images: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]
) -> np.ndarray:
    """Return the whitening's kernel (24, 3, 2, 2) for training images.

    Parameters
    ----------
    images : (N, 3, H, W) uint8, of which the first `WHITENING_IMAGES` count
    mean, std : of each channel, for the normalisation
    """
    images = images[:WHITENING_IMAGES]
    x = np.empty(images.shape, np.float64)
    normalize_batch(images, x, mean, std)
    windows = np.lib.stride_tricks.sliding_window_view(x, (PATCH, PATCH), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(
        -1, images.shape[1] * PATCH**2
    )
    # einsum, because the order of a BLAS product's sums depends on its threads
    covariance = np.einsum("ni,nj->ij", patches, patches) / len(patches)
    eigenvalues, vectors = np.linalg.eigh(covariance)
    filters = vectors.T / np.sqrt(eigenvalues + WHITENING_EPS)[:, None]
    return with_both_signs(filters.astype(np.float32))


def training_step(
    state: TrainingState,
    x: np.ndarray,
    labels: np.ndarray,
    lr: float,
    *,
    config: Config,
    recipe: Recipe,
    whitening_steps: int,
    parallel: DataParallel = SOLO,
) -> StepResult:
    """Learn from one batch; the arguments are those of `odyssey.training.step`.

    Parameters
    ----------
    whitening_steps : updates in which the whitening's bias is trained

    Raises
    ------
    NonFiniteError
        Before the update, if the loss or a gradient is NaN or infinite.
    """
    network, params = in_precision(NETWORK, recipe.precision), state.params
    frozen = {"whiten_kernel"}
    whitening = max(0.0, 1 - state.step / whitening_steps)  # share of its rate
    if not whitening:
        frozen.add("whiten_bias")
    part = parallel.part(state.batch, len(x))
    with parallel.statistics(part):  # of batch norm
        logits, running, cache = network.forward(params, state.running, x, config)
        loss = cross_entropy(logits, labels, recipe.label_smoothing)  # mean
        begun = parallel.begin(part, loss, count_correct(logits, labels))
        # the gradient of the sum is N times that of the mean
        grad_logits = cross_entropy_backward(
            part.images * part.share, logits, labels, recipe.label_smoothing
        )
        find_gradients: Any = network.backward  # with options of its own
        with parallel.sending(part, params):
            grads = find_gradients(
                grad_logits, cache, params, config, reuse=cache, frozen=frozen
            )
    loss, correct, grads, running = parallel.finish(part, begun, grads, running, params)
    grad_norm = check_step(loss, grads)
    share = lr / recipe.lr  # falls from 1 to 0
    decay = DECAY * recipe.batch_size
    for name, grad in grads.items():
        param, velocity = params[name], state.velocities[name]
        if param.ndim == 4:
            scale_to_norm_inplace(param, math.sqrt(len(param)))
            muon_update_inplace(
                param, grad, velocity, lr, recipe.momentum, steps=MUON_STEPS
            )
            continue
        highest = HEAD_LR if name == "fc_weights" else BIAS_LR
        falling = whitening if name == "whiten_bias" else share
        sgd_momentum_update_inplace(
            param,
            grad,
            velocity,
            highest * falling,
            SGD_MOMENTUM,
            weight_decay=decay / highest,
            nesterov=True,
        )
    state.running = running
    return StepResult(loss, correct, grad_norm, grads, part.images)


def six_views(
    predict: Callable[[np.ndarray], np.ndarray], x: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the logits of normalised images, (N, K), as seen in three ways.

    "single" are those of the images as they are, "mirrored" the mean with those of
    their mirror images.  "six" is the mean of that pair and of the pairs after a shift
    by one pixel up and left, and down and right, in which the middle counts for half.
    """
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect")
    H, W = x.shape[2:]

    def pair(top: int, left: int) -> tuple[np.ndarray, np.ndarray]:
        view = padded[:, :, top : top + H, left : left + W]
        straight = predict(view)
        return straight, (straight + predict(view[:, :, :, ::-1])) / 2

    single, middle = pair(1, 1)
    shifted = (pair(0, 0)[1] + pair(2, 2)[1]) / 2
    return {"single": single, "mirrored": middle, "six": (middle + shifted) / 2}
