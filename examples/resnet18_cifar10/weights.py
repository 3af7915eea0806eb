"""A residual network's tensors to and from a folder: `odyssey.weights.model` for it.

A folder written here holds, for ResNet-18, 102 tensors, the 62 that are trained and the
40 of batch norm's running statistics, and a manifest with the model's options.  Folders
of the original project load too: 82 tensors with biases of the convolutions, no running
statistics, no manifest.  What they lack can be estimated again from training images.
"""

from functools import partial

from odyssey.weights import model
from resnet18_cifar10.example import NETWORK

save_weights = partial(model.save_weights, NETWORK)
load_weights = partial(model.load_weights, NETWORK)
estimate_running_statistics = partial(model.estimate_running_statistics, NETWORK)
