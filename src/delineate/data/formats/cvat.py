"""CVAT for images 1.1: one XML file with an ``<image>`` for each, and a folder ``images/`` beside it.

Boxes, polygons, ellipses and masks are read, with their rotation; points, lines, cuboids and skeletons have
no area and are left out. ``subset`` is the split. A file of video tracks is read by
:mod:`delineate.data.formats.cvat_video`.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from .coco_check import Bad, Findings, image_size
from .cvat_shapes import element, escaped, label_names, labels_xml, objects
from .drawing import count_ids, count_tracks, text_file, to_draw
from .drawn import dataset, single_file, some_files, with_split
from .image_search import Images, ImageSearch, relative
from .json_file import show
from .xml_file import children, tag

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_FOLDERS = ("images", "JPEGImages", "data")


def kind_of(path: Path) -> str:
    """``images`` or ``video`` for CVAT's XML, by its first bytes; empty for another file."""
    with path.open("rb") as file:
        head = file.read(65536)
    if path.suffix.lower() != ".xml" or not re.search(rb"<annotations[\s>]", head):
        return ""
    if b"<image " in head or (b"<track " not in head and b"<mode>interpolation</mode>" not in head):
        return "images"
    return "video"


def xml_files(path: Path, kind: str) -> list[Path]:
    """A file itself; of a folder ``annotations.xml``, else all XML files of that kind in it."""
    if path.is_file():
        return [path] if kind_of(path) == kind else []
    usual = path / "annotations.xml"
    if usual.is_file():
        return [usual] if kind_of(usual) == kind else []
    return sorted(p for p in path.glob("*.xml") if kind_of(p) == kind)


def recognise(path: Path) -> bool:
    """Whether it is CVAT's XML of images, or a folder with such a file."""
    try:
        if path.is_dir():
            near = [path / "annotations.xml"] if (path / "annotations.xml").is_file() else []
            return any(kind_of(p) == "images" for p in near or some_files(path, (".xml",), depth=0))
        return kind_of(path) == "images"
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads CVAT's XML of images; a file of video tracks too.

    Args:
        path: the XML file, or a folder with ``annotations.xml`` (or others, such as ``train.xml``).
        images: the folder of the images where they lie elsewhere; False asks for none.
        skip_invalid: leave malformed shapes and images out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: not CVAT's XML, or something malformed; the message has the image and the shape.
    """
    path = Path(path)
    files = xml_files(path, "images")
    if not files and xml_files(path, "video"):
        from .cvat_video import read as read_video

        return read_video(path, images, skip_invalid)
    folder = path if path.is_dir() else path.parent
    findings = Findings(path)
    search = ImageSearch(folder, images, _FOLDERS)
    names: list[str] = []
    records: dict[str, Record] = {}
    for file in files or [single_file(path, "CVAT's annotations.xml")]:
        split = SPLIT_NAMES.get(file.stem.lower(), "") if len(files) > 1 or path.is_dir() else ""
        for part in children(file):
            if part.tag == "meta":
                names += label_names(part)
            elif part.tag == "image":
                try:
                    record = _record(part, split, search, findings)
                except Bad as bad:
                    findings.problems.append(str(bad))
                    continue
                key = f"{record.groups.get('split', '')}/{record.name}"
                if key in records:
                    findings.problems.append(f"image {show(key)}: expected every image once, got it again")
                else:
                    records[key] = record
    search.settle(findings, skip_invalid)
    kept = [r for r in records.values() if r.path.name]
    if len({r.image_id for r in kept}) < len(kept):
        kept = [replace(record, image_id=i) for i, record in enumerate(kept, 1)]
    return dataset(kept, names, "CVAT", findings, skip_invalid)


def _record(image: Element, split: str, search: ImageSearch, findings: Findings) -> Record:
    identity = image.get("id", "")
    where = f"image {show(image.get('name', identity))}"
    name = relative(image.get("name"), f"{where}, name", findings)
    sides = {key: image.get(key) for key in ("width", "height")}
    size = image_size(
        {k: int(v) if v and v.isdecimal() and len(v) < 10 else v for k, v in sides.items()}, where
    )
    subset = image.get("subset", "")
    split = SPLIT_NAMES.get(subset.lower(), "" if subset == "default" else subset) or split
    found = search(f"{subset}/{name}", (name,)) if subset and search.images is not False else search(name)
    number = int(identity) if re.fullmatch(r"\d{1,18}", identity) else 0
    shapes = [child for child in image if child.tag != "tag"]
    record = Record(name, found or Path(), number, size, objects(shapes, where, size, findings))
    return with_split(record, split)


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``annotations.xml`` and ``images/``.

    An object of one part without holes is a polygon, any other a mask. A crowd has the attribute
    ``is_crowd``, which the labels declare where there is one. Splits are subsets.

    Args:
        out: the folder, which exists, or the XML file.
        data: the dataset; numbers of images are kept.
        losses: counts what CVAT cannot hold: scores, tracks, numbers of classes.
        place: puts the images there.

    Raises:
        DatasetError: two images of one name, or an annotation that cannot be read.
    """
    count_ids(data, losses, images=False, classes=True)
    path = out if out.suffix.lower() == ".xml" and not out.is_dir() else out / "annotations.xml"
    crowd = False
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as body:
        for index, record in enumerate(data.records):
            truth, drawn = to_draw(data, index, losses)
            losses.tally(truth, record.name, "scores")
            count_tracks(record, truth, losses)
            crowd = crowd or bool(truth.crowd.any())
            name, split = safe_name(record.name), record.groups.get("split", "")
            subset = {"subset": split} if split else {}
            height, width = truth.size
            start = tag("image", id=record.image_id, name=name, **subset, width=width, height=height)
            lines = [element(one, label=one.name, source="manual", z_order=z) for z, one in enumerate(drawn)]
            body.write("\n".join([f"<{start}>", *lines, "</image>\n"]))
            if path.parent == out:
                place(record, out / "images" / PurePosixPath(split) / name)
        body.seek(0)
        with text_file(path) as file:
            file.write(
                '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta>\n'
            )
            labels = labels_xml(data.classes.names, data.classes.colors.tolist(), crowd)
            task = f"<name>{escaped(out.stem)}</name>\n<size>{len(data)}</size>\n<mode>annotation</mode>"
            file.write(f"<task>\n{task}\n{labels}\n</task>\n</meta>\n")
            shutil.copyfileobj(body, file)
            file.write("</annotations>\n")
