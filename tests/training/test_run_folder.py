import errno
import os
import signal

import numpy as np
import pytest
from standin import in_child, losses, recipe, run

from odyssey.errors import InputError, ProgramError, os_reason
from odyssey.training.model import StepResult
from odyssey.training.run_folder import RunFolder
from odyssey.training.state import TrainingState
from odyssey.weights.checkpoint import list_checkpoints


def test_two_trainers_cannot_share_a_folder(tmp_path):
    with RunFolder(tmp_path):
        with pytest.raises(ProgramError, match=rf"pid {os.getpid()}\b") as error:
            RunFolder(tmp_path).open()
        assert error.value.exit_status == 1
    with RunFolder(tmp_path):
        pass


def test_what_a_killed_writer_left_is_removed(tmp_path):
    (tmp_path / ".tmp-metrics.csv-123").write_text("half a ta")
    (tmp_path / "notes.txt").write_text("mine")
    with RunFolder(tmp_path):
        assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "notes.txt"]


def test_the_lock_dies_with_its_holder(tmp_path):
    def child():
        RunFolder(tmp_path).open()
        os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(child) == -signal.SIGKILL
    with RunFolder(tmp_path):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_training_goes_on(tmp_path, monkeypatch, code):
    def flock(*args):
        raise OSError(code, os.strerror(code))

    run(tmp_path / "locked")
    monkeypatch.setattr("odyssey.weights.files._without_locks", set())
    monkeypatch.setattr("odyssey.weights.files.fcntl.flock", flock)
    with pytest.warns(UserWarning) as said:
        run(tmp_path / "run")
    assert [str(w.message).split(": ")[1] for w in said] == [
        f"the file system has no locks ({os.strerror(code)})"
    ]
    assert losses(tmp_path / "run") == losses(tmp_path / "locked")


