"""Time augmentation and the loader in images per second, after checking the results.

python benchmarks/bench_loader.py
python benchmarks/bench_loader.py --threads 1 --mode reflect
"""

import argparse
import platform
import statistics
import sys
import time
from pathlib import Path

import numba
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from odyssey.data.augment import augment_batch
from odyssey.data.dataset import CIFAR10_MEAN, CIFAR10_STD
from odyssey.data.loader import BatchLoader
from odyssey.data.randaugment import OPERATIONS, apply_operation
from odyssey.data.streams import AUGMENT_STREAM

RANDAUGMENT_MIXUP = {"randaugment_ops": 2, "mixup_alpha": 0.2, "num_classes": 10}
ALL = {
    "flip": "alternating",
    "cutout": 16,
    "randaugment_ops": 2,
    "mixup_alpha": 0.2,
    "cutmix_alpha": 1.0,
    "num_classes": 10,
}


def plain_numpy(images, indices, seed, epoch, mode, padding=4):
    """Pad, slice, flip and normalise, one image at a time."""
    key = np.array([seed, AUGMENT_STREAM], np.uint64)
    H, W = images.shape[2:]
    out = np.empty((len(indices), *images.shape[1:]), np.float32)
    mean, std = (np.array(m)[:, None, None] for m in (CIFAR10_MEAN, CIFAR10_STD))
    margins = [(0, 0), (padding, padding), (padding, padding)]
    for n, i in enumerate(indices):
        counter = np.array([0, i, epoch, 0], np.uint64)
        words = np.random.Philox(key=key, counter=counter).random_raw(3)
        top, left = (int(word) % (2 * padding + 1) for word in words[:2])
        image = np.pad(images[i], margins, "constant" if mode == "zero" else mode)
        image = image[:, top : top + H, left : left + W]
        image = image[:, :, ::-1] if words[2] >> np.uint64(63) else image
        out[n] = (image / 255 - mean) / std
    return out


def images_per_second(run, count, repeats):
    """Return the median, smallest and largest rate of ``repeats`` runs."""
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates), min(rates), max(rates)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=numba.config.NUMBA_NUM_THREADS)
    parser.add_argument("--mode", choices=["zero", "reflect"], default="zero")
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    numba.set_num_threads(args.threads)

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (args.images, 32, 32, 3), dtype=np.uint8)
    images, labels = pixels.transpose(0, 3, 1, 2), rng.integers(0, 10, args.images)
    indices = rng.permutation(args.images)[: args.batch_size]
    x = np.empty((len(indices), 32, 32, 3), np.float32).transpose(0, 3, 1, 2)

    def augment(times=1):
        for _ in range(times):
            augment_batch(images, indices, x, seed=0, epoch=0, mode=args.mode)

    def numpy():
        return plain_numpy(images, indices, 0, 0, args.mode)

    def epoch(augment=True, **options):
        loader = BatchLoader(
            images,
            labels,
            args.batch_size,
            augment=augment,
            pad_mode=args.mode,
            **options,
        )
        return lambda: sum(len(batch) for batch, _ in loader.epoch(0))

    def all_on_one(operation):
        """Return a run of one operation of RandAugment, at strength 9."""
        return lambda: apply_operation(images[:1000], operation)

    augment()
    np.testing.assert_array_equal(x, numpy())
    print("result equals plain NumPy, bit for bit")
    print(
        f"{platform.machine()}, {args.threads} threads, Python "
        f"{platform.python_version()}, NumPy {np.__version__}, Numba "
        f"{numba.__version__}; padding {args.mode}, batches of {args.batch_size}"
    )
    print(
        f"{'images a second':28}{'median':>12}{'least':>12}{'greatest':>12}"
        f"{'ms a batch':>12}"
    )
    for name, run, count in (
        ("plain NumPy", numpy, len(indices)),
        ("augment_batch", lambda: augment(times=100), 100 * len(indices)),
        ("loader, augmented epoch", epoch(), args.images),
        ("loader, normalised epoch", epoch(augment=False), args.images),
        ("  flip alternating", epoch(flip="alternating"), args.images),
        ("  cutout 16", epoch(cutout=16), args.images),
        ("  mixup", epoch(mixup_alpha=1.0, num_classes=10), args.images),
        ("  cutmix", epoch(cutmix_alpha=1.0, num_classes=10), args.images),
        ("  RandAugment 2, 9", epoch(randaugment_ops=2), args.images),
        ("  RandAugment and mixup", epoch(**RANDAUGMENT_MIXUP), args.images),
        ("  all of it", epoch(**ALL), args.images),
        *((f"    {name}", all_on_one(name), 1000) for name in OPERATIONS),
    ):
        run()  # compiles, if this has not been done
        rates = images_per_second(run, count, args.repeats)
        print(
            f"{name:28}"
            + "".join(f"{rate:12,.0f}" for rate in rates)
            + f"{1e3 * args.batch_size / rates[0]:12.2f}"
        )


if __name__ == "__main__":
    main()
