"""GeoJSON on the map (RFC 7946, and the ``crs`` member of GeoJSON 2008 that map tools still write).

A file belongs to the image of its name (``tile7.geojson`` to ``tile7.tif``); a file without one, the only one
in its folder, to all images there: each takes the shapes that lie on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from delineate.core.convert.geojson import geometry
from delineate.core.errors import DatasetError

from ..georeference import WGS84
from ..losses import Losses
from ..place import Place, safe_name
from ..records import Dataset, Record
from ..write import atomic
from .coco_check import Bad, Findings
from .drawing import count_ids, dumps, text_file, to_draw
from .drawn import dataset, some_files
from .feature_file import ENDINGS, feature_files, head, image_member, load, save
from .geojson_geometry import polygons
from .image_search import Images, same_stem
from .json_file import show, without_collection
from .map_features import Raster, Shape, class_of, on_map, place_of, put_image, raster, rasters, records
from .qupath import CLASS_LIST, class_list

_LARGEST = 1e12


def recognise(path: Path) -> bool:
    """Whether it is a file of GeoJSON features, or a folder that has one among its first files."""
    try:
        if path.is_dir():
            return any(map(_is_geojson, some_files(path, ENDINGS)))
        return path.name.lower().endswith((*ENDINGS, ".json")) and _is_geojson(path)
    except OSError:
        return False


def _is_geojson(path: Path) -> bool:
    begin = head(path)
    return b'"FeatureCollection"' in begin or (b'"Feature"' in begin and b'"geometry"' in begin)


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads one file or a folder of files, each with the images that its shapes lie on.

    Args:
        path: the folder or the file; files may be packed by gzip.
        images: the folder of the images, or one image, where they do not lie there.
        skip_invalid: leave malformed shapes and files out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: no shapes or images, or something malformed; the message has the file and the shape.
        MissingDependencyError: another reference system than the image's, without pyproj.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    files = feature_files(folder) if path.is_dir() else [path]
    findings = Findings(path)
    root = folder if images is None or images is False else Path(images)
    found: list[Record] = []
    claimed = {file: _own_image(file, folder, images) for file in files}
    free = [file for file, own in claimed.items() if own is None]
    if len(free) > 1:
        raise DatasetError(
            f"{path}: expected one GeoJSON file for all images, or one of each image's name, got "
            f"{len(free)} of other names ({free[0].name}, {free[1].name}, …); name the one you mean"
        )
    for file, own in claimed.items():
        at = f"{file.relative_to(folder).as_posix()}: " if path.is_dir() else ""
        try:
            with without_collection():
                shapes, epsg, member = _shapes(file, at, findings)
            taken = {p for p in claimed.values() if p is not None}
            paths = [own] if own is not None else [p for p in rasters(root, images) if p not in taken]
            places = [raster(p, root if root.is_dir() else root.parent, findings) for p in paths]
            found += _identified(records([(shapes, epsg)], places, findings), places, member)
        except (Bad, DatasetError) as error:
            if isinstance(error, DatasetError) and own is None:
                raise
            findings.problems.append(at + str(error).removeprefix(f"{file}: "))
    numbers = [record.image_id for record in found]
    if len(set(numbers)) < len(numbers):
        found = [Record(r.name, r.path, n, r.size, r.annotation, r.groups) for n, r in enumerate(found, 1)]
    return dataset(found, class_list(folder), "GeoJSON", findings, skip_invalid)


def _own_image(file: Path, folder: Path, images: Images) -> Path | None:
    """The image that is called as the file is."""
    stem = next(file.name[: -len(e)] for e in (*ENDINGS, ".json", "") if file.name.lower().endswith(e))
    if isinstance(images, str | Path):
        folders = [Path(images)] if Path(images).is_dir() else []
    else:
        folders = [file.parent, file.parent / "images", folder / "images"]
    for place in folders:
        for name in [stem] if (place / stem).is_file() else same_stem(place, stem):
            return place / name
    return None


def _identified(found: list[Record], places: Sequence[Raster], member: dict[str, Any]) -> list[Record]:
    """The image's own id, where the file says it of its one image."""
    number = member.get("id")
    if len(found) != 1 or type(number) is not int or not 0 < number < 2**63:
        return found
    (record,) = found
    name = str(member.get("name") or record.name)
    name = name if Path(name).name == places[0].path.name else record.name
    return [Record(name, record.path, number, record.size, record.annotation, record.groups)]


def _shapes(file: Path, at: str, findings: Findings) -> tuple[list[Shape], int | None, dict[str, Any]]:
    """The shapes with an area, the EPSG number of their coordinates, and what is said of the image."""
    members, features = load(file)
    shapes = []
    for index, feature in enumerate(features):
        where = f"{at}features[{index}]"
        try:
            if not isinstance(feature, dict):
                raise Bad(f"{where}: expected a feature, got {show(feature)}")
            properties = feature.get("properties") or {}
            if not isinstance(properties, dict):
                raise Bad(f"{where}.properties: expected an object, got {show(properties)}")
            parts = polygons(feature.get("geometry"), f"{where}.geometry", _LARGEST)
            class_of(properties, where)
        except Bad as bad:
            findings.problems.append(str(bad))
            continue
        if parts:
            shapes.append(Shape(parts, properties, where))
        else:
            findings.count("point or line, which has no area, left out", where)
    member = members.get("image")
    return shapes, epsg_named(members.get("crs"), file), member if isinstance(member, dict) else {}


def epsg_named(crs: object, file: Path) -> int | None:
    """The number in ``{"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32616"}}``."""
    if crs is None:
        return None
    name = crs.get("properties", {}).get("name") if isinstance(crs, dict) else crs
    if isinstance(name, str):
        if name.endswith("CRS84"):
            return WGS84
        number = re.search(r"EPSG:(?:[\d.]*:)?(\d{4,6})$", name)
        if number:
            return int(number[1])
    raise DatasetError(
        f"{file}: crs: expected a name such as urn:ogc:def:crs:EPSG::32616, got {show(name)}; correct it"
    )


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes a GeoJSON file beside each image, in the image's reference system, and ``classes.json``.

    An image without a place on the map gets pixel coordinates. Masks keep every pixel.

    Args:
        out: the folder, which exists; or a ``.geojson`` file, for a dataset of one image.
        data: the dataset.
        losses: counts what the files cannot hold.
        place: puts the images there, with their world files.

    Raises:
        DatasetError: several images for one file, an image that is missing, or an annotation that cannot be
            read.
    """
    if out.suffix.lower() == ".geojson":
        if len(data) != 1:
            raise DatasetError(
                f"{out.name}: expected one image for one file, got {len(data)}; write a folder instead"
            )
        count_ids(data, losses, images=False, classes=True)
        _write_one(out, data, 0, losses)
        return
    rows = [{"name": name, "id": own} for name, own in zip(data.classes.names, data.classes.ids, strict=True)]
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
        put_image(record, target, place)


def _write_one(path: Path, data: Dataset, index: int, losses: Losses) -> None:
    record = data.records[index]
    where = place_of(record)
    truth, objects = to_draw(data, index, losses)
    members = image_member(record.name, record.image_id, truth.size)
    if where is not None and where.epsg is not None:
        name = {"name": f"urn:ogc:def:crs:EPSG::{where.epsg}"}
        members = {"crs": {"type": "name", "properties": name}, **members}

    def features() -> Iterator[dict[str, Any]]:
        for parts, properties in on_map(objects, where, data.classes.ids):
            yield {"geometry": geometry(parts), "properties": properties}

    with text_file(path) as file:
        save(file, members, features())
