"""The contenders of each section, and what has to be installed for them."""

from importlib import util
from typing import NamedTuple


class Contender(NamedTuple):
    """One way to run the network, by ``<side>_model.py`` and ``<side>_ops.py``."""

    name: str
    side: str
    packages: tuple[str, ...]  # beside Odyssey's own
    sections: tuple[str, ...]
    precision: str = "float32"


ODYSSEY = Contender("odyssey", "odyssey", (), ("train", "eval", "ops"))

PEERS = (
    Contender("odyssey-bf16", "odyssey", ("ml_dtypes",), ("train", "eval"), "bfloat16"),
    Contender("pytorch", "torch", ("torch",), ("train", "eval", "ops")),
    Contender("pytorch-channels-last", "torch", ("torch",), ("train", "eval", "ops")),
    Contender("pytorch-folded", "torch", ("torch",), ("eval",)),
    Contender("pytorch-bf16", "torch", ("torch",), ("train", "eval"), "bfloat16"),
    Contender("onnxruntime", "onnx", ("onnx", "onnxruntime"), ("eval",)),
    Contender("openvino", "onnx", ("onnx", "openvino"), ("eval",)),
    Contender("openvino-default", "onnx", ("onnx", "openvino"), ("eval",), "bfloat16"),
)

NOTES = {
    "odyssey-bf16": "activations in bfloat16",
    "pytorch": "default memory layout",
    "pytorch-channels-last": "channels-last memory",
    "pytorch-folded": "channels-last, batch norm folded into the convolutions",
    "pytorch-bf16": "channels-last, autocast to bfloat16",
    "onnxruntime": "all graph optimisations, float32",
    "openvino": "compiled for latency, float32 asked for",
    "openvino-default": "in the precision that it chooses, bfloat16 where it is fast",
}

PACKAGES = ("ml_dtypes", "torch", "onnx", "onnxruntime", "openvino")


def is_installed(package: str) -> bool:
    """Tell whether a package could be imported, without importing it."""
    return util.find_spec(package) is not None


def present(sections: tuple[str, ...]) -> tuple[list[Contender], list[str]]:
    """Return the peers of these sections that can run, and advice on those that cannot.

    A missing package is named once, with the peers that need it.
    """
    able, waiting = [], {}
    for peer in PEERS:
        if not set(peer.sections) & set(sections):
            continue
        missing = tuple(name for name in peer.packages if not is_installed(name))
        if missing:
            waiting.setdefault(missing, []).append(peer.name)
        else:
            able.append(peer)
    advice = [
        f"{', '.join(names)}: not installed, left out; pip install {' '.join(missing)}"
        for missing, names in waiting.items()
    ]
    return able, advice
