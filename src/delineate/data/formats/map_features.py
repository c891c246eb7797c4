"""Shapes on a map and the images they lie on: what geo GeoJSON and GeoPackage share.

A shape belongs to the image that its property ``image`` names, else to every image whose place on the map it
touches; there it is cut off at the image's edges. An image without a georeference takes the coordinates for
pixels, x right, y down.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from delineate.core.errors import DatasetError, InputError
from delineate.core.polygons import Polygon

from ..find import natural_order
from ..georeference import WGS84, Georeference, read_georeference, reproject, world_file
from ..images import read_size
from ..place import Place
from ..records import SPLIT_NAMES, Record
from ..sniff import SUFFIXES
from ..write import atomic
from .coco_check import Bad, Findings, finite
from .drawing import ToDraw
from .drawn import Box, Drawn
from .image_search import Images
from .json_file import show

CLASS_KEYS = ("class", "class_name", "label", "category", "classification")
SCORE_KEYS = ("score", "confidence", "conf", "probability")
OBJECT = "object"


@dataclass(frozen=True, eq=False)
class Shape:
    """One shape of a map file.

    Attributes:
        parts: in the file's own coordinates.
        properties: class, score and the like.
        where: its place in the file, for messages.
    """

    parts: Sequence[Polygon]
    properties: Mapping[str, Any]
    where: str


@dataclass(frozen=True)
class Raster:
    """An image and its place.

    Attributes:
        path: where it lies.
        name: its name in the dataset.
        split: by its folder; empty where that says nothing.
        size: (height, width) in pixels.
        place: on the map, or None.
    """

    path: Path
    name: str
    split: str
    size: tuple[int, int]
    place: Georeference | None

    @property
    def full(self) -> str:
        """Its name with its split before it."""
        return f"{self.split}/{self.name}" if self.split else self.name


def rasters(folder: Path, images: Images) -> list[Path]:
    """The images of a folder and its sub-folders, in order.

    Raises:
        DatasetError: images are not wanted (their place is), or there are none.
    """
    if images is False:
        raise DatasetError(
            f"{folder}: expected the images, whose place on the map is needed, got none; leave them in"
        )
    root = folder if images is None else Path(images)
    if root.is_file():
        return [root]
    found = natural_order(
        p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and p.name[0] != "." and p.is_file()
    )
    if not found:
        raise DatasetError(
            f"{root}: expected images that the shapes lie on, got none; name their folder (`--image-folder`)"
        )
    return found


def raster(path: Path, root: Path, findings: Findings) -> Raster:
    """An image and its place on the map.

    Raises:
        Bad: it cannot be read.
    """
    inside = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
    folders = [part for part in inside.parts[:-1] if part != "images"]
    split = SPLIT_NAMES.get(folders[0].lower(), "") if folders else ""
    name = "/".join([*(folders[1:] if split else folders), inside.name])
    try:
        place = read_georeference(path)
        if place is None:
            findings.count("image without a georeference: coordinates count as pixels", name)
        return Raster(path, name, split, read_size(path), place)
    except InputError as error:
        raise Bad(str(error).split("; ")[0]) from None


def records(
    layers: Sequence[tuple[Sequence[Shape], int | None]], images: Sequence[Raster], findings: Findings
) -> list[Record]:
    """A record for each image with the shapes that lie on it.

    Args:
        layers: shapes, and the EPSG number of their coordinates; None: the image's own, or degrees where all
            fit degrees and the image has others.
        images: at least one.
        findings: counts what lies on no image.
    """
    drawn: list[list[Drawn]] = [[] for _ in images]
    for shapes, epsg in layers:
        bounds = np.array([_bounds(shape) for shape in shapes]).reshape(-1, 4)
        met = np.zeros(len(shapes), dtype=np.bool_)
        exact = {image.full for image in images}
        for into, image in zip(drawn, images, strict=True):
            source = epsg
            if source is None and image.place is not None and image.place.epsg not in (None, WGS84):
                degrees = len(bounds) and (np.abs(bounds) <= [180, 90, 180, 90]).all()
                source = WGS84 if degrees else None
            for index in _near(bounds, image, source, shapes, exact):
                into.append(_on(shapes[index], image, source))
                met[index] = True
        for index in np.flatnonzero(~met).tolist():
            findings.count("shape that lies on none of the images left out", shapes[index].where)
    return [
        Record(
            image.name, image.path, number, image.size, tuple(objects),
            {"split": image.split} if image.split else {},
        )
        for number, (image, objects) in enumerate(zip(images, drawn, strict=True), 1)
    ]  # fmt: skip


def _bounds(shape: Shape) -> tuple[float, float, float, float]:
    every = np.array([part.bounds for part in shape.parts])
    (x1, y1), (x2, y2) = every[:, :2].min(axis=0).tolist(), every[:, 2:].max(axis=0).tolist()
    return x1, y1, x2, y2


def _near(
    bounds: np.ndarray[Any, Any], image: Raster, epsg: int | None, shapes: Sequence[Shape], exact: set[str]
) -> list[int]:
    """The shapes that this image is named by, or whose bounds meet it."""
    height, width = image.size
    x1, y1, x2, y2 = (0.0, 0.0, float(width), float(height))
    if image.place is not None:
        x1, y1, x2, y2 = image.place.bounds(image.size)
        if epsg is not None and image.place.epsg not in (None, epsg):
            edge = np.linspace(0, 1, 11)
            around = [(t * width, y) for t in edge for y in (0, height)]
            around += [(x, t * height) for t in edge for x in (0, width)]
            there = reproject(image.place.to_map(around), image.place.epsg or epsg, epsg)
            (x1, y1), (x2, y2) = there.min(axis=0).tolist(), there.max(axis=0).tolist()
    meets = (bounds[:, 0] < x2) & (bounds[:, 2] > x1) & (bounds[:, 1] < y2) & (bounds[:, 3] > y1)
    near: list[int] = np.flatnonzero(meets).tolist()
    said = [str(shape.properties.get("image") or "") for shape in shapes]
    if not any(said):
        return near
    loose = {image.name, image.path.name, image.path.stem}
    own = [i for i, name in enumerate(said) if name == image.full or (name in loose and name not in exact)]
    return own + [i for i in near if not said[i]]


def _on(shape: Shape, image: Raster, epsg: int | None) -> Drawn:
    """The shape in the image's pixels."""
    properties = shape.properties

    def pixels(ring: Any) -> Any:
        if image.place is None:
            return ring
        if epsg is not None and image.place.epsg is not None:
            ring = reproject(ring, epsg, image.place.epsg)
        return image.place.to_pixel(ring)

    parts: tuple[Polygon | Box, ...] = tuple(
        Polygon(pixels(part.exterior), tuple(pixels(hole) for hole in part.holes)) for part in shape.parts
    )
    if properties.get("box") in (True, 1) and len(parts) == 1:
        parts = (Box(*parts[0].bounds),)  # type: ignore[union-attr]
    number = properties.get("object_id", properties.get("id"))
    return Drawn(
        class_of(properties, shape.where),
        parts,
        shape.where,
        number if type(number) is int and 0 <= number < 2**62 else None,
        _score(properties, shape.where),
        properties.get("crowd", properties.get("iscrowd")) in (True, 1),
    )


