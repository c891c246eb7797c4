"""What shows an image's rows: the numbered overlay, its label image, the page that ties rows to objects."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.data.images import write_label_tiff, write_png
from delineate.measurements.summary import MARKS

from .measure_overlay import numbered_overlay
from .objects_page import PageEntry, row_links, write_page


@dataclass(frozen=True)
class PictureSettings:
    """What is written beside the tables.

    Attributes:
        folder: the output folder.
        overlays: write numbered overlays, and label images of objects that had none.
        pages: write pages that tie rows to objects.
    """

    folder: Path
    overlays: bool = True
    pages: bool = False


def write_pictures(
    file: str,
    objects: Instances,
    image: NDArray[Any] | None,
    frame: pd.DataFrame,
    settings: PictureSettings,
    side: float | None = None,
    title: str = "",
    with_labels: bool = False,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes the pictures of one image.

    Args:
        file: what the files are called, without ending.
        objects: N objects.
        image: their image, or None.
        frame: the table, its rows in their order.
        settings: what is written, and where.
        side: of a pixel in µm, for the label image.
        title: the image's name.
        with_labels: write a label image, whose values are 1..N.

    Returns:
        Columns of the table of objects, then of the image's row; paths are relative to the folder. The
        latter's ``thumbnail`` (JPEG in base64) is for the index of pages.
    """
    folder = settings.folder
    columns: dict[str, Any] = {}
    line: dict[str, Any] = {}
    if objects.masks is not None and settings.overlays:
        columns["overlay"] = f"overlays/{file}.png"
        marked = frame[[name for name in MARKS[1:] if name in frame]].any(axis=1).to_numpy(bool)
        picture = numbered_overlay(objects, image, frame["label"].to_numpy(np.int64), marked)
        (folder / columns["overlay"]).parent.mkdir(parents=True, exist_ok=True)
        write_png(folder / columns["overlay"], np.asarray(picture))
        if with_labels:
            columns["label_image"] = f"labels/{file}.labels.tif"
            (folder / "labels").mkdir(parents=True, exist_ok=True)
            write_label_tiff(folder / columns["label_image"], objects.to_label_image(), side)
        line |= columns
    if settings.pages:
        page = f"pages/{file}.html"
        entry = write_page(folder / page, image, objects, frame, title=title or file)
        columns["link"] = row_links(frame, page)
        line |= {"page": page, "thumbnail": base64.b64encode(entry.thumbnail).decode("ascii")}
    return columns, line


def page_entries(folder: Path, images: pd.DataFrame) -> list[PageEntry]:
    """The pages that a table of images tells of, for the index."""
    if "page" not in images:
        return []
    done = images[images["page"].notna() & (images["page"] != "")]
    return [
        PageEntry(
            folder / row["page"], str(row["image"]), int(row["count"]), base64.b64decode(row["thumbnail"])
        )
        for row in done.to_dict("records")
    ]
