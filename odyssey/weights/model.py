"""Save and load the tensors of a network in a folder of hex files.

A folder holds parameters and running statistics, for ResNet-18 62 trained tensors and
40 of batch norms, and a manifest with the model's options.  A folder without a manifest
can be loaded too: the model follows from the shapes.  Missing running statistics can be
estimated from training images.
"""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from odyssey.init import initialize_by_name
from odyssey.layers.context import Tensors
from odyssey.layers.norm import BN_MOMENTUM
from odyssey.network import Config, Network
from odyssey.weights.changed_files import listed
from odyssey.weights.files import WeightsError
from odyssey.weights.folder import load_folder, save_folder
from odyssey.weights.tensor_set import summary


class LoadedWeights(NamedTuple):
    """A model that was read from a folder."""

    params: Tensors
    state: Tensors  # running statistics
    config: Config
    metadata: dict[str, Any]  # the manifest, empty if there is none
    has_statistics: bool  # False: ``state`` is that of an untrained model
    model: str  # its name with the options that are stated: "resnet18 of width 64"

    def __repr__(self) -> str:
        statistics = "" if self.has_statistics else ", no running statistics"
        return f"LoadedWeights({self.model}, {summary(self.params)}{statistics})"


def save_weights(
    network: Network,
    params: Tensors,
    state: Tensors,
    config: Config,
    directory: str | os.PathLike,
    metadata: Mapping[str, Any] | None = None,
    *,
    advance: Callable[[int], object] | None = None,
) -> None:
    """Save parameters and running statistics, replacing those in the folder.

    Parameters
    ----------
    network : the model's family
    params, state : tensors with the names and shapes of ``network.initialize``
    config : the model's options, written into the manifest
    directory : created if necessary
    metadata : further keys of the manifest: where the weights come from
    advance : called with the bytes of each tensor that is on disk, to show progress

    Raises
    ------
    WeightsError
        (a ``ValueError``) As `load_weights`; the folder stays as it was.
    """
    tensors, model = {**params, **state}, network.name_of(config)
    shapes = {**network.parameter_shapes(config), **network.state_shapes(config)}
    _check(tensors, shapes, directory, model)
    metadata = {**(metadata or {}), "model": model, **config._asdict()}
    save_folder(tensors, directory, metadata=metadata, advance=advance)


def load_weights(network: Network, directory: str | os.PathLike) -> LoadedWeights:
    """Load a model; its options come from the manifest, or from the shapes.

    Warns if the folder has no manifest, or no running statistics.

    Raises
    ------
    WeightsError
        (a ``ValueError``) If tensors are missing, unexpected, of a wrong shape or
        dtype, or a variance is negative; names them.
    FileNotFoundError
        If there is no such folder.
    """
    return model_of(network, *load_folder(directory), directory)


def model_of(
    network: Network,
    tensors: Tensors,
    manifest: Mapping[str, Any] | None,
    directory: str | os.PathLike,
) -> LoadedWeights:
    """Return the model of tensors read from ``directory``; see `load_weights`."""
    config = config_of(network, tensors, manifest, directory)
    params, state = network.parameter_shapes(config), network.state_shapes(config)
    # Only a set without a manifest may lack statistics, as the original project's do.
    lacks_statistics = state and state.keys().isdisjoint(tensors)
    has_statistics = manifest is not None or not lacks_statistics
    shapes = {**params, **(state if has_statistics else {})}
    _check(tensors, shapes, directory, network.name_of(config))
    dtype = tensors[next(iter(params))].dtype
    if not has_statistics:
        warnings.warn(
            f"{directory}: no running statistics of batch norm: the model cannot "
            "classify until they are estimated again from training images",
            stacklevel=2,
        )
        tensors = {**tensors, **initialize_by_name(state, 0, dtype)}
    return LoadedWeights(
        {name: tensors[name] for name in params},
        {name: tensors[name] for name in state},
        config,
        dict(manifest or {}),
        has_statistics,
        network.name_of(config) + network.stated_options(config),
    )


