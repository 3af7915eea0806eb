"""Tensors on disk: hex files, folders of weights, checkpoints."""
