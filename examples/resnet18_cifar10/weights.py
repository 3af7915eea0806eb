"""A residual network's tensors to and from a folder of hex files.

A folder written here holds, for ResNet-18, 102 tensors, the 62 that are trained and the
40 of batch norm's running statistics, and a manifest with the model's options.  Folders
of the original project load too: 82 tensors with biases of the convolutions, no running
statistics, no manifest.  What they lack can be estimated again from training images.
"""

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from architecture import (
    MODELS,
    ResNetConfig,
    Tensors,
    model_name,
    parameter_shapes,
    state_shapes,
)
from layers import BN_MOMENTUM
from model import forward
from recognition import config_from_shapes

from odyssey.weights.changed_files import listed
from odyssey.weights.folder import load_folder, save_folder
from odyssey.weights.hexfile import WeightsError
from odyssey.weights.tensor_set import summary

MAX_COUNT = 2**31 - 1  # of channels and the like, to be believed from a manifest


class LoadedWeights(NamedTuple):
    """A model read from a folder."""

    params: Tensors
    state: Tensors  # running statistics
    config: ResNetConfig
    metadata: dict[str, Any]  # the manifest, empty if there is none
    has_statistics: bool  # False: ``state`` is that of an untrained model

    def __repr__(self) -> str:
        model = f"{model_name(self.config)} of width {self.config.width}"
        statistics = "" if self.has_statistics else ", no running statistics"
        return f"LoadedWeights({model}, {summary(self.params)}{statistics})"


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

    Raises
    ------
    WeightsError
        (a ``ValueError``) As `load_weights`; the folder is untouched then.
    """
    tensors, model = {**params, **state}, model_name(config)
    shapes = {**parameter_shapes(config), **state_shapes(config)}
    _check(tensors, shapes, directory, model)
    metadata = {**(metadata or {}), "model": model, **config._asdict()}
    save_folder(tensors, directory, metadata=metadata)


def load_weights(directory: str | os.PathLike) -> LoadedWeights:
    """Load a model; its options come from the manifest, else from the shapes.

    Warns if the folder has no manifest, or no running statistics.

    Raises
    ------
    WeightsError
        (a ``ValueError``) Names the tensors that are missing, unexpected, of a wrong
        shape or dtype, or a variance that is negative.
    FileNotFoundError
        If there is no such folder.
    """
    return model_of(*load_folder(directory), directory)


def model_of(
    tensors: Tensors, manifest: Mapping[str, Any] | None, directory: str | os.PathLike
) -> LoadedWeights:
    """Return the model of tensors that were read from ``directory``: `load_weights`."""
    config = _config(tensors, manifest, directory)
    params, state = parameter_shapes(config), state_shapes(config)
    # Only a set that nobody listed may lack the statistics: the original's never has.
    has_statistics = manifest is not None or not state.keys().isdisjoint(tensors)
    shapes = {**params, **(state if has_statistics else {})}
    _check(tensors, shapes, directory, model_name(config))
    dtype = tensors["fc_bias"].dtype
    if not has_statistics:
        warnings.warn(
            f"{directory}: no running statistics of batch norm: the model cannot "
            "classify until they are estimated again from training images",
            stacklevel=2,
        )
        tensors = {**tensors, **_untrained_statistics(state, dtype)}
    return LoadedWeights(
        {name: tensors[name] for name in params},
        {name: tensors[name] for name in state},
        config,
        dict(manifest or {}),
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
    config = config._replace(drop_path=0.0, dropout=0.0)  # as in inference
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


def _config(
    tensors: Tensors, manifest: Mapping | None, directory: str | os.PathLike
) -> ResNetConfig:
    """Return the options that the manifest names; those that it lacks, the shapes tell.

    Manifests of old name no blocks, and none of the options that came later.
    """
    config = config_from_shapes({name: t.shape for name, t in tensors.items()})
    if manifest is None or "model" not in manifest:
        if not config.normalize:
            raise WeightsError(
                f"{directory}: {model_name(config)} without batch norm and without a "
                "manifest: its shapes do not tell whether it has pre-activation"
            )
        return config
    if manifest["model"] not in (*MODELS, "resnet"):
        raise WeightsError(
            f"{directory}: weights of the model {manifest['model']!r}, not of "
            f"{', '.join(MODELS)}"
        )
    options = {name: manifest[name] for name in config._fields if name in manifest}
    wrong = [n for n, v in options.items() if not _is_option(n, v, len(tensors))]
    if wrong:
        raise WeightsError(f"{directory}: bad {', '.join(wrong)} in the manifest")
    if "blocks" in options:
        options["blocks"] = tuple(options["blocks"])
    return config._replace(**options)


def _is_option(name: str, value: Any, num_tensors: int) -> bool:
    """Tell whether ``value``, out of a manifest, can be the model's option."""
    default = ResNetConfig._field_defaults[name]
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, str):
        return value in ("A", "B")
    if isinstance(default, float):
        return type(value) in (int, float) and 0 <= value < 1
    if isinstance(default, int):
        return type(value) is int and 0 < value <= MAX_COUNT
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(type(count) is int and count > 0 for count in value)
        and sum(value) <= num_tensors  # each has some
    )


def _check(
    tensors: Tensors,
    shapes: Mapping[str, tuple],
    directory: str | os.PathLike,
    model: str,
) -> None:
    """Raise unless ``tensors`` are just those of ``shapes``, all of one float dtype."""
    tensors = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    missing = [name for name in shapes if name not in tensors]
    unexpected = [name for name in tensors if name not in shapes]
    problems = [
        f"{len(names)} tensors {what}: {listed(names, most=10)}"
        for what, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    problems += _wrong_dtypes(tensors)
    problems += [
        f"{name} has shape {tensors[name].shape}, not {shape}"
        for name, shape in shapes.items()
        if name in tensors and tensors[name].shape != tuple(shape)
    ]
    problems += [
        f"{name} holds a negative variance"
        for name, t in tensors.items()
        if name.endswith("_running_var") and t.dtype.kind == "f" and (t < 0).any()
    ]
    if problems:
        raise WeightsError(f"{directory}: not {model}'s tensors: {'; '.join(problems)}")


def _wrong_dtypes(tensors: Tensors) -> list[str]:
    """Return what is wrong unless all tensors have one dtype, float32 or float64."""
    dtypes = {name: tensor.dtype.name for name, tensor in tensors.items()}
    usual = Counter(dtypes.values()).most_common(1)[0][0] if dtypes else "float32"
    odd = [f"{name} is {dtype}" for name, dtype in dtypes.items() if dtype != usual]
    problems = []
    if usual not in ("float32", "float64"):
        problems.append(f"dtype {usual}, not float32 or float64")
    if odd:
        problems.append(f"{listed(odd)}, all others {usual}")
    return problems


def _untrained_statistics(shapes: Mapping[str, tuple], dtype: np.dtype) -> Tensors:
    """Return mean 0 and variance 1, as at the start of training."""
    fill = {"running_mean": np.zeros, "running_var": np.ones}
    return {
        name: fill[name[name.rindex("running") :]](shape, dtype)
        for name, shape in shapes.items()
    }
