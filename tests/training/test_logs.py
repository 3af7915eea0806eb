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


@pytest.mark.parametrize("torn", ["", '{"step": 8, "ep', "\x00\x00\n", "[1]\n", "7\n"])
def test_steps_after_the_checkpoint_are_taken_back(tmp_path, torn):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 7)
    with open(path, "a") as file:
        file.write(torn)
    for done in (7, 5, 0):
        log = StepLog(path, done)
        log.close()
        assert log.lines_kept == done
        assert path.read_text().splitlines() == lines[:done]


def test_a_hole_in_the_steps_is_noticed(tmp_path):
    path = tmp_path / "steps.jsonl"
    lines = write_steps(path, 5)
    path.write_text("\n".join(lines[:2] + lines[3:]) + "\n")
    assert StepLog(path, 5).lines_kept == 2


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
        assert log.rows_kept == done
        assert path.read_text().splitlines() == whole[: done + 1]


def test_validation_columns_come_last(tmp_path):
    log = MetricsLog(tmp_path / "metrics.csv", 0, validation=True)
    log.append(ROW)
    header, row = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header == HEADER + ",val_loss,val_accuracy"
    assert row.endswith(",10.00,3.0,0.125")


def test_a_file_that_is_no_log_is_begun_anew(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("something else\n1,2,3\n")
    log = MetricsLog(path, 1, validation=False)
    assert (log.rows_kept, path.read_text()) == (0, HEADER + "\n")


def test_an_error_of_writing_names_the_file(tmp_path):
    with pytest.raises(OSError) as error, naming(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert error.value.filename == str(tmp_path / "x")
