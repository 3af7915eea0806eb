"""Recipe files: what is read, what is refused, and that what is written comes back."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from standin import recipe, run

from odyssey.errors import InputError
from odyssey.training.recipe_file import (
    MAX_BYTES,
    find_recipe,
    read_recipe,
    recipe_names,
    recipe_text,
    rescaled,
    written,
)
from odyssey.training.run_folder import RunFolder


@pytest.fixture
def read(tmp_path):
    """Return what `read_recipe` makes of a text."""

    def read(text):
        path = tmp_path / "recipe.yml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_recipe(path)

    return read


def test_values_of_every_kind(read):
    text = """# a comment
description: "26 epochs: a triangle"
epochs: 26
lr: 0.2
weight_decay: 5.0e-4
nesterov: yes
lr_milestones: [100, 150]
lr_scheduler: one-cycle
limit_train: null
flip: none
"""
    assert read(text) == {
        "description": "26 epochs: a triangle",
        "epochs": 26,
        "lr": 0.2,
        "weight_decay": 5e-4,
        "nesterov": True,
        "lr_milestones": [100, 150],
        "lr_scheduler": "one-cycle",
        "limit_train": None,
        "flip": "none",
    }


@pytest.mark.parametrize(
    "text", ["1e-4", "010", "0x10", "1_000", "1:30", ".inf", ".nan", "2026-01-01", "="]
)
def test_what_is_no_decimal_number_stays_text(read, text):
    (value,) = read(f"key: {text}").values()
    assert value == text


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "must have lines of the form"),
        ("- lr", "must have lines of the form"),
        ("just words", "must have lines of the form"),
        ("lr: 0.1\nepochs: 3\nlr: 0.2", "lr is there twice, in lines 1 and 3"),
        ("lr: 0.1\nlr_min: {a: 1}", "line 2: lr_min: must be a value or a list"),
        ("lr: [[1]]", "line 1: lr: must be a value or a list"),
        ("[1, 2]: 3", "line 1: a key must be the name of an option"),
        ("lr: 0.1\nlr_min: a: b", "line 2: mapping values are not allowed here"),
        ("lr: *other", "line 1: found undefined alias"),
        ("lr: 0.1\n---\nlr: 0.2", "line 2: but found another document"),
        ("lr: 0.1\x00", "special characters are not allowed"),
        (b"description: \xff", "invalid start byte"),
        ("lr: " + "[" * 50_000, "lists are nested too deeply"),
        ("#" * (MAX_BYTES + 1), "more than 65,536 bytes"),
    ],
)
def test_what_is_no_recipe(read, text, message):
    with pytest.raises(InputError, match=r"recipe\.yml: ") as error:
        read(text)
    assert message in str(error.value) and "\n" not in str(error.value)
    assert error.value.exit_status == 2


def test_nothing_in_a_file_is_executed(read, tmp_path):
    with pytest.raises(InputError, match=r"must be a plain value, without .*system"):
        read(f"lr: !!python/object/apply:os.system ['touch {tmp_path}/x']")
    for text in ("lr: !!python/name:os.system x", "!!python/dict\nlr: 1", "lr: !a [1]"):
        with pytest.raises(InputError, match="must be a plain value"):
            read(text)
    assert not (tmp_path / "x").exists()


def test_files_that_cannot_be_read_are_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("missing.yml", "No such file"),
        ("", "Is a directory"),
        ("pipe", "not a regular file"),
    ):
        with pytest.raises(InputError, match=reason) as error:
            read_recipe(tmp_path / name)
        assert str(error.value).count(str(tmp_path / name)) == 1


def test_without_pyyaml_the_error_says_what_to_install(read, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(
        InputError, match=r"pip install pyyaml .*odyssey-by-hand\[yaml\]"
    ):
        read("lr: 0.1")


def test_every_float_comes_back_to_the_last_bit(read):
    bits = np.random.default_rng(0).integers(0, 2**63, 500, dtype=np.uint64)
    floats = bits.view(np.float64)
    floats = floats[np.isfinite(floats)].tolist()
    floats += [0.1, 1e-4, 1e-17, 5e-324, 1e16, 1e22, 1.7976931348623157e308, 0.0, 3.0]
    values = {f"v{i}": value for i, value in enumerate(floats)}
    text = "".join(f"{name}: {written(value)}\n" for name, value in values.items())
    back = read(text)
    assert back == values
    assert all(isinstance(value, float) for value in back.values())


def test_the_recipe_of_a_run_comes_back(read):
    made = recipe(
        lr=0.1 + 0.2,
        weight_decay=1e-17,
        lr_milestones=(3, 9),
        nesterov=True,
        clip_grad_norm=None,
        randaugment=(1, 4),
        flip="none",
        init_from="net one.pth",
        init_sha256="a" * 64,
    )
    values = made.to_dict()
    text = recipe_text(values)
    assert f"# Training images: sha256 {values.pop('data_sha256')}" in text
    assert f"# Initial weights: sha256 {values.pop('init_sha256')}\n" in text
    assert read(text) == values
    assert "Initial weights" not in recipe_text(recipe().to_dict())


def test_a_run_has_its_recipe_and_a_longer_one_the_new(tmp_path):
    path = tmp_path / "recipe.yml"
    run(tmp_path, max_steps=4)
    first = path.read_text()
    assert read_recipe(path)["epochs"] == 3
    run(tmp_path, resume=True)
    assert path.read_text() == first
    with pytest.raises(InputError, match=f"--config {path} has that of the run"):
        run(tmp_path, resume=True, changes={"lr": 0.2})
    assert path.read_text() == first
    run(tmp_path, resume=True, changes={"epochs": 4})
    assert path.read_text() == first.replace("epochs: 3", "epochs: 4", 1)
    with RunFolder(tmp_path) as folder:
        assert path in folder.old_run()
        folder.clear()
    assert not path.exists()


@pytest.mark.parametrize(
    "values, epochs, changed",
    [
        (
            {"epochs": 200, "lr_milestones": (100, 150)},
            100,
            {"lr_milestones": (50, 75)},
        ),
        ({"epochs": 182, "lr_milestones": (91, 136)}, 8, {"lr_milestones": (4, 6)}),
        ({"epochs": 200, "lr_milestones": (98, 99)}, 4, {"lr_milestones": (2, 3)}),
        ({"epochs": 200, "lr_milestones": (1, 2)}, 1, {"lr_milestones": (1, 2)}),
        ({"epochs": 200, "lr_decay_epochs": 60}, 300, {"lr_decay_epochs": 90}),
        ({"epochs": 200, "lr_decay_epochs": 60}, 1, {"lr_decay_epochs": 1}),
        ({"epochs": 200, "lr_warmup_epochs": 5}, 20, {"lr_warmup_epochs": 1}),
        ({"epochs": 200, "lr_warmup_epochs": 5}, 19, {"lr_warmup_epochs": 0}),
        ({"epochs": 70, "lr_restart_epochs": 10}, 35, {"lr_restart_epochs": 5}),
        ({"lr_milestones": (100, 150)}, 100, {}),
        ({"epochs": 26, "lr": 0.2, "lr_cycle_peak": 0.2}, 8, {}),
    ],
)
def test_numbers_of_epochs_keep_their_part_of_the_run(values, epochs, changed):
    assert rescaled(values, epochs) == changed


def test_names_and_paths(tmp_path, monkeypatch):
    configs = tmp_path / "configs"
    configs.mkdir()
    for name in ("b.yml", "a.v2.yml", "notes.txt"):
        (configs / name).touch()
    (tmp_path / "here.yml").touch()
    (tmp_path / "b").mkdir()  # of weights, perhaps
    monkeypatch.chdir(tmp_path)
    assert recipe_names(configs) == ["a.v2", "b"]
    for name in recipe_names(configs):
        assert find_recipe(name, configs).exists()
    assert find_recipe("b.yml", configs) == configs / "b.yml"
    assert find_recipe("here.yml", configs) == Path("here.yml")
    assert find_recipe("./b.yml", configs) == Path("./b.yml")
    assert find_recipe("runs/recipe", configs) == Path("runs/recipe")
