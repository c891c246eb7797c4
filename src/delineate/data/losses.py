"""What a dataset loses on its way into a format that cannot hold it: counted by kind, told in sentences."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances

Kind = Literal[
    "holes",
    "parts",
    "crowd",
    "tracks",
    "overlaps",
    "scores",
    "classes",
    "ids",
    "boxes only",
    "attributes",
    "too thin",
    "stuff",
    "masks",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
EXAMPLES = 3
"""So many images are named for each kind."""

_TOLD: dict[Kind, tuple[str, str]] = {
    "holes": ("object lost its holes", "objects lost their holes"),
    "parts": (
        "object of several parts is no longer one object",
        "objects of several parts are no longer one object each",
    ),
    "crowd": ("crowd region could not be kept as one", "crowd regions could not be kept as such"),
    "tracks": ("object lost its track", "objects lost their tracks"),
    "overlaps": (
        "object lost the pixels that another one covers",
        "objects lost the pixels that others cover",
    ),
    "scores": ("object lost its score", "objects lost their scores"),
    "classes": ("object's class could not be kept", "objects' classes could not be kept"),
    "ids": ("id was given anew", "ids were given anew"),
    "boxes only": ("object has a box alone and was left out", "objects have boxes alone and were left out"),
    "attributes": ("attribute was left out", "attributes were left out"),
    "stuff": ("region of stuff was left out", "regions of stuff were left out"),
    "masks": ("object kept its box alone", "objects kept their boxes alone"),
    "too thin": (
        "object too thin for an outline was left out",
        "objects too thin for outlines were left out",
    ),
}


class Losses:
    """Counts of what a format could not hold, by kind, with the first images of each.

    Example:
        >>> losses = Losses("YOLO-seg")
        >>> losses.count("crowd", "a.jpg", 2)
        >>> losses.told()
        ['YOLO-seg: 2 crowd regions could not be kept as such (1 image: a.jpg)']
        >>> bool(losses), bool(Losses())
        (True, False)
    """

    def __init__(self, title: str = "") -> None:
        """No losses yet; ``title`` is the format's, for the sentences."""
        self.title = title
        self.counts: dict[Kind, int] = {}
        self._images: dict[Kind, dict[str, None]] = {}

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.counts)

    def count(self, kind: Kind, image: str, n: int = 1) -> None:
        """Adds ``n`` objects (or ids, or attributes) of an image; nothing where ``n`` is 0.

        Args:
            kind: one of :data:`KINDS`.
            image: the image's name.
            n: how many, >= 0.
        """
        if n:
            self.counts[kind] = self.counts.get(kind, 0) + int(n)
            self._images.setdefault(kind, {})[image] = None

    def tally(self, truth: Instances, image: str, *kinds: Kind) -> None:
        """Counts those of ``kinds`` that can be seen in the objects themselves.

        Args:
            truth: the objects of one image.
            image: the image's name.
            kinds: of ``crowd``, ``scores`` (below 1), ``boxes only``, ``holes``, ``parts`` (4-connected) and
                ``overlaps`` (objects that lose pixels to a later one).
        """
        masks = truth.masks
        if "crowd" in kinds:
            self.count("crowd", image, int(truth.crowd.sum()))
        if "scores" in kinds:
            self.count("scores", image, int((truth.scores < 1).sum()))
        if masks is None:
            if "boxes only" in kinds:
                self.count("boxes only", image, len(truth))
            return
        if "holes" in kinds or "parts" in kinds:
            outlines = masks.to_polygons()
            if "holes" in kinds:
                self.count("holes", image, sum(any(p.holes for p in parts) for parts in outlines))
            if "parts" in kinds:
                self.count("parts", image, sum(len(parts) > 1 for parts in outlines))
        if "overlaps" in kinds:
            below, above, _ = masks.intersection_pairs(masks)
            self.count("overlaps", image, len(np.unique(below[below < above])))

    def told(self) -> list[str]:
        """One sentence for each kind that was met, with the first images."""
        before = f"{self.title}: " if self.title else ""
        lines = []
        for kind in KINDS:
            number = self.counts.get(kind, 0)
            if number:
                images = list(self._images[kind])
                named = ", ".join(images[:EXAMPLES]) + (", …" if len(images) > EXAMPLES else "")
                count = f"{len(images)} image{'s' if len(images) > 1 else ''}"
                lines.append(f"{before}{number} {_TOLD[kind][number > 1]} ({count}: {named})")
        return lines

    def refuse(self, where: str) -> None:
        """Raises where there is any loss.

        Raises:
            DatasetError: the sentences in one line.
        """
        if self.counts:
            raise DatasetError(
                f"{where}: expected a format that holds all, got losses: {'; '.join(self.told())}; choose "
                "another format, or --on-loss warn; nothing was written"
            )
