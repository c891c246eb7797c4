"""PASCAL VOC, the layout of 2012 (Everingham et al. 2015, "The PASCAL Visual Object Classes Challenge").

``SegmentationObject/X.png`` numbers the objects of ``JPEGImages/X.jpg`` from 1, ``SegmentationClass/X.png``
the classes; 255 is void, the seam between objects. ``Annotations/X.xml`` has their boxes in the same order,
and which are ``difficult``: here a crowd region, which evaluation passes over in the same way. Lists of
images stand in ``ImageSets/Segmentation/train.txt`` and so on; ``labelmap.txt`` names others than the 20.
Without masks the boxes of the XML files are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..find import natural_key
from ..images import read_size
from ..records import Dataset, Record
from ..sniff import SUFFIXES
from . import voc_colors
from .voc_write import write as write
from .xml_file import root

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SETS = ("Segmentation", "Main")
LARGEST = 2.0**31
SPLITS = ("train", "val", "test")


class Files(NamedTuple):
    """The annotation of one image.

    Attributes:
        xml: ``Annotations/X.xml``, or None.
        objects: ``SegmentationObject/X.png``, or None.
        classes: ``SegmentationClass/X.png``, or None.
        colors: (256, 3) of the numbers in it.
        labels: the class of each number.
    """

    xml: Path | None
    objects: Path | None
    classes: Path | None
    colors: NDArray[np.uint8]
    labels: dict[int, int]


def recognise(path: Path) -> bool:
    """Whether a folder has ``JPEGImages/`` or ``ImageSets/``, and annotations as VOC has them."""
    return any((path / name).is_dir() for name in ("JPEGImages", "ImageSets")) and any(
        (path / name).is_dir() for name in ("Annotations", "SegmentationObject")
    )


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads PASCAL VOC; files are decoded when asked for. Column: ``split`` where there are lists of images.

    Where some images have masks, those alone are taken, and ``notes`` counts the others.

    Args:
        path: the folder with ``JPEGImages/`` (``VOC2012``).
        images: in place of ``JPEGImages/``; False asks for no images.
        skip_invalid: leave images out that are missing, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no annotations, images that are missing, or lists and names that are not well formed.
    """
    path = Path(path)
    folder = Path(images) if images else path / "JPEGImages"
    pictures = {} if images is False else _by_stem(folder)
    masks, xml = _stems(path / "SegmentationObject", ".png"), _stems(path / "Annotations", ".xml")
    if not masks and not xml:
        raise DatasetError(
            f"{path}: expected SegmentationObject/*.png or Annotations/*.xml, got none; check the path"
        )
    splits = _splits(path, masks or xml)
    known = [stem for stem in splits or sorted(masks or xml, key=natural_key) if stem in (masks or xml)]
    notes = (
        [f"{len(xml) - len(masks)} images have boxes alone and are left out"]
        if masks and len(xml) > len(masks)
        else []
    )
    missing = [stem for stem in known if stem not in pictures] if images is not False else []
    if missing and (not skip_invalid or len(missing) == len(known)):
        raise DatasetError(
            f"{folder}: expected an image for each annotation, got none for {len(missing)}, such as "
            f"{missing[0]}; add them, or skip_invalid=True (`--skip-invalid`)"
        )
    if missing:
        notes.append(f"{len(missing)} annotations without an image left out")
    found = [stem for stem in known if images is False or stem in pictures]
    mapped = voc_colors.read_labelmap(path / "labelmap.txt")
    classes, colors = mapped or (_classes(path, masks, found), voc_colors.palette())
    empty = Files(None, path if masks else None, None, colors, {n: k for k, n in enumerate(classes.ids)})
    records = tuple(
        _record(path, stem, number, pictures.get(stem), splits.get(stem, ""), empty)
        for number, stem in enumerate(found, 1)
    )
    return Dataset(records, classes, decode, "PASCAL VOC", path, tuple(notes))


def _record(path: Path, stem: str, number: int, image: Path | None, split: str, files: Files) -> Record:
    xml = path / "Annotations" / f"{stem}.xml"
    objects, classes = (path / name / f"{stem}.png" for name in ("SegmentationObject", "SegmentationClass"))
    files = files._replace(
        xml=xml if xml.is_file() else None,
        objects=objects if files.objects else None,
        classes=classes if classes.is_file() else None,
    )
    image = image or path / "JPEGImages" / f"{stem}.jpg"
    return Record(image.name, image, number, None, files, {"split": split} if split else {})


def _stems(folder: Path, suffix: str) -> set[str]:
    return {p.stem for p in folder.glob(f"*{suffix}")} if folder.is_dir() else set()


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: expected the folder of the images, got no folder; check `--image-folder`"
        )
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}


def _splits(path: Path, annotated: set[str]) -> dict[str, str]:
    """The split of each image that a list names; an empty one where there is no list but ``trainval``."""
    for kind in SETS:
        folder = path / "ImageSets" / kind
        found: dict[str, str] = {}
        for split in (*SPLITS, ""):
            file = folder / f"{split or 'trainval'}.txt"
            if not file.is_file():
                continue
            for line in file.read_text(encoding="utf-8-sig", errors="replace").splitlines():
                words = line.split()
                stem = line.strip() if line.strip() in annotated else words[0] if words else ""
                if stem in annotated:
                    found.setdefault(stem, split)
        if found:
            return found
    return {}


