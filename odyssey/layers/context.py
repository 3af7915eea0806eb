"""What the forwards of layers work on, and what their backwards fill."""

import numpy as np

from odyssey.ops.dropout import dropout

Tensors = dict[str, np.ndarray]


class Context:
    """What a forward is given: tensors by name, and which of its modes it is in.

    Parameters
    ----------
    params : Tensors
        Parameters, by the names of their layers: ``conv1_kernel``, ``bn1_gamma``.
    state : Tensors
        Running statistics of batch norms; not mutated.
    training : bool
        True normalises with the batch's statistics and makes caches for the backward;
        False expects batch norms that follow a convolution to be folded into it.
    normalize : bool
        False for a network without batch norm: its layers leave them out.
    rng : numpy.random.Generator, optional
        What stochastic depth draws from in training.

    Attributes
    ----------
    new_state : Tensors
        The running statistics after this forward, which the layers fill in.
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

    def branch_scale(self, x: np.ndarray, drop_path: float) -> np.ndarray | None:
        """Draw the factors by which the images' branches are multiplied, (N, 1, 1, 1).

        Stochastic depth: zero with probability ``drop_path``, else 1/(1 - drop_path),
        which keeps the mean, so that inference leaves nothing out.  None stands for
        ones.  Huang et al. 2016, arXiv:1603.09382.
        """
        if not self.training or drop_path == 0:
            return None
        ones = np.ones((len(x), 1, 1, 1), x.dtype)
        return dropout(ones, drop_path, self.rng)[1]


class Gradients(dict[str, np.ndarray]):
    """The gradients that the backwards have found, by the parameters' names."""

    def __init__(self, params: Tensors) -> None:
        super().__init__()
        self.params = params

    def in_order(self) -> Tensors:
        """Return the gradients in the order of the parameters, one for each."""
        return {name: self[name] for name in self.params}
