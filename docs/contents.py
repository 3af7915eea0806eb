"""The table of contents: all pages, in the order in which the sidebar lists them.

The front page is docs/READING_ORDER.md, the first in the sidebar.  Every other page is
here, under a heading; a path is given from the root of the project, without its suffix.
"""

ROOT = "docs/READING_ORDER"

CONTENTS = {
    "The course": ["docs/learn"],
    "Gradients on paper": [
        "docs/derivations/README",
        "docs/derivations/convolution",
        "docs/derivations/batch_norm",
        "docs/derivations/synchronized_batch_norm",
        "docs/derivations/pooling",
        "docs/derivations/softmax_cross_entropy",
        "docs/derivations/residual_block",
        "docs/derivations/gelu",
        "docs/derivations/winograd",
        "docs/derivations/mixed_precision",
        "docs/derivations/updates",
        "docs/derivations/muon",
    ],
    "Your own": [
        "docs/diagnosis",
        "docs/your_own_network",
        "docs/own_images",
        "docs/synthetic",
        "docs/augmentation",
        "docs/formats",
        "docs/names",
        "docs/onnx",
        "docs/distributed",
    ],
    "Measured": [
        "docs/PERFORMANCE",
        "docs/SCALING",
        "docs/memory",
        "examples/resnet18_cifar10/results/README",
        "examples/vgg16_cifar10/results/README",
        "examples/alexnet_cifar10/results/README",
        "examples/lenet5_cifar10/results/README",
    ],
    "Examples": [
        "examples/resnet18_cifar10/README",
        "examples/speedrun_cifar10/README",
        "examples/vgg16_cifar10/README",
        "examples/alexnet_cifar10/README",
        "examples/lenet5_cifar10/README",
    ],
    "API": [
        "docs/api/README",
        "docs/api/operations",
        "docs/api/reference",
        "docs/api/layers",
        "docs/api/updates",
        "docs/api/tools",
    ],
    "The project": [
        "README",
        "docs/other_tools",
        "docs/GAP_ANALYSIS",
        "findings/README",
        "datasets/README",
        "CONTRIBUTING",
        "CHANGELOG",
    ],
}

#: Titles for the sidebar, where that of the page says too little there.
TITLES = {
    "README": "README, with all figures",
    "docs/derivations/README": "Overview and symbols",
    "docs/api/README": "Overview",
    "examples/resnet18_cifar10/results/README": "Results: ResNets",
    "examples/vgg16_cifar10/results/README": "Results: VGG-16",
    "examples/alexnet_cifar10/results/README": "Results: AlexNet",
    "examples/lenet5_cifar10/results/README": "Results: LeNet-5",
}


def toctrees() -> str:
    """Return the contents as MyST's directives, which no page shows where it stands."""
    blocks = []
    for caption, pages in CONTENTS.items():
        if pages:
            listed = "\n".join(
                f"{TITLES[page]} </{page}>" if page in TITLES else f"/{page}"
                for page in pages
            )
            if not blocks:
                listed = f"The stations, in order <self>\n{listed}"
            options = f":hidden:\n:caption: {caption}"
            blocks.append(f"\n\n```{{toctree}}\n{options}\n\n{listed}\n```\n")
    return "".join(blocks)


def pages() -> list[str]:
    """Return all pages but the front page."""
    return [page for group in CONTENTS.values() for page in group]
