"""Write sisters.npz: what PyTorch makes of AlexNet and VGG-16, in float64.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root after a change of the models' names or of how their weights are drawn:

    PYTHONPATH=.:tests/examples:examples python tests/golden/make_golden_sisters.py
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from test_model_golden import summary
from test_sisters_golden import NETWORKS, RECIPE, generator_of, start

PATH = Path(__file__).with_name("sisters.npz")
DROPOUT = 0.5


def convolution(t, name, x, padding):
    return F.conv2d(x, t[f"{name}_kernel"], t.get(f"{name}_bias"), padding=padding)


def alexnet(t, x):
    """The convolutions of AlexNet; ``t`` are tensors by Odyssey's names."""
    x = F.max_pool2d(F.relu(convolution(t, "conv1", x, 3)), 3, 2, 1)
    x = F.max_pool2d(F.relu(convolution(t, "conv2", x, 2)), 3, 2, 1)
    x = F.relu(convolution(t, "conv3", x, 1))
    x = F.relu(convolution(t, "conv4", x, 1))
    return F.max_pool2d(F.relu(convolution(t, "conv5", x, 1)), 3, 2, 1)


def vgg(t, x):
    """The convolutions of VGG-16, with batch norm if there are its tensors."""
    for stage, count in enumerate((2, 2, 3, 3, 3), 1):
        for number in range(1, count + 1):
            x = convolution(t, f"s{stage}_conv{number}", x, 1)
            norm = f"s{stage}_bn{number}"
            if f"{norm}_gamma" in t:
                kinds = ("running_mean", "running_var", "gamma", "beta")
                x = F.batch_norm(x, *(t[f"{norm}_{k}"] for k in kinds), training=True)
            x = F.relu(x)
        x = F.max_pool2d(x, 2)
    return x


def logits_of(model, t, x, step):
    x = (alexnet if model == "alexnet" else vgg)(t, x).flatten(1)
    rng = generator_of(step)
    for fc in ("fc1", "fc2"):
        x = F.relu(F.linear(x, t[f"{fc}_weights"], t[f"{fc}_bias"]))
        kept = rng.random(tuple(x.shape)) >= DROPOUT
        x = x * torch.from_numpy(kept / (1 - DROPOUT))
    return F.linear(x, t["fc3_weights"], t["fc3_bias"])


def arrays_of(model):
    """Train a few steps; return the arrays of the golden file."""
    params, state, images, labels, digest = start(model)
    tensors = {name: torch.tensor(array) for name, array in {**params, **state}.items()}
    learned = [tensors[name].requires_grad_() for name in params]
    optimizer = torch.optim.SGD(learned, **RECIPE)
    arrays, losses = {"digest": np.array(digest)}, []
    for step, (x, y) in enumerate(zip(images, labels, strict=True)):
        logits = logits_of(model, tensors, torch.from_numpy(x), step)
        loss = F.cross_entropy(logits, torch.from_numpy(y))
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            arrays["logits"] = logits.detach().numpy()
            for name in params:
                arrays[f"grad/{name}"] = summary(tensors[name].grad.numpy())
        optimizer.step()
        losses.append(loss.item())
    arrays["losses"] = np.array(losses)
    for name, tensor in tensors.items():
        arrays[f"trained/{name}"] = summary(tensor.detach().numpy())
    print(f"{model}: {losses}")
    return {f"{model}/{name}": array for name, array in arrays.items()}


def main():
    arrays = {}
    for model in NETWORKS:
        arrays |= arrays_of(model)
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
