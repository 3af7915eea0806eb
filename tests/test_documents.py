"""What README.md and the pages of docs/ show as Python does what they say.

The derivations have tests of their own.
"""

import ast
import json
import pkgutil
import re
from pathlib import Path
from types import SimpleNamespace

import click
import numba
import numpy as np
import pytest
from click.testing import CliRunner

from odyssey.cli.model_options import chosen_config, model_options
from odyssey.data.folder import load_folder
from odyssey.formats.files import WRITERS, read_tensors, write_tensors
from odyssey.formats.names import from_odyssey
from odyssey.formats.onnx import Normalisation, evaluated_tensors, onnx_model
from odyssey.report.page import write_report
from odyssey.weights.checkpoint import list_checkpoints
from odyssey.weights.folder import verify_folder

ROOT = Path(__file__).resolve().parent.parent
RAISES = re.compile(r"# (AssertionError.*)$")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Arrays so small are not worth sharing."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def blocks_of(path):
    """Return the Python blocks of a page."""
    text = (ROOT / path).read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)


def python_of(path):
    """Return the Python blocks of a page as one program."""
    return "\n".join(blocks_of(path))


def run(code):
    """Run the statements one by one; return the names, and how many errors came.

    A statement whose comment begins with AssertionError has to raise one, and the rest
    of the comment up to a comma to be in its message.
    """
    names, errors, lines = {"__name__": "page"}, 0, code.splitlines()
    for node in ast.parse(code).body:
        statement = compile(ast.Module([node], []), "page", "exec")
        expected = RAISES.search(lines[node.end_lineno - 1])
        if not expected:
            exec(statement, names)
            continue
        with pytest.raises(AssertionError) as raised:
            exec(statement, names)
        kind, _, what = expected[1].partition(": ")
        assert kind.startswith("AssertionError")
        assert what in str(raised.value)
        errors += 1
    return names, errors


def every_page():
    """Return all pages of the project."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    pages += [*(ROOT / "examples").rglob("*.md"), *ROOT.glob("*/README.md")]
    assert len(pages) > 10
    return pages


def links(page):
    """Return path and section of every link of a page that stays in the project."""
    targets = re.findall(r"\]\(\s*([^)\s]+)", page.read_text("utf-8"))
    inside = [target for target in targets if not re.match(r"https?:", target)]
    return [target.partition("#")[::2] for target in inside]


def sections(page):
    """Return the sections of a page, named as GitHub names them in addresses."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head).lower().replace(" ", "-") for head in heads}


def test_links_within_the_project_lead_somewhere():
    dangling = [
        f"{page.relative_to(ROOT)}: {path}"
        for page in every_page()
        for path, _ in links(page)
        if not (page.parent / path).exists()
    ]
    assert dangling == []


def test_links_to_a_section_lead_to_one():
    dangling, checked = [], 0
    for page in every_page():
        for path, section in links(page):
            target = page.parent / path if path else page
            target = target / "README.md" if target.is_dir() else target
            if section and target.suffix == ".md":
                checked += 1
                if section not in sections(target):
                    dangling.append(f"{page.relative_to(ROOT)}: {path}#{section}")
    assert checked >= 8
    assert dangling == []


def test_no_line_of_a_paragraph_turns_into_a_list():
    """A line that begins with "* " or "2. " after text without either would."""
    turned = []
    for page in every_page():
        text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.M | re.S)
        for paragraph in text.split("\n\n"):
            first, *others = paragraph.strip("\n").split("\n")
            if not re.match(r"\s*([-*+]|\d+\.) |    ", first):
                turned += [line for line in others if re.match(r"[*+] |\d+\. ", line)]
    assert turned == []


def test_files_that_pages_name_are_there():
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
    pages += [*(ROOT / "examples").rglob("*.md"), *(ROOT / "findings").glob("*.md")]
    folders = "odyssey|examples|tests|docs|benchmarks|findings"
    named = [
        (page, name)
        for page in pages
        for name in re.findall(rf"`((?:{folders})/[\w/.]+)`", page.read_text("utf-8"))
    ]
    assert len(named) > 50
    made = "docs/_build/"  # by make docs
    missing = [pair for pair in named if not (ROOT / pair[1]).exists()]
    assert [pair for pair in missing if not pair[1].startswith(made)] == []


def test_names_of_the_library_that_pages_name_are_there():
    named = {
        name
        for page in every_page()
        for name in re.findall(r"`(odyssey(?:\.\w+)+)\b", page.read_text("utf-8"))
        if not name.endswith(".py")
    }
    assert len(named) >= 10
    assert [name for name in sorted(named) if not is_found(name)] == []


