"""Write family.npz: what PyTorch makes of small networks of each kind, in float64.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root after a change of the models' names or of how their weights are drawn:

    PYTHONPATH=.:tests/examples:examples \
        python tests/golden/make_golden_family.py

The networks are built from PyTorch's modules alone: from the names and shapes of the
tensors they take only what to call them.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from family import KINDS, drawn, keep_masks
from make_golden_model import module_name
from torch import nn

PATH = Path(__file__).with_name("family.npz")


class ResNet(nn.Module):
    """A residual network, by its own bookkeeping."""

    def __init__(self, config):
        super().__init__()
        self.config, self.block_names = config, []
        large = config.stem == "imagenet"
        self.conv("conv1", 3, config.width, *((7, 2) if large else (3, 1)))
        self.pool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        self.norm("bn1", config.width)
        expansion = 4 if config.bottleneck else 1
        channels = config.width
        for stage, count in enumerate(config.blocks):
            width = config.width * 2**stage
            for index in range(count):
                stride = 2 if stage and not index else 1
                self.add_block(
                    f"s{stage + 1}b{index + 1}", channels, width, expansion, stride
                )
                channels = width * expansion
        if config.pre_activation:
            self.norm("final_bn", channels)
        self.fc = nn.Linear(channels, config.num_classes)

    def conv(self, name, C, K, size, stride=1):
        bias = not self.config.normalize
        self.add_module(name, nn.Conv2d(C, K, size, stride, size // 2, bias=bias))

    def norm(self, name, K):
        normalize = self.config.normalize
        self.add_module(name, nn.BatchNorm2d(K) if normalize else nn.Identity())

    def add_block(self, name, C, K, expansion, stride):
        """A block's modules, its norms named by their place before or after."""
        if expansion == 1:
            sizes = [(C, K, 3, stride), (K, K, 3, 1)]
        else:
            sizes = [(C, K, 1, 1), (K, K, 3, stride), (K, 4 * K, 1, 1)]
        pre, first = self.config.pre_activation, not self.block_names
        for number, (c, k, size, step) in enumerate(sizes, start=1):
            self.conv(f"{name}_conv{number}", c, k, size, step)
            if not (pre and first and number == 1):
                self.norm(f"{name}_bn{number}", c if pre else k)
        project = C != K * expansion or stride != 1
        if project and self.config.shortcut == "B":
            self.conv(f"{name}_proj", C, K * expansion, 1, stride)
            if not pre:
                self.norm(f"{name}_proj_bn", K * expansion)
        self.block_names.append((name, len(sizes), stride, K * expansion))

    def forward(self, x, keeps):
        m = dict(self.named_children())
        x = m["pool"](F.relu(m["bn1"](m["conv1"](x))))
        for (name, count, stride, channels), keep in zip(
            self.block_names, keeps, strict=True
        ):
            h = start = x
            for number in range(1, count + 1):
                conv, norm = m[f"{name}_conv{number}"], m.get(f"{name}_bn{number}")
                if self.config.pre_activation:
                    if norm is not None:
                        h = F.relu(norm(h))
                    if number == 1:
                        start = h
                    h = conv(h)
                else:
                    h = norm(conv(h))
                    h = F.relu(h) if number < count else h
            if f"{name}_proj" in m:
                x = m[f"{name}_proj"](start)
                x = m[f"{name}_proj_bn"](x) if f"{name}_proj_bn" in m else x
            elif stride != 1 or channels != x.shape[1]:
                x = F.pad(
                    x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, channels - x.shape[1])
                )
            x = x + h * keep
            if not self.config.pre_activation:
                x = F.relu(x)
        if self.config.pre_activation:
            x = F.relu(m["final_bn"](x))
        return self.fc(x.mean((2, 3)))


def main():
    arrays = {}
    for kind, config in KINDS.items():
        params, state, x, labels, digest = drawn(kind)
        net = ResNet(config).double()
        given = {**params, **state}
        tensors = {module_name(name): torch.tensor(a) for name, a in given.items()}
        missing, unexpected = net.load_state_dict(tensors, strict=False)
        assert not unexpected, unexpected
        assert all(name.endswith("num_batches_tracked") for name in missing), missing
        x, keeps = torch.from_numpy(x), keep_masks(config, len(x))
        arrays[f"{kind}/digest"] = np.array(digest)
        net.eval()
        with torch.no_grad():
            arrays[f"{kind}/inference"] = net(x, [1.0] * len(keeps)).numpy()
        net.train()
        logits = net(x, [torch.from_numpy(keep) for keep in keeps])
        F.cross_entropy(logits, torch.from_numpy(labels)).backward()
        arrays[f"{kind}/logits"] = logits.detach().numpy()
        named, buffers = dict(net.named_parameters()), dict(net.named_buffers())
        grads = [named[module_name(name)].grad.numpy().ravel() for name in params]
        arrays[f"{kind}/grads"] = np.concatenate(grads)
        running = [buffers[module_name(name)].numpy() for name in state]
        arrays[f"{kind}/state"] = np.concatenate([*running, np.empty(0)])
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
