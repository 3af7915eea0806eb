"""The runs under ``results/``: their files agree with each other and with READMEs."""

import csv
import json
import re
from operator import mul
from statistics import mean

import pytest
from programs import EXAMPLE, ROOT

from odyssey.report.page import build_page
from odyssey.report.stored import evaluated, metrics, recipe

RUNS = sorted(path.parent for path in (EXAMPLE / "results").glob("*/recipe.yml"))
SEARCH = sorted((EXAMPLE / "results").glob("search_*/*/"))
SERIES = sorted(path.parent for path in (EXAMPLE / "results").glob("*/results.csv"))


def table_line(name):
    """Return the one row of a table in results/README.md that begins with a name."""
    lines = (EXAMPLE / "results" / "README.md").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"| {name} |"))
    return line


def minutes_to(bar, rows):
    """Return the minutes of training until an epoch ended with an accuracy."""
    minutes = 0
    for row in rows:
        minutes += 50_000 / row["images_per_second"] / 60
        if row["test_accuracy"] >= bar:
            return minutes
    raise AssertionError(f"{bar} is not reached")


def test_there_are_runs():
    assert len(RUNS) >= 3 and len(SERIES) >= 1 and len(SEARCH) >= 5


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_files_of_a_run_agree(run):
    rows, choices = metrics(run), recipe(run)
    assert len(rows) == choices["epochs"]
    answers = evaluated(run).parts["test images"]
    right = answers.labels == answers.predicted
    assert right.shape == (10_000,) and rows[-1]["test_accuracy"] == right.mean()
    steps = [json.loads(line) for line in (run / "steps.jsonl").open()]
    assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
    images = 50_000 - choices["val_split"]
    for row in rows:
        losses = [step["loss"] for step in steps if step["epoch"] == row["epoch"]]
        sizes = [choices["batch_size"]] * len(losses)
        sizes[-1] -= sum(sizes) - images  # the last batch may be short
        loss = sum(map(mul, losses, sizes)) / images
        assert row["train_loss"] == pytest.approx(loss, rel=1e-12)
    assert rows[-1]["lr"] == steps[-1]["lr"]


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_what_is_said_of_a_run_is_what_it_measured(run):
    last = metrics(run)[-1]
    accuracy = f"{100 * last['test_accuracy']:.2f} %"
    line = table_line(run.name)
    assert f"| {accuracy} |" in line and f"| {last['train_loss']:.4f} |" in line
    assert f"**{accuracy}**" in (ROOT / "README.md").read_text()


def test_what_is_said_of_mirrored_images_is_what_was_seen():
    run = EXAMPLE / "results" / "resnet18_94"
    seen = json.loads((run / "mirrored.json").read_text())
    assert seen["total"] == 10_000 and seen["accuracy"] == seen["correct"] / 10_000
    accuracy = f"{100 * seen['accuracy']:.2f} %"
    assert f"| {accuracy} |" in table_line(run.name)
    front = (ROOT / "README.md").read_text()
    single = f"{100 * metrics(run)[-1]['test_accuracy']:.2f} %"
    assert f"| **{single}** ({accuracy}) |" in front


