"""Batches of a data set in memory."""


def extract_batch_pair(data, labels, start_idx, batch_size):
    """Return views of one batch, from start_idx on; the last batch may be short."""
    batch = slice(start_idx, start_idx + batch_size)
    return data[batch], labels[batch]


def compute_num_batches(num_samples, batch_size):
    """Return the number of batches; the last one may be short."""
    return -(-num_samples // batch_size)
