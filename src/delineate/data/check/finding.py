"""What can be wrong with a dataset: the kinds, and one case of a kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["fault", "advice"]


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        name: short and stable; what ``--json`` has.
        severity: ``fault`` where training or scores suffer; ``advice`` where they may.
        title: what it is, as a heading.
        mend: what to do about it.
        fixed: what ``--fix`` does about it; empty: it leaves it as it is.
    """

    name: str
    severity: Severity
    title: str
    mend: str
    fixed: str = ""


@dataclass(frozen=True)
class Finding:
    """One case.

    Attributes:
        kind: a name of :data:`KINDS`.
        message: what is wrong here, with the numbers.
        image: the image's name; empty where it is not about one.
        split: the image's split, where there are any.
        annotation: the object's own id in the dataset, or None.
        where: its place in a file, such as ``annotations[7].bbox``.
        images: split and name of further images that it is about, such as a copy.
        exact: those are the same, pixel by pixel, and may stand for each other.
        index: the object's place among those of its image, for mending; None where it is not about one.
    """

    kind: str
    message: str
    image: str = ""
    split: str = ""
    annotation: int | None = None
    where: str = ""
    images: tuple[tuple[str, str], ...] = ()
    exact: bool = False
    index: int | None = field(default=None, compare=False, repr=False)

    @property
    def severity(self) -> Severity:
        """That of its kind."""
        return KINDS[self.kind].severity

    def __str__(self) -> str:
        """One line: where, and what.

        Example:
            >>> str(Finding("tiny", "2 pixels", "a.png", "train", 7))
            'train/a.png, object 7: 2 pixels'
        """
        parts = [place(self.split, self.image)] if self.image else []
        parts += [f"object {self.annotation}"] if self.annotation is not None else []
        parts += [self.where] if self.where else []
        return f"{', '.join(parts)}: {self.message}" if parts else self.message


def place(split: str, image: str) -> str:
    """An image's name with its split before it, once.

    Example:
        >>> place("val", "a.png"), place("val", "val/a.png"), place("", "a.png")
        ('val/a.png', 'val/a.png', 'a.png')
    """
    return image if not split or image.startswith(f"{split}/") else f"{split}/{image}"


_ROWS = (
    # -- faults of files and entries
    Kind("unreadable", "fault", "image that cannot be read", "fetch or save it again", "image left out"),
    Kind("missing-image", "fault", "image file that is not there",
         "add the file, or name the folder (`--image-folder`)", "entry left out"),
    Kind("invalid", "fault", "label that cannot be read and is left out", "correct the entry",
         "entry left out"),
    Kind("orphan", "fault", "label of an image that is not there", "add the image or remove the label",
         "entry left out"),
    Kind("image-size", "fault", "image and annotation of different sizes: masks would be displaced",
         "correct the annotation or the image", "image left out"),
    Kind("rotated", "fault", "masks drawn on the image without its EXIF rotation",
         "remove the rotation from the image's EXIF, or draw again",
         "rotation taken out of the image's EXIF; its pixels stay"),
    Kind("splits-differ", "fault", "splits that do not fit together", "give all splits one list of classes"),
    Kind("no-labels", "fault", "dataset without any object", "add annotations"),
    # -- faults of objects
    Kind("no-pixels", "fault", "object without any pixel", "draw it again or remove it", "object left out"),
    Kind("box", "fault", "box that disagrees with its mask", "compute boxes from masks",
         "box computed from the mask"),
    Kind("outside", "fault", "outline that leaves the image",
         "clip it; where many do, check the image's size",
         "drawn along its pixels inside the image"),
    Kind("crossing", "fault", "outline that crosses itself", "draw it again",
         "drawn along the pixels that it fills by the even-odd rule"),
    Kind("hole-filled", "fault", "ring that looks like a hole, which COCO fills",
         "write objects with holes as RLE", "the hole cut out"),
    Kind("duplicate", "fault", "object that stands twice", "remove one", "the later one left out"),
    # -- faults between images
    Kind("leak", "fault", "the same picture in two splits: scores will be too good",
         "keep copies, crops and frames of one scene in one split",
         "of exact copies, the one that is trained on is left out"),
    Kind("copy-differs", "fault", "copies of one image with different objects", "keep the right one"),
    Kind("class-names", "fault", "class names that say the same", "merge the classes"),
    Kind("untrained", "fault", "class that is scored and never trained on",
         "move some of its images to train"),
    # -- advice
    Kind("damaged", "advice", "image that decodes with a complaint", "look at it; fetch it again"),
    Kind("blank", "advice", "image of one value", "remove it"),
    Kind("depths", "advice", "images of different bit depths", "look whether some were exported otherwise"),
    Kind("exif", "advice", "image with an EXIF rotation",
         "it is turned when it is read here; other programs may not: store it upright"),
    Kind("copy", "advice", "images that are the same", "keep one", "the later one left out"),
    Kind("alike", "advice", "images that look the same", "keep them in one split"),
    Kind("empty", "advice", "image without objects", "right where there is nothing; else annotate it"),
    Kind("tiny", "advice", "object of a few pixels", "remove specks; annotate what can be seen"),
    Kind("area", "advice", "area that is not its mask's",
         "compute areas from masks: they decide COCO's sizes",
         "area computed from the mask"),
    Kind("two-classes", "advice", "one object under two classes", "choose one"),
    Kind("scattered", "advice", "object of parts far apart", "an id given twice? give each its own"),
    Kind("rectangle", "advice", "mask that is its box",
         "draw outlines: a mask model learns boxes from these"),
    Kind("filled-in", "advice", "field that was missing and computed", "write it", "written"),
    Kind("id-zero", "advice", "object with id 0, which pycocotools takes for no match", "number from 1",
         "given a new id"),
    Kind("note", "advice", "what the reader says", "look whether it is meant so"),
    Kind("rare", "advice", "class with few objects", "annotate more of it, or leave it out"),
    Kind("unused", "advice", "class without any object", "leave it out, or find out where its objects are"),
    Kind("imbalance", "advice", "classes of very different frequency",
         "annotate more of the rare ones, or sample them more often"),
    Kind("unscored", "advice", "class that no validation image has", "move some of its images to val"),
    Kind("no-split", "advice", "no split for validation", "make one: `delineate split`"),
    Kind("small-split", "advice", "split too small to tell models apart", "move images to it"),
)  # fmt: skip

KINDS: dict[str, Kind] = {row.name: row for row in _ROWS}
"""By name, in the order in which they are told: faults first."""
