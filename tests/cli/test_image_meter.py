"""What is shown while image files are read."""

from odyssey.cli import image_meter
from odyssey.cli.image_meter import ImageMeter


def test_progress_in_lines_and_as_a_bar(monkeypatch, capsys):
    times = iter(range(0, 100, 4))
    monkeypatch.setattr(image_meter.time, "monotonic", lambda: next(times))
    meter = ImageMeter(False)
    meter.begin(0, 5000)
    for _ in range(7):
        meter.advance(64)
    meter.end()
    assert capsys.readouterr() == (
        "reading images: 192 of 5,000\nreading images: 384 of 5,000\n",
        "",
    )
    monkeypatch.undo()
    meter = ImageMeter(True)
    meter.begin(0, 128)
    meter.advance(64)
    meter.end()
    out, err = capsys.readouterr()
    assert out == "" and "reading images:" in err and "/128" in err
