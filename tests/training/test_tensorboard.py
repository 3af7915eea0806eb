"""What is written is read back by TensorBoard's own reader."""

import errno
import io
import json
import os
import signal
import sys

import numpy as np
import pytest
from PIL import Image
from standin import Batches, losses, metrics, recipe, run, train_step
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import RecordWriter
from test_loop import same_run

from odyssey.errors import InputError, Interrupted
from odyssey.training.event_files import event_files, next_event_file
from odyssey.training.pictures import denormalize
from odyssey.training.tensorboard import TensorBoard

EPOCH_TAGS = "confusion/test loss/train accuracy/test epoch seconds".split()
CLASSES = [f"class {k}" for k in range(10)]


class Pictures(Batches):
    """Points with a picture each, of which training sees the first five pixels."""

    def epoch(self, epoch, start_batch=0):
        for points, labels in super().epoch(epoch, start_batch):
            x = np.zeros((len(points), 3, 4, 6), "f4")
            x.reshape(len(x), -1)[:, :5] = points
            yield x, labels


def watched(directory, events=None, *, every=2, goes_on=False, step=train_step, **how):
    """Train as `standin.run` does, on pictures, watched by a `TensorBoard`."""
    board = TensorBoard(
        events or directory / "tb", recipe(), CLASSES, every=every, goes_on=goes_on
    )

    def hook(trainer):
        trainer.train, trainer.warm_up = Pictures(), lambda: None

    def flat_step(state, x, labels, lr):
        return step(state, x.reshape(len(x), -1)[:, :5].copy(), labels, lr)

    return run(directory, step=flat_step, hook=hook, observers=[board], **how)


