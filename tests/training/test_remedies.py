"""Messages name an option where a program has said which one helps, and only there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import standin

import odyssey
from odyssey import errors
from odyssey.cli import remedies
from odyssey.data.layouts import not_a_folder, other_layout
from odyssey.errors import InputError, remedy
from odyssey.training.finite import refuse_nonfinite
from odyssey.training.recipe_file import recipe_text

PACKAGE = Path(odyssey.__file__).parent


@pytest.fixture(params=[False, True], ids=["library", "programs"])
def by_program(request, monkeypatch):
    """Whether a program is at work, by turns."""
    if not request.param:
        monkeypatch.setattr(errors, "REMEDIES", {})
    return request.param


def keys_asked_for():
    """Yield a pattern for each key; one that is put together may be several."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "remedy":
                continue
            key = node.args[0]
            parts = key.values if isinstance(key, ast.JoinedStr) else [key]
            yield "".join(
                re.escape(part.value) if isinstance(part, ast.Constant) else ".+"
                for part in parts
            )


def test_there_are_words_for_every_key_and_no_others():
    asked_for = list(keys_asked_for())
    assert len(asked_for) > 10
    found = {
        pattern: [key for key in errors.REMEDIES if re.fullmatch(pattern, key)]
        for pattern in asked_for
    }
    assert all(found.values()), found
    assert {key for keys in found.values() for key in keys} == set(errors.REMEDIES)
    assert remedies.REMEDIES is errors.REMEDIES


@pytest.mark.parametrize(
    "module, there",
    [("odyssey.training.loop, odyssey.data.sets", False), ("odyssey.cli.option", True)],
)
def test_whatever_of_the_command_line_is_imported_brings_them(module, there):
    program = f"import {module}; from odyssey.errors import REMEDIES; print(*REMEDIES)"
    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert bool(found.stdout.strip()) == there


def test_a_key_without_words_has_none(by_program):
    assert remedy("no such key", path="a") == ""


def test_a_folder_that_holds_a_run(tmp_path, by_program):
    standin.run(tmp_path, max_steps=2)
    with pytest.raises(InputError) as refused:
        standin.run(tmp_path)
    message, _, way_out = str(refused.value).partition("): ")
    assert message.startswith(f"{tmp_path} already holds a run (")
    if by_program:
        assert way_out == (
            "--resume continues it, --overwrite deletes it, "
            "--weights-dir names another folder"
        )
    else:
        assert way_out == "" and "--" not in message


def test_a_run_with_another_recipe(tmp_path, by_program):
    standin.run(tmp_path, max_steps=2)
    with pytest.raises(InputError) as refused:
        standin.run(tmp_path, resume=True, changes={"label_smoothing": 0.1})
    dashed = "--label-smoothing" if by_program else "label_smoothing"
    said = f"this run was started with another recipe: {dashed} was 0.0, is 0.1"
    if by_program:
        said += f"; --config {tmp_path / 'recipe.yml'} has that of the run"
    assert str(refused.value) == said


def test_a_run_that_has_come_further(tmp_path, by_program):
    standin.run(tmp_path, max_steps=12)
    with pytest.raises(InputError) as refused:
        standin.run(tmp_path, resume=True, changes={"epochs": 2, "lr_decay_epochs": 2})
    name = "--epochs" if by_program else "epochs"
    assert f": {name} is 2, but epoch 3 has begun (2 of its steps" in str(refused.value)


def test_what_a_finished_run_says(tmp_path, by_program, capsys):
    standin.run(tmp_path)
    capsys.readouterr()
    standin.run(tmp_path, resume=True)
    way_out = ": raise --epochs or --max-steps to continue" if by_program else ""
    assert f"nothing left to do{way_out}\n" in capsys.readouterr().out


def test_tensors_that_are_not_finite(by_program):
    with pytest.raises(InputError) as refused:
        refuse_nonfinite({"w": np.array([1, np.nan])}, "run/w", False)
    assert str(refused.value).endswith("anyway)") == by_program
    assert ("--allow-nonfinite" in str(refused.value)) == by_program


def test_data_that_lies_otherwise(tmp_path, by_program):
    archive = tmp_path / "cifar-10-python.tar.gz"
    archive.write_bytes(b"\x1f\x8b")
    how = "python -m odyssey download --from-file cifar-10-python.tar.gz unpacks it"
    said = f"an archive, not a folder; {how if by_program else 'it is to be unpacked'}"
    assert not_a_folder(archive) == said
    archive.unlink()
    (tmp_path / "cat.png").touch()
    way_out = "; inference.py --images classifies them" if by_program else ""
    assert other_layout(tmp_path) == f"holds images without labels (cat.png){way_out}"


def test_the_file_of_a_recipe(by_program):
    text = recipe_text(standin.recipe().to_dict())
    line = "# train.py --config with this file repeats the run.\n"
    assert (line in text) == by_program
    assert text.startswith("# The recipe of the run in this folder")
