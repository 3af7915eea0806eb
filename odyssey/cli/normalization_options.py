"""The options that say how images are normalised, where weights do not say it."""

from odyssey.cli.option import DATA, option, with_options
from odyssey.cli.option_types import Channels
from odyssey.data.dataset import CIFAR10_MEAN
from odyssey.errors import InputError, warn
from odyssey.training.origin import Origin

normalization_options = with_options(
    [
        option(
            "--mean",
            group=DATA,
            type=Channels(),
            metavar="X,X,X",
            show_default="that of the training images, if it is known, else CIFAR-10's",
            help="Mean of each channel, on the scale 0 to 1.",
        ),
        option(
            "--std",
            group=DATA,
            type=Channels(min=0, min_open=True),
            metavar="X,X,X",
            show_default="likewise",
            help="Standard deviation of each channel, on the scale 0 to 1.",
        ),
    ]
)


def corrected(
    origin: Origin,
    image_size: int | None,
    mean: tuple[float, ...] | None,
    std: tuple[float, ...] | None,
) -> Origin:
    """Return what is known of the training images, with what the user says instead.

    A warning says what is assumed where nothing is known, as of a file of another tool
    with 1,000 classes.
    """
    C, H, W = origin.image_shape
    for name, values in (("--mean", mean), ("--std", std)):
        if values is not None and len(values) != C:
            raise InputError(f"{name}: {len(values)} numbers for {C} channels")
    said = {"--image-size": image_size, "--mean": mean, "--std": std}
    unsaid = [name for name, value in said.items() if value is None]
    known = origin.dataset or origin.classes or tuple(origin.mean) != CIFAR10_MEAN
    if unsaid and not known:
        warn(
            f"the weights do not say for what images they are: {H} x {W} pixels and "
            f"CIFAR-10's mean and deviation where {', '.join(unsaid)} are not given; "
            "their classes have no names"
        )
    return origin._replace(
        image_shape=(C, image_size or H, image_size or W),
        mean=mean or origin.mean,
        std=std or origin.std,
    )
