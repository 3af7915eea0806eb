"""Small networks of each kind, for the tests of the family and the golden file."""

import hashlib

import numpy as np
from resnet18_cifar10.architecture import ResNetConfig, initialize, network_blocks

SMALL = ResNetConfig(width=3, blocks=(1, 2), num_classes=4)
KINDS = {
    "basic": SMALL,
    "basic v2": SMALL._replace(pre_activation=True),
    "bottleneck": SMALL._replace(width=2, bottleneck=True),
    "bottleneck v2": SMALL._replace(width=2, bottleneck=True, pre_activation=True),
    "option A": SMALL._replace(blocks=(1, 1, 2), shortcut="A"),
    "option A v2": SMALL._replace(shortcut="A", pre_activation=True),
    "bottleneck A v2": SMALL._replace(
        width=2, bottleneck=True, shortcut="A", pre_activation=True
    ),
    "no norm": SMALL._replace(normalize=False),
    "no norm v2": SMALL._replace(normalize=False, pre_activation=True),
    "no norm bottleneck": SMALL._replace(width=2, normalize=False, bottleneck=True),
    "drop path": SMALL._replace(drop_path=0.6),
    "drop path v2": SMALL._replace(drop_path=0.6, pre_activation=True),
    "imagenet stem": SMALL._replace(stem="imagenet"),
    "imagenet stem v2": SMALL._replace(stem="imagenet", pre_activation=True),
}
DROP_SEED = 31  # of the generator that draws who is dropped


def drawn(kind: str):
    """Weights and statistics that are not those of a fresh model, and a batch."""
    config = KINDS[kind]
    params, state = initialize(config, 17, np.float64)
    rng = np.random.default_rng(18)
    for name, array in (*params.items(), *state.items()):
        if not name.endswith(("_kernel", "fc_weights")):
            array += 0.2 * rng.uniform(-1, 1, array.shape)
    x = rng.standard_normal((6, 7, 7, 3)).transpose(0, 3, 1, 2)  # an odd size
    labels = np.array([0, 3, 1, 2, 2, 0])
    digest = hashlib.sha256()
    for array in (*params.values(), *state.values(), x):
        digest.update(np.ascontiguousarray(array).tobytes())
    return params, state, x, labels, digest.hexdigest()


def keep_masks(config: ResNetConfig, images: int) -> list[np.ndarray]:
    """Draw each block's factors as the paper has them, (N, 1, 1, 1) each.

    Block l of L survives with 1 - l/L * P; of random numbers, those below l/L * P drop.
    """
    rng, L = np.random.default_rng(DROP_SEED), len(network_blocks(config))
    masks = []
    for number in range(1, L + 1):
        p = number / L * config.drop_path
        kept = rng.random((images, 1, 1, 1)) >= p if p else np.ones((images, 1, 1, 1))
        masks.append(kept / (1 - p))
    return masks
