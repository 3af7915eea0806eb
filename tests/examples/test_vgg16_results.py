"""What is said of VGG-16's run is what its log says."""

import json

from programs import ROOT

from odyssey.report.stored import metrics, recipe

EXAMPLE = ROOT / "examples" / "vgg16_cifar10"
RUN = EXAMPLE / "results" / "vgg16_bn_hour"


def test_what_is_said_of_the_run_is_what_it_measured():
    rows = metrics(RUN)
    assert len(rows) == recipe(RUN)["epochs"] == 24
    seen = json.loads((RUN / "mirrored.json").read_text())
    assert seen["total"] == 10_000 and seen["accuracy"] == seen["correct"] / 10_000
    single = f"{100 * rows[-1]['test_accuracy']:.2f} %"
    mirrored = f"{100 * seen['accuracy']:.2f} %"
    loss, minutes = rows[-1]["train_loss"], sum(row["seconds"] for row in rows) / 60
    said = (EXAMPLE / "results" / "README.md").read_text()
    measured = f"| 24 | **{single}** | {mirrored} | {loss:.4f} | {minutes:.0f} min"
    assert f"{measured} beside other programs |" in said
    after = [f"{100 * rows[epoch - 1]['test_accuracy']:.2f}" for epoch in (8, 16, 22)]
    assert f"accuracy was {after[0]}, {after[1]} and {after[2]} %." in said
    assert f"**{single}**, mirrored {mirrored}" in (EXAMPLE / "README.md").read_text()
    front = (ROOT / "README.md").read_text()
    assert (
        f"| 24 | {minutes:.0f} beside other programs, Zen 5 | **{single}** ({mirrored})"
        in front
    )
