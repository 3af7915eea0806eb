import base64
import io
import json
import re
from dataclasses import fields

import numpy as np
import pytest
from made_run import IMAGES, KERNELS, NASTY, PARTS, PROFILE, SESSION
from PIL import Image
from reading import Page

from odyssey.report.background import subtitle
from odyssey.report.page import SECTIONS, build_page
from odyssey.training.learning_rate import SCHEDULERS, SHAPES, LearningRate
from odyssey.training.recipe_file import recipe_text
from odyssey.weights.checkpoint import save_checkpoint
from odyssey.weights.files import remove_path


@pytest.fixture
def page(run_dir):
    return Page(build_page(run_dir, f"Title {NASTY}"))


def pictures_of(page):
    for image in page.all("img"):
        kind, data = image["src"].split(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            yield image["alt"], np.asarray(picture).transpose(2, 0, 1)


def after(texts, *names):
    """Return as many texts after each of ``names`` as fit until the next."""
    starts = [texts.index(name) for name in names]
    return [
        texts[start + 1 : stop]
        for start, stop in zip(starts, [*starts[1:], None], strict=True)
    ]


def test_every_section_is_there_and_nothing_left_out(page):
    assert list(page.sections) == list(SECTIONS)
    for heading, texts in page.sections.items():
        assert not any("Left out" in text for text in texts), heading


def test_nothing_is_fetched_and_nothing_runs(run_dir):
    text = build_page(run_dir, NASTY)
    page = Page(text)
    assert page.all("script") == []
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import|https?:", text)
    policy = page.all("meta")[-1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"].startswith("default-src 'none'; img-src data:;")


def test_what_files_and_users_say_is_text_and_nothing_else(page):
    """A class, an argument and the title are called as a script is written."""
    assert NASTY in page.sections["Classes"]
    assert f"train.py --note '{NASTY}'" in page.sections["Versions and sessions"]
    assert "conv<1>" in page.sections["Time per layer"]
    assert "a <model>" in page.sections["Recipe"]


def test_pictures_and_tables_say_what_they_are(page):
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table")) == 5
    assert all(svg.keys() & {"aria-label", "aria-hidden"} for svg in page.all("svg"))
    assert {th["scope"] for th in page.all("th")} == {"row", "col"}


def test_the_figures_of_the_last_epoch(page):
    texts = page.sections["Result"]
    for name, value in (
        ("test accuracy", "33.33 %"),
        ("training accuracy", "50.00 %"),
        ("test loss", "1.2500"),
        ("epochs", "2"),
        ("time of all epochs", "1 h 1 min"),
        ("training images/s", "1,234"),
    ):
        assert texts[texts.index(name) + 1] == value


def test_confusion_matrix_by_hand(page):
    rows = after(page.sections["Confusion matrix"][-12:], "cat", NASTY, "class 2")
    assert rows == [["2", "1", "1"], ["1", "1", "0"], ["0", "0", "0"]]
    cells = [td for td in page.all("td") if "style" in td][:9]
    right, wrong = ("right", 0.5), "wrong"  # up to the most frequent, half of a class
    assert [(td.get("class", "right"), float(td["style"][8:])) for td in cells] == [
        *(right, (wrong, 0.5), (wrong, 0.5)),
        *((wrong, 1.0), right, (wrong, 0.0)),
        *((wrong, 0.0), (wrong, 0.0), ("right", 0.0)),
    ]


def test_a_matrix_without_a_mistake(run_dir):
    arrays = dict(np.load(run_dir / "evaluation.npz"))
    arrays["test_predicted"] = arrays["test_labels"]
    for name in ("test_mistakes", "test_pictures"):
        arrays[name] = arrays[name][:0]
    np.savez(run_dir / "evaluation.npz", **arrays)
    page = Page(build_page(run_dir, "t"))
    cells = [td for td in page.all("td") if "style" in td][:9]
    shares = [float(td["style"][8:]) for td in cells]
    assert shares == [1, 0, 0, 0, 1, 0, 0, 0, 0]


def test_precision_recall_and_f1_by_hand(page):
    rows = after(page.sections["Classes"], "cat", NASTY, "class 2")
    assert rows == [
        ["66.67 %", "50.00 %", "57.14 %", "4"],  # 2 of 3 answers, 2 of 4 images
        ["50.00 %", "50.00 %", "50.00 %", "2"],
        ["0.00 %", "none", "0.00 %", "0"],  # answered once, never true
    ]


def test_mistakes_are_shown_the_surest_first(page):
    shown = list(pictures_of(page))[:3]
    assert [alt for alt, _ in shown] == [
        f"image 4: {NASTY}, taken for cat",
        "image 2: cat, taken for class 2",
        f"image 1: cat, taken for {NASTY}",
    ]
    for (_, picture), index in zip(shown, (4, 2, 1), strict=True):
        np.testing.assert_array_equal(picture, IMAGES[index])
    texts = " ".join(page.sections["Most confident mistakes"])
    assert re.findall(r"[\d.]+ %", texts) == ["95.00 %", "80.00 %", "60.00 %"]


def test_filters_have_one_scale_and_grey_is_zero(page):
    shown = np.array([picture for _, picture in list(pictures_of(page))[3:]])
    assert shown.shape == KERNELS.shape
    scale = np.abs(KERNELS).max()
    np.testing.assert_allclose(shown / 127.5 - 1, KERNELS / scale, atol=0.5 / 127.5)


def test_time_per_layer_adds_up(page):
    rows = after(
        page.sections["Time per layer"], "conv<1>", "update", "between the layers"
    )
    assert rows == [
        ["100.00", "200.00", "60.00 %"],
        ["50.00", "10.00 %"],
        ["150.00", "30.00 %"],
    ]


def test_rows_of_a_step_have_names_that_people_use(run_dir):
    """Functions that share a name share a row, at the place of the first."""
    rows = [
        {"name": "block_shortcut", "forward": 0.1},
        {"name": "conv1", "forward": 0.05},
        {"name": "subsample", "forward": 0.05, "backward": 0.1},
        {"name": "sgd_momentum_update_inplace", "other": 0.1},
    ]
    (run_dir / "profile.json").write_text(json.dumps(PROFILE | {"rows": rows}))
    page = Page(build_page(run_dir, "t"))
    texts = page.sections["Time per layer"]
    names = ["shortcuts", "conv1", "weight update", "between the layers"]
    assert after(texts, *names) == [
        ["150.00", "100.00", "50.00 %"],
        ["50.00", "10.00 %"],
        ["100.00", "20.00 %"],
        ["100.00", "20.00 %"],
    ]


def test_recipe_and_versions(page):
    texts = page.sections["Recipe"]
    assert after(texts, "lr", "milestones", "augment") == [
        ["0.1"],
        ["[1, 2]"],
        ["true"],
    ]
    texts = page.sections["Versions and sessions"]
    for name, value in (
        ("odyssey", "0.1.0"),
        ("Python", "3.12.0"),
        ("cores", "machine 4, process 2"),
        ("started", "2026-01-01T00:00:00+00:00"),
        ("last_step", "4"),
    ):
        assert texts[texts.index(name) + 1] == value


def test_model_parameters_data_set_and_days(run_dir):
    recipe = {"model": "resnet20", "width": 16, "dataset": "cifar10"}
    save_checkpoint(run_dir, 5, {"w": KERNELS}, {"recipe": recipe})
    assert subtitle(run_dir) == "resnet20 of width 16, cifar10, 2026-01-01"
    newest = SESSION | {"parameters": 272_474, "ended": "2026-01-03T00:30:00+00:00"}
    sessions = {"sessions": [SESSION, newest]}
    (run_dir / "environment.json").write_text(json.dumps(sessions))
    line = "resnet20 of width 16, 272,474 parameters, cifar10, 2026-01-01 to 2026-01-03"
    assert subtitle(run_dir) == line
    assert f'<p class="subtitle">{line}</p>' in build_page(run_dir, "t")
    remove_path(run_dir / "checkpoints")
    assert subtitle(run_dir) == "272,474 parameters, 2026-01-01 to 2026-01-03"
    (run_dir / "environment.json").unlink()
    assert subtitle(run_dir) == ""


@pytest.mark.parametrize("scheduler", [*SCHEDULERS, "another"])
@pytest.mark.parametrize("warmup", [0, 2])
def test_choices_of_other_schedules_are_left_out(run_dir, scheduler, warmup):
    names = [field.name for field in fields(LearningRate)]
    values = dict.fromkeys(names, 1) | {"lr_warmup_epochs": warmup}
    values["lr_scheduler"] = scheduler
    save_checkpoint(run_dir, 5, {"w": KERNELS}, {"recipe": values})
    texts = Page(build_page(run_dir, "t")).sections["Recipe"]
    shown = [text for text in texts if text in names]
    own = SHAPES.get(scheduler, names[3:-2])
    every = scheduler == "another" or warmup
    common = ["epochs", "lr", "lr_scheduler"]
    common += ["lr_warmup_epochs", "lr_warmup_decay"] if every else []
    assert sorted(shown) == sorted([*common, *own])


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_was_not_stored_is_left_out_with_the_reason(run_dir, part):
    for pattern in part.split():
        for path in run_dir.glob(pattern):
            remove_path(path)
    page = Page(build_page(run_dir, "t"))
    left_out = [h for h, texts in page.sections.items() if "Left out" in texts[0]]
    assert left_out == PARTS[part]
    for heading in left_out:
        (text,) = page.sections[heading]
        assert re.fullmatch(r"Left out: .{20,}\.", text), text


def test_a_recipe_without_a_checkpoint(run_dir):
    """Of the file that lies beside the weights, which needs no PyYAML here."""
    remove_path(run_dir / "checkpoints")
    values = {"model": "net", "lr": 1e-5, "milestones": [1, 2], "data_sha256": "0"}
    (run_dir / "recipe.yml").write_text(recipe_text(values))
    _, *texts = Page(build_page(run_dir, "t")).sections["Recipe"]
    assert texts == ["model", "net", "lr", "1e-05", "milestones", "[1, 2]"]


def test_an_older_run_has_its_curves_and_no_more(run_dir):
    """Without the log of steps, the learning rate is that of the epochs."""
    for path in run_dir.iterdir():
        if path.name != "metrics.csv":
            remove_path(path)
    page = Page(build_page(run_dir, "t"))
    left_out = [h for h, texts in page.sections.items() if "Left out" in texts[0]]
    assert left_out == [heading for part in PARTS.values() for heading in part]
    assert len(page.all("circle")) == 2 * (2 + 2 + 1)


def test_a_log_of_steps_that_lost_its_lines(run_dir):
    (run_dir / "steps.jsonl").write_text('{"step": 1')
    page = Page(build_page(run_dir, "t"))
    assert "lr, epoch 2: 0.05" in page.sections["Curves"]


def test_a_log_of_which_lines_were_lost(run_dir):
    """As a resume leaves it that has set a damaged one aside."""
    header, first, second = (run_dir / "metrics.csv").read_text().splitlines(True)
    rows = [header, first, second.replace("2,", "4,", 1)]
    (run_dir / "metrics.csv").write_text("".join(rows))
    steps = (run_dir / "steps.jsonl").read_text().splitlines(True)
    (run_dir / "steps.jsonl").write_text("".join([*steps[:1], *steps[3:]]))
    page = Page(build_page(run_dir, "t"))
    texts = page.sections["Result"]
    assert texts[texts.index("epochs") + 1] == "4"
    assert texts[texts.index("time of 2 of the epochs") + 1] == "1 h 1 min"
    assert texts[-1] == "metrics.csv has no row of epoch 2, 3."
    curves = page.sections["Curves"]
    assert "test, epoch 4: 1.25" in curves and "train, epoch 1: 2" in curves


def test_a_run_in_its_first_epoch(run_dir):
    header = (run_dir / "metrics.csv").read_text().splitlines(keepends=True)[0]
    (run_dir / "metrics.csv").write_text(header + "1,0.1,2.")
    page = Page(build_page(run_dir, "t"))
    for heading in ("Result", "Curves"):
        assert page.sections[heading] == ["Left out: no epoch is finished yet."]
