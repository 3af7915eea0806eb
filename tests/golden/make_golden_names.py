"""Write names.npz: names, shapes and logits of networks defined as elsewhere.

Needs PyTorch (2.13 was used); the tests only read the file.  Run from the project's
root:

    PYTHONPATH=.:tests/formats:examples python tests/golden/make_golden_names.py

The networks have the modules and the names of torchvision, of the CIFAR networks of
kuangliu, akamaster and weiaicunzai, of timm's ResNetV2 and of airbench94_muon.
"""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from foreign_cases import CASES, digest, images, state_dict
from torch import nn

PATH = Path(__file__).with_name("names.npz")


def conv(C, K, size, stride=1):
    return nn.Conv2d(C, K, size, stride, size // 2, bias=False)


class Block(nn.Module):
    """A basic block or a bottleneck, the stride in a 3x3 convolution."""

    def __init__(self, C, K, stride, bottleneck, style):
        super().__init__()
        self.stride, self.style = stride, style
        self.out = 4 * K if bottleneck else K
        sizes = [(C, K, 3, stride), (K, K, 3, 1)]
        if bottleneck:
            sizes = [(C, K, 1, 1), (K, K, 3, stride), (K, 4 * K, 1, 1)]
        self.count = len(sizes)
        for number, size in enumerate(sizes, 1):
            self.add_module(f"conv{number}", conv(*size))
            self.add_module(f"bn{number}", nn.BatchNorm2d(size[1]))
        changes = stride != 1 or C != self.out
        if changes and style in ("downsample", "shortcut"):
            projection = nn.Sequential(
                conv(C, self.out, 1, stride), nn.BatchNorm2d(self.out)
            )
            self.add_module(style, projection)
        elif style == "shortcut":
            self.shortcut = nn.Sequential()

    def around(self, x):
        if self.style in ("downsample", "shortcut"):
            return dict(self.named_children()).get(self.style, nn.Identity())(x)
        added = self.out - x.shape[1]
        before = added // 2 if self.style == "zeros on both sides" else 0
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, before, added - before))

    def forward(self, x):
        h, m = x, dict(self.named_children())
        for number in range(1, self.count + 1):
            h = m[f"bn{number}"](m[f"conv{number}"](h))
            h = F.relu(h) if number < self.count else h
        return F.relu(h + self.around(x))


class ResNet(nn.Module):
    def __init__(self, config, style, last):
        super().__init__()
        large = config.stem == "imagenet"
        self.conv1 = conv(3, config.width, *((7, 2) if large else (3, 1)))
        self.bn1 = nn.BatchNorm2d(config.width)
        self.pool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        self.stages, self.last, C = len(config.blocks), last, config.width
        for stage, count in enumerate(config.blocks):
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                K = config.width * 2**stage
                blocks.append(Block(C, K, stride, config.bottleneck, style))
                C = blocks[-1].out
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.add_module(last, nn.Linear(C, config.num_classes))

    def forward(self, x):
        m = dict(self.named_children())
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        for stage in range(self.stages):
            x = m[f"layer{stage + 1}"](x)
        return m[self.last](x.mean((2, 3)))


class ListedBlock(Block):
    """A block whose branch is one list, with the relus."""

    def __init__(self, C, K, stride, bottleneck):
        super().__init__(C, K, stride, bottleneck, "shortcut")
        branch = []
        for number in range(1, self.count + 1):
            for kind in ("conv", "bn"):
                branch.append(self._modules.pop(f"{kind}{number}"))
            branch += [nn.ReLU()] if number < self.count else []
        self.residual_function = nn.Sequential(*branch)

    def forward(self, x):
        return F.relu(self.residual_function(x) + self.around(x))


class ListedResNet(nn.Module):
    def __init__(self, config):
        super().__init__()
        C = config.width
        self.conv1 = nn.Sequential(conv(3, C, 3), nn.BatchNorm2d(C), nn.ReLU())
        self.stages = []
        for stage, count in enumerate(config.blocks):
            blocks = []
            for index in range(count):
                stride = 2 if stage and not index else 1
                K = config.width * 2**stage
                blocks.append(ListedBlock(C, K, stride, config.bottleneck))
                C = blocks[-1].out
            self.stages.append(f"conv{stage + 2}_x")
            self.add_module(self.stages[-1], nn.Sequential(*blocks))
        self.fc = nn.Linear(C, config.num_classes)

    def forward(self, x):
        x = self.conv1(x)
        for stage in self.stages:
            x = dict(self.named_children())[stage](x)
        return self.fc(x.mean((2, 3)))