def class_of(properties: Mapping[str, Any], where: str) -> str:
    """The class by the first of :data:`CLASS_KEYS` that is there; ``object`` where none is."""
    for key in CLASS_KEYS:
        value = properties.get(key)
        if isinstance(value, dict):
            value = value.get("name")
        if value is None or value == "":
            continue
        if not isinstance(value, str | int):
            raise Bad(f"{where}.{key}: expected the name of a class, got {show(value)}")
        return str(value).strip() or OBJECT
    return OBJECT


def _score(properties: Mapping[str, Any], where: str) -> float:
    for key in SCORE_KEYS:
        value = properties.get(key)
        if value is not None:
            if not finite(value) or not 0 <= value <= 1:
                raise Bad(f"{where}.{key}: expected a number in 0..1, got {show(value)}")
            return float(value)
    return 1.0


# -- writing ---------------------------------------------------------------------------------------------


def place_of(record: Record) -> Georeference | None:
    """Where a record's image lies on the map.

    Raises:
        DatasetError: there is no such image.
    """
    if not record.path.is_file():
        raise DatasetError(
            f"{record.path}: expected the image, whose place on the map is needed, got none; name its folder "
            "(--image-folder)"
        )
    return read_georeference(record.path)


def put_image(record: Record, target: Path, place: Place) -> None:
    """Puts the image there, and its world file beside it."""
    place(record, target)
    world = world_file(record.path)
    if world is not None and place.how != "none":
        with atomic(target.with_suffix(world.suffix)) as temporary:
            shutil.copyfile(world, temporary)


def on_map(
    objects: Sequence[ToDraw], place: Georeference | None, class_ids: Sequence[int]
) -> Iterator[tuple[list[Polygon], dict[str, Any]]]:
    """Parts on the map (pixels where the image has no place) and properties of each object."""
    for one in objects:
        parts = one.parts if one.crop is not None else (Box(*one.box).polygon,)
        if place is not None:
            parts = tuple(
                Polygon(place.to_map(p.exterior), tuple(place.to_map(hole) for hole in p.holes))
                for p in parts
            )
        yield (
            list(parts),
            {
                "class": one.name,
                "class_id": class_ids[one.label],
                "object_id": one.id,
                "score": one.score,
                "crowd": one.crowd,
                "box": one.crop is None,
            },
        )
