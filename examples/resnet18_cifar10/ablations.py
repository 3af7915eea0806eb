"""The rows of the ablations: the options of each, and its purpose.

A row has the options of the base and its own.  The published figures are those of
another project, see `SOURCE`; none was measured with this library.
"""

from odyssey.series.rows import Ablations, Options, Published, Row

SOURCE = (
    "github.com/rohanbansal12/ml-stuff, resnet/README.md at d73fa88. ResNet-18 where "
    "no other is named, PyTorch, 100 epochs, one run each. What it calls validation is "
    "the test set: its best epoch was chosen on it"
)

#: The length of the published runs.
EPOCHS = 100

#: Crops and flips, momentum 0.9 and weight decay 5e-4 are the defaults of train.py.
BASE: Options = {"lr": 0.1, "lr_scheduler": "multistep", "batch_size": 128}

_COSINE = {"lr_scheduler": "cosine"}
_MIXUP = {"mixup_alpha": 0.2}
_SMOOTHING = {"label_smoothing": 0.1}
_PRE_ACTIVATION = {"pre_activation": True}

ROWS = {
    "cosine": Row(_COSINE, "lr falls as half a cosine wave", Published(0.940, 0.941)),
    "multistep": Row(
        {},
        "the base: lr falls to a tenth after 1/2 and after 3/4 of the run",
        Published(0.876, 0.939),
    ),
    "constant": Row(
        {"lr_scheduler": "constant"}, "lr never falls", Published(0.886, 0.909)
    ),
    "resnet34": Row(
        {"model": "resnet34"}, "twice as many basic blocks", Published(0.849, 0.899)
    ),
    "resnet50": Row(
        {"model": "resnet50"}, "as many, of three layers", Published(0.870, 0.883)
    ),
    "no-batch-norm": Row(
        {"normalize": False, "lr": 0.01},
        "biases instead of batch norm; lr 0.01, because 0.1 is too high then",
        Published(0.867, 0.870),
    ),
    "batch-32": Row(
        {"batch_size": 32, "lr": 0.025},
        "lr by the size of the batch; the published run has 72 epochs logged",
        Published(0.870, 0.884),
    ),
    "mixup": Row(_MIXUP, "images mixed with shares of Beta(0.2, 0.2)"),
    "label-smoothing": Row(_SMOOTHING, "a tenth of each label spread over all classes"),
    "pre-activation": Row(_PRE_ACTIVATION, "batch norm and relu before convolutions"),
    "all-techniques": Row(
        _COSINE | _MIXUP | _SMOOTHING | _PRE_ACTIVATION,
        "cosine, mixup, label smoothing and pre-activation together",
    ),
    "bf16": Row({"precision": "bf16"}, "activations and their gradients in bfloat16"),
}

#: Names for several rows: the two tables, and the row that they compare with.
SETS = {
    "published": list(ROWS)[:7],
    "techniques": ["multistep", "cosine", *list(ROWS)[7:-1]],
    "precision": ["multistep", "bf16"],
    "baseline": ["multistep"],
}

ABLATIONS = Ablations(BASE, ROWS, SETS, EPOCHS, SOURCE)
