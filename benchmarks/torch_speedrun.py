"""PyTorch's training step of the speed run: the same network and update."""

import numpy as np
import torch
from measuring import Task, tensors
from speedrun_cifar10 import recipe
from speedrun_cifar10.architecture import (
    BN_EPS,
    BN_MOMENTUM,
    SpeedrunConfig,
    units,
)
from torch import nn
from torch.nn import functional as F

SMOOTHING = recipe.CHOICES["label_smoothing"]


class Speedrun(nn.Module):
    """The network, with parameters and statistics named as Odyssey's."""

    def __init__(self, params: dict, state: dict):
        super().__init__()
        width, classes = len(params["g1_bn1_beta"]), len(params["fc_weights"])
        self.units = units(SpeedrunConfig(width, classes))
        for name, array in params.items():
            trained = name != "whiten_kernel"
            tensor = nn.Parameter(torch.tensor(array), requires_grad=trained)
            self.register_parameter(name, tensor)
        for name, array in state.items():
            self.register_buffer(name, torch.tensor(array))

    def forward(self, x):
        h = F.gelu(F.conv2d(x, self.whiten_kernel, self.whiten_bias))
        for unit in self.units:
            h = F.conv2d(h, getattr(self, f"{unit.conv}_kernel"), padding=1)
            if unit.pooled:
                h = F.max_pool2d(h, 2)
            h = F.batch_norm(
                h,
                getattr(self, f"{unit.norm}_running_mean"),
                getattr(self, f"{unit.norm}_running_var"),
                bias=getattr(self, f"{unit.norm}_beta"),
                training=True,
                momentum=BN_MOMENTUM,
                eps=BN_EPS,
            )
            h = F.gelu(h)
        features = F.max_pool2d(h, 3).flatten(1)
        return F.linear(features, self.fc_weights) / features.shape[1]


class Muon:
    """Momentum, orthogonalised by three steps of Newton and Schulz."""

    def __init__(self, kernels: list):
        self.kernels = kernels
        self.buffers = [torch.zeros_like(kernel) for kernel in kernels]

    @torch.no_grad()
    def step(self, lr: float, momentum: float) -> None:
        for kernel, buffer in zip(self.kernels, self.buffers, strict=True):
            buffer.mul_(momentum).add_(kernel.grad)
            update = kernel.grad + momentum * buffer
            kernel.mul_(len(kernel) ** 0.5 / kernel.norm())
            kernel.sub_(lr * orthogonalised(update.flatten(1)).view(kernel.shape))


def orthogonalised(update):
    """Return a matrix whose singular values are about 1, and vectors the same."""
    x = update / (update.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(recipe.MUON_STEPS):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x.T if tall else x


def optimizers(net: Speedrun, batch: int) -> tuple[Muon, torch.optim.SGD]:
    """Return the two optimisers of the recipe, at their first rates."""
    trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
    decay = recipe.DECAY * batch
    groups = [
        {"params": [p], "name": name, "lr": lr, "weight_decay": decay / lr}
        for name, p in trained.items()
        if p.ndim < 4
        for lr in [recipe.HEAD_LR if name == "fc_weights" else recipe.BIAS_LR]
    ]
    sgd = torch.optim.SGD(groups, momentum=recipe.SGD_MOMENTUM, nesterov=True)
    return Muon([p for p in trained.values() if p.ndim == 4]), sgd


def prepare(
    job: str, contender: str, arrays: dict[str, np.ndarray], threads: int
) -> Task:
    """Return the task of "train" or "train64": the first step of the recipe."""
    torch.set_num_threads(threads)
    params, state = (tensors(arrays, prefix) for prefix in ("params/", "state/"))
    layout = torch.channels_last
    if contender == "pytorch":
        layout = torch.contiguous_format
    net = Speedrun(params, state).to(memory_format=layout)
    images = torch.tensor(arrays["images"]).permute(0, 3, 1, 2)
    images, labels = (
        images.contiguous(memory_format=layout),
        torch.tensor(arrays["labels"]),
    )
    muon, sgd = optimizers(net, len(images))
    lr, momentum = recipe.CHOICES["lr"], recipe.CHOICES["momentum"]

    def step():
        net.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=contender.endswith("bf16")):
            loss = F.cross_entropy(
                net(images), labels, reduction="sum", label_smoothing=SMOOTHING
            )
        loss.backward()
        muon.step(lr, momentum)
        sgd.step()
        return loss

    def results(loss):
        trained = {n: p for n, p in net.named_parameters() if p.requires_grad}
        gradients = {f"gradient of {n}": p.grad.numpy() for n, p in trained.items()}
        weights = {f"weights {n}": p.detach().numpy() for n, p in trained.items()}
        mean = loss.detach().numpy() / len(images)
        return {"loss": mean} | gradients | weights

    return Task(step, results)