def read(events):
    everything = {"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}
    return EventAccumulator(str(events), size_guidance=everything).Reload()


def scalars(events):
    """Return {tag: [(step, value)]} as TensorBoard shows them."""
    shown = read(events)
    return {
        tag: [(event.step, event.value) for event in shown.Scalars(tag)]
        for tag in shown.Tags()["scalars"]
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tensorboard")
    watched(directory)
    return directory


def test_scalars_are_those_of_the_logs(whole):
    shown = scalars(whole / "tb")
    _, *rows = metrics(whole)
    tags = "epoch - loss/train accuracy/train loss/test accuracy/test".split()
    for column, tag in enumerate(tags):
        expected = [(5 * n, float(row[column])) for n, row in enumerate(rows, 1)]
        if tag != "-":
            assert shown.pop(tag) == [(step, np.float32(v)) for step, v in expected]
    assert [step for step, _ in shown.pop("images_per_second")] == [5, 10, 15]
    assert [step for step, _ in shown.pop("seconds")] == [5, 10, 15]
    steps = [json.loads(line) for line in losses(whole)][1::2]
    for name, tag in (("loss", "loss/batch"), ("lr", "learning_rate")):
        assert shown.pop(tag) == [(s["step"], np.float32(s[name])) for s in steps]
    assert [step for step, _ in shown.pop("accuracy/batch")] == list(range(2, 15, 2))
    whole_norm, norm = (np.array(shown.pop(f"gradient_norm{s}")) for s in ("", "s/w"))
    np.testing.assert_allclose(whole_norm, norm, rtol=1e-6)  # there is but one tensor
    assert shown.keys() == {"weight_norms/w"}


def test_histograms_and_norms_are_of_every_so_many_steps(tmp_path):
    tensors = {}

    def step(state, x, labels, lr):
        result = train_step(state, x, labels, lr)
        tensors[state.step + 1] = state.params["w"].copy(), result.grads["w"]
        return result

    watched(tmp_path, every=4, step=step)
    shown, norms = read(tmp_path / "tb"), scalars(tmp_path / "tb")
    assert sorted(shown.Tags()["histograms"]) == ["gradients/w", "weights/w"]
    for i, kind in enumerate(["weight", "gradient"]):
        events = shown.Histograms(f"{kind}s/w")
        assert [event.step for event in events] == [4, 8, 12]
        for event, (at, norm) in zip(events, norms[f"{kind}_norms/w"], strict=True):
            tensor, histogram = tensors[at][i], event.histogram_value
            assert norm == pytest.approx(np.linalg.norm(tensor), rel=1e-6)
            assert histogram.num == sum(histogram.bucket) == tensor.size
            assert (histogram.min, histogram.max) == (tensor.min(), tensor.max())
            exact = tensor.astype(float)
            assert histogram.sum == pytest.approx(exact.sum())
            assert histogram.sum_squares == pytest.approx(np.square(exact).sum())
            below = np.searchsorted(
                np.sort(tensor.ravel()), histogram.bucket_limit[:-1]
            )
            np.testing.assert_array_equal(np.cumsum(histogram.bucket)[:-1], below)


def test_pictures(whole):
    shown = read(whole / "tb")
    (event,) = shown.Images("training_images")
    sheet = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
    assert (event.step, sheet.shape) == (1, (4 + 4, 8 * 8 + 2, 3))
    x, _ = next(Pictures().epoch(0))
    for j, image in enumerate(denormalize(x)):
        place = np.s_[2:6, 2 + 8 * j : 8 + 8 * j]
        np.testing.assert_array_equal(sheet[place], image.transpose(1, 2, 0))
    confusions = shown.Images("confusion/test")
    assert [event.step for event in confusions] == [5, 10, 15]


def test_the_recipe_is_shown_as_text_and_as_hyperparameters(whole):
    shown = read(whole / "tb")
    (text,) = shown.Tensors("recipe/text_summary")
    (table,) = text.tensor_proto.string_val
    assert b"| batch_size | 8 |\n" in table and b"| clip_grad_norm | None |" in table
    tags = shown.summary_metadata
    content = tags[metadata.SESSION_START_INFO_TAG].plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.hparams["batch_size"].number_value == 8
    assert start.hparams["flip"].string_value == "random"
    content = tags[metadata.EXPERIMENT_TAG].plugin_data.content
    named = metadata.parse_experiment_plugin_data(content).metric_infos
    assert {info.name.tag for info in named} < set(shown.Tags()["scalars"])
    assert metadata.SESSION_END_INFO_TAG in tags


def test_bits_are_those_of_a_run_that_is_not_watched(whole, tmp_path):
    run(tmp_path / "alone")
    same_run(whole, tmp_path / "alone")


@pytest.mark.parametrize("torn", [False, True])
def test_a_resume_shows_no_step_twice(whole, tmp_path, torn):
    """Killed after step 8; the newest checkpoint is that of step 5."""

    class Killed(BaseException):
        pass

    def killed(state, x, labels, lr):
        if state.step == 8:
            raise Killed
        return train_step(state, x, labels, lr)

    with pytest.raises(Killed):
        watched(tmp_path, step=killed)
    (first,) = (tmp_path / "tb").iterdir()
    assert scalars(tmp_path / "tb")["loss/batch"][-1][0] == 8
    if torn:
        os.truncate(first, first.stat().st_size - 7)
    watched(tmp_path, resume=True, goes_on=True)
    shown, expected = scalars(tmp_path / "tb"), scalars(whole / "tb")
    assert shown.keys() == expected.keys()
    for tag in expected.keys() - {"seconds", "images_per_second"}:
        assert shown[tag] == expected[tag], tag
    for tag in ("weights/w", "gradients/w"):
        steps = [event.step for event in read(tmp_path / "tb").Histograms(tag)]
        assert steps == [2, 4, 6, 8, 10, 12, 14]
    sheets = read(tmp_path / "tb").Images("training_images")
    assert [sheet.step for sheet in sheets] == [1, 6]  # one a session
    before = shown
    watched(tmp_path, resume=True, goes_on=True)  # nothing left to do
    assert scalars(tmp_path / "tb") == before


class Killed(BaseException):
    pass


def interrupt(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("epoch", [1, 3])
@pytest.mark.parametrize("call", range(5))
def test_an_epoch_cut_short_is_made_whole_at_the_resume(
    whole, tmp_path, monkeypatch, epoch, call
):
    """Killed before the n-th event of an epoch; afterwards resumed more than once."""
    real = TensorBoard._write_event

    def write_event(self, step, **content):
        values = getattr(content.get("summary"), "value", [])
        tags = [value.tag for value in values]
        of_epoch = [t for t in tags if t in EPOCH_TAGS] and step == 5 * epoch
        if of_epoch and next(calls) == call:
            self._flush()
            raise Killed
        real(self, step, **content)

    # Of another run, which this one hides.
    watched(tmp_path / "other", tmp_path / "tb", changes={"lr": 0.5})
    calls = iter(range(100))
    monkeypatch.setattr(TensorBoard, "_write_event", write_event)
    with pytest.raises(Killed):
        watched(tmp_path, goes_on=True)
    monkeypatch.undo()
    if epoch < 3:  # the first tells what is missing, and trains nothing
        with pytest.raises(KeyboardInterrupt):
            watched(tmp_path, resume=True, goes_on=True, step=interrupt)
    for _ in range(3):  # after the first there is nothing left to do
        watched(tmp_path, resume=True, goes_on=True)
    shown, expected = scalars(tmp_path / "tb"), scalars(whole / "tb")
    assert shown.keys() == expected.keys()
    for tag in expected.keys() - {"seconds", "images_per_second"}:
        assert shown[tag] == expected[tag], tag
    confusions = read(tmp_path / "tb").Images("confusion/test")
    assert [event.step for event in confusions] == [5, 10, 15]


def test_a_clock_set_back_hides_nothing(whole, tmp_path, monkeypatch):
    watched(tmp_path, max_steps=6)
    for back in (2 * 86400, 10**9, -3600, 0):
        monkeypatch.setattr("time.time", lambda back=back: 1.8e9 - back)
        watched(tmp_path, resume=True, goes_on=True, max_steps=9)
    watched(tmp_path, resume=True, goes_on=True)
    shown, expected = scalars(tmp_path / "tb"), scalars(whole / "tb")
    assert shown["loss/batch"] == expected["loss/batch"]
    assert shown["learning_rate"] == expected["learning_rate"]


def test_event_files_of_one_second_are_read_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1.8e9)
    names = []
    for _ in range(12):
        path = next_event_file(tmp_path)
        path.touch()
        names.append(path)
    assert event_files(tmp_path) == names
    assert names[0].name.startswith("events.out.tfevents.1800000000.")


def test_an_interrupted_run_shows_what_it_did(tmp_path):
    def signalled(state, x, labels, lr):
        if state.step == 6:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_step(state, x, labels, lr)

    with pytest.raises(Interrupted):
        watched(tmp_path, step=signalled)
    assert [step for step, _ in scalars(tmp_path / "tb")["loss/batch"]] == [2, 4, 6]
    assert metadata.SESSION_END_INFO_TAG not in read(tmp_path / "tb").summary_metadata


def test_a_folder_with_events_is_another_runs_unless_said_otherwise(whole):
    with pytest.raises(InputError, match="tb already holds the events of a run: --res"):
        TensorBoard(whole / "tb", recipe(), CLASSES)


def test_a_link_that_leads_nowhere_is_no_folder_that_exists(tmp_path):
    (tmp_path / "tb").symlink_to("unplugged")
    with pytest.raises(OSError, match="a link to unplugged, which does not exist"):
        TensorBoard(tmp_path / "tb", recipe(), CLASSES)


def test_a_fresh_run_hides_the_older_one(tmp_path):
    watched(tmp_path / "old", tmp_path / "tb", every=1)
    watched(tmp_path / "new", tmp_path / "tb", every=5, goes_on=True, max_steps=5)
    for tag, values in scalars(tmp_path / "tb").items():
        assert [step for step, _ in values] == [5], tag


def test_a_full_disk_ends_the_events_and_not_the_run(tmp_path, capsys, monkeypatch):
    real = RecordWriter.write

    def write(self, record):
        if Event.FromString(record).step >= 7:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, record)

    monkeypatch.setattr(RecordWriter, "write", write)
    watched(tmp_path)
    assert len(losses(tmp_path)) == 15
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.endswith(f"{tmp_path / 'tb'}: {os.strerror(errno.ENOSPC)}")
    assert [step for step, _ in scalars(tmp_path / "tb")["loss/batch"]] == [2, 4, 6]


def test_what_is_not_finite_has_a_norm_and_no_histogram(tmp_path):
    def step(state, x, labels, lr):
        result = train_step(state, x, labels, lr)
        grads = {"w": np.full(3, np.nan), "huge": np.full(3, np.inf), "one": np.ones(4)}
        return result._replace(grads=grads)

    watched(tmp_path, step=step, changes={"epochs": 1})
    shown = scalars(tmp_path / "tb")
    assert all(np.isnan(value) for _, value in shown["gradient_norms/w"])
    assert all(np.isinf(value) for _, value in shown["gradient_norms/huge"])
    assert shown["gradient_norms/one"] == [(2, 2.0), (4, 2.0)]
    histograms = read(tmp_path / "tb").Tags()["histograms"]
    assert sorted(histograms) == ["gradients/one", "weights/w"]


def test_a_histogram_of_numbers_that_lie_close_together(tmp_path):
    # fewer float32 numbers between them than a histogram has bins
    near = np.float32(1) - np.arange(16, dtype=np.float32) * np.float32(2**-24)

    def step(state, x, labels, lr):
        return train_step(state, x, labels, lr)._replace(grads={"w": near})

    watched(tmp_path, step=step, changes={"epochs": 1})
    histogram = read(tmp_path / "tb").Histograms("gradients/w")[0].histogram_value
    assert (histogram.num, sum(histogram.bucket)) == (16, 16)
    assert (histogram.min, histogram.max) == (near[-1], 1)


@pytest.mark.parametrize("missing", ["tensorboardX", "PIL"])
def test_without_the_extra_the_error_says_what_to_install(
    tmp_path, monkeypatch, missing
):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(InputError, match=r"odyssey-by-hand\[tensorboard\]") as error:
        TensorBoard(tmp_path / "tb", recipe(), CLASSES)
    assert missing in str(error.value) and error.value.exit_status == 2
    assert not (tmp_path / "tb").exists()
