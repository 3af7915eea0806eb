import resource
import signal

import pytest
from programs import (
    SMALL,
    assert_same_run,
    losses_of,
    run_apart,
    run_here,
    run_signalled,
    weights_of,
)

from odyssey.threads import available_cores
from odyssey.training.run_folder import RunFolder
from odyssey.weights.checkpoint import list_checkpoints


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """A run that nothing stopped."""
    directory = tmp_path_factory.mktemp("whole")
    result = run_here("train", *options(data, directory))
    assert result.exit_code == 0, result.output
    return directory


def options(data, directory):
    return ["--data-dir", data, "--weights-dir", directory, *SMALL]


def resume(data, directory, *more):
    result = run_here("train", *options(data, directory), "--resume", *more)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    "where, n",
    [
        ("step", 3),  # in the first epoch, before any checkpoint
        ("step", 11),  # in the second epoch
        ("rename", 1),  # when the first checkpoint is to be put in place
        ("rename", 3),  # when the weights or the second checkpoint are
    ],
)
def test_kill_9_and_resume_give_the_bits_of_a_run_never_stopped(
    tmp_path, data, whole, where, n
):
    killed = run_signalled(signal.SIGKILL, where, n, *options(data, tmp_path))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    resume(data, tmp_path, "--threads", available_cores())
    assert_same_run(tmp_path, whole)


def test_ctrl_c_then_sigterm_then_on(tmp_path, data, whole):
    stopped = run_signalled(signal.SIGINT, "step", 2, *options(data, tmp_path))
    assert stopped.returncode == 130, stopped.stderr
    assert "step-00000002, --resume" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    arguments = [*options(data, tmp_path), "--resume"]
    stopped = run_signalled(signal.SIGTERM, "step", 9, *arguments)
    assert stopped.returncode == 143, stopped.stderr
    assert [p.name for p in list_checkpoints(tmp_path)][-1] == "step-00000009"
    assert len(losses_of(tmp_path)) == 9
    resume(data, tmp_path)
    assert_same_run(tmp_path, whole)


def test_full_disk_keeps_the_checkpoint_before(tmp_path, data, whole):
    steps = [*options(data, tmp_path), "--max-steps", 5]
    assert run_here("train", *steps).exit_code == 0
    before = weights_of(tmp_path)

    def no_large_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    arguments = [*options(data, tmp_path), "--resume"]
    full = run_apart("train", *arguments, preexec_fn=no_large_files)
    assert full.returncode == 1
    last_line = full.stderr.splitlines()[-1]
    assert last_line.startswith(f"Error: {tmp_path}")
    assert last_line.endswith(": File too large")
    assert "Traceback" not in full.stderr
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step-00000005"]
    assert weights_of(tmp_path) == before
    assert not list(tmp_path.rglob(".tmp-*"))
    resume(data, tmp_path)
    assert_same_run(tmp_path, whole)


def test_damaged_checkpoints(tmp_path, data, whole):
    assert run_here("train", *options(data, tmp_path)).exit_code == 0
    older, newest = list_checkpoints(tmp_path)
    with open(newest / "fc_bias.weights", "a") as file:
        file.write("0")
    output = resume(data, tmp_path)
    assert newest.name in output and "damaged" in output
    assert f"resuming from {older}" in output
    assert_same_run(tmp_path, whole)
    for checkpoint in list_checkpoints(tmp_path):
        (checkpoint / "manifest.json").write_text("{")
    result = run_here("train", *options(data, tmp_path), "--resume")
    assert result.exit_code == 2
    assert str(tmp_path / "checkpoints") in result.output
    assert_same_run(tmp_path, whole)


def test_nothing_left_to_do(data, whole):
    before = weights_of(whole), losses_of(whole)
    assert "nothing left to do" in resume(data, whole)
    assert (weights_of(whole), losses_of(whole)) == before


def test_another_recipe_is_refused_naming_each_difference(data, whole):
    before = weights_of(whole), losses_of(whole)
    result = run_here(
        "train",
        *options(data, whole),
        *("--resume", "--lr", 0.02, "--nesterov", "--width", 8, "--limit-train", 50),
    )
    assert result.exit_code == 2
    for part in (
        "--lr was 0.05, is 0.02",
        "--nesterov was off, is on",
        "--width was 4, is 8",
        "--limit-train was not given, is 50",
        "the training images",
    ):
        assert part in result.output
    assert "--batch-size" not in result.output
    fewer = run_here("train", *options(data, whole), "--resume", "--epochs", 1)
    assert fewer.exit_code == 2
    assert "--epochs is 1, but 2 are done" in fewer.output
    assert (weights_of(whole), losses_of(whole)) == before


def test_two_trainers_cannot_share_a_folder(tmp_path, data):
    with RunFolder(tmp_path) as folder:
        result = run_here("train", *options(data, tmp_path))
        assert result.exit_code == 1
        pid = (tmp_path / ".lock").read_text().strip()
        assert f"pid {pid}" in result.output
        assert folder.old_run() == []
