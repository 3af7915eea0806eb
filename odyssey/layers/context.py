"""The input of the forwards of layers, and the gradients that their backwards fill."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import numpy as np

from odyssey.ops.batch_norm import BatchStatistics
from odyssey.ops.dropout import dropout

Tensors = dict[str, np.ndarray]


class Context:
    """The input of a forward besides x: tensors by name, and its mode.

    Parameters
    ----------
    params : Tensors
        Parameters, by the names of their layers: ``conv1_kernel``, ``bn1_gamma``.
    state : Tensors
        Running statistics of batch norms; not mutated.
    training : bool
        True normalises with the batch's statistics and makes caches for the backward.
        False expects that batch norms after a convolution have been folded into it.
    normalize : bool
        False for a network without batch norm.
    rng : numpy.random.Generator, optional
        Source of randomness for stochastic depth in training.

    Attributes
    ----------
    new_state : Tensors
        The running statistics after this forward; the layers fill it.
    statistics : dict
        Those of the batch, by the name of the batch norm; the layers fill it.
    """

    def __init__(
        self,
        params: Tensors,
        state: Tensors,
        training: bool,
        *,
        normalize: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.params, self.state = params, state
        self.training, self.normalize, self.rng = training, normalize, rng
        self.new_state = dict(state)
        self.statistics: dict[str, BatchStatistics] = {}

    def again(self) -> "Context":
        """Return a context to run what follows once more, with the same result.

        It draws the same random numbers as this one does next, and knows the statistics
        of the batch; the new running statistics are its own.
        """
        again = Context(
            self.params,
            self.state,
            self.training,
            normalize=self.normalize,
            rng=copy.deepcopy(self.rng),
        )
        again.statistics = self.statistics
        return again

    def branch_scale(self, x: np.ndarray, drop_path: float) -> np.ndarray | None:
        """Draw the factors by which the images' branches are multiplied, (N, 1, 1, 1).

        Stochastic depth: zero with probability ``drop_path``, else 1/(1 - drop_path).
        This keeps the mean, so that inference needs no factor.  None means all ones.
        They are those of `dropout`, so in float32 for an x of bfloat16.
        Huang et al. 2016, arXiv:1603.09382.
        """
        if not self.training or drop_path == 0:
            return None
        ones = np.ones((len(x), 1, 1, 1), x.dtype)
        return dropout(ones, drop_path, self.rng)[1]


#: Takes a gradient by its parameter's name, and returns the array to keep of it.
Receiver = Callable[[str, np.ndarray], np.ndarray]

_receiver: ContextVar[Receiver | None] = ContextVar("receiver", default=None)


@contextlib.contextmanager
def receiving(receiver: Receiver) -> Iterator[None]:
    """Pass each gradient to ``receiver`` as soon as a backward within has found it.

    So that it can be sent to other processes while the backward goes on.  The receiver
    may write to the array it was given.
    """
    token = _receiver.set(receiver)
    try:
        yield
    finally:
        _receiver.reset(token)


class Gradients(dict[str, np.ndarray]):
    """The gradients of the parameters, by name.

    ``overwrites_caches`` lets backwards write gradients over arrays of their caches
    that nothing needs after them.  Within `receiving` what is kept of a gradient is
    what the receiver returns.
    """

    def __init__(self, params: Tensors) -> None:
        super().__init__()
        self.params = params
        self.overwrites_caches = False
        self._receiver = _receiver.get()

    def __setitem__(self, name: str, grad: np.ndarray) -> None:
        if self._receiver is not None:
            grad = self._receiver(name, grad)
        super().__setitem__(name, grad)

    @contextlib.contextmanager
    def overwriting(self, caches: bool) -> Iterator[None]:
        """Set ``overwrites_caches`` for the backwards within."""
        before, self.overwrites_caches = self.overwrites_caches, caches
        try:
            yield
        finally:
            self.overwrites_caches = before

    def in_order(self) -> Tensors:
        """Return the gradients in the order of the parameters, one for each."""
        return {name: self[name] for name in self.params}