def estimate_running_statistics(
    network: Network, params: Tensors, config: Config, batches: Iterable[np.ndarray]
) -> Tensors:
    """Return running statistics: the means of the statistics of ``batches``.

    Parameters
    ----------
    network : the model's family
    params : trained parameters
    config : the model's options
    batches : training images (N, C, H, W), normalised as in training, not augmented

    Returns
    -------
    state : tensors with the names and shapes of ``network.initialize``
    """
    dtype = next(iter(params.values())).dtype
    config = network.without_noise(config)
    shapes = network.state_shapes(config)
    zeros = {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    total = {name: np.zeros(shape, np.float64) for name, shape in shapes.items()}
    count = 0
    for x in batches:
        # new = (1 - momentum) * old + momentum * batch, and old is zero here.
        _, new, _ = network.forward(params, zeros, x, config, True)
        for name, statistic in new.items():
            total[name] += statistic / BN_MOMENTUM
        count += 1
    if not count:
        raise ValueError("estimate_running_statistics: batches must not be empty")
    return {name: (t / count).astype(dtype) for name, t in total.items()}


def config_of(
    network: Network,
    tensors: Tensors,
    manifest: Mapping[str, Any] | None,
    directory: str | os.PathLike,
) -> Config:
    """Return the model's options from the manifest, or else from the shapes.

    Manifests of earlier versions lack the options that were added later.
    """
    config = network.recognize({name: t.shape for name, t in tensors.items()})
    if manifest is None or "model" not in manifest:
        if reason := network.untold(config):
            raise WeightsError(
                f"{directory}: {network.name_of(config)} without a manifest: {reason}"
            )
        return config
    if manifest["model"] not in (*network.models, network.family):
        raise WeightsError(
            f"{directory}: weights of the model {manifest['model']!r}, not of "
            f"{', '.join(network.models)}"
        )
    options = {name: manifest[name] for name in config._fields if name in manifest}
    wrong = [n for n, v in options.items() if not _has_type_of(getattr(config, n), v)]
    if wrong:
        raise WeightsError(f"{directory}: bad {', '.join(wrong)} in the manifest")
    config = config._replace(
        **{n: tuple(v) if isinstance(v, list) else v for n, v in options.items()}
    )
    try:
        network.check(config)
    except ValueError as error:
        raise WeightsError(
            f"{directory}: bad options in the manifest: {error}"
        ) from None
    return config


def _has_type_of(known: Any, value: Any) -> bool:
    """Tell whether ``value``, from a manifest, has the type of an option."""
    if isinstance(known, tuple):
        return isinstance(value, list) and all(_has_type_of(1, v) for v in value)
    if type(known) is float:
        return type(value) in (int, float)
    return type(value) is type(known)


def _check(
    tensors: Tensors,
    shapes: Mapping[str, tuple],
    directory: str | os.PathLike,
    model: str,
) -> None:
    """Raise unless ``tensors`` have the names and ``shapes``, and one float dtype."""
    tensors = {name: np.asarray(tensor) for name, tensor in tensors.items()}
    missing = [name for name in shapes if name not in tensors]
    unexpected = [name for name in tensors if name not in shapes]
    problems = [
        f"{len(names)} tensors {kind}: {listed(names, most=10)}"
        for kind, names in (("missing", missing), ("unexpected", unexpected))
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
    """Return what is wrong with the dtypes: all must be float32, or all float64."""
    dtypes = {name: tensor.dtype.name for name, tensor in tensors.items()}
    usual = Counter(dtypes.values()).most_common(1)[0][0] if dtypes else "float32"
    odd = [f"{name} is {dtype}" for name, dtype in dtypes.items() if dtype != usual]
    problems = []
    if usual not in ("float32", "float64"):
        problems.append(f"dtype {usual}, not float32 or float64")
    if odd:
        problems.append(f"{listed(odd)}, all others {usual}")
    return problems
