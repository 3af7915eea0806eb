"""Crashes at every step of saving a folder: the old or the new set loads."""

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from crashes import crash_points, failing_at

from odyssey.weights.folder import PENDING, load_folder, save_folder, verify_folder
from odyssey.weights.hexfile import save_tensor

OLD = {"a": np.full(2, 1.0), "b": np.full(3, 1.0), "gone": np.full(1, 1.0)}
NEW = {"a": np.full(2, 2.0), "b": np.full(4, 2.0), "more": np.full(1, 2.0)}


def save(tensors, folder):
    save_folder(tensors, folder, metadata={"set": int(tensors["a"][0])})


def which(folder):
    """Return 1 or 2 for the old set or the new; anything else is an error."""
    tensors = load_folder(folder).tensors
    for number, whole in ((1, OLD), (2, NEW)):
        if list(tensors) == list(whole):
            assert all(np.array_equal(tensors[n], whole[n]) for n in whole)
            return number
    raise AssertionError(f"a mixture: {list(tensors)}")


@pytest.fixture
def fresh(tmp_path):
    """A function that returns another folder with the old set in it each time."""
    numbers = itertools.count()

    def make():
        folder = tmp_path / str(next(numbers))
        save(OLD, folder)
        (folder / "metrics.csv").write_text("epoch\n")
        return folder

    return make


def test_crash_at_every_operation(monkeypatch, fresh):
    outcomes = []
    for folder in crash_points(monkeypatch, fresh, lambda f: save(NEW, f)):
        outcomes.append(which(folder))
        verify_folder(folder)
        assert (folder / "metrics.csv").read_text() == "epoch\n"
        save(NEW, folder)  # the next writer gets through, and clears up
        assert which(folder) == 2
        names = sorted(p.name for p in folder.iterdir())
        assert names == sorted(
            [*(f"{n}.weights" for n in NEW), "manifest.json", "metrics.csv"]
        )
    assert outcomes == sorted(outcomes)  # old up to some point, new from there on
    assert set(outcomes) == {1, 2}
    assert len(outcomes) > 20


def test_crash_of_the_reader_that_finishes_for_a_crashed_writer(monkeypatch, fresh):
    """And the copy of the folder that no one may write loads the same."""
    for folder in crash_points(monkeypatch, fresh, lambda f: save(NEW, f)):
        if not (folder / PENDING).exists():
            continue
        copies = itertools.count()

        def copy(folder=folder, copies=copies):
            return shutil.copytree(folder, f"{folder}-{next(copies)}")

        for again in crash_points(monkeypatch, copy, load_folder):
            assert which(again) == 2


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_half_swapped_folder_that_cannot_be_written_loads(monkeypatch, fresh, code):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    for folder in crash_points(monkeypatch, fresh, lambda f: save(NEW, f)):
        before = sorted(folder.rglob("*"))
        with monkeypatch.context() as patch:
            for name in ("replace", "rename", "unlink", "rmdir", "mkdir"):
                patch.setattr(os, name, refuse)
            here = which(folder)
            verify_folder(folder)
        assert sorted(folder.rglob("*")) == before
        assert which(folder) == here


def test_error_at_every_operation_leaves_no_litter(monkeypatch, fresh):
    for number in itertools.count():
        folder = fresh()
        try:
            with failing_at(monkeypatch, number, OSError) as operations:
                save(NEW, folder)
        except OSError as error:
            assert error.errno == errno.ENOSPC
        which(folder)
        assert not list(folder.glob(".tmp-*"))
        if len(operations) <= number:  # all went well
            break
    assert which(folder) == 2


def test_first_save_and_folder_without_manifest(monkeypatch, tmp_path):
    numbers = itertools.count()

    def by_hand():
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        for name, tensor in OLD.items():
            save_tensor(tensor, folder / f"{name}.weights", name)
        return folder

    outcomes = []
    for folder in crash_points(monkeypatch, by_hand, lambda f: save(NEW, f)):
        if not (folder / "manifest.json").exists() and not (folder / PENDING).exists():
            with pytest.warns(UserWarning, match="no manifest"):
                outcomes.append(which(folder))
        else:
            outcomes.append(which(folder))
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {1, 2}


def test_damaged_new_set_is_said_and_gives_way_to_the_next(monkeypatch, fresh):
    for folder in crash_points(monkeypatch, fresh, lambda f: save(NEW, f)):
        if (folder / PENDING / "manifest.json").exists():
            break
    (folder / PENDING / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"\.new-weights/manifest\.json: damaged"):
        load_folder(folder)
    save(NEW, folder)
    assert which(folder) == 2


WRITER = """
import itertools, sys
import numpy as np
from odyssey.weights.folder import save_folder
for number in itertools.count(1):
    names = "abcd" + "ef"[number % 2]
    tensors = {name: np.full(500, number) for name in names}
    save_folder(tensors, sys.argv[1], metadata={"number": number})
    print(number, flush=True)
"""


def test_kill_9_while_another_process_reads(tmp_path):
    folder = tmp_path / "run"
    rng = np.random.default_rng(0)
    for _ in range(6):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE
        )
        writer.stdout.readline()
        end = time.monotonic() + rng.uniform(0.01, 0.1)
        while time.monotonic() < end:
            check_whole(folder)
        writer.send_signal(signal.SIGKILL)
        said = writer.communicate()[0].split()
        last = int(said[-1]) if said else 1
        assert check_whole(folder) in (last, last + 1)
        verify_folder(folder)
        assert not (folder / PENDING / "manifest.json").exists()


def check_whole(folder):
    tensors, manifest = load_folder(folder)
    number = manifest["number"]
    assert sorted(tensors) == sorted("abcd" + "ef"[number % 2])
    assert all((tensor == number).all() for tensor in tensors.values())
    return number
