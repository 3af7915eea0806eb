"""CIFAR-100, in both formats in which it is published.

    cifar-100-python/   train, test, meta: pickles of {data: (N, 3072) uint8,
                        fine_labels: list of N, coarse_labels: list of N}
    cifar-100-binary/   train.bin, test.bin, fine_label_names.txt: records of
                        1 coarse label byte, 1 fine label byte and 3072 pixel bytes

The classes are the 100 fine ones; the 20 coarse ones are not read.

Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009;
https://www.cs.toronto.edu/~kriz/cifar.html
"""

import os
from functools import partial

from odyssey.data.cifar import (
    CifarSet,
    Format,
    parse_lines,
    pickled_names,
    read_pickle,
    read_records,
)
from odyssey.data.dataset import Dataset

MAX_FILE_BYTES = 2**28  # the published files with 50,000 images have 155 MB

#: Mean and standard deviation of each channel over all pixels of the training images,
#: on the scale 0 to 1: those of https://github.com/weiaicunzai/pytorch-cifar100
#: (conf/global_settings.py), rounded to four digits.  A test computes them if the data
#: is available.
CIFAR100_MEAN = (0.5071, 0.4865, 0.4409)
CIFAR100_STD = (0.2673, 0.2564, 0.2762)

#: The names of the fine classes, in the order of their labels.
CIFAR100_CLASSES = tuple(
    """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy
    bridge bus butterfly camel can castle caterpillar cattle chair chimpanzee clock
    cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
    forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange
    orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
    possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper
    snail snake spider squirrel streetcar sunflower sweet_pepper table tank
    telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
    """.split()
)


def load_cifar100(data_dir: str | os.PathLike) -> Dataset:
    """Read CIFAR-100, with its fine labels, from a folder.

    Parameters
    ----------
    data_dir : folder that holds ``cifar-100-python/`` or ``cifar-100-binary/``, or is
        itself one of these.  The first complete one is read.

    Returns
    -------
    dataset : images (N, 3, 32, 32) uint8 with channels-last memory, labels (N,) int64.
        The class names are the folder's own if it has valid ones.

    Raises
    ------
    DataError
        If files are missing (all are named at once) or one is damaged.
    """
    return CIFAR100.load(data_dir)


def holds_cifar100(data_dir: str | os.PathLike) -> bool:
    """Tell whether all files of one format are in the folder; they are not read."""
    return CIFAR100.is_in(data_dir)


CIFAR100 = CifarSet(
    title="CIFAR-100",
    class_names=CIFAR100_CLASSES,
    mean=CIFAR100_MEAN,
    std=CIFAR100_STD,
    max_bytes=MAX_FILE_BYTES,
    formats=(
        Format(
            folder="cifar-100-python",
            train=(("train",),),
            test=("test",),
            read_part=partial(
                read_pickle,
                max_bytes=MAX_FILE_BYTES,
                num_classes=100,
                labels="fine_labels",
            ),
            names_file="meta",
            parse_names=pickled_names("fine_label_names"),
        ),
        Format(
            folder="cifar-100-binary",
            train=(("train.bin",),),
            test=("test.bin",),
            read_part=partial(
                read_records,
                max_bytes=MAX_FILE_BYTES,
                label_bytes=(("coarse label", 20), ("label", 100)),
            ),
            names_file="fine_label_names.txt",
            parse_names=parse_lines,
        ),
    ),
)
