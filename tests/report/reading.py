"""Reads a page as a browser would, and refuses what a browser would mend."""

from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "hr"}


class Page(HTMLParser):
    """All elements with their attributes, and the text of each section."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.sections = [], [], {}
        self._text = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._text = []

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))  # in SVG

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            heading, *text = self._text
            self.sections[heading] = text

    def handle_data(self, data):
        if data.strip():
            self._text.append(data.strip().replace("\N{NO-BREAK SPACE}", " "))

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]
