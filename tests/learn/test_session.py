"""The session that docs/learn.md shows is what the commands print."""

from session import BLOCK, PAGE, play


def test_the_page_shows_what_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text("utf-8")
    assert len(BLOCK.findall(text)) >= 8
    assert "WRONG" in text and "Well done" in text
    assert play(text) == text
