"""Batches out of a data set in memory."""


def extract_batch_pair(data, labels, start_idx, batch_size):
    """Return views of data and labels from start_idx on; the last may be short."""
    batch = slice(start_idx, start_idx + batch_size)
    return data[batch], labels[batch]


def compute_num_batches(num_samples, batch_size):
    """Return how many batches hold all samples, the last perhaps short."""
    return -(-num_samples // batch_size)
