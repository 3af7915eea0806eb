import io
import json
import os
from functools import partial

import numpy as np
import pytest
import standin
from standin import losses, train_step

from odyssey.errors import NonFiniteError
from odyssey.layers.names import named
from odyssey.training import keepsakes
from odyssey.training.evaluation import Evaluation
from odyssey.training.keepsakes import MOST_MISTAKES, Keepsakes, encode
from odyssey.training.run_folder import RunFolder


class InOrder(standin.Batches):
    """Points for evaluation: as they lie, not shuffled."""

    def epoch(self, epoch, start_batch=0):
        yield self.points, self.labels


NAMES = [f"point {k}" for k in range(8)]  # of ten outputs
HELD_OUT = InOrder(60, seed=2)
IMAGES = np.random.default_rng(4).integers(0, 256, (60, 3, 2, 2)).astype(np.uint8)


@named("name")
def timed_step(*arguments, name="step"):
    return train_step(*arguments)


def run(folder, *, step=train_step, **options):
    parts = {"test": (IMAGES, HELD_OUT.labels)}

    def evaluate_in_order(trainer):
        trainer.evaluated = {"test": HELD_OUT}

    observer = Keepsakes(folder, step, parts, NAMES)
    return standin.run(
        folder, step=step, observers=[observer], hook=evaluate_in_order, **options
    )


def sessions(folder):
    return json.loads((folder / "environment.json").read_text())["sessions"]


