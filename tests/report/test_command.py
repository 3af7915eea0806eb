import io
import os
import struct
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner
from made_run import METRICS, evaluation
from reading import Page

from odyssey.cli.main import main
from odyssey.errors import InputError
from odyssey.report.stored import evaluated
from odyssey.weights.files import remove_path

HEADER = METRICS.splitlines(keepends=True)[0].encode()


def report(*arguments, status=0):
    result = CliRunner().invoke(main, ["report", *map(str, arguments)])
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result.output


def test_where_it_is_written_and_under_which_title(run_dir, tmp_path):
    assert str(run_dir / "report.html") in report(run_dir)
    text = (run_dir / "report.html").read_text("utf-8")
    assert "<title>Run run</title>" in text and "<h1>Run run</h1>" in text
    before = sorted(run_dir.iterdir())
    report(run_dir, "--output", tmp_path / "x.html", "--title", "A & B")
    assert "<h1>A &amp; B</h1>" in (tmp_path / "x.html").read_text("utf-8")
    assert sorted(run_dir.iterdir()) == before


def test_a_name_that_utf8_cannot_say(run_dir):
    odd = run_dir.with_name(os.fsdecode(b"\xff run"))
    run_dir.rename(odd)
    report(odd)
    Page((odd / "report.html").read_text("utf-8"))


def test_no_run_and_no_place_to_write(run_dir, tmp_path):
    assert "metrics.csv" in report(tmp_path, status=2)
    report(tmp_path / "nowhere", status=2)
    report(run_dir, "--output", run_dir, status=2)
    assert "--output" in report(run_dir, "--output", run_dir / "x.csv", status=2)
    place = tmp_path / "nowhere" / "x.html"
    assert str(place) in report(run_dir, "--output", place, status=1)


@pytest.mark.parametrize(
    "file, content",
    [
        ("metrics.csv", b"epoch,lr\n1,0.1\n"),  # no losses
        ("metrics.csv", HEADER + b"1,1,1\n"),
        ("metrics.csv", HEADER + b"1,one,1,1,1,1,1,1\n"),
        ("metrics.csv", HEADER + b"1,nan,1,1,1,1,1,1\n"),
        ("metrics.csv", HEADER + b"1,1,1,1,1,1,1,1\n" * 2),
        ("metrics.csv", b"\xff\xfe\n"),
        ("steps.jsonl", b'{"step": 1}\n'),
        ("steps.jsonl", b'{"lr": null}\n'),
        ("steps.jsonl", b"[1]\n"),
        ("steps.jsonl", b'{"lr": NaN}\n'),
        ("evaluation.npz", b""),
        ("evaluation.npz", b"no archive"),
        ("profile.json", b"{"),
        ("profile.json", b"[]"),
        ("profile.json", b"[" * 100_000),
        ("profile.json", b'{"seconds": 1, "batch_size": 1, "threads": 1, "rows": [1]}'),
        ("profile.json", b'{"seconds": 0, "batch_size": 1, "threads": 1, "rows": []}'),
        ("environment.json", b'{"sessions": []}'),
        ("environment.json", b'{"sessions": [{"command": [1], "versions": {}}]}'),
        ("environment.json", b'{"sessions": 1}'),
        ("manifest.json", b"{}"),
        ("stem.weights", b"damaged"),
        ("checkpoints/step-00000004/manifest.json", b"{}"),
    ],
)
def test_a_damaged_file_is_named(run_dir, file, content):
    (run_dir / file).write_bytes(content)
    assert str(run_dir / file) in report(run_dir, status=2)
    assert not (run_dir / "report.html").exists()


@pytest.mark.parametrize(
    "name, value",
    [
        ("class_names", np.array([object()] * 3)),  # a pickle
        ("class_names", np.array(["cat", "dog"])),  # class 2 was answered
        ("test_labels", np.array([0, 0, 0, 1, -1, 0])),
        ("test_labels", np.zeros(5, int)),
        ("test_labels", np.zeros(0, int)),
        ("test_predicted", np.zeros(6)),
        ("test_probability", np.full(6, np.nan)),
        ("test_probability", np.full(6, 2.0)),
        ("test_mistakes", np.array([6, 1, 2])),
        ("test_mistakes", np.array([1, 2])),
        ("test_pictures", np.zeros((3, 4, 4), np.uint8)),
        ("test_pictures", np.zeros((3, 2, 4, 4), np.uint8)),
        ("test_pictures", np.zeros((3, 3, 4, 4), np.uint16)),
        ("epoch", np.zeros(2)),
        ("test_labels", None),
        ("test_predicted", None),
        ("epoch", None),
    ],
)
def test_an_evaluation_that_cannot_be(run_dir, name, value):
    path = run_dir / "evaluation.npz"
    arrays = dict(np.load(path))
    arrays[name] = value
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    assert str(path) in report(run_dir, status=2)


