"""Predictions in COCO's results format, or as a COCO dataset whose annotations may have scores.

Everything is checked when it is read: ids, scores, sizes, run lengths. What cannot be scored is refused with
its place in the file, before native code sees it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core import rle
from delineate.core.convert.coco import from_coco
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.masks import Masks
from delineate.data.formats.json_file import show

from .stored import ImageEntry, Predictions

LARGEST = 2.0**40
"""No coordinate lies further out, in pixels; beyond, float32 boxes overflow."""


class CocoPredictions(Predictions):
    """Predictions held as COCO results by image id, validated, ``segmentation`` always run lengths."""

    def __init__(
        self,
        source: Path,
        classes: Labels,
        results: Mapping[int, list[dict[str, Any]]],
        notes: Sequence[str] = (),
    ) -> None:
        count = sum(map(len, results.values()))
        super().__init__(source, classes, notes, f"COCO results: {count} entries")
        self._results = results

    def instances(self, image: ImageEntry) -> Instances:
        """The objects predicted on ``image``; none where the file has none."""
        results = self._results.get(image.id, [])
        return (
            from_coco(results, image.size, self.classes)
            if results
            else Instances.empty(image.size, self.classes)
        )

    def results(self, image: ImageEntry) -> list[dict[str, Any]]:
        """COCO results of ``image``."""
        return self._results.get(image.id, [])


def read_coco_dataset(
    path: Path, content: Mapping[str, Any], images: Sequence[ImageEntry], classes: Labels
) -> Predictions:
    """A dataset's annotations as results for ``images``: images by file name, else by id; classes by name.

    What lies on images that ``images`` does not have is counted in the notes.
    """
    notes: list[str] = []
    to_image = _image_numbers(path, content.get("images"), images, notes)
    to_class = _category_numbers(path, content.get("categories"), classes)
    results, numbers = [], []
    for k, annotation in enumerate(content["annotations"]):
        record = _record(annotation, f"{path}: annotations[{k}]")
        number = _hashable(record.get("image_id"))
        if to_image.get(number, 0) is None:
            continue
        category = _hashable(record.get("category_id"))
        changed = {
            "image_id": to_image.get(number, record.get("image_id")),
            "category_id": to_class.get(category, record.get("category_id")),
        }
        results.append({"score": 1.0, **record, **changed})
        numbers.append(k)
    if elsewhere := len(content["annotations"]) - len(results):
        some = "1 object" if elsewhere == 1 else f"{elsewhere} objects"
        was = "was" if elsewhere == 1 else "were"
        notes.append(f"{some} on images that the data does not have {was} not scored")
    if results and not any("score" in a for a in content["annotations"]):
        notes.append("the annotations carry no scores: AP sees all predictions as equally sure")
    return read_coco_results(path, results, images, classes, notes, "annotations", numbers)


def read_coco_results(
    path: Path,
    content: list[Any],
    images: Sequence[ImageEntry],
    classes: Labels,
    notes: Sequence[str],
    place: str = "results",
    numbers: Sequence[int] | None = None,
) -> CocoPredictions:
    """A list of results, each checked; those of unknown classes are counted in the notes.

    Args:
        path: the file, for messages.
        content: the list.
        images: the dataset's images.
        classes: the dataset's classes.
        notes: notes to begin with.
        place: what the list is called in messages.
        numbers: the entries' places in that list; None counts them from 0.

    Raises:
        InputError: an entry that cannot be scored; the message has its place in the file.
    """
    known = {image.id: image for image in images}
    ids = set(classes.ids)
    grouped: dict[int, list[dict[str, Any]]] = {}
    places: dict[int, list[str]] = {}
    foreign: Counter[int] = Counter()
    for k, item in zip(range(len(content)) if numbers is None else numbers, content, strict=True):
        where = f"{path}: {place}[{k}]"
        record = _checked(_record(item, where), where, known)
        if record["category_id"] in ids:
            grouped.setdefault(record["image_id"], []).append(record)
            places.setdefault(record["image_id"], []).append(where)
        else:
            foreign[record["category_id"]] += 1
    _one_kind(path, grouped.values())
    for number, records in grouped.items():
        _check_segmentations(records, places[number], known[number].size)
    notes = [*notes, *about_foreign(path, foreign, len(content), ids)]
    return CocoPredictions(path, classes, grouped, notes)


def _checked(record: Mapping[str, Any], where: str, known: Mapping[int, ImageEntry]) -> dict[str, Any]:
    """The fields of one result that scoring needs, each of the right kind."""
    number, category, score = record.get("image_id"), record.get("category_id"), record.get("score")
    if not _whole(number) or number not in known:
        raise InputError(
            f"{where}.image_id: expected the id of one of the data's {len(known)} images, got "
            f"{show(number)}; evaluate on the data that was predicted on, in the same split"
        )
    if not _whole(category):
        raise InputError(
            f"{where}.category_id: expected a whole number, got {show(category)}; use the data's category ids"
        )
    if score is None:
        raise InputError(f"{where}.score: expected a number in 0..1, got none; is this ground truth?")
    if not _number(score) or not 0 <= score <= 1:
        raise InputError(f"{where}.score: expected a number in 0..1, got {show(score)}; correct or drop it")
    result = {"image_id": number, "category_id": category, "score": float(score)}
    box = record.get("bbox")
    if box is not None:
        right = isinstance(box, list) and len(box) == 4 and all(map(_number, box)) and min(box[2:]) >= 0
        if not right:
            raise InputError(
                f"{where}.bbox: expected [x, y, width, height] of finite numbers, sizes from 0 up, got "
                f"{show(box)}; correct it"
            )
        result["bbox"] = [float(v) for v in box]
    if record.get("segmentation") is not None:
        result["segmentation"] = record["segmentation"]
    elif box is None:
        raise InputError(f"{where}: expected a segmentation or a bbox, got neither; drop it or add one")
    return result


def _one_kind(path: Path, grouped: Iterable[Sequence[Mapping[str, Any]]]) -> None:
    """All results have a segmentation, or none has: a mixture cannot be scored by masks."""
    with_masks = Counter("segmentation" in record for records in grouped for record in records)
    if len(with_masks) > 1:
        raise InputError(
            f"{path}: expected a segmentation in all results or in none, got {with_masks[True]} with and "
            f"{with_masks[False]} without; split the file"
        )


def _check_segmentations(records: list[dict[str, Any]], places: Sequence[str], size: tuple[int, int]) -> None:
    """Validate one image's run lengths, turn its polygons into such; boxes where a result has none."""
    names = [f"{place}.segmentation" for place in places]
    drawn = [
        k for k, r in enumerate(records) if "segmentation" in r and not isinstance(r["segmentation"], Mapping)
    ]
    for k in drawn:
        rings = records[k]["segmentation"]
        if not isinstance(rings, list) or not rings:
            raise InputError(f"{names[k]}: expected run lengths or polygons, got {show(rings)}; correct it")
    if drawn:
        outlines = Masks.from_polygons(
            [records[k]["segmentation"] for k in drawn], size, [names[k] for k in drawn]
        )
        for k, segmentation in zip(drawn, outlines.to_rle(), strict=True):
            records[k]["segmentation"] = segmentation
    bare = [k for k, r in enumerate(records) if "bbox" not in r]
    masks = Masks.from_rle([records[k]["segmentation"] for k in bare], size, [names[k] for k in bare])
    boxes = masks.boxes.astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    for k, box in zip(bare, boxes.tolist(), strict=True):
        records[k]["bbox"] = box
    boxed = [k for k in sorted(set(range(len(records))) - set(bare)) if "segmentation" in records[k]]
    rle.read([records[k]["segmentation"] for k in boxed], size, [names[k] for k in boxed])


