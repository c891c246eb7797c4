"""COCO instance annotations (cocodataset.org, "Data format"): polygons, RLE, crowd regions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from delineate.core.errors import DatasetError, InputError, MaskError
from delineate.core.labels import Labels
from delineate.core.masks import Masks

from ..heard import report
from ..images import read_size
from ..records import SPLIT_NAMES, Dataset, Record
from . import coco_check as check
from .coco_check import Bad, Findings
from .coco_columns import with_columns
from .coco_outlines import plain_annotations
from .coco_truth import Annotation, decode, outlines
from .coco_write import write as write
from .json_file import ends, load_json, show, without_collection


def recognise(path: Path) -> bool:
    """Whether a JSON file begins with, or ends in, what COCO instance files have."""
    text = ends(path) if path.suffix.lower() == ".json" and path.is_file() else b""
    return b'"images"' in text and (b'"annotations"' in text or b'"categories"' in text)


def read(
    path: str | Path, images: str | Path | Literal[False] | None = None, skip_invalid: bool = False
) -> Dataset:
    """Reads a COCO instance file; masks are decoded per image, when asked for.

    Boxes and areas are those of the file. A box that does not fit its mask is replaced by the mask's, a
    missing area or box is computed, a missing ``iscrowd`` is 0; ``notes`` counts each. Objects without any
    pixel are left out and counted. Self-intersecting polygons are filled as COCO's own tools do (even-odd).

    Args:
        path: the JSON file.
        images: the folder that the file names are relative to; None looks beside the file; False asks for no
            images (truth only, for evaluating stored predictions).
        skip_invalid: leave malformed images and annotations out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: not a COCO file, or a malformed entry; the message has its JSON path.
    """
    path = Path(path)
    with without_collection():
        content = load_json(path)
        image_rows, annotation_rows, category_rows = check.tables(content, path)
        findings = Findings(path)
        classes = check.categories(category_rows, findings)
        folder = None if images is False else image_folder(path, images, image_rows)
        records, dropped = image_records(image_rows, folder, findings, skip_invalid)
        by_id = {record.image_id: record for record in records}
        _annotations(annotation_rows, by_id, dropped, classes, findings)
        if not annotation_rows:
            findings.counts["no annotations: every image counts as background"] = 1
        notes = findings.settle(skip_invalid)
        rows = with_columns(records, content)
    if image_rows and not records:
        raise DatasetError(
            f"{path}: expected at least one usable image, got none: {notes[-1]}; mend the file"
        )
    return Dataset(rows, classes, decode, "COCO", path, notes, outlines=outlines)


def image_folder(path: Path, images: str | Path | None, rows: list[Any]) -> Path:
    """The folder in which most of the first file names exist."""
    if images is not None:
        folder = Path(images)
        if not folder.is_dir():
            raise DatasetError(
                f"{folder}: expected the folder of the images, got no folder; check `--image-folder`"
            )
        return folder
    here = path.parent
    tail = path.stem.split("_")[-1]  # instances_train2017 -> train2017
    around = (here, here / "images", here / tail, here / "images" / tail, here.parent / "images",
              here.parent / "images" / tail, here.parent / tail, here / path.stem, here.parent)  # fmt: skip
    given = [check.given_name(row) for row in rows[:20] if isinstance(row, dict)]
    names = [name for name in given if isinstance(name, str)]
    safe = [
        name.replace("\\", "/")
        for name in names
        if "\0" not in name and ".." not in name and not name.startswith("/")
    ]
    return max(around, key=lambda folder: sum((folder / name).is_file() for name in safe))


def image_records(
    rows: list[Any], folder: Path | None, findings: Findings, skip_invalid: bool
) -> tuple[list[Record], set[int]]:
    """The records, and the ids of images that cannot be used."""
    records: list[Record] = []
    dropped: set[int] = set()
    seen: dict[str, int] = {}
    missing: list[str] = []
    for index, identity, row in check.entries(rows, "images", findings):
        where = f"images[{index}]"
        try:
            name = check.file_name(row, where, findings)
            size = check.image_size(row, where)
            if name in seen:
                raise Bad(
                    f"{where}.file_name: expected every file once, got {show(name)} again "
                    f"(first at images[{seen[name]}])"
                )
            seen[name] = index
            file = folder / name if folder is not None else Path(name)
            if folder is not None and not file.is_file():
                missing.append(name)
                report(findings.path, "expected the image file, got none", f"{where}.file_name", image=name)
                dropped.add(identity)
                continue
            if size is None:
                size = _size_from_file(file, where, findings)
        except Bad as bad:
            findings.problems.append(str(bad))
            dropped.add(identity)
            continue
        records.append(Record(name, file, identity, size, []))
    if missing and not skip_invalid:
        raise DatasetError(
            f"{findings.path}: expected {len(rows)} image files in {folder}, got {len(missing)} missing: "
            f"{', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}; name their folder "
            "(`--image-folder`), or leave them out with skip_invalid=True (`--skip-invalid`)"
        )
    if missing:
        findings.problems.append(f"{len(missing)} image files are missing ({', '.join(missing[:3])})")
    return records, dropped


def _size_from_file(file: Path, where: str, findings: Findings) -> tuple[int, int]:
    try:
        size = read_size(file)
    except InputError as error:
        raise Bad(
            f"{where}.width: expected a whole number, got nothing, and the file does not tell ({error})"
        ) from None
    findings.count("image size read from the file because the annotation lacks it", where)
    return size


def _annotations(
    rows: list[Any], by_id: dict[int, Record], dropped: set[int], classes: Labels, findings: Findings
) -> None:
    """Checks every annotation and appends it to its image's record."""
    index_of = {identity: index for index, identity in enumerate(classes.ids)}
    encoded: dict[int, list[Annotation]] = {}
    plain = plain_annotations(rows, by_id, index_of)
    boxes_only = not any(isinstance(row, dict) and "segmentation" in row for row in rows)
    for index, identity, row in check.entries(rows, "annotations", findings):
        if index in plain:
            by_id[row["image_id"]].annotation.append(plain[index])
            continue
        where = f"annotations[{index}]"
        try:
            image_id = check.number(row, "image_id", where)
            if image_id not in by_id:
                if image_id in dropped:
                    findings.count("annotation of an image that was left out", where)
                    continue
                raise Bad(f"{where}.image_id: expected the id of one of the images, got {image_id}")
            annotation = _annotation(
                index, identity, row, index_of, boxes_only, by_id[image_id].size, findings
            )
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if annotation is None:
            findings.count("object without any pixel left out (a line, or outside the image)", where)
        elif isinstance(annotation.segmentation, dict):
            encoded.setdefault(image_id, []).append(annotation)
        else:
            by_id[image_id].annotation.append(annotation)
    for image_id, found in encoded.items():
        record = by_id[image_id]
        record.annotation.extend(_checked_rle(found, record.size, findings))
        record.annotation.sort(key=lambda a: a.index)


