"""``odyssey summary``: the table of any network, and its errors."""

import pytest
from click.testing import CliRunner

from odyssey.cli.main import main


def command(*words, status=0):
    result = CliRunner().invoke(main, ["summary", *words])
    assert result.exit_code == status, result.output
    return result.output


def test_the_table_of_a_network():
    lines = command("lenet5", "--batch-size", "1024").splitlines()
    assert lines[0] == "lenet5"
    rows = {line.split()[0]: line.split()[1:] for line in lines[3:10]}
    assert list(rows) == [*"image conv1 conv2 fc1 fc2 fc3 total".split()]
    # conv1: 6 * (3 * 25 + 1) parameters, 28 * 28 * 6 * 75 products; the backward needs
    # the relu's output and that of the pooling
    kept = f"{4 * 6 * (28 * 28 + 14 * 14) / 1024:.1f}"
    assert rows["conv1"] == ["6", "x", "28", "x", "28", "456", "352,800", kept]
    assert rows["total"][:2] == ["62,006", "651,720"]
    assert lines[-4].startswith("62,006 trainable numbers (0.2 MiB in float32")
    assert lines[-3] == "activations of a batch of 1024: 44 MiB"
    assert lines[-2:] == ["next:", "  python -m odyssey memory lenet5"]


def test_options_of_the_model_the_images_and_the_precision():
    whole = command("resnet20", "--width", "4", "--image-size", "16")
    half = command("resnet20", "--image-size=16", "--width=4", "--precision", "bf16")
    totals = []
    for text in (whole, half):
        assert text.startswith("resnet20 of width 4\n")
        (total,) = (x for x in text.splitlines() if x.startswith("total"))
        totals.append(float(total.split()[-1]))
    assert "conv1 bn1" in whole and " 4 x 16 x 16 " in whole
    assert 1.9 < totals[0] / totals[1] < 2.1
    assert whole.endswith("python -m odyssey memory resnet20 --width 4\n")


@pytest.mark.parametrize(
    "words, message",
    [
        (["resnet19"], "'resnet19' is not one of alexnet, lenet5, resnet18,"),
        (["lenet5", "--width", "3"], "No such option: --width"),
        (
            ["lenet5", "--image-size", "28"],
            "Error: images of 28 pixels: fc1 takes shape (400,), but",
        ),
        (
            ["vgg16", "--image-size", "16"],
            "Error: images of 16 pixels: maxpool2d takes larger images, but s5_conv3",
        ),
        (["resnet18", "--image-size", "0"], "0 is not in the range x>=1"),
        ([], "Missing argument 'MODEL'"),
    ],
)
def test_errors(words, message):
    assert message in command(*words, status=2)
