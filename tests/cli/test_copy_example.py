"""``odyssey example``: the list, the copy, and the errors."""

import os
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from odyssey.cli import copy_example
from odyssey.weights import files

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Make an empty folder the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(*words, status=0):
    result = CliRunner().invoke(copy_example.main, [str(w) for w in words])
    assert result.exit_code == status, result.output
    return result.output


def test_without_a_name_the_examples_are_listed(here):
    assert example().splitlines() == [
        "alexnet_cifar10      AlexNet for 32x32 images: explicit forward, "
        "explicit backward.",
        "lenet5_cifar10       LeNet-5 for 32x32 colour images: explicit forward, "
        "explicit backward.",
        "resnet18_cifar10     ResNet-18 for 32x32 images: explicit forward, "
        "explicit backward.",
        "speedrun_cifar10     A network for 94 % on CIFAR-10 in minutes: explicit "
        "forward, explicit backward.",
        "vgg16_cifar10        VGG-16 for 32x32 images: explicit forward, "
        "explicit backward.",
        "",
        "odyssey example NAME copies one into the current folder",
    ]
    assert not list(here.iterdir())


def test_a_copy_has_all_but_results_and_the_next_commands(here):
    assert example("resnet18_cifar10").splitlines() == [
        "copied to resnet18_cifar10; next:",
        "  python resnet18_cifar10/train.py --dataset synthetic --epochs 3",
        "  python resnet18_cifar10/inference.py --dataset synthetic",
    ]
    assert os.listdir(here) == ["resnet18_cifar10"]
    copied = {p.relative_to(here): p for p in here.rglob("*") if p.is_file()}
    assert len(copied) > 20 and Path("resnet18_cifar10/configs") in {
        path.parent for path in copied
    }
    for name, path in copied.items():
        if path.suffix != ".md":
            assert path.read_bytes() == (EXAMPLES / name).read_bytes()
    originals = {
        path.relative_to(EXAMPLES)
        for path in (EXAMPLES / "resnet18_cifar10").rglob("*")
        if path.suffix in (".py", ".yml", ".md") and "results" not in path.parts
    }
    assert set(copied) == originals


@pytest.mark.parametrize("name", copy_example.examples())
def test_every_link_of_a_copy_leads_to_a_file_of_the_copy(here, name):
    example(name)
    link = re.compile(r"\]\(\s*([^)#\s]+)")
    (page,) = (here / name).rglob("*.md")
    copied = page.read_text("utf-8")
    original = (EXAMPLES / name / "README.md").read_text("utf-8")
    targets = [t for t in link.findall(copied) if not t.startswith("https:")]
    assert [t for t in targets if not (page.parent / t).exists()] == []
    # The text names the target of each link that was removed.
    elsewhere = [t for t in link.findall(original) if t.startswith("..")]
    assert elsewhere
    for target in elsewhere:
        place = os.path.normpath(os.path.join("examples", name, target))
        assert f"(`{place}` in the repository)" in copied


def test_a_link_within_the_copy_stays(here):
    text = "[a](b.md), [c](b.md#d), [e](https://f.g/h.md), ![i](results/i.png)"
    assert copy_example.page_of_copy(text, "net", {"b.md": None}) == (
        "[a](b.md), [c](b.md#d), [e](https://f.g/h.md), "
        "i (`examples/net/results/i.png` in the repository)"
    )


def test_the_folder_is_made(here):
    assert "next:\n  python 'my nets/1/lenet5_cifar10/train.py' --" in example(
        "lenet5_cifar10", "my nets/1"
    )
    assert (here / "my nets" / "1" / "lenet5_cifar10" / "model.py").is_file()


def test_what_is_installed_read_only_can_be_changed_in_the_copy(here, monkeypatch):
    installed = here / "installed"
    shutil.copytree(EXAMPLES / "lenet5_cifar10", installed)
    for path in installed.rglob("*.py"):
        path.chmod(0o444)
    monkeypatch.setattr(copy_example, "examples", lambda: {"lenet5_cifar10": installed})
    example("lenet5_cifar10")
    for path in (here / "lenet5_cifar10").rglob("*.py"):
        assert path.stat().st_mode & 0o200


@pytest.mark.parametrize("kind", ["folder", "file", "dead link"])
def test_what_is_there_is_left_as_it_is(here, kind):
    target = here / "lenet5_cifar10"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.write_text("mine")
    else:
        target.symlink_to("nowhere")
    message = "Error: lenet5_cifar10 is already there; it is not changed\n"
    assert example("lenet5_cifar10", status=2) == message
    assert os.listdir(here) == ["lenet5_cifar10"]
    assert not target.is_dir() or not list(target.iterdir())


def test_a_copy_is_there_whole_or_not_at_all(here, monkeypatch):
    def full(path, *chunks):
        if path.name == "train.py":
            raise OSError(28, "No space left on device", str(path))
        files.write_new_file(path, *chunks)

    monkeypatch.setattr(copy_example, "write_new_file", full)
    assert "No space left on device" in example("lenet5_cifar10", status=1)
    assert not list(here.iterdir())


def test_a_name_that_is_not_known():
    refused = "Error: Invalid value for '[NAME]': {}\n"
    meant = "'lenet5' is not one of the choices; did you mean lenet5_cifar10?"
    assert example("lenet5", status=2).endswith(refused.format(meant))
    known = ", ".join(map(repr, copy_example.examples()))
    known = f"'googlenet' is not one of {known}."
    assert example("googlenet", status=2).endswith(refused.format(known))


def test_a_file_in_the_folders_place(here):
    (here / "file").write_text("mine")
    assert "'file' is a file" in example("lenet5_cifar10", "file", status=2)
    message = "Error: file/in: Not a directory\n"
    assert example("lenet5_cifar10", "file/in", status=1) == message
