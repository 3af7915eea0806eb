"""One training step: forward, loss, backward, update; on one process or on several."""

from collections.abc import Callable

import numpy as np

from odyssey.data.streams import NOISE_STREAM
from odyssey.distributed.data_parallel import SOLO, DataParallel
from odyssey.layers.context import Tensors
from odyssey.network import Config, Network
from odyssey.ops.loss import cross_entropy, cross_entropy_backward
from odyssey.optim import clip_grad_norm_inplace
from odyssey.precision import FLOAT32, in_precision
from odyssey.training.average import update_average_inplace
from odyssey.training.evaluation import count_correct
from odyssey.training.finite import check_step
from odyssey.training.model import StepResult
from odyssey.training.recipe import Recipe
from odyssey.training.state import TrainingState
from odyssey.training.update import update_parameters


def training_step(
    state: TrainingState,
    x: np.ndarray,
    labels: np.ndarray,
    lr: float,
    *,
    network: Network,
    config: Config,
    recipe: Recipe,
    reduce: Callable[[Tensors], None] | None = None,
    recompute: bool = False,
    parallel: DataParallel = SOLO,
) -> StepResult:
    """Learn from one batch.

    Parameters
    ----------
    state : parameters, momentum buffers and averages are updated in place; running
        statistics are replaced
    x : (N, C, H, W) float32, normalised images
    labels : (N,) integers; with mixing (N, K), shares of the classes
    lr : the learning rate
    network, config : the network and its options
    recipe : the run's; its precision is that of the activations
    reduce : called with the gradients between backward and update, to change them in
        place: to their mean over several processes, for example
    recompute : keep only the input of each block for the backward, which runs its
        forward again: less memory, more time, the same bits
    parallel : the ranks that share the batch, of which ``x`` and ``labels`` are this
        one's rows; the result and the update are those of the whole batch

    Raises
    ------
    NonFiniteError
        Before the update, if the loss or a gradient is NaN or infinite.
    """
    network, params = in_precision(network, recipe.precision), state.params
    part = parallel.part(state.batch, len(x))
    # for stochastic depth and dropout
    rng = parallel.noise(noise_generator(recipe.seed, state.step), part)
    smoothing = recipe.label_smoothing
    with parallel.statistics(part):  # of batch norm
        logits, running, cache = network.run_training(
            params, state.running, x, config, rng, recompute=recompute
        )
        loss = cross_entropy(logits, labels, smoothing)  # mean; logits are (N, K)
        begun = parallel.begin(part, loss, count_correct(logits, labels))

        grad_logits = cross_entropy_backward(part.share, logits, labels, smoothing)
        with parallel.sending(part, params):
            grads = network.run_backward(grad_logits, cache, params, config)
    loss, correct, grads, running = parallel.finish(part, begun, grads, running, params)
    if reduce is not None:
        reduce(grads)
    grad_norm = check_step(loss, grads)  # stops here, before the update, if not finite
    if recipe.clip_grad_norm is not None:
        clip_grad_norm_inplace(grads, recipe.clip_grad_norm)

    update_parameters(params, grads, state.velocities, lr, recipe)
    state.running = running
    if state.averages:
        update_averages(state, recipe)
    return StepResult(loss, correct, grad_norm, grads, part.images)


def predictor(
    state: TrainingState, *, network: Network, config: Config, precision: str = FLOAT32
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from images to logits (N, K) for the learned tensors."""
    return inference(in_precision(network, precision), *state.learned(), config)


def inference(
    network: Network, params: Tensors, state: Tensors, config: Config
) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from images to logits (N, K) of a trained network."""
    folded = network.fold(params, state, config)
    return lambda x: network.forward(folded, {}, x, config, False, folded=True)[0]


def noise_generator(seed: int, step: int) -> np.random.Generator:
    """Return a step's random generator, for stochastic depth and dropout.

    It depends on the seed and the step alone, see `TrainingState`.
    """
    key = np.array((seed, NOISE_STREAM), np.uint64)
    counter = np.array((0, step, 0, 0), np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def update_averages(state: TrainingState, recipe: Recipe) -> None:
    """Update the averages of weights and running statistics.

    Until the first update after the warmup they are copies, as in torchvision's
    ``references/classification/train.py``.
    """
    early = (state.epoch, state.batch) <= (recipe.lr_warmup_epochs, 0)
    decay = 0.0 if early else recipe.ema_decay
    values = {**state.params, **state.running}
    update_average_inplace(state.averages, values, decay)