def is_found(name):
    """Return whether a dotted name is a module, or something in a module."""
    try:
        pkgutil.resolve_name(name)
    except (AttributeError, ImportError):
        return False
    return True


def test_the_gradient_of_x_has_one_name():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for folder in ("odyssey", "examples"):
        pages += (ROOT / folder).rglob("*.py")
    old = [
        str(page.relative_to(ROOT))
        for page in pages
        if re.search(r"\bgrad_x(_pad|_i)?\b", page.read_text("utf-8"))
    ]
    assert old == []


def test_own_images_as_the_page_writes_them(tmp_path, monkeypatch, make_tiny_cifar):
    pytest.importorskip("PIL")
    make_tiny_cifar(tmp_path / "datasets" / "cifar10")
    monkeypatch.chdir(tmp_path)
    first, rest = python_of("docs/own_images.md").split("from pathlib", 1)
    names, _ = run(f"from pathlib{rest}")
    for name in names["data"].class_names:  # of so few, a class may have no test image
        Path("photos", "test", name).mkdir(exist_ok=True)
    data = load_folder("photos")
    assert data.class_names == names["data"].class_names
    assert run(first)[0]["photos"].train_images.shape == (100, 3, 64, 64)
    for ours, theirs in (
        (data.train_images, names["data"].train_images),
        (data.test_images, names["data"].test_images),
    ):
        assert sorted(image.tobytes() for image in ours) == sorted(
            image.tobytes() for image in theirs
        )


def test_the_first_look_of_the_readme():
    names, _ = run(python_of("README.md"))
    assert names["out"].shape == (2, 4, 8, 8)
    assert names["grad_bias"].shape == (4,)
    assert names["grad_input"].shape == names["x"].shape


def test_the_page_on_formats_writes_and_reads_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names, _ = run(python_of("docs/formats.md"))
    assert names["notes"] == ()
    assert capsys.readouterr().out == (
        "safetensors {'format': 'pt', 'made by': 'hand'} ()\n"
    )


def test_the_page_on_formats_has_all_that_are_written():
    table = (ROOT / "docs/formats.md").read_text("utf-8").partition("\n\n    python")[0]
    suffixes = [suffix for group in WRITERS for suffix in group]
    assert [suffix for suffix in suffixes if f"`{suffix}`" not in table] == [""]


def test_the_exercises_of_the_reading_order(capsys):
    names, errors = run(python_of("docs/READING_ORDER.md"))
    assert errors == 2
    assert float(capsys.readouterr().out) < 1e-6
    # exercise 3
    under_ones = names["right"](
        np.ones_like(names["x"]), names["x"], names["gamma"], names["beta"]
    )
    assert abs(under_ones[0]).max() < 1e-12


def test_the_extra_all_is_all_that_a_user_can_want():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    names = re.fullmatch(r"odyssey-by-hand\[(.*)\]", everything)[1].split(",")
    assert sorted(names) == sorted(extras.keys() - {"all", "test", "lint", "docs"})
    requirements = (ROOT / "README.md").read_text("utf-8").split("## Requirements")[1]
    for name in [*names, "all"]:
        assert f"`{name}`" in requirements


def test_groups_for_new_tools_are_the_extras_for_old_ones():
    tomllib = pytest.importorskip("tomllib")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = settings["project"]["optional-dependencies"]
    same = {name: extras[name] for name in ("test", "lint", "docs")}
    assert settings["dependency-groups"] == same


