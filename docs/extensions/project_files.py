"""Links from a page to the files of the project: they lead to pages of their own.

A link to a folder leads to its README.md, or to a list of its files; one to a source
file, and the name of one in backticks, to a page with its code; one to another file, to
a copy of it.  `odyssey learn stepper NAME` in backticks leads to that stepper.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import excerpts
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.osutil import relative_uri

log = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
#: Folders whose Python files have a page each, whether a page names them or not.
SHOWN = ("odyssey", "examples")
LANGUAGES = {".py": "python", ".yml": "yaml", ".sh": "bash", ".toml": "toml"}
LANGUAGES |= {
    ".md": "markdown",
    ".c": "c",
    ".csv": "text",
    ".jsonl": "text",
    ".log": "text",
}
LINK = re.compile(r"(\]\(\s*)([^)\s]+)")
FENCE = re.compile(r"(^```.*?^```$)", re.M | re.S)
STEPPER = re.compile(r"odyssey learn stepper (\w+)$")


def rewritten(text: str, folder: Path, pages: set[str]) -> str:
    """Return a page whose links to files that are no pages begin with ``source:``.

    Parameters
    ----------
    text : of the page, in Markdown
    folder : that of the page
    pages : paths of all pages from the root, without their suffix
    """

    def link(found: re.Match[str]) -> str:
        before, target = found.groups()
        path, mark, section = target.partition("#")
        if not path or re.match(r"\w+:", path):
            return found[0]
        full = (folder / path).resolve()
        if not full.is_relative_to(ROOT) or not full.exists():
            return found[0]  # a warning of MyST's will say so
        inside = full.relative_to(ROOT).as_posix()
        if inside.removesuffix(".md") in pages or full.suffix in (".png", ".svg"):
            return found[0]
        if full.is_dir() and f"{inside}/README" in pages:
            return f"{before}/{inside}/README.md{mark}{section}"
        return f"{before}source:{inside}{mark}{section}"

    parts = FENCE.split(text)
    parts[::2] = [LINK.sub(link, part) for part in parts[::2]]
    return "".join(parts)


def read(app: Sphinx, docname: str, content: list[str]) -> None:
    """Prepare a page: its excerpts, its links, and the contents below the first."""
    folder = Path(app.srcdir, docname).parent
    text = content[0]
    try:
        text = excerpts.expand(text, folder)
    except (OSError, ValueError) as error:
        log.warning("%s", error, location=docname)
    if docname == app.config.root_doc:
        text += app.config.contents_below
    content[0] = rewritten(text, folder, app.env.found_docs)


def resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Lead links and names to the pages of files, and note which files these are."""
    for node in list(doctree.findall(nodes.literal)):
        if not isinstance(node.parent, nodes.reference):
            uri = named(app, node.astext().rstrip("/"))
            if uri:
                reference = nodes.reference("", "", refuri=uri, internal=True)
                node.replace_self(reference)
                reference += node
    for reference in doctree.findall(nodes.reference):
        uri = reference.get("refuri", "")
        if uri.startswith(("source:", "stepper:", "page:")):
            path, mark, section = uri.partition("#")
            target = output_of(path)
            here = app.builder.get_target_uri(docname)
            reference["refuri"] = relative_uri(here, target) + mark + section
            reference["internal"] = True
            reference["classes"] = ["reference", "internal"]
            if path.startswith("source:"):
                app.env.project_files.add(path.removeprefix("source:"))


def named(app: Sphinx, text: str) -> str:
    """Return the address of the file or stepper that a text names, or nothing."""
    if (found := STEPPER.search(text)) and found[1] in app.config.stepper_pages:
        return f"stepper:{found[1]}"
    if text.endswith(".md") and text.removesuffix(".md") in app.env.found_docs:
        return f"page:{text.removesuffix('.md')}"
    places = (text, f"odyssey/{text}") if "/" in text else ()  # kernels/winograd.py
    for name in places:
        if re.fullmatch(r"(odyssey|examples|tests|benchmarks|docs)/[\w/.]+", name):
            path = ROOT / name
            if path.is_file() and path.suffix in LANGUAGES:
                return f"source:{name}"
            if path.is_dir() and any(path.glob("*.py")):
                return f"source:{name}"
    return ""


def output_of(address: str) -> str:
    """Return where in the output a file, a folder's list or a stepper lies."""
    kind, _, name = address.partition(":")
    if kind in ("stepper", "page"):
        return f"steppers/{name}.html" if kind == "stepper" else f"{name}.html"
    path = ROOT / name
    if path.is_dir():
        return f"source/{name}/index.html"
    if path.suffix in LANGUAGES or not path.suffix:
        return f"source/{name}.html"
    return f"source/{name}"


def prepare(app: Sphinx) -> None:
    """Begin with the files that are shown in any case."""
    files = [path for top in SHOWN for path in (ROOT / top).rglob("*.py")]
    app.env.project_sidebars = {}
    app.env.project_files = {path.relative_to(ROOT).as_posix() for path in files}


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield the pages of code and the lists of folders; copy what is neither."""
    wanted = set(app.env.project_files)
    wanted |= {str(Path(name).parent) for name in wanted if name.endswith(".py")}
    for name in sorted(wanted - {"."}):
        path = ROOT / name
        title = f"<h1>{name}</h1>"
        if path.is_dir():
            body = title + folder_list(path, wanted)
            yield f"source/{name}/index", {"title": name, "body": body}, "page.html"
        elif (target := output_of(f"source:{name}")).endswith(path.name):
            copy = Path(app.outdir, target)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
        else:
            code = app.builder.highlighter.highlight_block(
                path.read_text("utf-8"),
                LANGUAGES.get(path.suffix, "text"),
                linenos="inline",
                lineanchors="L",
                anchorlinenos=True,
            )
            context = {"title": name, "body": title + code}
            yield target.removesuffix(".html"), context, "page.html"


def share_sidebar(
    app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Let all files of one depth have the same sidebar: making it takes half the build.

    It is in no page's place, so only the steps up to the top differ.
    """
    made: dict[Any, str] = app.env.project_sidebars
    if name.startswith("source/"):
        toctree = context["toctree"]

        def shared(**options: Any) -> str:
            key = name.count("/"), *sorted(options.items())
            if key not in made:
                made[key] = toctree(**options)
            return made[key]

        context["toctree"] = shared


def folder_list(folder: Path, wanted: set[str]) -> str:
    """Return the files of a folder as a list of links."""
    items = []
    for path in sorted(folder.iterdir()):
        name = path.relative_to(ROOT).as_posix()
        if name in wanted:
            target = f"{path.name}/index.html" if path.is_dir() else f"{path.name}.html"
            items.append(f'<li><a href="{target}">{path.name}</a></li>')
    return f"<ul>{''.join(items)}</ul>"


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the steps to Sphinx's."""
    app.add_config_value("contents_below", "", "env", str)
    app.add_config_value("stepper_pages", (), "env", (list, tuple))
    app.connect("builder-inited", prepare)
    app.connect("source-read", read)
    app.connect("doctree-resolved", resolve)
    app.connect("html-collect-pages", pages)
    app.connect("html-page-context", share_sidebar, priority=400)  # before furo's
    return {"parallel_read_safe": True, "parallel_write_safe": False}
