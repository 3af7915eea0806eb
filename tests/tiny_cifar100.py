"""Write CIFAR-100 folders of a few records, in both forms in which it is published."""

from pathlib import Path

import numpy as np
from tiny_cifar import python2_pickle

FILES = ("train", "test")
FOLDERS = {"python": "cifar-100-python", "binary": "cifar-100-binary"}


def make_part(count, seed):
    """Return pixels (count, 3072) uint8, fine labels and coarse labels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, rng.integers(0, 100, count).tolist(), rng.integers(0, 20, count)


def write_tiny_cifar100(root, form="python", train=100, test=20, names=None):
    """Write a data folder and return {"train": (pixels, labels, coarse), "test": ...}.

    ``root`` becomes the folder to hand to ``load_cifar100``.
    """
    parts = {"train": make_part(train, 1), "test": make_part(test, 2)}
    folder = Path(root) / FOLDERS[form]
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, fine, coarse) in parts.items():
        if form == "binary":
            records = np.column_stack([coarse, fine, pixels]).astype(np.uint8)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
            continue
        batch = {b"filenames": [f"image_{i}.png".encode() for i in range(len(fine))]}
        batch[b"batch_label"] = name.encode()
        batch |= {b"fine_labels": fine, b"coarse_labels": coarse.tolist()}
        (folder / name).write_bytes(python2_pickle({**batch, b"data": pixels}))
    if names is not None and form == "binary":
        (folder / "fine_label_names.txt").write_text("\n".join(names) + "\n")
    elif names is not None:
        meta = {b"fine_label_names": [name.encode() for name in names]}
        meta[b"coarse_label_names"] = [b"aquatic_mammals"] * 20
        (folder / "meta").write_bytes(python2_pickle(meta))
    return parts
