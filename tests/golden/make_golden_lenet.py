"""Write lenet.npz: what PyTorch makes of LeNet-5, in float64.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root after a change of the model's names or of how its weights are drawn:

    PYTHONPATH=.:tests/examples:examples python tests/golden/make_golden_lenet.py
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from test_lenet_golden import RECIPE, start
from test_model_golden import summary
from torch import nn

PATH = Path(__file__).with_name("lenet.npz")


class LeNet5(nn.Module):
    """Two convolutions and three linear layers, named as Odyssey does."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = (
            nn.Linear(inputs, outputs)
            for inputs, outputs in ((400, 120), (120, 84), (84, 10))
        )

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


def module_name(name: str) -> str:
    """Return PyTorch's name: conv1_kernel -> conv1.weight."""
    layer, _, kind = name.rpartition("_")
    return f"{layer}.{'bias' if kind == 'bias' else 'weight'}"


def main():
    params, images, labels, digest = start()
    net = LeNet5().double()
    net.load_state_dict({module_name(n): torch.tensor(a) for n, a in params.items()})
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
        arrays[f"trained/{name}"] = summary(param.detach().numpy())
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes; {losses}")


if __name__ == "__main__":
    main()