def _annotation(
    index: int, identity: int, row: dict[str, Any], index_of: dict[int, int], boxes_only: bool,
    size: tuple[int, int] | None, findings: Findings,
) -> Annotation | None:  # fmt: skip
    where = f"annotations[{index}]"
    category = check.number(row, "category_id", where)
    if category not in index_of:
        raise Bad(f"{where}.category_id: expected the id of one of the categories, got {category}")
    crowd = row.get("iscrowd", 0)
    if type(crowd) is not int or crowd not in (0, 1):
        raise Bad(f"{where}.iscrowd: expected 0 or 1, got {show(crowd)}")
    area = row.get("area")
    if area is None:
        findings.count("area computed because it is missing", where)
    elif not check.finite(area) or area < 0:
        raise Bad(f"{where}.area: expected a number >= 0, got {show(area)}")
    if identity == 0:
        findings.count("annotation with id 0 (pycocotools takes a match with it for none)", where)
    box = check.bbox(row, where)
    segmentation = row.get("segmentation")
    if boxes_only:
        if box is None:
            raise Bad(f"{where}: expected a segmentation or a bbox, got neither")
    elif isinstance(segmentation, list):
        around = check.polygons(segmentation, f"{where}.segmentation", findings)
        height, width = size or (1, 1)
        if around is None or around[2] <= 0 or around[3] <= 0 or around[0] >= width or around[1] >= height:
            return None
        own = (
            max(around[0], 0.0),
            max(around[1], 0.0),
            min(around[2], float(width)),
            min(around[3], float(height)),
        )
        box = _agreed(box, own, where, findings)
    elif not isinstance(segmentation, dict):
        got = show(segmentation) if "segmentation" in row else "nothing"
        raise Bad(f"{where}.segmentation: expected polygons or an RLE object, got {got}")
    return Annotation(
        index,
        identity,
        index_of[category],
        bool(crowd),
        box,
        None if area is None else float(area),
        segmentation,
    )


def _agreed(
    box: tuple[float, float, float, float] | None, own: tuple[float, ...], where: str, findings: Findings
) -> tuple[float, float, float, float] | None:
    if box is None:
        findings.count("bbox computed because it is missing", where)
    elif not check.agrees(box, own):
        findings.count("bbox disagrees with its mask and was computed anew (xyxy instead of xywh?)", where)
        return None
    return box


def _checked_rle(
    found: list[Annotation], size: tuple[int, int] | None, findings: Findings
) -> list[Annotation]:
    """The annotations of one image whose RLE is well formed and not empty; the boxes compared."""
    names = [f"annotations[{a.index}].segmentation" for a in found]
    try:
        masks = Masks.from_rle([a.segmentation for a in found], size, names)
    except MaskError as error:
        if len(found) == 1:
            findings.problems.append(str(error).split("; ")[0])
            return []
        return [a for one in found for a in _checked_rle([one], size, findings)]
    kept = []
    for annotation, area, own in zip(found, masks.area.tolist(), masks.boxes.tolist(), strict=True):
        where = f"annotations[{annotation.index}]"
        if not area:
            findings.count("object without any pixel left out (a line, or outside the image)", where)
            continue
        box = _agreed(annotation.box, tuple(own), where, findings)
        if box is not annotation.box:
            annotation = replace(annotation, box=box)
        kept.append(annotation)
    return kept


def split_of(path: Path) -> str:
    """The split that a file's name tells (``instances_val2017.json`` -> ``val``), or an empty string."""
    for word in path.stem.lower().replace("-", "_").split("_"):
        if word.rstrip("0123456789") in SPLIT_NAMES:
            return SPLIT_NAMES[word.rstrip("0123456789")]
    return ""
