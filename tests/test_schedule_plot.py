"""``python -m odyssey schedule``: what is drawn, and what is refused."""

import importlib.util
import io
import sys

import pytest
from click.testing import CliRunner

from odyssey.cli.main import main
from odyssey.report.schedule_plot import ROWS, draw, sample_steps, show
from odyssey.training.learning_rate import SCHEDULERS, LearningRate

without_matplotlib = importlib.util.find_spec("matplotlib") is None


def schedule(*arguments, columns=80, status=0):
    environment = {"COLUMNS": str(columns), "LINES": "24"}
    result = CliRunner().invoke(
        main, ["schedule", *map(str, arguments)], env=environment
    )
    assert result.exit_code == status, result.output
    return result


def test_a_drawing_by_hand():
    lines = draw([1.0] * 8 + [0.5] * 4 + [0.0] * 4, 4, 27)
    curve = [line[11:].ljust(16) for line in lines[:ROWS]]
    assert curve[0] == "*" * 8 + " " * 8
    assert curve[6] == " " * 8 + "****" + " " * 4
    assert curve[12] == " " * 12 + "****"
    assert not any("*" in curve[row] for row in (1, 5, 7, 11))
    labels = [line[:10].strip() for line in lines[:ROWS]]
    assert [labels[row] for row in (0, 4, 8, 12)] == ["1", "0.667", "0.333", "0"]
    assert lines[ROWS] == " " * 9 + " +" + "-" * 16
    assert lines[ROWS + 1] == " " * 11 + "0   1   " + "4 epochs"


def test_a_column_shows_the_lowest_and_the_highest_of_its_span():
    rates = [0.1] * 1600
    rates[850] = 1.0  # a peak of one step in the ninth of sixteen columns
    curve = [line[11:].ljust(16) for line in draw(rates, 1, 0)[:ROWS]]
    assert [row[8] for row in curve] == ["*"] * 12 + [" "]
    assert all(row[7] == row[9] == " " for row in curve[:11])
    assert curve[11] == "*" * 16


def test_a_rate_of_zero_is_drawn_too():
    assert draw([0.0, 0.0], 1, 80)[ROWS - 1].count("*") == 69


def test_steps_looked_at():
    assert sample_steps(5, 6) == [0, 1, 2, 3, 4]
    assert sample_steps(9, 3) == [0, 4, 8]
    steps = sample_steps(10**9, 1000)
    assert (steps[0], steps[-1], len(set(steps))) == (0, 10**9 - 1, 1000)


@pytest.mark.parametrize("columns", [27, 60, 80, 213])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_schedule_fits_the_terminal(name, columns):
    text = schedule(name, "--epochs", 10, columns=columns).stdout
    lines = text.splitlines()
    assert lines[0].startswith(f"{name}: ")
    drawing = lines[1 : ROWS + 3]
    assert max(map(len, drawing)) == columns
    assert text.isascii()
    width = columns - 11
    marked = {i for line in drawing[:ROWS] for i, c in enumerate(line[11:]) if c == "*"}
    assert marked == set(range(width))


def test_numbers_at_the_ends():
    options = ["--lr", 0.4, "--epochs", 10, "--steps-per-epoch", 4]
    *_, line, _, head, last = schedule("cosine", *options).stdout.splitlines()
    assert head == "next:"
    assert last.endswith("train.py --lr-scheduler cosine --epochs 10 --lr 0.4")
    # 0.4 * (1 + cos(39/40 pi)) / 2
    expected = "4 steps an epoch; first step 0.4, highest 0.4, last step 0.000616533"
    assert line == expected
    more = ["--lr-warmup-epochs", 2, "--lr-warmup-decay", 0.5]
    text = schedule("step", *options, *more, "--lr-decay-epochs", 5).stdout
    assert "first step 0.2, highest 0.4, last step 0.08" in text


def test_several_below_one_another_and_pytorchs_names():
    text = schedule("steplr", "one-cycle", "--epochs", 4).stdout
    assert text.count("steps an epoch") == 2
    assert text.index("step: ") < text.index("one-cycle: ")


def test_the_longest_run():
    text = schedule("cosine-restarts", "--epochs", 10**9).stdout
    assert "highest 0.01" in text


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "NAME"),
        (["linear"], "'linear' is not one of 'constant', 'step'"),
        (["cosine", "--lr", "nan"], "--lr"),
        (["cosine", "--lr", "0"], "--lr"),
        (["cosine", "--epochs", "0"], "--epochs"),
        (["cosine", "--steps-per-epoch", "0"], "--steps-per-epoch"),
        (["cosine", "--lr-min", "1"], "--lr-min must be"),
        (["cosine", "--lr-warmup-epochs", "200"], "--lr-warmup-epochs must be less"),
        (["one-cycle", "--lr-warmup-epochs", "2"], "--lr-warmup-epochs must be 0"),
        (["multistep", "--lr-milestones", "5,4"], "--lr-milestones"),
        (["multistep", "--lr-milestones", "5,"], "--lr-milestones"),
        (["cosine", "--lr-scheduler", "step"], "--lr-scheduler"),
    ],
)
def test_wrong_use(arguments, message):
    result = schedule(*arguments, status=2)
    assert message in result.stderr
    assert result.stdout == ""


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    image = tmp_path / "a.png"
    result = schedule("cosine", "--epochs", 2, "--png", image, status=2)
    assert "pip install matplotlib (the extra odyssey-by-hand[plot])" in result.stderr
    assert not image.exists()
    schedule("cosine", "--epochs", 2)


@pytest.mark.skipif(without_matplotlib, reason="needs Matplotlib")
def test_image(tmp_path):
    from PIL import Image

    path = tmp_path / "all.png"
    result = schedule(*SCHEDULERS, "--steps-per-epoch", 10, "--png", path)
    assert result.stdout.splitlines()[-3] == f"image written to {path}"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.format == "PNG" and image.size == (960, 540)
        colours = image.convert("RGB").getcolors(10**6)
    # as many lines as schedules, each in a colour of its own
    vivid = [c for n, c in colours if n > 100 and max(c) - min(c) > 60]
    assert len(vivid) >= len(SCHEDULERS)
    assert [p.name for p in tmp_path.iterdir()] == ["all.png"]
    missing = tmp_path / "no" / "a.png"
    result = schedule("step", "--png", missing, status=1)
    assert str(missing) in result.stderr


@pytest.mark.skipif(without_matplotlib, reason="needs Matplotlib")
def test_the_image_is_written_though_nobody_reads_the_curves(tmp_path, monkeypatch):
    def echo(*arguments, **options):
        raise BrokenPipeError

    monkeypatch.setattr("odyssey.report.schedule_plot.say", echo)
    choice, image = LearningRate(epochs=2), tmp_path / "a.png"
    with pytest.raises(BrokenPipeError):
        show([choice], 10, image)
    assert image.read_bytes().startswith(b"\x89PNG")
