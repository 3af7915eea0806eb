"""Write model.npz: what PyTorch makes of the full ResNet-18, in float64.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root after a change of the model's names or of how its weights are drawn:

    PYTHONPATH=.:tests/examples:examples \
        python tests/golden/make_golden_model.py
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from test_model_golden import RECIPE, start, summary
from torch import nn

PATH = Path(__file__).with_name("model.npz")
MODULE_NAMES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "weights": "weight",
    "bias": "bias",
    "running_mean": "running_mean",
    "running_var": "running_var",
}


class ResNet18(nn.Module):
    """The network of He et al. with a 3x3 stem, its modules named as Odyssey does."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, width in enumerate((64, 128, 256, 512), start=1):
            for block in (1, 2):
                stride = 2 if stage > 1 and block == 1 else 1
                name = f"s{stage}b{block}"
                self.add_conv(name, "conv1", "bn1", channels, width, 3, stride)
                self.add_conv(name, "conv2", "bn2", width, width, 3, 1)
                if stride == 2:
                    self.add_conv(name, "proj", "proj_bn", channels, width, 1, 2)
                channels = width
        self.fc = nn.Linear(512, 10)

    def add_conv(self, block, conv, norm, channels, width, size, stride):
        layer = nn.Conv2d(channels, width, size, stride, size // 2, bias=False)
        self.add_module(f"{block}_{conv}", layer)
        self.add_module(f"{block}_{norm}", nn.BatchNorm2d(width))

    def forward(self, x):
        modules = dict(self.named_children())
        x = F.relu(self.bn1(self.conv1(x)))
        for name in [f"s{stage}b{block}" for stage in (1, 2, 3, 4) for block in (1, 2)]:
            h = F.relu(modules[f"{name}_bn1"](modules[f"{name}_conv1"](x)))
            h = modules[f"{name}_bn2"](modules[f"{name}_conv2"](h))
            if f"{name}_proj" in modules:
                x = modules[f"{name}_proj_bn"](modules[f"{name}_proj"](x))
            x = F.relu(h + x)
        return self.fc(x.mean((2, 3)))


def module_name(name: str) -> str:
    """s1b1_bn1_running_mean -> s1b1_bn1.running_mean."""
    for end, attribute in MODULE_NAMES.items():
        if name.endswith(f"_{end}"):
            return f"{name.removesuffix(f'_{end}')}.{attribute}"
    raise KeyError(name)


def main():
    params, state, images, labels, digest = start()
    net = ResNet18().double()
    given = {**params, **state}
    tensors = {module_name(name): torch.tensor(a) for name, a in given.items()}
    missing, unexpected = net.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    named = dict(net.named_parameters())
    named = {name: named[module_name(name)] for name in params}
    optimizer = torch.optim.SGD(net.parameters(), **RECIPE)

    arrays, losses = {"digest": np.array(digest)}, []
    for step, (x, y) in enumerate(zip(images, labels, strict=True)):
        logits = net(torch.from_numpy(x))
        loss = F.cross_entropy(logits, torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            arrays["logits"] = logits.detach().numpy()
            for name, param in named.items():
                arrays[f"grad/{name}"] = summary(param.grad.numpy())
        optimizer.step()
        losses.append(loss.item())
    arrays["losses"] = np.array(losses)
    for name, param in named.items():
        velocity = optimizer.state[param]["momentum_buffer"]
        arrays[f"trained param/{name}"] = summary(param.detach().numpy())
        arrays[f"trained velocity/{name}"] = summary(velocity.numpy())
    buffers = dict(net.named_buffers())
    for name in state:
        array = buffers[module_name(name)].numpy()
        arrays[f"trained state/{name}"] = summary(array)
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes; {losses}")


if __name__ == "__main__":
    main()
