"""ResNet-18's tensors to and from a folder of hex files.

A folder written here holds 102 tensors, the 62 that are trained and the 40 of batch
norm's running statistics, and a manifest with the model's options.  Folders of the
original project load too: 82 tensors with biases of the convolutions, no running
statistics, no manifest.  What they lack can be estimated again from training images.
"""

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from model import (
    BN_MOMENTUM,
    ResNetConfig,
    Tensors,
    forward,
    parameter_shapes,
    state_shapes,
)

from odyssey.weights.folder import load_folder, save_folder
from odyssey.weights.hexfile import WeightsError

MODEL = "resnet18"
OPTIONS = ("width", "num_classes", "conv_bias")


class LoadedWeights(NamedTuple):
    """A model read from a folder."""

    params: Tensors
    state: Tensors  # running statistics
    config: ResNetConfig
    metadata: dict[str, Any]  # the manifest, empty if there is none
    has_statistics: bool  # False: ``state`` is that of an untrained model


def save_weights(
    params: Tensors,
    state: Tensors,
    config: ResNetConfig,
    directory: str | os.PathLike,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Save parameters and running statistics in place of what the folder held.

    Parameters
    ----------
    params, state : as `model.initialize` gives them
    config : the model's options, written into the manifest
    directory : made if it does not exist
    metadata : more for the manifest: where the weights come from
    """
    options = {name: getattr(config, name) for name in OPTIONS}
    metadata = {**(metadata or {}), "model": MODEL, **options}
    save_folder({**params, **state}, directory, metadata=metadata)


def load_weights(directory: str | os.PathLike) -> LoadedWeights:
    """Load a model; its options come from the manifest, else from the shapes.

    Warns if the folder has no manifest, or no running statistics.

    Raises
    ------
    WeightsError
        (a ``ValueError``) Names every tensor that is missing, unexpected, or of a
        wrong shape or dtype.
    FileNotFoundError
        If there is no such folder.
    """
    tensors, manifest = load_folder(directory)
    config = _config(tensors, manifest, directory)
    params, state = parameter_shapes(config), state_shapes(config)
    # Only a set that nobody listed may lack the statistics: the original's never has.
    has_statistics = manifest is not None or not state.keys().isdisjoint(tensors)
    _check(tensors, {**params, **(state if has_statistics else {})}, directory)
    dtype = tensors["fc_bias"].dtype
    if not has_statistics:
        warnings.warn(
            f"{directory}: no running statistics of batch norm: the model cannot "
            "classify until they are estimated again from training images",
            stacklevel=2,
        )
        tensors |= _untrained_statistics(state, dtype)
    return LoadedWeights(
        {name: tensors[name] for name in params},
        {name: tensors[name] for name in state},
        config,
        manifest or {},
        has_statistics,
    )


def estimate_running_statistics(
    params: Tensors, config: ResNetConfig, batches: Iterable[np.ndarray]
) -> Tensors:
    """Return running statistics that are the mean of those of ``batches``.

    Parameters
    ----------
    params : trained parameters
    config : the model's options
    batches : training images, (N, 3, H, W) normalised as in training; not augmented

    Returns
    -------
    state : as `model.initialize` gives it
    """
    dtype = params["fc_bias"].dtype
    zeros = {name: np.zeros(s, dtype) for name, s in state_shapes(config).items()}
    total = {name: np.zeros(s, np.float64) for name, s in state_shapes(config).items()}
    count = 0
    for x in batches:
        # new = (1 - momentum) * old + momentum * batch, and old is zero here.
        _, new, _ = forward(params, zeros, x, config, training=True)
        for name, statistic in new.items():
            total[name] += statistic / BN_MOMENTUM
        count += 1
    if not count:
        raise ValueError("estimate_running_statistics: batches must not be empty")
    return {name: (t / count).astype(dtype) for name, t in total.items()}


def config_from_shapes(shapes: Mapping[str, tuple]) -> ResNetConfig:
    """Return the options of the model whose tensors have these names and shapes."""
    blocks = []
    while f"s{len(blocks) + 1}b1_conv1_kernel" in shapes:
        stage, count = len(blocks) + 1, 1
        while f"s{stage}b{count + 1}_conv1_kernel" in shapes:
            count += 1
        blocks.append(count)
    return ResNetConfig(
        width=shapes["conv1_kernel"][0],
        blocks=tuple(blocks) or ResNetConfig().blocks,
        num_classes=shapes["fc_weights"][0],
        conv_bias="conv1_bias" in shapes,
    )


def _config(
    tensors: Tensors, manifest: dict | None, directory: str | os.PathLike
) -> ResNetConfig:
    """Return the options that the manifest names, or that the shapes tell."""
    if manifest is not None and "model" in manifest:
        if manifest["model"] != MODEL:
            raise WeightsError(
                f"{directory}: weights of the model {manifest['model']!r}, not {MODEL}"
            )
        options = {name: manifest[name] for name in OPTIONS if name in manifest}
        kinds = {name: type(value) for name, value in ResNetConfig()._asdict().items()}
        wrong = [n for n, v in options.items() if type(v) is not kinds[n] or v < 0]
        if wrong:
            raise WeightsError(f"{directory}: bad {', '.join(wrong)} in the manifest")
        return ResNetConfig(**options)
    try:
        return config_from_shapes({name: t.shape for name, t in tensors.items()})
    except (KeyError, ValueError, IndexError):
        # Not even the stem and the head are whole: `_check` will say what is missing.
        return ResNetConfig(conv_bias="conv1_bias" in tensors)


def _check(
    tensors: Tensors, shapes: Mapping[str, tuple], directory: str | os.PathLike
) -> None:
    """Raise unless ``tensors`` are just those of ``shapes``, all of one float dtype."""
    missing = [name for name in shapes if name not in tensors]
    unexpected = [name for name in tensors if name not in shapes]
    problems = [
        f"{len(names)} tensors {what}: {', '.join(names)}"
        for what, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    dtypes = sorted({t.dtype.name for t in tensors.values()})
    if dtypes not in (["float32"], ["float64"]):
        problems.append(f"dtype {', '.join(dtypes)}, not float32 or float64 throughout")
    problems += [
        f"{name} has shape {tensors[name].shape}, not {shape}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != tuple(shape)
    ]
    if problems:
        raise WeightsError(f"{directory}: not {MODEL}'s tensors: {'; '.join(problems)}")


def _untrained_statistics(shapes: Mapping[str, tuple], dtype: np.dtype) -> Tensors:
    """Return mean 0 and variance 1, as at the start of training."""
    fill = {"running_mean": np.zeros, "running_var": np.ones}
    return {
        name: fill[name[name.rindex("running") :]](shape, dtype)
        for name, shape in shapes.items()
    }
