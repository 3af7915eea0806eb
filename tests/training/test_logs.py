import errno
import json
import os

import pytest

from odyssey.training.logs import MetricsLog, StepLog, naming

ROW = {
    "epoch": 1,
    "lr": 0.1,
    "train_loss": 1 / 3,
    "train_accuracy": 0.5,
    "test_loss": 2.0,
    "test_accuracy": 0.25,
    "seconds": "1.000",
    "images_per_second": "10.00",
    "val_loss": 3.0,
    "val_accuracy": 0.125,
}
HEADER = (
    "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,"
    "images_per_second"
)


def write_steps(path, count):
    log = StepLog(path, 0)
    for step in range(1, count + 1):
        log.append(step, 1, 0.1, 1 / step)
    log.close()
    return path.read_text().splitlines()


def write_metrics(path, count):
    log = MetricsLog(path, 0, validation=False)
    for epoch in range(1, count + 1):
        log.append({**ROW, "epoch": epoch, "train_loss": 1 / epoch})
    log.close()
    return path.read_text().splitlines()


def opened(path, done):
    if path.suffix == ".jsonl":
        return StepLog(path, done)
    return MetricsLog(path, done, validation=False)


@pytest.mark.parametrize("torn", ["", '{"step": 8, "ep', "\x00\x00\n", "[1]\n", "7\n"])
def test_steps_after_the_checkpoint_are_taken_back(tmp_path, torn):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 7)
    with open(path, "a") as file:
        file.write(torn)
    for done in (7, 5, 0):
        log = StepLog(path, done)
        log.close()
        assert (log.kept, log.warning) == (done, None)
        assert path.read_text().splitlines() == lines[:done]
    assert os.listdir(tmp_path) == ["steps.jsonl"]


def test_an_intact_log_is_not_written_again(tmp_path):
    for path in (tmp_path / "steps.jsonl", tmp_path / "metrics.csv"):
        (write_steps if path.suffix == ".jsonl" else write_metrics)(path, 5)
        os.utime(path, ns=(0, 0))
        before = path.stat().st_ino, 0, path.read_bytes()
        log = opened(path, 5)
        log.close()
        assert (log.kept, log.warning) == (5, None)
        after = path.stat()
        assert (after.st_ino, after.st_mtime_ns, path.read_bytes()) == before


def test_steps_that_are_missing_are_told_of_and_cost_no_other(tmp_path):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 5)
    kept = lines[:2] + lines[3:]
    path.write_text("\n".join(kept) + "\n")
    for _ in range(2):
        log = StepLog(path, 5)
        log.close()
        assert log.warning == f"{path}: 1 of 5 steps missing: 3"
    assert path.read_text().splitlines() == kept
    assert os.listdir(tmp_path) == ["steps.jsonl"]


def test_one_damaged_line_costs_one_line_at_this_resume_and_all_later_ones(tmp_path):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 8)
    damaged = "\n".join([lines[0], lines[1].replace("0.5", "0.6"), *lines[2:]]) + "\n"
    path.write_text(damaged)
    intact = [lines[0], *lines[2:]]
    for step in range(9, 12):
        log = StepLog(path, step - 1)
        first, log.warning = log.warning, None
        assert log.kept == step - 2
        log.append(step, 2, 0.1, 1 / step)
        log.close()
        if step == 9:
            assert first == (
                f"{path}: line 2: loss 0.6 contradicts loss_hex "
                "'0x1.0000000000000p-1'; 7 of 8 steps are intact and kept, the "
                "original is steps.jsonl.old"
            )
        else:
            assert first == f"{path}: 1 of {step - 1} steps missing: 2"
    assert path.read_text().splitlines()[:7] == intact
    steps = [json.loads(line)["step"] for line in path.read_text().splitlines()]
    assert steps == [1, *range(3, 12)]
    assert sorted(os.listdir(tmp_path)) == ["steps.jsonl", "steps.jsonl.old"]
    assert (tmp_path / "steps.jsonl.old").read_text() == damaged


def test_lines_to_be_done_again_are_taken_back_from_a_damaged_log_too(tmp_path):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 8)
    path.write_text("\n".join(["?", *lines[1:5], "?", *lines[5:], "?"]) + "\n")
    log = StepLog(path, 4)
    log.close()
    assert path.read_text().splitlines() == lines[1:4]
    assert log.warning.startswith(f"{path}: line 1: not JSON: Expecting value; 3 of 4 ")


def test_a_log_cut_short_before_the_checkpoint(tmp_path):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 5)
    path.write_text("\n".join(lines)[:-3])
    log = StepLog(path, 5)
    log.close()
    assert "line 5: no end of line, cut short; 4 of 5 steps are intact" in log.warning
    assert path.read_text().splitlines() == lines[:4]
    assert (tmp_path / "steps.jsonl.old").read_text() == "\n".join(lines)[:-3]


def test_what_was_set_aside_is_never_overwritten_nor_kept_twice(tmp_path):
    path = tmp_path / "steps.jsonl"
    (tmp_path / "steps.jsonl.old").write_text("mine")
    (tmp_path / "steps.jsonl.old1").symlink_to("nowhere")
    lines = write_steps(path, 3)
    contents = ["?\n" * n + "\n".join(lines) + "\n" for n in (1, 1, 2, 1)]
    names = []
    for content in contents:
        path.write_text(content)
        log = StepLog(path, 3)
        log.close()
        names.append(log.warning.rsplit(" ", 1)[1])
        assert path.read_text().splitlines() == lines
    assert names == [f"steps.jsonl.old{n}" for n in (2, 2, 3, 2)]
    assert (tmp_path / "steps.jsonl.old").read_text() == "mine"
    for name, content in zip(names, contents, strict=True):
        assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize("failing", ["steps.jsonl.old", "steps.jsonl"])
