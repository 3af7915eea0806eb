"""The runs in the speed run's results: files, tables and READMEs agree."""

import csv
import json
from statistics import mean, stdev

import pytest
from programs import ROOT

from odyssey.report.stored import metrics, recipe

RESULTS = ROOT / "examples" / "speedrun_cifar10" / "results"
SERIES = RESULTS / "seeds_9epochs"
BF16 = RESULTS / "bf16_9epochs"
RUNS = sorted(path.parent for path in RESULTS.glob("*/seed*/recipe.yml"))
README = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
VIEWS = ("single", "mirrored", "six")


def rows(series=SERIES):
    with (series / "results.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("series", [SERIES, BF16], ids=lambda series: series.name)
def test_every_seed_has_a_row(series):
    runs = [run.name for run in RUNS if run.parent == series]
    assert [f"seed{row['seed']}" for row in rows(series)] == runs
    assert len(runs) >= (5 if series == SERIES else 1)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: f"{run.parent.name}-{run.name}")
def test_the_files_of_a_run_agree(run):
    choices, epochs = recipe(run), metrics(run)
    assert choices["epochs"] == len(epochs) == 9 and choices["limit_train"] is None
    assert run.name == f"seed{choices['seed']}"
    assert choices["precision"] == ("bf16" if run.parent == BF16 else "float32")
    steps = [json.loads(line) for line in (run / "steps.jsonl").open()]
    assert [step["step"] for step in steps] == list(range(1, 9 * 25 + 1))
    for row in epochs:
        losses = [step["loss"] for step in steps if step["epoch"] == row["epoch"]]
        assert row["train_loss"] == pytest.approx(mean(losses), rel=1e-12)
    seen = json.loads((run / "views.json").read_text())
    assert seen["step"] == len(steps)
    assert seen["test"]["single"] == epochs[-1]["test_accuracy"]
    (row,) = (r for r in rows(run.parent) if f"seed{r['seed']}" == run.name)
    assert seen["test"] == {view: float(row[view]) for view in seen["test"]}


def test_the_readmes_say_what_was_measured():
    for row in rows():
        accuracies = " | ".join(f"{100 * float(row[view]):.2f}" for view in VIEWS)
        minutes = float(row["seconds"]) / 60
        assert f"| {row['seed']} | {accuracies} | {minutes:.2f} min |" in README
    seen = [[100 * float(row[view]) for row in rows()] for view in VIEWS]
    minutes = mean(float(row["seconds"]) / 60 for row in rows())
    said = " | ".join(f"{mean(all_):.2f} ± {stdev(all_):.2f}" for all_ in seen)
    assert f"| mean | {said} | {minutes:.2f} min |" in README
    front = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"**{mean(seen[-1]):.2f} %**" in front and f"{minutes:.1f} minutes" in front


def test_the_readme_says_what_was_measured_in_bfloat16():
    (row,) = rows(BF16)
    single, mirrored, six = (f"{100 * float(row[view]):.2f} %" for view in VIEWS)
    said = f"reached {single}, {mirrored} mirrored and {six} by"
    assert said in README and f"in {float(row['seconds']) / 60:.2f} min" in README