def test_the_times_to_an_accuracy_are_those_of_the_logs():
    front = (ROOT / "README.md").read_text()
    rows = metrics(EXAMPLE / "results" / "resnet18_94")
    (rate,) = re.findall(r"trains at ([0-9.]+) images/s \(60 steps\)", front)
    minutes = [
        next(row["epoch"] for row in rows if row["test_accuracy"] >= bar)
        * (50_000 / 60 / float(rate))
        for bar in (0.90, 0.92, 0.94)
    ]
    said = " | ".join(f"{each:.0f}" for each in minutes)
    assert f"| ResNet-18, `resnet18_94`, 16 epochs | {said} |" in front
    series = ROOT / "examples" / "speedrun_cifar10" / "results" / "seeds_9epochs"
    runs = [metrics(run) for run in sorted(series.glob("seed*/"))]
    said = " | ".join(
        f"{mean(minutes_to(bar, run) for run in runs):.1f}" for bar in (0.90, 0.92)
    )
    assert f"| speed run, 9 epochs | {said} |" in front


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_a_report_of_a_run_lacks_its_filters_only(run):
    page = build_page(run, run.name)
    assert page.count("Left out: ") == 1
    assert page.index("First-layer filters") < page.index("Left out: ")


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series.name)
def test_the_table_of_a_series_is_in_a_readme(series):
    readme = (ROOT / "README.md").read_text()
    readme += (EXAMPLE / "results" / "README.md").read_text()
    with (series / "results.csv").open() as file:
        for row in csv.DictReader(file):
            said = f"| {row['row']} | {100 * float(row['test_last_mean']):.2f}"
            if row["test_last_deviation"]:
                said += f" ± {100 * float(row['test_last_deviation']):.2f}"
            assert f"{said} % |" in readme
            runs = [series / f"{row['row']}-seed{s}" for s in row["seeds"].split()]
            last = [metrics(run)[-1]["test_accuracy"] for run in runs]
            assert float(row["test_last_mean"]) == mean(last)


@pytest.mark.parametrize("run", SEARCH, ids=lambda run: run.name)
def test_what_is_said_of_the_search_is_what_it_measured(run):
    choices, last = recipe(run), metrics(run)[-1]
    assert (last["epoch"], choices["val_split"]) == (8, 10_000)
    said = f"| {100 * last['val_accuracy']:.2f} % | {last['val_loss']:.4f} |"
    line = table_line(run.name)
    assert said in line


def test_what_is_said_of_resnet18_in_both_precisions_is_what_it_measured():
    pair = EXAMPLE / "results" / "precision_resnet18_3epochs"
    page = (ROOT / "docs" / "derivations" / "mixed_precision.md").read_text()
    recipes = []
    for precision in ("float32", "bf16"):
        rows, choices = metrics(pair / precision), recipe(pair / precision)
        assert choices.pop("precision") == precision and choices["epochs"] == 3
        recipes.append(choices)
        accuracies = [f"{100 * row['test_accuracy']:.2f} %" for row in rows]
        cells = [*accuracies, f"{rows[-1]['train_loss']:.4f}"]
        assert f"| {precision} | {' | '.join(cells)} |" in page
    assert recipes[0] == recipes[1]


def test_what_is_said_of_the_plain_recipe_is_what_its_log_says():
    run = EXAMPLE / "results" / "plain_10epochs" / "seed0"
    rows, choices = metrics(run), recipe(run)
    assert len(rows) == choices["epochs"] == 10
    assert (choices["augment"], choices["weight_decay"], choices["lr"]) == (
        False,
        0,
        0.01,
    )
    seen = json.loads((run / "mirrored.json").read_text())
    assert seen["total"] == 10_000 and seen["accuracy"] == seen["correct"] / 10_000
    single = f"{100 * rows[-1]['test_accuracy']:.2f} %"
    mirrored = f"{100 * seen['accuracy']:.2f} %"
    trained = f"{100 * rows[-1]['train_accuracy']:.2f} %"
    measured = f"| 10 | {single} | {mirrored} | {rows[-1]['train_loss']:.4f} |"
    assert measured in table_line("plain_10epochs")
    minutes = sum(row["seconds"] for row in rows) / 60
    time = f"{minutes:.0f} beside other programs, Zen 5"
    front = f"| 10 | {time} | **{single}** ({mirrored}) |"
    assert front in (ROOT / "README.md").read_text()
    gap = (ROOT / "docs" / "GAP_ANALYSIS.md").read_text()
    assert (
        f"**{single}** ({mirrored} with the mirrored images)" in gap and trained in gap
    )
    said = (EXAMPLE / "README.md").read_text()
    assert f"| {single} after 10 epochs |" in said and trained in said