class PreBottleneck(nn.Module):
    def __init__(self, C, K, stride):
        super().__init__()
        if stride != 1 or C != 4 * K:
            self.downsample = nn.Sequential()
            self.downsample.add_module("conv", conv(C, 4 * K, 1, stride))
        self.norm1, self.conv1 = nn.BatchNorm2d(C), conv(C, K, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(K), conv(K, K, 3, stride)
        self.norm3, self.conv3 = nn.BatchNorm2d(K), conv(K, 4 * K, 1)

    def forward(self, x):
        a = F.relu(self.norm1(x))
        if hasattr(self, "downsample"):
            x = self.downsample(a)
        h = self.conv2(F.relu(self.norm2(self.conv1(a))))
        return x + self.conv3(F.relu(self.norm3(h)))


class ResNetV2(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.stem = nn.Sequential()
        self.stem.add_module("conv", conv(3, config.width, 7, 2))
        self.stem.add_module("pool", nn.MaxPool2d(3, 2, 1))
        self.stages, C = nn.Sequential(), config.width
        for stage, count in enumerate(config.blocks):
            blocks = nn.Sequential()
            for index in range(count):
                K = config.width * 2**stage
                stride = 2 if stage and not index else 1
                blocks.add_module(str(index), PreBottleneck(C, K, stride))
                C = 4 * K
            self.stages.add_module(str(stage), nn.Sequential())
            self.stages[-1].add_module("blocks", blocks)
        self.norm = nn.BatchNorm2d(C)
        self.head = nn.Sequential()
        self.head.add_module("fc", nn.Conv2d(C, config.num_classes, 1))

    def forward(self, x):
        x = F.relu(self.norm(self.stages(self.stem(x))))
        return self.head(x.mean((2, 3), keepdim=True)).flatten(1)


class LeNet(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, config.num_classes)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = torch.flatten(F.max_pool2d(F.relu(self.conv2(x)), 2), 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Lists(nn.Module):
    def __init__(self, features, classifier):
        super().__init__()
        self.features, self.classifier = features, classifier

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def alexnet(config):
    w = config.width
    a, b, c = 8 * w // 3, 4 * w, 32 * w // 3
    pool = [nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    features = [nn.Conv2d(3, w, 7, padding=3), *pool]
    features += [nn.Conv2d(w, a, 5, padding=2), *pool]
    features += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU()]
    features += [nn.Conv2d(b, b, 3, padding=1), nn.ReLU()]
    features += [nn.Conv2d(b, a, 3, padding=1), *pool]
    classifier = [nn.Dropout(), nn.Linear(16 * a, c), nn.ReLU()]
    classifier += [nn.Dropout(), nn.Linear(c, c), nn.ReLU()]
    classifier += [nn.Linear(c, config.num_classes)]
    return Lists(nn.Sequential(*features), nn.Sequential(*classifier))


def vgg(config):
    features, C = [], 3
    for count, times in zip((2, 2, 3, 3, 3), (1, 2, 4, 8, 8), strict=True):
        for _ in range(count):
            K = config.width * times
            features.append(nn.Conv2d(C, K, 3, padding=1))
            features += [nn.BatchNorm2d(K)] if config.normalize else []
            features.append(nn.ReLU())
            C = K
        features.append(nn.MaxPool2d(2))
    hidden = [nn.Linear(C, C), nn.ReLU(), nn.Dropout()]
    if config.normalize:  # dropout first, as in networks for CIFAR
        hidden = [nn.Dropout(), nn.Linear(C, C), nn.ReLU()]
    second = [nn.Linear(C, C) if isinstance(m, nn.Linear) else m for m in hidden]
    classifier = nn.Sequential(*hidden, *second, nn.Linear(C, config.num_classes))
    return Lists(nn.Sequential(*features), classifier)


class Group(nn.Module):
    def __init__(self, C, K):
        super().__init__()
        self.conv1, self.norm1 = conv(C, K, 3), nn.BatchNorm2d(K, eps=1e-12)
        self.conv2, self.norm2 = conv(K, K, 3), nn.BatchNorm2d(K, eps=1e-12)

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class Airbench(nn.Module):
    def __init__(self, config):
        super().__init__()
        w = config.width
        self.whiten = nn.Conv2d(3, 24, 2)
        groups = [Group(24, w), Group(w, 4 * w), Group(4 * w, 4 * w)]
        self.layers = nn.Sequential(nn.GELU(), *groups, nn.MaxPool2d(3))
        self.head = nn.Linear(4 * w, config.num_classes, bias=False)

    def forward(self, x):
        x = self.layers(self.whiten(x)).flatten(1)
        return self.head(x) / x.shape[1]


BUILD = {
    "torchvision, basic": lambda c: ResNet(c, "downsample", "fc"),
    "torchvision, bottleneck": lambda c: ResNet(c, "downsample", "fc"),
    "kuangliu": lambda c: ResNet(c, "shortcut", "linear"),
    "kuangliu, bottleneck": lambda c: ResNet(c, "shortcut", "linear"),
    "akamaster": lambda c: ResNet(c, "zeros on both sides", "linear"),
    "shortcut A, zeros at the end": lambda c: ResNet(c, "zeros", "fc"),
    "weiaicunzai": ListedResNet,
    "weiaicunzai, bottleneck": ListedResNet,
    "timm, ResNetV2": ResNetV2,
    "LeNet-5": LeNet,
    "AlexNet": alexnet,
    "VGG-16": vgg,
    "VGG-16, batch norm": vgg,
    "airbench": Airbench,
}


def main():
    arrays = {}
    for name, case in CASES.items():
        net = BUILD[name](case.config).double().eval()
        shapes = {key: tuple(t.shape) for key, t in net.state_dict().items()}
        tensors, x = state_dict(shapes), images(case.side)
        net.load_state_dict({key: torch.from_numpy(t) for key, t in tensors.items()})
        with torch.no_grad():
            arrays[f"{name}/logits"] = net(torch.from_numpy(x)).numpy()
        arrays[f"{name}/shapes"] = np.array(json.dumps(shapes))
        arrays[f"{name}/digest"] = np.array(digest(tensors, x))
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH}: {len(arrays)} arrays, {PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
