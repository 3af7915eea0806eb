"""Sections with pictures: images classified wrongly, the first layer's filters."""

from html import escape
from pathlib import Path

import numpy as np

from odyssey.report import stored
from odyssey.report.png import data_uri
from odyssey.report.tables import percent


def mistakes(folder: Path) -> str:
    """Return the images that were classified wrongly with the highest probability."""
    run = stored.evaluated(folder)
    names, parts = run.class_names, []
    for title, part in run.parts.items():
        figures = []
        for index, picture in zip(part.mistakes, part.pictures, strict=True):
            true = escape(names[part.labels[index]])
            predicted = escape(names[part.predicted[index]])
            probability = percent(part.probability[index])
            figures.append(
                f'<figure><img src="{data_uri(picture)}" '
                f'alt="image {index}: {true}, taken for {predicted}">'
                f"<figcaption>{true}, taken for <b>{predicted}</b>, {probability}"
                "</figcaption></figure>"
            )
        heading = f"<h3>{escape(title)}</h3>"
        none = "<p>All images were classified correctly.</p>"
        shown = f'<div class="pictures">{"".join(figures)}</div>' if figures else none
        parts.append(heading + shown)
    return "".join(parts)


def filters(folder: Path) -> str:
    """Return the first layer's filters as pictures with a common scale."""
    name, kernels = stored.first_filters(folder)
    largest = float(np.abs(kernels).max()) or 1.0
    pictures = np.rint(127.5 + 127.5 * kernels / largest).astype(np.uint8)
    images = "".join(
        f'<img src="{data_uri(picture)}" alt="filter {k}" title="filter {k}, largest '
        f'weight {np.abs(kernels[k]).max():.3g}">'
        for k, picture in enumerate(pictures)
    )
    K, C, R, S = kernels.shape
    note = (
        f'<p class="note">{escape(name)}: {K} filters of {C} x {R} x {S}. Grey is '
        f"zero, black {-largest:.3g}, white {largest:.3g}, in each colour.</p>"
    )
    return f'{note}<div class="filters">{images}</div>'
