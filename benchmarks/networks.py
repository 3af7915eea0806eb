"""The networks of the example, of which a benchmark chooses one."""

import sys
from pathlib import Path

import click

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
sys.path.insert(0, str(EXAMPLES))

# found just now
from resnet18_cifar10.architecture import MODELS  # noqa: E402


def model_option(command):
    """Add ``--model`` to a command."""
    names = click.Choice(list(MODELS))
    return click.option("--model", type=names, default="resnet18", show_default=True)(
        command
    )


def written(model: str) -> str:
    """Return a model's name as it is written in papers: ResNet-18."""
    return model.replace("resnet", "ResNet-")
