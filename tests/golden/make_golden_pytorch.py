"""Write pytorch.npz: small files that PyTorch wrote, and the numbers in them.

Each file is an array of its bytes, ``NAME.pth``; ``NAME/TENSOR`` are the numbers that
PyTorch has, bfloat16 as its bits.  Needs PyTorch (2.13 was used); the tests only read
the file.  Run from the project's root:

    PYTHONPATH=. python tests/golden/make_golden_pytorch.py
"""

import io
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import torch

PATH = Path(__file__).with_name("pytorch.npz")


class Tagged(torch.Tensor):
    """A class of its own, which a checkpoint names."""


def make_model():
    layers = OrderedDict(
        conv=torch.nn.Conv2d(2, 3, 3),
        bn=torch.nn.BatchNorm2d(3),
        fc=torch.nn.Linear(3, 2),
    )
    return torch.nn.Sequential(layers)


def kinds_of_tensors():
    """Tensors that lie in their storages in all the ways that PyTorch writes."""
    base = torch.arange(1000, dtype=torch.float32)
    complex_numbers = torch.tensor([1 + 2j, 3 - 4j, float("nan")])
    parameter = torch.nn.Parameter(torch.tensor([1.5, -2.5]))
    parameter.tag = "a parameter with an attribute"
    tagged = torch.tensor([0.5, 0.25])
    tagged.tag = "a tensor with an attribute"
    tied = torch.arange(6.0).reshape(2, 3)
    return {
        "slice": base[500:503],
        "stepped": base[10:40:7],
        "transposed": base[:12].reshape(3, 4).T,
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 4),
        "expanded_scalar": torch.tensor(7.0).expand(3),
        "channels_last": torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last),
        "negative": complex_numbers.conj().imag,
        "tied.one": tied,
        "tied.two": tied,
        "parameter": torch.nn.Parameter(torch.tensor([3.0])),
        "parameter_with_state": parameter,
        "tagged": tagged,
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
        "float16": torch.tensor([1.0, 65504.0, 6e-8, -0.0], dtype=torch.float16),
        "bfloat16": torch.tensor([1.0, 3e38, 1e-40, float("nan")]).bfloat16(),
        "float64": torch.tensor([1 / 3, 1e-310, float("inf")], dtype=torch.float64),
        "int8": torch.tensor([-128, 127], dtype=torch.int8),
        "int16": torch.tensor([-(2**15), 2**15 - 1], dtype=torch.int16),
        "int32": torch.tensor([-(2**31), 2**31 - 1], dtype=torch.int32),
        "int64": torch.tensor([-(2**63), 2**63 - 1]),
        "uint8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
    }


def unsigned():
    """Return tensors that are counted in bytes."""
    return {
        "uint16": torch.tensor([1, 2**16 - 1, 7], dtype=torch.uint16)[1:],
        "uint32": torch.tensor([0, 2**32 - 1], dtype=torch.uint32),
        "uint64": torch.tensor([0, 2**63], dtype=torch.uint64),
    }


def checkpoint():
    """A state dict beside what people save with it."""
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3])
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    return {
        "epoch": 3,
        "arch": "tiny",
        "best": 0.5,
        "done": True,
        "classes": ["cat", "dog"],
        "shape": torch.Size([2, 3]),
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "milestones": Counter([1, 1, 2]),
        "seen": {1, 2},
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(),
        "rng": torch.get_rng_state()[:8].clone(),
    }


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return np.frombuffer(file.getvalue(), np.uint8)


def numbers(tensor):
    tensor = tensor.detach().resolve_neg()
    if tensor.dtype == torch.bfloat16:
        tensor = tensor.view(torch.int16)
    return tensor.contiguous().numpy()


def main():
    torch.manual_seed(5)
    model, kinds, whole = make_model().state_dict(), kinds_of_tensors(), checkpoint()
    legacy = {"_use_new_zipfile_serialization": False}
    arrays = {
        "model.pth": saved(model),
        "model_legacy.pth": saved(model, **legacy),
        "kinds.pth": saved(kinds),
        "kinds_legacy.pth": saved(kinds, **legacy),
        "kinds_protocol_4.pth": saved(kinds, pickle_protocol=4),
        "unsigned.pth": saved(unsigned()),
        "checkpoint.pth": saved(whole),
        "checkpoint_legacy.pth": saved(whole, **legacy),
        "list.pth": saved([kinds["slice"], (kinds["scalar"],)]),
        "tensor.pth": saved(kinds["slice"]),
    }
    torch.serialization.set_crc32_options(False)
    arrays["model_unchecked.pth"] = saved(model)
    torch.serialization.set_crc32_options(True)
    refused = {
        "complex": torch.ones(2, dtype=torch.complex64),
        "float8": torch.ones(2).to(torch.float8_e4m3fn),
        "sparse": torch.eye(2).to_sparse(),
        "quantised": torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "meta": torch.ones(2, device="meta"),
        "subclass": torch.ones(2).as_subclass(Tagged),
    }
    for name, tensor in refused.items():
        arrays[f"refused_{name}.pth"] = saved({"layer.weight": tensor})
    arrays["refused_module.pth"] = saved(make_model())
    for name, group in (
        ("model", model),
        ("kinds", kinds),
        ("unsigned", unsigned()),
        ("checkpoint", whole["state_dict"]),
    ):
        for key, tensor in group.items():
            arrays[f"{name}/{key}"] = numbers(tensor)
    np.savez_compressed(PATH, **arrays)
    print(PATH, PATH.stat().st_size)


if __name__ == "__main__":
    main()
