import os
import signal

import numpy as np
import pytest
from standin import in_child, recipe, run

from odyssey.training.errors import InputError, ProgramError
from odyssey.training.loop import StepResult
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
