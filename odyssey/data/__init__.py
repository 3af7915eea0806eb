"""Data sets: formats, batching, augmentation, a synthetic set."""