def test_any_damage_of_the_evaluation_is_an_error_or_does_no_harm(run_dir):
    """Cut off anywhere it is refused; of a wrong bit the archive's checksums tell."""
    whole, path = evaluation(), run_dir / "evaluation.npz"
    pictures = evaluated(run_dir).parts["test images"].pictures
    rng = np.random.default_rng(1)
    for stop in rng.integers(0, len(whole), 20):
        path.write_bytes(whole[:stop])
        assert str(path) in report(run_dir, status=2)
    for place in rng.integers(0, len(whole), 400):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            found = evaluated(run_dir)
        except InputError as error:
            assert str(path) in str(error)
        else:  # a bit of the archive that says nothing, such as a date
            np.testing.assert_array_equal(found.parts["test images"].pictures, pictures)


def test_an_archive_that_unpacks_to_too_much(run_dir, monkeypatch):
    monkeypatch.setattr("odyssey.report.stored.MAX_BYTES", 1 << 16)
    file = io.BytesIO()
    np.savez_compressed(file, class_names=np.zeros(1 << 16, np.int64))
    (run_dir / "evaluation.npz").write_bytes(file.getvalue())
    assert "over 65536 bytes" in report(run_dir, status=2)


STORED = [
    "metrics.csv",
    "steps.jsonl",
    "evaluation.npz",
    "profile.json",
    "environment.json",
    "manifest.json",
    "stem.weights",
    "checkpoints/step-00000004/manifest.json",
]


@pytest.mark.parametrize("file", [*STORED, "recipe.yml"])
@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", os.mkdir)])
def test_no_regular_file_in_the_place_of_one(run_dir, file, make):
    """To open a pipe would wait for ever."""
    if file == "recipe.yml":  # read where there is no checkpoint
        remove_path(run_dir / "checkpoints")
    else:
        (run_dir / file).unlink()
    make(run_dir / file)
    # A folder is what the system refuses.
    status = 1 if make is os.mkdir and file.endswith("manifest.json") else 2
    (line,) = report(run_dir, status=status).splitlines()
    assert str(run_dir / file) in line


@pytest.mark.parametrize("file", STORED)
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 66_000,
        b'{"a": ' * 66_000,
        b"9" * 66_000,
        b"x" * 66_000,
        b'["' + b"\xc3\xa9" * 33_000 + b'"]',
        b'{"' + b"k" * 66_000 + b'": 1, "' + b"k" * 66_000 + b'": 2}',
        b"\n" * 66_000,
        b"\x00" * 66_000,
        b"?\n" * 33_000,
    ],
)
def test_a_message_is_a_line_however_much_is_damaged(run_dir, file, content):
    """More than a path and a reason is never quoted, if it is not looked over."""
    (run_dir / file).write_bytes(content)
    result = CliRunner().invoke(main, ["report", str(run_dir)])
    line, *more = result.output.splitlines()
    if result.exit_code == 0:  # a log without a line
        assert file.endswith(("csv", "jsonl")) and not content.strip()
        assert more[0] == "next:" and len(more) == 2
    else:
        assert more == []
        assert result.exit_code == 2
        assert str(run_dir / file) in line and len(line) < len(str(run_dir)) + 500


def test_a_name_in_an_archive_is_not_quoted_at_length(run_dir):
    """NumPy quotes the header of an array, however long it is."""
    for name, descr in ("class_names", "x" * 60_000), ("x" * 60_000, "<f4"):
        file = io.BytesIO()
        header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}\n"
        with zipfile.ZipFile(file, "w") as archive:
            array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
            archive.writestr(f"{name}.npy", array + header.encode() + b"\0" * 4)
        (run_dir / "evaluation.npz").write_bytes(file.getvalue())
        (line,) = report(run_dir, status=2).splitlines()
        assert len(line) < len(str(run_dir)) + 300


def test_folders_that_are_no_run(run_dir):
    for name, message in (
        ("checkpoints/step-00000004", f"a checkpoint; its run is in {run_dir}"),
        ("checkpoints", f"checkpoints; their run is in {run_dir}"),
    ):
        (line,) = report(run_dir / name, status=2).splitlines()
        assert line == f"Error: {run_dir / name}: no metrics.csv, {message}"
    (run_dir / "metrics.csv").unlink()
    (line,) = report(run_dir, status=2).splitlines()
    assert line == f"Error: {run_dir}: no metrics.csv, weights without a run"
    (run_dir / "manifest.json").unlink()
    (line,) = report(run_dir, status=2).splitlines()
    assert line == f"Error: {run_dir}: no metrics.csv, not the folder of a run"
