"""The recipe of a run: all choices that decide its numbers, and no others."""

import hashlib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any

import numpy as np

from odyssey.checks import check_int, check_number
from odyssey.data.augment import FLIPS, PAD_MODES
from odyssey.errors import remedy
from odyssey.precision import FLOAT32, PRECISIONS
from odyssey.training.learning_rate import NEED_EPOCHS, LearningRate

#: What moves the kernels; all other parameters move by SGD, see `training.update`.
OPTIMIZERS = ("sgd", "muon")

#: Where training began; a resume does not begin anew.
BEGINNING = ("init_from", "init_sha256")

_MISSING = "not given"


@dataclass(frozen=True)
class Recipe(LearningRate):
    """All choices that decide a run's final weights, bit for bit.

    The number of threads, the folders and the logging are not part of it: they may
    differ after a resume.  ``epochs`` and the fields of the learning rate are those of
    `LearningRate`; ``epochs`` may grow at a resume, unless the schedule depends on it.
    """

    model: str
    dataset: str
    data_sha256: str  # of the training images and labels, see `data_digest`
    model_options: Mapping[str, int | bool] = field(default_factory=dict)
    batch_size: int = 128
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    norm_weight_decay: float | None = None  # None: equal to weight_decay
    beta_lr_factor: float = 1.0  # of batch norm's beta
    optimizer: str = "sgd"  # of OPTIMIZERS
    muon_lr: float = 0.02  # the highest
    muon_momentum: float = 0.95
    muon_weight_decay: float = 0.0
    muon_steps: int = 5
    muon_rescale: bool = False
    label_smoothing: float = 0.0
    clip_grad_norm: float | None = None
    ema_decay: float = 0.0  # of the moving average of weights; 0 for none
    precision: str = FLOAT32  # of activations, of precision.PRECISIONS
    augment: bool = True
    pad_mode: str = "zero"  # of augment.PAD_MODES
    flip: str = "random"  # of augment.FLIPS
    cutout: int = 0  # pixels
    randaugment: tuple[int, int] = (0, 9)  # operations, magnitude
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    seed: int = 0
    val_split: int = 0
    limit_train: int | None = None
    limit_test: int | None = None
    image_size: int | None = None  # pixels a side that files of images are resized to
    init_from: str | None = None  # where the initial weights are from
    init_sha256: str | None = None  # of these, see `training.initial.digest`

    def __post_init__(self) -> None:
        super().__post_init__()
        texts = ("model", "dataset", "data_sha256")
        named = ("pad_mode", "flip", "precision", "optimizer")
        given = [n for n in BEGINNING if getattr(self, n) is not None]
        for names, kind, article in (
            (("nesterov", "muon_rescale", "augment"), bool, "a bool"),
            ((*texts, *named, *given), str, "text"),
            (("model_options",), Mapping, "a mapping"),
        ):
            for name in names:
                if not isinstance(getattr(self, name), kind):
                    raise TypeError(
                        f"Recipe: {name} must be {article}, got {getattr(self, name)!r}"
                    )
        for name in ("batch_size", "muon_steps"):
            check_int("Recipe", name, getattr(self, name), 1)
        for name in ("seed", "val_split"):
            check_int("Recipe", name, getattr(self, name), 0)
        for name in ("limit_train", "limit_test", "image_size"):
            if getattr(self, name) is not None:
                check_int("Recipe", name, getattr(self, name), 1)
        for name in ("momentum", "muon_momentum", "ema_decay"):
            check_number("Recipe", name, getattr(self, name), 0.0, 1.0, high_open=True)
        for name in (
            "weight_decay",
            "muon_weight_decay",
            "muon_lr",
            "beta_lr_factor",
            "mixup_alpha",
            "cutmix_alpha",
        ):
            check_number("Recipe", name, getattr(self, name), 0.0)
        check_number("Recipe", "label_smoothing", self.label_smoothing, 0.0, 1.0)
        for name, open_ in (("norm_weight_decay", False), ("clip_grad_norm", True)):
            if getattr(self, name) is not None:
                check_number("Recipe", name, getattr(self, name), 0.0, low_open=open_)
        check_int("Recipe", "cutout", self.cutout, 0)
        pair = self.randaugment
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"Recipe: randaugment must be two integers, got {pair!r}")
        for value in pair:
            check_int("Recipe", "randaugment", value, 0)
        for name, choices in (
            ("pad_mode", PAD_MODES),
            ("flip", FLIPS),
            ("precision", PRECISIONS),
            ("optimizer", OPTIMIZERS),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"Recipe: {name} must be one of {', '.join(choices)}, "
                    f"got {getattr(self, name)!r}"
                )

    @property
    def mixes(self) -> bool:
        """Return whether images are mixed, so that labels are distributions."""
        return self.mixup_alpha > 0 or self.cutmix_alpha > 0

    def weight_decay_of(self, param: np.ndarray) -> float:
        """Return the weight decay of a parameter.

        Parameters with one axis (gamma and beta of batch norm, biases) may have their
        own.  ``set_weight_decay`` of torchvision's
        ``references/classification/utils.py`` treats norms and biases separately.
        """
        if param.ndim == 1 and self.norm_weight_decay is not None:
            return self.norm_weight_decay
        return self.weight_decay

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe, with the model's options, as plain JSON values."""
        values = with_lists(asdict(self))
        return values.pop("model_options") | values

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """Return a line for each choice that differs from ``saved``, another recipe.

        A field that ``saved`` lacks, because it is older, had its default.  Where the
        initial weights are from does not count any more.  ``epochs`` may differ, unless
        the schedule is in `odyssey.training.learning_rate.NEED_EPOCHS`.
        """
        now, saved = _with_usual(self.to_dict()), _with_usual({**_defaults(), **saved})
        lines = [
            f"{said(name)} was {_shown(saved.get(name, _MISSING))}, "
            f"is {_shown(now.get(name, _MISSING))}"
            for name in dict.fromkeys([*now, *saved])
            if name not in ("epochs", *BEGINNING)
            and now.get(name, _MISSING) != saved.get(name, _MISSING)
        ]
        if self.lr_scheduler in NEED_EPOCHS and self.epochs != saved["epochs"]:
            lines.append(
                f"{said('epochs')} was {saved['epochs']}, is {self.epochs}, and the "
                f"learning rates of {said('lr_scheduler')} {self.lr_scheduler} depend "
                "on it"
            )
        return lines


