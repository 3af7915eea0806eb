"""The page of a stepper: template, style, scripts and data in one file of HTML.

The page may not ask for anything: its Content-Security-Policy forbids all requests, and
allows the two scripts and the style by their hashes.
"""

import base64
import hashlib
import importlib
import json
from html import escape
from importlib.resources import files
from string import Template

from odyssey.learn.steppers.stepper import Stepper, find_lines, quoted

#: The scripts of every page, in order; that of the operation comes before them.
SCRIPTS = ("numbers.js", "record.js", "arrays.js", "panel.js", "view.js")


def stepper_of(name: str) -> Stepper:
    """Return what Python knows of the stepper of an operation."""
    return importlib.import_module(f"odyssey.learn.steppers.{name}").STEPPER


def page_data(name: str) -> dict:
    """Return what the scripts of a page read: values, results, source."""
    stepper = stepper_of(name)
    source, places = quoted(stepper.functions)
    results = stepper.results(stepper.values, stepper.options)
    return {
        "name": name,
        "options": dict(stepper.options),
        "values": {key: array.tolist() for key, array in stepper.values.items()},
        "results": {key: array.tolist() for key, array in results.items()},
        "source": source,
        "lines": find_lines(source, stepper.lines),
        "places": places,
    }


def build_page(name: str) -> str:
    """Return the page of an operation as HTML."""
    stepper = stepper_of(name)
    style = _part("style.css")
    scripts = [_part(part) for part in (f"{name}.js", *SCRIPTS)]
    script = "\n".join(["", '"use strict";', *scripts])
    data = json.dumps(page_data(name), ensure_ascii=False, separators=(",", ":"))
    return Template(_part("template.html")).substitute(
        name=name,
        title=escape(stepper.title),
        about=escape(stepper.about),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        data=data.replace("<", "\\u003c"),  # no "</script>" in the middle of it
    )


def _part(name: str) -> str:
    """Return a file of this folder as text; its line ends are those of the page."""
    text = files("odyssey.learn.steppers").joinpath(name).read_text("utf-8")
    return text.replace("\r\n", "\n")


def _hash(text: str) -> str:
    """Return the hash of a script or style as Content-Security-Policy writes it."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