def test_a_damaged_log_survives_a_disk_that_fills_up(tmp_path, failing, monkeypatch):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 3)
    damaged = "?\n" + "\n".join(lines) + "\n"
    path.write_text(damaged)
    replace = os.replace

    def full(source, target):
        if os.path.basename(target) == failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError) as error:
        StepLog(path, 3)
    assert error.value.filename == str(tmp_path / failing)
    assert path.read_text() == damaged
    monkeypatch.undo()
    log = StepLog(path, 3)
    log.close()
    assert path.read_text().splitlines() == lines
    assert sorted(os.listdir(tmp_path)) == ["steps.jsonl", "steps.jsonl.old"]


@pytest.mark.parametrize("name", ["steps.jsonl", "metrics.csv"])
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", os.mkdir)])
def test_no_regular_file_in_the_place_of_a_log(tmp_path, name, make):
    """To open a pipe would wait for ever."""
    make(tmp_path / name)
    with pytest.raises(OSError, match="not a regular file") as error:
        opened(tmp_path / name, 1)
    assert error.value.filename == str(tmp_path / name)


def test_each_step_is_on_its_way_to_the_disk_at_once(tmp_path):
    log = StepLog(tmp_path / "steps.jsonl", 0)
    log.append(1, 1, 0.1, 0.1)
    (line,) = (tmp_path / "steps.jsonl").read_text().splitlines()
    assert json.loads(line) == {
        "step": 1,
        "epoch": 1,
        "lr": 0.1,
        "loss": 0.1,
        "loss_hex": "0x1.999999999999ap-4",
    }


def test_rows_of_epochs_to_come_again_are_taken_back(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsLog(path, 0, validation=False)
    for epoch in (1, 2, 3):
        log.append({**ROW, "epoch": epoch})
    log.close()
    whole = path.read_text().splitlines()
    assert whole[0] == HEADER
    assert whole[1] == "1,0.1,0.3333333333333333,0.5,2.0,0.25,1.000,10.00"
    with open(path, "a") as file:
        file.write("4,0.1,0.3")
    for done in (3, 1, 0):
        log = MetricsLog(path, done, validation=False)
        log.close()
        assert (log.kept, log.warning) == (done, None)
        assert path.read_text().splitlines() == whole[: done + 1]


def test_validation_columns_come_last(tmp_path):
    log = MetricsLog(tmp_path / "metrics.csv", 0, validation=True)
    log.append(ROW)
    header, row = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header == HEADER + ",val_loss,val_accuracy"
    assert row.endswith(",10.00,3.0,0.125")


def test_a_file_that_is_no_log_is_set_aside(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("something else\n1,2,3\n")
    log = MetricsLog(path, 1, validation=False)
    assert (log.kept, path.read_text()) == (0, HEADER + "\n")
    assert (tmp_path / "metrics.csv.old").read_text() == "something else\n1,2,3\n"
    assert log.warning.startswith(f"{path}: line 1: no column epoch; 0 of 1 epochs are")


@pytest.mark.parametrize("length", range(0, len(HEADER) + 1, 5))
def test_half_a_header_is_written_again(tmp_path, length):
    path = tmp_path / "metrics.csv"
    path.write_text(HEADER[:length])
    log = MetricsLog(path, 0, validation=False)
    log.append(ROW)
    log.close()
    assert log.warning is None
    assert path.read_text().splitlines()[0] == HEADER
    assert os.listdir(tmp_path) == ["metrics.csv"]


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", ",\n"),
        lambda text: text.replace("epoch,", '"epoch",', 1),
        lambda text: text.replace(",", ";"),
    ],
)
def test_what_another_program_has_saved_goes_on(tmp_path, change):
    path = tmp_path / "metrics.csv"
    whole = write_metrics(path, 3)
    changed = change(path.read_text()).encode()
    path.write_bytes(changed)
    log = MetricsLog(path, 2, validation=False)
    assert log.warning == (
        f"{path}: changed by another program; 2 of 2 epochs are intact and kept, the "
        "original is metrics.csv.old"
    )
    log.append({**ROW, "epoch": 3, "train_loss": 1 / 3})
    log.close()
    assert path.read_text().splitlines() == whole
    assert (tmp_path / "metrics.csv.old").read_bytes() == changed
    assert MetricsLog(path, 3, validation=False).warning is None
    assert sorted(os.listdir(tmp_path)) == ["metrics.csv", "metrics.csv.old"]


def test_a_row_cut_short_costs_no_other(tmp_path):
    path = tmp_path / "metrics.csv"
    whole = write_metrics(path, 3)
    path.write_text("\n".join([*whole[:2], "2,0.0", whole[3]]) + "\n")
    log = MetricsLog(path, 3, validation=False)
    log.close()
    assert "line 3: 2 values under 8 columns; 2 of 3 epochs are" in log.warning
    assert path.read_text().splitlines() == [*whole[:2], whole[3]]
    assert MetricsLog(path, 3, False).warning == f"{path}: 1 of 3 epochs missing: 2"


def test_an_error_of_writing_names_the_file(tmp_path):
    with pytest.raises(OSError) as error, naming(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error.value.filename == str(tmp_path / "x")
