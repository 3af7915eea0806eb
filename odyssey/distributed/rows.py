"""The rows of a batch that a rank computes."""


def rows_of(images: int, rank: int, size: int) -> slice:
    """Return a rank's rows of a batch; all of them if there are fewer than ranks."""
    if images < size:
        return slice(0, images)
    return slice(rank * images // size, (rank + 1) * images // size)