def about_foreign(path: Path, foreign: Counter[int], total: int, ids: set[int]) -> list[str]:
    """A note on results of classes that the data does not have.

    Raises:
        InputError: all are.
    """
    if not foreign:
        return []
    named = ", ".join(str(i) for i in sorted(foreign)[:5])
    count = sum(foreign.values())
    if count == total:
        raise InputError(
            f"{path}: expected category ids of the data ({', '.join(map(str, sorted(ids)[:5]))}, ..), got "
            f"{named}; map the classes to the data's ids"
        )
    return [f"{count} results of category ids that the data does not have ({named}) were not scored"]


def _image_numbers(
    path: Path, listed: object, images: Sequence[ImageEntry], notes: list[str]
) -> dict[Any, int | None]:
    """From the file's image ids to the dataset's: by file name or its stem; None: not an image of the data.

    Where not one name is the data's, by equal id, which is noted.
    """
    if not isinstance(listed, list):
        return {}
    records = [_record(item, f"{path}: images[{k}]") for k, item in enumerate(listed)]
    by_name = {Path(i.name).name: i for i in images}
    by_stem = {Path(i.name).stem: i for i in images}
    names = [_file_name(record) for record in records]
    found = [by_name.get(name) or by_stem.get(Path(name).stem) for name in names]
    if not any(found):
        by_id = {i.id: i for i in images}
        found = [by_id.get(_identity(record)) for record in records]
        if records and not any(found):
            raise InputError(
                f"{path}: expected images of the data, such as {images[0].name if images else 'none'}, got "
                f"others, such as {names[0]!r}; evaluate on the data that was predicted on"
            )
        notes += ["no file name is one of the data's: images are matched by id"] if any(names) else []
    numbers: dict[Any, int | None] = {}
    taken: set[int | None] = set()
    for k, (record, image) in enumerate(zip(records, found, strict=True)):
        where, number = f"{path}: images[{k}]", None if image is None else image.id
        if _identity(record) in numbers:
            raise InputError(
                f"{where}.id: expected every id once, got {show(record.get('id'))} again; number them anew"
            )
        if image is not None and number in taken:
            raise InputError(
                f"{where}.file_name: expected each image of the data once, got {image.name} again; drop one"
            )
        numbers[_identity(record)] = number
        taken.add(number)
        if image is not None:
            _check_size(record, image, where)
    return numbers