def _classes(path: Path, masks: set[str], stems: list[str]) -> Labels:
    """The 20 classes of 2012; of boxes with other names those names, sorted."""
    if masks:
        return Labels(voc_colors.NAMES)
    names: set[str] = set()
    for stem in stems:
        names |= {_text(item, "name") for item in root(path / "Annotations" / f"{stem}.xml").iter("object")}
    return Labels(voc_colors.NAMES if names <= set(voc_colors.NAMES) else tuple(sorted(names)))


def _text(element: Element, name: str, default: str = "") -> str:
    return (element.findtext(name) or default).strip()


def decode(record: Record, classes: Labels) -> tuple[Instances, tuple[str, ...]]:
    """The truth of one image."""
    files: Files = record.annotation
    items = [] if files.xml is None else root(files.xml).findall("object")
    if files.objects is None:
        return _boxes(record, classes, items), ()
    numbers = voc_colors.read_numbers(files.objects, voc_colors.palette())
    if numbers.max() <= voc_colors.VOID:
        numbers = np.where(numbers == voc_colors.VOID, 0, numbers)
    masks = Masks.from_label_image(numbers)
    first = masks.runs.offsets[:-1]
    ids = numbers[masks.runs.y[first], masks.runs.x[first]]
    labels = _labels(files, masks, ids, items, classes)
    hard = [_text(item, "difficult") == "1" for item in items]
    places = [n - 1 - (n > voc_colors.VOID) for n in ids.tolist()]
    crowd = [place < len(hard) and hard[place] for place in places]
    height, width = numbers.shape
    return Instances(
        (height, width), masks=masks, labels=labels, ids=ids, crowd=np.array(crowd, np.bool_), classes=classes
    ), ()


def _labels(
    files: Files, masks: Masks, ids: NDArray[np.int64], items: list[Element], classes: Labels
) -> NDArray[np.int64]:
    """(N,) class indices: of most pixels in the picture of classes, else the XML's name of that number."""
    if files.classes is not None:
        numbers = voc_colors.read_numbers(files.classes, files.colors)
        if numbers.shape != masks.size:
            raise DatasetError(
                f"{files.classes}: expected {masks.size} pixels (height, width) as the objects have, got "
                f"{numbers.shape}; make it anew"
            )
        found = []
        for i, number in enumerate(ids.tolist()):
            crop, (x, y) = masks.crop(i)
            inside = numbers[y : y + crop.shape[0], x : x + crop.shape[1]][crop]
            most = int(np.bincount(inside).argmax())
            if most not in files.labels:
                raise DatasetError(
                    f"{files.classes}: expected the number of a class inside object {number}, got {most}; "
                    "add it to labelmap.txt"
                )
            found.append(files.labels[most])
        return np.array(found, np.int64)
    names = [_text(item, "name") for item in items]
    known = {name: k for k, name in enumerate(classes.names)}
    wrong = [n for n in ids.tolist() if n > len(names) or names[n - 1] not in known]
    if wrong:
        raise DatasetError(
            f"{files.objects}: expected a class for object {wrong[0]}, got neither SegmentationClass/ nor a "
            "known name in the XML file; add one"
        )
    return np.array([known[names[n - 1]] for n in ids.tolist()], np.int64)


def _boxes(record: Record, classes: Labels, items: list[Element]) -> Instances:
    """The boxes of an XML file, whose pixels are counted from 1, both ends included."""
    known = {name: k for k, name in enumerate(classes.names)}
    boxes, labels, crowd = [], [], []
    for item in items:
        name, box = _text(item, "name"), item.find("bndbox")
        sides = [] if box is None else [_text(box, side) for side in ("xmin", "ymin", "xmax", "ymax")]
        try:
            x1, y1, x2, y2 = map(float, sides)
            if not (abs(x1) < LARGEST and abs(y1) < LARGEST and x1 <= x2 < LARGEST and y1 <= y2 < LARGEST):
                raise ValueError
            boxes.append((x1 - 1, y1 - 1, x2, y2))
            labels.append(known[name])
        except (ValueError, KeyError):
            raise DatasetError(
                f"{record.annotation.xml}: expected a known name and a bndbox with xmin <= xmax and "
                f"ymin <= ymax, got {name[:40]!r} with {', '.join(sides)[:80] or 'none'}; correct the object"
            ) from None
        crowd.append(_text(item, "difficult") == "1")
    return Instances(
        _size(record), boxes=np.array(boxes, np.float32), labels=np.array(labels, np.int64),
        crowd=np.array(crowd, np.bool_), classes=classes,
    )  # fmt: skip


def _size(record: Record) -> tuple[int, int]:
    size = root(record.annotation.xml).find("size")
    sides = ("0", "0") if size is None else (_text(size, "height"), _text(size, "width"))
    if all(side.isdigit() and int(side) > 0 for side in sides):
        return int(sides[0]), int(sides[1])
    return read_size(record.path)
