"""Write CIFAR-10 folders of a few records, in every form in which it is published."""

import struct
from pathlib import Path

import numpy as np

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def make_records(count, seed):
    """Return pixels (count, 3072) uint8 in plane order, labels as a list of ints."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, rng.integers(0, 10, count).tolist()


def make_batches(records=20, seed=0):
    """Return {batch name: (pixels, labels)} of six batches, as the published ones."""
    return {name: make_records(records, seed + i) for i, name in enumerate(BATCHES)}


def write_tiny_cifar(root, form="python", records=20, seed=0):
    """Write a data folder and return its batches.

    ``form`` is "python", "binary" or "idx"; ``root`` becomes the folder to hand to
    ``load_cifar10`` and holds, for the first two, a folder of the published name.
    """
    batches = make_batches(records, seed)
    {"python": write_python, "binary": write_binary, "idx": write_idx}[form](
        Path(root), batches
    )
    return batches


def write_python(root, batches):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in batches.items():
        batch = {b"batch_label": name.encode(), b"labels": labels, b"data": pixels}
        batch[b"filenames"] = [f"image_{i}.png".encode() for i in range(len(labels))]
        (folder / name).write_bytes(python2_pickle(batch))
    meta = {b"num_cases_per_batch": 10000, b"num_vis": 3072}
    meta[b"label_names"] = [name.encode() for name in CLASSES]
    (folder / "batches.meta").write_bytes(python2_pickle(meta))


def write_binary(root, batches):
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (pixels, labels) in batches.items():
        records = np.column_stack([np.array(labels, np.uint8), pixels])
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES) + "\n\n")


def write_idx(root, batches):
    root.mkdir(parents=True, exist_ok=True)
    for part, names in (("train", BATCHES[:5]), ("test", BATCHES[5:])):
        pixels = np.concatenate([batches[name][0] for name in names])
        labels = [label for name in names for label in batches[name][1]]
        header = struct.pack(">5I", 2052, len(pixels), 3, 32, 32)
        (root / f"{part}_images.idx").write_bytes(header + pixels.tobytes())
        header = struct.pack(">2I", 2049, len(labels))
        (root / f"{part}_labels.idx").write_bytes(header + bytes(labels))


def python2_pickle(value):
    """Pickle as Python 2 did in protocol 2, with ``str`` as BINSTRING."""
    return b"\x80\x02" + _encode(value) + b"."


def _encode(value):
    if isinstance(value, bytes):
        if len(value) < 256:
            return b"U" + struct.pack("<B", len(value)) + value
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, list):
        return b"](" + b"".join(map(_encode, value)) + b"e"
    if isinstance(value, dict):
        items = (_encode(key) + _encode(item) for key, item in value.items())
        return b"}(" + b"".join(items) + b"u"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    made += b"(K\x00tU\x01b\x87R"  # _reconstruct(ndarray, (0,), "b")
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"  # dtype("u1", 0, 1)
    dtype += b"(K\x03U\x01|NNN" + _encode(-1) * 2 + b"K\x00tb"
    shape = b"(" + b"".join(map(_encode, value.shape)) + b"t"
    return made + b"(K\x01" + shape + dtype + b"\x89" + _encode(value.tobytes()) + b"tb"
