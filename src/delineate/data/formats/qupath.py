"""QuPath's GeoJSON (qupath.readthedocs.io, "Exporting annotations"): a file of objects for each image.

Coordinates are pixels of the full image, x right, y down, pixel corners whole numbers. An object is an
annotation, a detection or a cell; its class is its classification, its score the measurement
``Detection probability`` as QuPath's StarDist has it. Of a cell the outline counts, not its nucleus. Where a
file has detections, annotations without a class are the regions they were made in, and left out.
``classes.json`` beside the files lists the classes, as in a QuPath project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from delineate.core.convert.geojson import geometry
from delineate.core.errors import DatasetError
from delineate.core.instances import Instances
from delineate.core.labels import Labels
from delineate.core.polygons import Polygon

from ..losses import Losses
from ..place import Place, safe_name
from ..records import SPLIT_NAMES, Dataset, Record
from ..write import atomic
from .coco_check import Bad, Findings, finite, image_size
from .drawing import ToDraw, count_ids, dumps, text_file, to_draw
from .drawn import Box, Drawn, dataset, some_files, with_split
from .feature_file import ENDINGS, feature_files, head, image_member, load, save
from .geojson_geometry import polygons
from .image_search import Images, ImageSearch, relative, same_stem
from .json_file import load_json, show, without_collection

SCORE = "Detection probability"
NO_CLASS = "Unclassified"
CLASS_LIST = "classes.json"
_NO_OBJECT = ("root", "tile", "tma_core", "tmacore", "tma core")


def recognise(path: Path) -> bool:
    """Whether it is a file of QuPath objects, or a folder that has one among its first GeoJSON files."""
    try:
        if path.is_dir():
            return any(map(_is_qupath, some_files(path, ENDINGS)))
        return path.name.lower().endswith((*ENDINGS, ".json")) and _is_qupath(path)
    except OSError:
        return False


def _is_qupath(path: Path) -> bool:
    begin = head(path)
    return b'"Feature"' in begin and (b'"objectType"' in begin or b'"object_type"' in begin)


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads a folder of GeoJSON files, with its sub-folders, or one file.

    A file belongs to the image of its name (``slide.geojson`` or ``slide.tif.geojson``). Sub-folders called
    train, val or test are splits.

    Args:
        path: the folder or the file; files may be packed by gzip.
        images: the folder of the images where they do not lie beside the files; False asks for none.
        skip_invalid: leave malformed objects and files out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: nothing annotated, or something malformed; the message has the file and the object.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = feature_files(folder) if path.is_dir() else [path]
    findings = Findings(path)
    search = ImageSearch(folder, images)
    records: list[Record] = []
    for file in files:
        at = f"{file.relative_to(folder).as_posix()}: " if path.is_dir() else ""
        try:
            with without_collection():
                record = _record(file, folder, search, findings, at)
        except (Bad, DatasetError) as error:
            findings.problems.append(at + str(error).removeprefix(f"{file}: "))
            continue
        if record is not None:
            records.append(record)
    search.settle(findings, skip_invalid)
    numbers = [record.image_id for record in records]
    if 0 in numbers or len(set(numbers)) < len(numbers):
        records = [_numbered(record, number) for number, record in enumerate(records, 1)]
    return dataset(records, class_list(folder), "QuPath", findings, skip_invalid)


def _numbered(record: Record, number: int) -> Record:
    return Record(record.name, record.path, number, record.size, record.annotation, record.groups)


def _record(file: Path, folder: Path, search: ImageSearch, findings: Findings, at: str) -> Record | None:
    members, features = load(file)
    own = members.get("image")
    own = own if isinstance(own, dict) else {}
    inside = PurePosixPath(file.parent.relative_to(folder).as_posix())
    split = SPLIT_NAMES.get(inside.parts[0].lower(), "") if inside.parts else ""
    stem = next(file.name[: -len(e)] for e in (*ENDINGS, ".json", "") if file.name.lower().endswith(e))
    name = relative(own["name"], f"{at}image.name") if isinstance(own.get("name"), str) else ""
    if not name:
        beside = [stem] if (file.parent / stem).is_file() else same_stem(file.parent, stem)
        name = str(inside / (beside or [stem])[0])
        name = str(PurePosixPath(name).relative_to(inside.parts[0])) if split else name
    path = search(
        name, others=_other_names(search, stem), beside=file.parent if search.images is None else None
    )
    if path is None:
        return None
    number = own.get("id")
    image_id = number if type(number) is int and 0 < number < 2**63 else 0
    size = image_size(own, f"{at}image")
    return with_split(Record(name, path, image_id, size, _objects(features, findings, at)), split)


def _other_names(search: ImageSearch, stem: str) -> list[str]:
    """The images of the folders looked in that are called as the file but for their ending."""
    return [] if search.images is False else [n for f in search.folders for n in same_stem(f, stem)]


def _objects(features: Sequence[object], findings: Findings, at: str) -> tuple[Drawn, ...]:
    """The objects of one file."""
    found: list[tuple[str, Drawn]] = []
    for index, feature in enumerate(features):
        where = f"{at}features[{index}]"
        try:
            kind, drawn = _feature(feature, where, findings)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if drawn is not None:
            found.append((kind, drawn))
    detected = any(kind in ("detection", "cell") for kind, _ in found)
    kept = []
    for kind, drawn in found:
        if detected and kind == "annotation" and drawn.name == NO_CLASS:
            findings.count("annotation without a class left out (a region around detections)", drawn.where)
        else:
            kept.append(drawn)
    return tuple(kept)


def _feature(feature: object, where: str, findings: Findings) -> tuple[str, Drawn | None]:
    if not isinstance(feature, dict):
        raise Bad(f"{where}: expected a feature, got {show(feature)}")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise Bad(f"{where}.properties: expected an object, got {show(properties)}")
    kind = str(properties.get("objectType") or properties.get("object_type") or "annotation").lower()
    outline = feature.get("geometry")
    if kind in _NO_OBJECT:
        findings.count("tile, TMA core or whole image, which is no object, left out", where)
        return kind, None
    plane = outline.get("plane") if isinstance(outline, dict) else None
    if isinstance(plane, dict) and (plane.get("z") or plane.get("t")):
        findings.count("object of another plane (z or t above 0) left out", where)
        return kind, None
    parts = polygons(outline, f"{where}.geometry")
    if not parts:
        findings.count("point or line, which has no area, left out", where)
        return kind, None
    if feature.get("nucleusGeometry"):
        findings.count("nucleus inside a cell left aside: the cell's outline counts", where)
    kept = properties.get("metadata")
    kept = kept if isinstance(kept, dict) else {}
    number = str(kept.get("id", ""))
    pieces: tuple[Polygon | Box, ...] = tuple(parts)
    if kept.get("box") == "true" and len(parts) == 1:
        pieces = (Box(*parts[0].bounds),)
    return kind, Drawn(
        class_name(properties, where),
        pieces,
        where,
        int(number) if number.isascii() and number.isdigit() and len(number) < 19 else None,
        _score(properties, where),
        kept.get("crowd") == "true",
    )


def class_name(properties: dict[str, Any], where: str) -> str:
    """The name of a classification: text, ``{"name": …}`` or ``{"names": […]}``."""
    given = properties.get("classification")
    if isinstance(given, dict):
        given = given.get("names") or given.get("name")
    if isinstance(given, list):
        given = ": ".join(str(name) for name in given)
    if given is not None and not isinstance(given, str):
        raise Bad(f"{where}.properties.classification: expected a name, got {show(given)}")
    return (given or "").strip() or NO_CLASS


def _score(properties: dict[str, Any], where: str) -> float:
    """The measurement of probability, 1 where there is none."""
    measured = properties.get("measurements")
    if isinstance(measured, list):  # as QuPath before 0.4 has them
        measured = {row.get("name"): row.get("value") for row in measured if isinstance(row, dict)}
    value = measured.get(SCORE) if isinstance(measured, dict) else None
    if value is None:
        value = properties.get("score", 1.0)
    if not finite(value) or not 0 <= value <= 1:
        raise Bad(f"{where}.properties: expected a probability in 0..1, got {show(value)}")
    return float(value)


def class_list(folder: Path) -> Labels | list[str]:
    """The classes of ``classes.json``; empty where there is no such file.

    Raises:
        DatasetError: the file is malformed.
    """
    path = folder / CLASS_LIST
    if not path.is_file():
        return []
    content = load_json(path)
    rows = content.get("pathClasses") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str | None) for row in rows
    ):
        raise DatasetError(f"{path}: expected pathClasses with names, got {show(content)}; export it again")
    rows = [row for row in rows if row.get("name")]
    ids = [row.get("id") for row in rows]
    if all(type(i) is int for i in ids) and len(set(ids)) == len(ids):
        return Labels(tuple(row["name"] for row in rows), tuple(ids))
    return [row["name"] for row in rows]


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes a GeoJSON file beside each image, and ``classes.json``; masks keep every pixel.

    Ids, crowds and boxes without masks stand in QuPath's ``metadata``, scores among the measurements.

    Args:
        out: the folder, which exists; or a ``.geojson`` file, for a dataset of one image.
        data: the dataset.
        losses: counts what QuPath cannot hold.
        place: puts the images there.

    Raises:
        DatasetError: several images for one file, or an annotation that cannot be read.
    """
    if out.suffix.lower() == ".geojson":
        if len(data) != 1:
            raise DatasetError(
                f"{out.name}: expected one image for one file, got {len(data)}; write a folder instead"
            )
        count_ids(data, losses, images=False, classes=True)
        _write_one(out, data, 0, losses)
        return
    colors = data.classes.colors.tolist()
    rows = [
        {"name": name, "color": color, "id": own}
        for name, color, own in zip(data.classes.names, colors, data.classes.ids, strict=True)
    ]
    with atomic(out / CLASS_LIST) as temporary:
        temporary.write_text(dumps({"pathClasses": rows}), encoding="utf-8")
    taken: set[Path] = set()
    for index, record in enumerate(data.records):
        target = out / record.groups.get("split", "") / safe_name(record.name)
        path = target.with_suffix(".geojson")
        if path in taken:
            path = target.with_name(f"{target.name}.geojson")
        taken.add(path)
        _write_one(path, data, index, losses)
        place(record, target)


def _write_one(path: Path, data: Dataset, index: int, losses: Losses) -> None:
    record = data.records[index]
    truth, objects = to_draw(data, index, losses)
    with text_file(path) as file:
        save(file, image_member(record.name, record.image_id, truth.size), _features(truth, objects))


def _features(truth: Instances, objects: Sequence[ToDraw]) -> Iterator[dict[str, Any]]:
    colors = truth.classes.colors.tolist()
    for one in objects:
        kept = {"id": str(one.id)} if one.id is not None else {}
        kept |= {"crowd": "true"} if one.crowd else {}
        parts = one.parts
        if one.crop is None:
            kept["box"] = "true"
            parts = (Box(*one.box).polygon,)
        properties: dict[str, Any] = {
            "objectType": "detection" if one.score < 1 else "annotation",
            "classification": {"name": one.name, "color": colors[one.label]},
        }
        properties |= {"measurements": {SCORE: one.score}} if one.score < 1 else {}
        properties |= {"metadata": kept} if kept else {}
        yield {"geometry": geometry(parts), "properties": properties}