def _check_size(record: Mapping[str, Any], image: ImageEntry, where: str) -> None:
    size = (record.get("height", image.size[0]), record.get("width", image.size[1]))
    if size != image.size:
        raise InputError(
            f"{where}: expected {image.size[1]} x {image.size[0]} pixels, as {image.name}, "
            f"got {show(size[1])} x {show(size[0])}; predict on the original images"
        )


def _file_name(record: Mapping[str, Any]) -> str:
    """The name without folders, whatever the system that wrote it."""
    name = record.get("file_name")
    return Path(name.replace("\\", "/")).name if isinstance(name, str) and "\0" not in name else ""


def _category_numbers(path: Path, listed: object, classes: Labels) -> dict[Any, int]:
    """From the file's category ids to the dataset's, by name; where each has one class, that one."""
    if not isinstance(listed, list):
        return {}
    records = [_record(item, f"{path}: categories[{k}]") for k, item in enumerate(listed)]
    if len(records) == len(classes) == 1:
        return {_hashable(records[0].get("id")): classes.id(0)}
    by_name = {name.casefold(): classes.id(k) for k, name in enumerate(classes.names)}
    return {
        _hashable(r.get("id")): by_name[str(r.get("name")).casefold()]
        for r in records
        if str(r.get("name")).casefold() in by_name
    }


def _record(item: object, where: str) -> Mapping[str, Any]:
    if not isinstance(item, Mapping):
        raise InputError(f"{where}: expected an object {{...}}, got {show(item)}; give COCO records")
    return item


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> bool:
    """A finite number that a box in pixels may hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST


def _identity(record: Mapping[str, Any]) -> Any:
    return _hashable(record.get("id"))


def _hashable(value: object) -> object:
    return value if isinstance(value, int | str) and not isinstance(value, bool) else None