def test_the_page_on_names_renames_there_and_back(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.chdir(tmp_path)
    from resnet18_cifar10.example import NETWORK

    config = NETWORK.models["resnet20"]
    params, state = NETWORK.initialize(config, 0)
    theirs = from_odyssey(NETWORK, {**params, **state}, config, "kuangliu")
    write_tensors("resnet20.pth", theirs, {})
    Path("resnet20.pth").rename("resnet20.th")
    names, _ = run(python_of("docs/names.md"))
    assert names["renamed"].config == config
    assert str(config) in capsys.readouterr().out
    again = read_tensors("again.pth").tensors
    assert again.keys() == theirs.keys()
    assert all(np.array_equal(again[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_page_on_onnx_runs_a_model(runtime, tmp_path, monkeypatch, capsys):
    for package in ("onnx", "PIL", runtime):
        pytest.importorskip(package)
    from PIL import Image

    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.chdir(tmp_path)
    from resnet18_cifar10.example import NETWORK

    config = NETWORK.models["resnet18"]._replace(width=2)
    params, state = NETWORK.initialize(config, 0)
    tensors = evaluated_tensors(NETWORK, params, state, config, fold=True)
    for name, pictures in (
        ("resnet18", None),
        ("resnet18_uint8", Normalisation((0.5, 0.5, 0.5), (0.2, 0.2, 0.2))),
    ):
        data = onnx_model(
            NETWORK.graph(config),
            tensors,
            name=name,
            metadata={"classes": json.dumps(list("abcdefghij"))},
            pictures=pictures,
        )
        Path(f"{name}.onnx").write_bytes(data)
    Image.new("RGB", (40, 30), "red").save("cat.jpg")
    first, second = blocks_of("docs/onnx.md")
    if runtime == "onnxruntime":
        run(first)
        assert capsys.readouterr().out.strip() in list("abcdefghij")
    else:
        names, _ = run(second)
        x = np.zeros((1, 3, 32, 32), np.float32)
        assert names["model"]([x])[0].shape == (1, 10)


def test_the_page_on_the_diagnosis_raises_what_it_says():
    assert run(python_of("docs/diagnosis.md"))[1] == 1


def test_every_python_block_of_a_page_is_run():
    """Pages by the tests above, derivations by those of test_derivations.py."""
    here = Path(__file__).read_text("utf-8")
    derivations = (ROOT / "tests" / "test_derivations.py").read_text("utf-8")
    not_run, count = [], 0
    for path in every_page():
        page = path.relative_to(ROOT).as_posix()
        if re.search(r"^```python", path.read_text("utf-8"), re.M):
            count += 1
            if path.parent.name == "derivations":
                ran = rf'"{path.stem}(\.md)?"'
                found = re.search(ran, derivations)
            elif page == "docs/learn.md":  # a session, which is played
                found = (ROOT / "tests" / "learn" / "test_session.py").exists()
            else:
                found = re.search(rf'(python|blocks)_of\("{page}"\)', here)
            if not found:
                not_run.append(page)
    assert not_run == []
    assert count > 12


@pytest.fixture(scope="module")
def own_network(tmp_path_factory):
    """The folder in which the page's code has run, and the names that it made."""
    folder = tmp_path_factory.mktemp("own")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names, errors = run(python_of("docs/your_own_network.md"))
    assert errors == 0
    return folder / "my_run", names


def test_the_gradients_of_your_own_network_are_checked(own_network):
    _, names = own_network
    assert 0 < names["worst"] < 1e-6
    wrong = python_of("docs/your_own_network.md").split("\nfrom pathlib")[0]
    right = "odyssey.relu_backward(grad_active, conv)"
    assert right in wrong
    wrong = wrong.replace(right, "grad_active")
    with pytest.raises(AssertionError, match="input 0"):
        run(wrong)


def test_your_own_network_is_trained_and_saved(own_network):
    folder, names = own_network
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2"]
    assert [path.name for path in list_checkpoints(folder)] == [
        "step-00000010",
        "step-00000020",
    ]
    # every parameter has moved
    started, _ = names["NETWORK"].initialize(names["Config"](), 0)
    for name, param in names["loaded"].params.items():
        assert (param != started[name]).any()
    verify_folder(folder)


def test_your_own_run_goes_on(own_network, monkeypatch):
    folder, _ = own_network
    monkeypatch.chdir(folder.parent)
    code = python_of("docs/your_own_network.md")
    for old, new in (
        ("--epochs 2", "--resume --epochs 3"),
        ('["step"] == 20', '["step"] == 30'),
    ):
        assert old in code
        code = code.replace(old, new)
    names, _ = run(code)
    assert names["loaded"].metadata["step"] == 30
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2", "3"]


def test_a_report_of_your_own_run_has_its_curves(own_network, tmp_path):
    folder, _ = own_network
    page = tmp_path / "report.html"
    text = write_report(folder, page).read_text("utf-8")
    assert "one_convolution" in text
    assert "<svg" in text


def test_a_resnet_of_another_depth_is_one_line(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    from resnet18_cifar10 import architecture
    from resnet18_cifar10.example import EXAMPLE

    page = (ROOT / "docs" / "your_own_network.md").read_text("utf-8")
    (line,) = re.findall(r'^    ("resnet10": .*)$', page, re.M)
    for name, config in eval(f"{{{line}}}", vars(architecture)).items():
        monkeypatch.setitem(architecture.MODELS, name, config)

    @click.command()
    @model_options(EXAMPLE)  # as when the line has been written
    def summary(**chosen):
        config = chosen_config(EXAMPLE, SimpleNamespace(**chosen))
        blocks = [block.name for block in architecture.network_blocks(config)]
        click.echo(" ".join([architecture.model_name(config), *blocks]))

    shown = CliRunner().invoke(summary, ["--model", "resnet10"])
    assert shown.output == "resnet10 s1b1 s2b1 s3b1 s4b1\n"
