"""Cut a data set into batches without copying it."""

import numpy as np

from odyssey.checks import check_array, check_int

__all__ = ["compute_num_batches", "extract_batch_pair"]


def extract_batch_pair(
    data: np.ndarray, labels: np.ndarray, start_idx: int, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return one batch of samples and their labels as views of the arrays given.

    Parameters
    ----------
    data : (N, ...) array of any dtype
    labels : (N, ...) array of any dtype
    start_idx : position of the first sample of the batch, 0 to N - 1
    batch_size : number of samples wanted, at least 1

    Returns
    -------
    batch_data, batch_labels : views of ``min(batch_size, N - start_idx)`` samples;
        the last batch is short where ``batch_size`` does not divide N.

    Raises
    ------
    ValueError
        If the arrays differ in N, or ``start_idx`` lies outside them.
    """
    op = "extract_batch_pair"
    for name, array in (("data", data), ("labels", labels)):
        check_array(op, name, array)
        if array.ndim == 0:
            raise ValueError(f"{op}: {name} must be at least 1-D, got a 0-D array")
    N = len(data)
    if len(labels) != N:
        raise ValueError(
            f"{op}: labels must be as many as data, {N}, got {len(labels)}"
        )
    start_idx = check_int(op, "start_idx", start_idx, minimum=0)
    batch_size = check_int(op, "batch_size", batch_size, minimum=1)
    if start_idx >= N:
        raise ValueError(
            f"{op}: start_idx must be less than the number of samples, {N}, "
            f"got {start_idx}"
        )
    batch = slice(start_idx, min(start_idx + batch_size, N))
    return data[batch], labels[batch]


def compute_num_batches(num_samples: int, batch_size: int) -> int:
    """Return how many batches cover the samples: ``ceil(num_samples / batch_size)``.

    Parameters
    ----------
    num_samples : at least 0
    batch_size : at least 1
    """
    op = "compute_num_batches"
    num_samples = check_int(op, "num_samples", num_samples, minimum=0)
    batch_size = check_int(op, "batch_size", batch_size, minimum=1)
    return -(-num_samples // batch_size)  # in integers, exact at any size
