"""What shows the rows of fruit and leaves: the numbered overlay, and the page that ties rows to objects."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from delineate.core.instances import Instances
from delineate.data.images import write_png

from .crops_columns import annotated
from .measure_overlay import numbered_overlay
from .objects_page import PageEntry, row_links, write_page


@dataclass(frozen=True)
class CropsViews:
    """What is written beside the tables.

    Attributes:
        folder: the output folder.
        overlays: write numbered overlays.
        pages: write pages that tie rows to objects.
    """

    folder: Path
    overlays: bool = True
    pages: bool = True

    def head(self, file: str) -> dict[str, Any]:
        """What each row of an image says of its overlay; ``file`` is a name without ending."""
        return {"overlay": f"overlays/{file}.png"} if self.overlays else {}

    def write(
        self, file: str, title: str, objects: Instances, image: NDArray[Any] | None, shown: Shown
    ) -> tuple[list[str] | None, dict[str, Any]]:
        """Writes overlay and page of one image.

        Args:
            file: what the files are called, without ending.
            title: the image's name.
            objects: N objects.
            image: their image, or None.
            shown: their rows, in their order.

        Returns:
            Each row's link, None without pages; and what the image's row says of its page.
        """
        if self.overlays:
            place = self.folder / self.head(file)["overlay"]
            place.parent.mkdir(parents=True, exist_ok=True)
            write_png(place, np.asarray(numbered_overlay(objects, image, shown.numbers, shown.marked)))
        if not self.pages:
            return None, {}
        frame = shown.frame.copy()
        frame.insert(0, "label", shown.numbers)
        annotated(frame, (), {})
        page = f"pages/{file}.html"
        entry = write_page(self.folder / page, image, objects, frame, title=title, told=shown.told)
        thumbnail = base64.b64encode(entry.thumbnail).decode("ascii")
        return row_links(frame, page), {"page": page, "thumbnail": thumbnail}


@dataclass(frozen=True, eq=False)
class Shown:
    """The rows of one image's objects.

    Attributes:
        frame: N rows.
        numbers: (N,) that stand on the objects.
        marked: (N,) red ones.
        told: sentences above the page.
    """

    frame: pd.DataFrame
    numbers: NDArray[np.int64]
    marked: NDArray[np.bool_]
    told: tuple[str, ...] = ()


def with_links(rows: Sequence[dict[str, Any]], links: Sequence[str] | None) -> list[dict[str, Any]]:
    """The rows, each with the address of its object on the page; unchanged without links."""
    if links is None:
        return list(rows)
    return [{**row, "link": link} for row, link in zip(rows, links, strict=True)]


def page_entries(
    records: Sequence[Mapping[str, Any]], views: CropsViews | None, count: Sequence[str]
) -> tuple[list[dict[str, Any]], tuple[PageEntry, ...]]:
    """The images' rows without their thumbnails, and the pages for the index.

    Args:
        records: of all images.
        views: where the pages lie.
        count: columns whose sum is the number of an image's objects.
    """
    lines, entries = [], []
    for record in records:
        line = dict(record["image"])
        thumbnail = line.pop("thumbnail", None)
        lines.append(line)
        if views is not None and line.get("page"):
            number = sum(int(line[name]) for name in count)
            picture = base64.b64decode(thumbnail or "")
            entries.append(PageEntry(views.folder / line["page"], str(line["image"]), number, picture))
    return lines, tuple(entries)


__all__ = ["CropsViews", "Shown", "page_entries", "with_links"]
