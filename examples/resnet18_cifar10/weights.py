"""Save and load a residual network's tensors: `odyssey.weights.model` for this family.

A folder of ResNet-18 holds 102 tensors, 62 trained ones and 40 running statistics, and
a manifest with the model's options.  Folders of the original project can be loaded too:
they have 82 tensors, with biases of convolutions, without running statistics and
without a manifest.  The statistics can be estimated from training images.
"""

from functools import partial

from odyssey.weights import model
from resnet18_cifar10.example import NETWORK

save_weights = partial(model.save_weights, NETWORK)
load_weights = partial(model.load_weights, NETWORK)
estimate_running_statistics = partial(model.estimate_running_statistics, NETWORK)
