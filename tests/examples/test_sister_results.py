"""What is said of the runs of LeNet-5, AlexNet and VGG-16 is what their logs say."""

import json

import pytest
from programs import ROOT

from odyssey.report.stored import metrics, recipe

RUNS = {
    "lenet5": ("lenet5_hour", 300, (100, 200, 250), "Zen 4"),
    "alexnet": ("alexnet_hour", 48, (8, 24, 36), "Zen 5"),
    "vgg16": ("vgg16_bn_hour", 24, (8, 16, 22), "Zen 5"),
}


@pytest.mark.parametrize("network", RUNS)
def test_what_is_said_of_the_run_is_what_it_measured(network):
    name, epochs, chosen, processor = RUNS[network]
    example = ROOT / "examples" / f"{network}_cifar10"
    run = example / "results" / name
    rows = metrics(run)
    assert len(rows) == recipe(run)["epochs"] == epochs
    seen = json.loads((run / "mirrored.json").read_text())
    assert seen["total"] == 10_000 and seen["accuracy"] == seen["correct"] / 10_000
    single = f"{100 * rows[-1]['test_accuracy']:.2f} %"
    mirrored = f"{100 * seen['accuracy']:.2f} %"
    minutes = sum(row["seconds"] for row in rows) / 60
    end = f"{rows[-1]['train_loss']:.4f} | {minutes:.0f} min"
    said = (example / "results" / "README.md").read_text()
    measured = f"| {epochs} | **{single}** | {mirrored} | {end}"
    assert f"{measured} beside other programs |" in said
    after = [f"{100 * rows[epoch - 1]['test_accuracy']:.2f}" for epoch in chosen]
    assert f"accuracy was {after[0]}, {after[1]} and {after[2]} %." in said
    assert f"**{single}**, mirrored {mirrored}" in (example / "README.md").read_text()
    front = (ROOT / "README.md").read_text()
    time = f"{minutes:.0f} beside other programs, {processor}"
    assert f"| {epochs} | {time} | **{single}** ({mirrored})" in front
