"""Folders of weights that are malicious, or hold files that no writer made."""

import shutil

import numpy as np
import pytest

from odyssey.weights.folder import PENDING, load_folder, save_folder, verify_folder

TENSORS = {"a": np.ones(2), "b": np.zeros(3)}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def victim(tmp_path):
    save_folder(TENSORS, tmp_path / "victim", metadata={"of": "victim"})
    return tmp_path / "victim"


@pytest.mark.parametrize("bare", [True, False], ids=["bare", "beside a set"])
def test_link_in_place_of_a_new_set_takes_nothing_from_elsewhere(victim, bare):
    hostile, before = victim.parent / "hostile", contents(victim)
    hostile.mkdir()
    if not bare:
        save_folder({"c": np.ones(1)}, hostile, metadata={"of": "hostile"})
    (hostile / PENDING).symlink_to("../victim", target_is_directory=True)
    if bare:
        for check in (load_folder, verify_folder):
            with pytest.raises(ValueError, match=r"holds no weights|no manifest\.json"):
                check(hostile)
    else:
        verify_folder(hostile)
        assert load_folder(hostile).manifest["of"] == "hostile"
    assert contents(victim) == before
    save_folder({"d": np.ones(1)}, hostile, metadata={})
    assert list(load_folder(hostile).tensors) == ["d"]
    assert contents(victim) == before


def test_file_in_place_of_a_new_set_is_in_nobodys_way(victim):
    (victim / PENDING).write_text("mine")
    assert list(load_folder(victim).tensors) == ["a", "b"]
    save_folder({"d": np.ones(1)}, victim, metadata={})
    assert sorted(contents(victim)) == ["d.weights", "manifest.json"]


def test_linked_folder_is_read_and_finished(victim):
    """What a crash left half-swapped is finished by way of a link as well."""
    shutil.copytree(victim, victim / PENDING)
    link = victim.parent / "link"
    link.symlink_to(victim, target_is_directory=True)
    verify_folder(link)
    assert not (victim / PENDING).exists()
