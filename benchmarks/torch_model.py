"""PyTorch's training step and evaluation of the same network, as tasks to time."""

import numpy as np
import torch
from measuring import Task, tensors
from op_cases import LR, MOMENTUM
from resnet18_cifar10.architecture import (
    STEM_POOL,
    ResNetConfig,
    network_blocks,
    network_layers,
)
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ResNet(nn.Module):
    """The network, built from Odyssey's tensors and named after them."""

    def __init__(self, params: dict, state: dict, config: ResNetConfig):
        super().__init__()
        self.convs, self.norms = nn.ModuleDict(), nn.ModuleDict()
        self.blocks, self.pooled = network_blocks(config), config.stem == "imagenet"
        self.tensors = {}  # parameters by Odyssey's names
        for conv, norm, (K, C, R, _), stride in network_layers(config):
            self.convs[conv] = nn.Conv2d(C, K, R, stride, R // 2, bias=False)
            self.norms[conv] = nn.BatchNorm2d(K)
            self._own(self.convs[conv], "weight", f"{conv}_kernel", params)
            self._own(self.norms[conv], "weight", f"{norm}_gamma", params)
            self._own(self.norms[conv], "bias", f"{norm}_beta", params)
            for buffer in ("running_mean", "running_var"):
                values = torch.tensor(state[f"{norm}_{buffer}"])
                getattr(self.norms[conv], buffer).copy_(values)
        self.fc = nn.Linear(*params["fc_weights"].shape[::-1])
        self._own(self.fc, "weight", "fc_weights", params)
        self._own(self.fc, "bias", "fc_bias", params)

    def _own(self, module, attribute, name, params):
        self.tensors[name] = getattr(module, attribute)
        self.tensors[name].data = torch.tensor(params[name])

    def fold(self):
        """Fold the running statistics of batch norm into the convolutions."""
        for name, norm in self.norms.items():
            self.convs[name] = fuse_conv_bn_eval(self.convs[name], norm)
            self.norms[name] = nn.Identity()

    def _conv_bn(self, name, x):
        return self.norms[name](self.convs[name](x))

    def _shortcut(self, block, x):
        if block.shortcut == "A":  # every second pixel, and channels of zeros
            added = block.out_channels - block.in_channels
            x = x[:, :, :: block.stride, :: block.stride]
            return F.pad(x, (0, 0, 0, 0, 0, added))
        return self._conv_bn(f"{block.name}_proj", x) if block.shortcut == "B" else x

    def forward(self, x):
        h = F.relu(self._conv_bn("conv1", x), inplace=True)
        if self.pooled:
            h = F.max_pool2d(h, *STEM_POOL)
        for block in self.blocks:
            main = F.relu(self._conv_bn(f"{block.name}_conv1", h), inplace=True)
            main = self._conv_bn(f"{block.name}_conv2", main)
            if f"{block.name}_conv3" in self.convs:
                main = F.relu(main, inplace=True)
                main = self._conv_bn(f"{block.name}_conv3", main)
            h = F.relu(main + self._shortcut(block, h), inplace=True)
        return self.fc(h.mean((2, 3)))


def prepare(
    job: str,
    contender: str,
    arrays: dict[str, np.ndarray],
    threads: int,
    config: ResNetConfig,
) -> Task:
    """Return the task of "train", "train64" or "eval", in the contender's mode."""
    torch.set_num_threads(threads)
    params, state = (tensors(arrays, prefix) for prefix in ("params/", "state/"))
    layout = torch.channels_last
    if contender == "pytorch":
        layout = torch.contiguous_format
    model = ResNet(params, state, config)
    if contender == "pytorch-folded":
        model.eval().fold()
    model.to(memory_format=layout, dtype=torch.tensor(arrays["images"]).dtype)
    images = torch.tensor(arrays["images"]).permute(0, 3, 1, 2)
    images = images.contiguous(memory_format=layout)
    halved = contender == "pytorch-bf16"
    if job == "eval":
        return _evaluation(model.eval(), images, halved)
    return _training_step(model, images, torch.tensor(arrays["labels"]), halved)


def _training_step(model, images, labels, halved):
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=halved):
            loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    def results(loss):
        return {"loss": loss.detach().numpy()} | {
            f"gradient of {name}": tensor.grad.numpy()
            for name, tensor in model.tensors.items()
        }

    return Task(step, results)


def _evaluation(model, images, halved):
    def evaluate():
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=halved),
        ):
            return model(images)

    return Task(evaluate, lambda logits: {"logits": logits.float().numpy()})