def _defaults() -> dict[str, Any]:
    """Return the defaults of all fields that have one, in the form of `to_dict`."""
    return with_lists(
        {f.name: f.default for f in fields(Recipe) if f.default is not MISSING}
    )


def _with_usual(values: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` with None for a norm_weight_decay equal to weight_decay."""
    if values["norm_weight_decay"] == values["weight_decay"]:
        return values | {"norm_weight_decay": None}
    return values


def with_lists(values: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` with lists instead of tuples, as JSON has them."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
    }


def said(name: str) -> str:
    """Return the name of a recipe's field for messages."""
    if name == "data_sha256":
        return "the training images (sha256)"
    return remedy("field", option=name.replace("_", "-")) or name


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return _MISSING
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, str):
        return value if len(value) < 40 else value[:12]  # a digest
    return f"{value!r}"


def data_digest(images: np.ndarray, labels: np.ndarray) -> str:
    """Return the SHA-256 of the training set, so that a resume detects another one.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, C, H, W)
    labels : ndarray of integers, shape (N,)
    """
    digest = hashlib.sha256(repr(images.shape).encode())
    # The loaders give channels-last memory, for which this makes no copy.
    digest.update(np.ascontiguousarray(images.transpose(0, 2, 3, 1)).data)
    digest.update(np.ascontiguousarray(labels, dtype="<i8").data)
    return digest.hexdigest()