def test_other_errors_of_locking_name_the_file(tmp_path, monkeypatch):
    def flock(*args):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("odyssey.weights.files.fcntl.flock", flock)
    with pytest.raises(OSError, match="Input/output error") as error:
        RunFolder(tmp_path).open()
    assert error.value.filename == str(tmp_path / ".lock")


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "run").symlink_to("/mnt/unplugged")
    with pytest.raises(OSError) as error:
        RunFolder(tmp_path / "run").open()
    assert os_reason(error.value) == (
        f"{tmp_path / 'run'}: a link to /mnt/unplugged, which does not exist"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as error:
        RunFolder(tmp_path / "file" / "run").open()
    assert str(tmp_path / "file") in str(error.value.filename)


@pytest.mark.parametrize(
    "trace",
    ["metrics.csv", "steps.jsonl", "a.weights", "manifest.json", "checkpoints/step-1"],
)
def test_traces_of_a_run_are_refused(tmp_path, trace):
    (tmp_path / trace).parent.mkdir(exist_ok=True)
    (tmp_path / trace).touch()
    with RunFolder(tmp_path) as folder:
        with pytest.raises(InputError, match=trace):
            folder.refuse_old_run()


def test_other_files_are_no_run_and_survive_clearing(tmp_path):
    run(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with RunFolder(tmp_path) as folder:
        folder.clear()
        folder.refuse_old_run()
    left = sorted(p.name for p in tmp_path.iterdir())
    assert left == [".lock", "checkpoints", "notes.txt"]


def test_what_cannot_be_deleted_is_left_but_not_by_overwriting(tmp_path, monkeypatch):
    run(tmp_path)
    leftover = tmp_path / "checkpoints" / ".tmp-old-step-00000001-0"
    for place in (tmp_path / ".tmp-weights-0", leftover):
        place.mkdir()
        (place / ".nfs0001").touch()
    real = os.unlink

    def unlink(path, *args, **kwargs):
        if os.path.basename(path) in (".nfs0001", "w.weights"):
            raise OSError(errno.EBUSY, "Device or resource busy", path)
        real(path, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        with pytest.warns(UserWarning, match="cannot be cleared away"):
            RunFolder(tmp_path).open().close()
        run(tmp_path, resume=True)
        with RunFolder(tmp_path) as folder, pytest.raises(OSError, match="busy"):
            folder.clear()
    with RunFolder(tmp_path) as folder:
        folder.clear()
        folder.refuse_old_run()  # what is left under a temporary name is none
    assert leftover.exists()
    run(tmp_path)
    assert not leftover.exists()


def test_resuming_where_there_is_no_checkpoint_starts_afresh(tmp_path, capsys):
    (tmp_path / "steps.jsonl").write_text('{"step": 1}\n')
    run(tmp_path, resume=True, max_steps=2)
    assert "starting afresh" in capsys.readouterr().out
    assert len((tmp_path / "steps.jsonl").read_text().splitlines()) == 2


def test_another_recipe_is_refused_and_nothing_is_touched(tmp_path):
    run(tmp_path, max_steps=7)
    before = (tmp_path / "steps.jsonl").read_bytes()
    with pytest.raises(
        InputError, match=r"--lr was 0\.1, is 0\.2; .*--seed was 0, is 5"
    ):
        run(tmp_path, resume=True, changes={"lr": 0.2, "seed": 5})
    assert (tmp_path / "steps.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("steps", "epochs", "done"),
    [
        (6, 1, r"epoch 2 has begun \(1 of its steps are done\)"),
        (8, 1, r"epoch 2 has begun \(3 of its steps are done\)"),
        (10, 1, "2 are done"),
        (14, 2, r"epoch 3 has begun \(4 of its steps are done\)"),
    ],
)
def test_fewer_epochs_than_were_begun_are_refused(tmp_path, steps, epochs, done):
    run(tmp_path, max_steps=steps)  # 5 in an epoch
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    with pytest.raises(InputError, match=rf"--epochs is {epochs}, but {done}; "):
        run(tmp_path, resume=True, changes={"epochs": epochs})
    after = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert after == before


@pytest.mark.parametrize("epochs", [2, 4])
def test_epochs_may_change_up_to_where_the_run_is(tmp_path, epochs):
    run(tmp_path / "run", max_steps=8)
    run(tmp_path / "run", resume=True, changes={"epochs": epochs})
    run(tmp_path / "whole", changes={"epochs": epochs})
    for name in ("recipe.yml", "w.weights", "steps.jsonl"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "run" / name).read_bytes() == whole


def test_a_damaged_newest_checkpoint_is_said_and_passed_over(tmp_path, capsys):
    run(tmp_path / "whole")
    run(tmp_path / "run", max_steps=10)
    newest = list_checkpoints(tmp_path / "run")[-1]
    damaged = bytearray((newest / "w.weights").read_bytes())
    damaged[-4] = ord("1") if damaged[-4] == ord("0") else ord("0")
    (newest / "w.weights").write_bytes(damaged)
    run(tmp_path / "run", resume=True)
    captured = capsys.readouterr()
    assert newest.name in captured.err
    assert "resuming from" in captured.out
    for name in ("steps.jsonl", "w.weights"):
        whole = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "run" / name).read_bytes() == whole


def test_nonfinite_weights_of_a_checkpoint_are_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("odyssey.training.loop.nonfinite_names", lambda tensors: [])

    def spoil(trainer):
        trainer.state.velocities["w"][0, 0] = np.nan

    def predictor(state):
        return lambda x: x @ np.ones((5, 10), "f4")

    def step(state, x, labels, lr):
        return StepResult(1.0, 0, 1.0)

    def hook(trainer):
        spoil(trainer)
        trainer.model = trainer.model._replace(predictor=predictor)

    run(tmp_path, max_steps=1, step=step, hook=hook)
    with pytest.raises(InputError, match=r"not finite: momentum\.w"):
        run(tmp_path, resume=True)


def test_state_of_another_model_is_refused():
    def state(**params):
        return TrainingState.fresh(params, {})

    own = state(a=np.zeros(2, "f4"), b=np.zeros(3, "f4"))
    other = state(b=np.zeros(4, "f4"), c=np.zeros(1, "f4"))
    with pytest.raises(
        InputError, match=r"no a, .*unexpected c, .*b is float32 \(4,\)"
    ):
        own.restore(other.tensors(), other.counters())
    assert recipe().to_dict()["model"] == "standin"
