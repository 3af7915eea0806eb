"""The rows of the ablations: which runs of train.py they are."""

import os
import shlex
import sys

import numba
from programs import EXAMPLE, run_here
from resnet18_cifar10 import train
from resnet18_cifar10.ablations import ABLATIONS, ROWS

from odyssey.cli.lr_options import learning_rate


def test_every_command_is_one_that_train_takes(tmp_path):
    threads = numba.get_num_threads()
    made = {}
    results = ["--results-dir", tmp_path / "a folder"]
    more = ["--seed", 3, "--val-split", 9, "--limit-train", 8, "--", "--width", 5]
    arguments = ["--all", "--dry-run", *results, *more]
    printed = run_here("run_ablations", *arguments).output.splitlines()
    for python, program, *words in map(shlex.split, printed):
        assert (python, program) == (sys.executable, str(EXAMPLE / "train.py"))
        context = train.main.make_context("train.py", words)
        learning_rate(context.params)  # what does not go together is refused
        made[os.path.basename(context.params["weights_dir"])] = context.params
    numba.set_num_threads(threads)
    assert list(made) == [f"{name}-seed3" for name in ROWS]
    assert not (tmp_path / "a folder").exists()
    common = {"seed": 3, "val_split": 9, "limit_train": 8, "width": 5, "epochs": 100}
    base = {"model": "resnet18", "lr": 0.1, "batch_size": 128, "weight_decay": 5e-4}
    base |= {"lr_scheduler": "multistep", "lr_milestones": (50, 75), "lr_gamma": 0.1}
    base |= {"normalize": True, "pre_activation": False, "resume": True} | common
    base |= {"mixup_alpha": 0.0, "label_smoothing": 0.0, "momentum": 0.9}
    base |= {"precision": "float32"}
    changed = {
        "cosine": {"lr_scheduler": "cosine", "lr_milestones": (100, 150)},
        "multistep": {},
        "constant": {"lr_scheduler": "constant", "lr_milestones": (100, 150)},
        "resnet34": {"model": "resnet34"},
        "resnet50": {"model": "resnet50"},
        "no-batch-norm": {"normalize": False, "lr": 0.01},
        "batch-32": {"batch_size": 32, "lr": 0.025},
        "mixup": {"mixup_alpha": 0.2},
        "label-smoothing": {"label_smoothing": 0.1},
        "pre-activation": {"pre_activation": True},
        "bf16": {"precision": "bf16"},
    }
    techniques = ("cosine", "mixup", "label-smoothing", "pre-activation")
    changed["all-techniques"] = dict(i for t in techniques for i in changed[t].items())
    for name, params in made.items():
        expected = base | changed[name.removesuffix("-seed3")]
        assert {key: params[key] for key in expected} == expected, name


def test_drops_come_at_the_same_parts_of_shorter_runs():
    lengths = (1, 2, 5, 8, 200)
    drops = [ABLATIONS.options("multistep", n)["lr_milestones"] for n in lengths]
    assert drops == ["1,2", "1,2", "2,3", "4,6", "100,150"]


def test_the_model_is_that_of_rows_that_name_none():
    names = ("batch-32", "resnet34")
    models = [ABLATIONS.options(name, 1, "resnet20")["model"] for name in names]
    assert models == ["resnet20", "resnet34"]