def test_what_became_of_each_image(tmp_path):
    state = run(tmp_path)
    logits = standin.predictor(state)(HELD_OUT.points)
    with np.load(tmp_path / "evaluation.npz", allow_pickle=False) as kept:
        kept = dict(kept)
    assert kept["class_names"].tolist() == [*NAMES, "class 8", "class 9"]
    assert kept["epoch"] == 3
    np.testing.assert_array_equal(kept["test_labels"], HELD_OUT.labels)
    np.testing.assert_array_equal(kept["test_predicted"], logits.argmax(axis=1))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = (p / p.sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(kept["test_probability"], p, rtol=1e-6)
    assert kept["test_probability"].dtype == np.float32
    wrong = np.flatnonzero(logits.argmax(axis=1) != HELD_OUT.labels)
    mistakes = kept["test_mistakes"]
    assert 0 < len(mistakes) == min(MOST_MISTAKES, len(wrong))
    assert mistakes.tolist() == sorted(wrong, key=lambda i: -p[i])[:MOST_MISTAKES]
    np.testing.assert_array_equal(kept["test_pictures"], IMAGES[mistakes])


def test_only_so_many_pictures_and_perhaps_none():
    N = MOST_MISTAKES + 9
    labels = np.zeros(N, np.uint8)
    sure = np.linspace(0.5, 0.9, N, dtype=np.float32)
    images = np.zeros((N, 1, 2, 2), np.uint8)
    for answer, count in ((1, MOST_MISTAKES), (0, 0)):
        result = Evaluation(1.0, 0, N, np.eye(2), np.full(N, answer), sure)
        data = encode({"test": result}, {"test": (images, labels)}, ["a", "b"], 1)
        with np.load(io.BytesIO(data)) as kept:
            assert len(kept["test_mistakes"]) == len(kept["test_pictures"]) == count
            assert count == 0 or kept["test_mistakes"][0] == N - 1


def test_nothing_of_it_changes_the_run(tmp_path):
    standin.run(tmp_path / "a")
    run(tmp_path / "b")
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    weights = [(tmp_path / d / "w.weights").read_bytes() for d in "ab"]
    assert weights[0] == weights[1]


def test_sessions_follow_each_other(tmp_path):
    run(tmp_path, max_steps=7)
    run(tmp_path, resume=True)
    first, second = sessions(tmp_path)
    assert [first["first_step"], first["last_step"]] == [1, 7]
    assert [second["first_step"], second["last_step"]] == [8, 15]
    assert first["started"] <= first["ended"] <= second["started"]
    assert {"odyssey", "NumPy", "Numba"} <= first["versions"].keys()
    assert first["parameters"] == 50  # 10 classes of points of 5 numbers
    run(tmp_path, resume=True)  # nothing left to do
    assert sessions(tmp_path) == [first, second]


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("before", ["evaluation.npz", "environment.json"])
def test_a_session_killed_before_it_kept_an_epoch(tmp_path, monkeypatch, epoch, before):
    """The checkpoint of the epoch is there; the next session keeps what it answered."""

    class Killed(BaseException):
        pass

    def write(path, content, real):
        if path.name == before and next(written) == epoch:
            raise Killed
        real(path, content)

    for name in ("atomic_write_bytes", "atomic_write_text"):
        real = getattr(keepsakes, name)
        monkeypatch.setattr(keepsakes, name, partial(write, real=real))
    written = iter(range(1, 99))
    with pytest.raises(Killed):
        run(tmp_path)
    run(tmp_path, resume=True, max_steps=5 * epoch)
    with np.load(tmp_path / "evaluation.npz") as kept:
        assert kept["epoch"] == epoch
    steps = [(s["first_step"], s["last_step"]) for s in sessions(tmp_path)]
    own = [(5 * epoch, 5 * epoch)]
    assert steps == ([(1, 5 * epoch - 5)] if epoch > 1 else []) + own
    kept = sessions(tmp_path)
    run(tmp_path, resume=True, max_steps=5 * epoch)  # nothing is missing any more
    assert sessions(tmp_path) == kept


def test_no_session_ends_before_it_began(tmp_path, monkeypatch):
    moments = [f"2026-11-{day}T00:00:00+00:00" for day in (28, 29, 27, 26)]
    clock = iter(moments)
    monkeypatch.setattr(keepsakes, "_now", lambda: next(clock))
    run(tmp_path)
    (session,) = sessions(tmp_path)
    assert session["started"] == session["ended"] == moments[0]


@pytest.mark.parametrize(
    "content", ["{", '{"sessions": [1]}', '{"sessions": 1}', "[" * 100_000, "1"]
)
def test_a_damaged_list_of_sessions_stops_no_run(tmp_path, capsys, content):
    run(tmp_path, max_steps=7)
    (tmp_path / "environment.json").write_text(content)
    run(tmp_path, resume=True)
    assert [s["first_step"] for s in sessions(tmp_path)] == [8]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Warning: {tmp_path / 'environment.json'}: damaged")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["environment.json", "evaluation.npz", "profile.json"])
def test_a_pipe_in_the_place_of_a_file_stops_no_run(tmp_path, capsys, name):
    run(tmp_path / "whole")
    folder = tmp_path / "run"
    run(folder, max_steps=7)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    run(folder, resume=True)
    *_, line = capsys.readouterr().err.splitlines()
    assert f"{folder / name}: not a regular file" in line
    assert losses(folder) == losses(tmp_path / "whole")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("name", ["steps.jsonl", "metrics.csv", "recipe.yml"])
def test_a_pipe_in_the_place_of_a_log_is_named(tmp_path, name):
    run(tmp_path, max_steps=7)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(OSError, match="not a regular file") as error:
        run(tmp_path, resume=True)
    assert error.value.filename == str(tmp_path / name)


def test_no_folder_of_this_machine_is_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/home/somebody/train.py", "--data-dir", "/d"])
    run(tmp_path)
    text = (tmp_path / "environment.json").read_text()
    assert sessions(tmp_path)[0]["command"] == ["train.py", "--data-dir", "/d"]
    assert "/home" not in text and "site-packages" not in text


def test_the_largest_batch_is_profiled_with_a_copy(tmp_path):
    sizes = []

    def step(state, x, labels, lr):
        sizes.append((state.step, len(x)))
        return timed_step(state, x, labels, lr)

    run(tmp_path, step=step, max_steps=4)
    kept = json.loads((tmp_path / "profile.json").read_text())
    assert kept["batch_size"] == 8 and kept["seconds"] > 0
    assert [row["name"] for row in kept["rows"]] == ["step"]
    assert sizes[-3:] == [(0, 8)] * 3 and sizes[-4] == (3, 8)


def test_a_step_that_diverges_in_the_profile_ends_nothing(tmp_path):
    calls = iter(range(100))

    def step(*arguments):
        if next(calls) > 4:  # a step to warm up, and four
            raise NonFiniteError("too far")
        return train_step(*arguments)

    state = run(tmp_path, step=step, max_steps=4)
    assert state.step == 4
    assert not (tmp_path / "profile.json").exists()


def test_a_run_that_broke_off_can_be_looked_at(tmp_path):
    def step(state, *arguments):
        if state.step == 12:
            raise MemoryError
        return train_step(state, *arguments)

    with pytest.raises(MemoryError):
        run(tmp_path, step=step)
    assert [s["last_step"] for s in sessions(tmp_path)] == [10]
    with np.load(tmp_path / "evaluation.npz") as kept:
        assert kept["epoch"] == 2


@pytest.mark.parametrize(
    "name", ["evaluation.npz", "environment.json", "profile.json", "report.html"]
)
def test_an_older_run_is_told_by_what_it_kept_and_cleared_of_it(tmp_path, name):
    (tmp_path / name).touch()
    with RunFolder(tmp_path) as folder:
        assert folder.old_run() == [tmp_path / name]
        folder.clear()
        assert folder.old_run() == []
