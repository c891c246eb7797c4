"""Which RGB-D frames there are: pictures and depth images with masks or a model, or scenes of BOP."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.bop_scene import BopImage, read_scene, scene_folders
from delineate.data.camera_file import CameraFile
from delineate.data.find import find
from delineate.data.images import read
from delineate.data.known_formats import FORMATS

from .measure_sources import Choice, Found, Item, items_of

WORDS = re.compile(r"(colou?r|rgb|image|img|depth|segm(entation)?|masks?|labels?|aligned)", re.IGNORECASE)
Predict = Callable[[NDArray[Any]], Instances]
Objects = tuple[Instances, NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Frame:
    """One RGB-D frame.

    Attributes:
        name: what it is called, its own in this run.
        color: its picture.
        depth: its depth image.
        camera: its intrinsics, and what is known of the depth's units.
        objects: gives the objects of the picture's pixels, and their numbers.
        bop: the image of a BOP scene that it is, or None.
    """

    name: str
    color: Path
    depth: Path
    camera: CameraFile
    objects: Callable[[NDArray[Any]], Objects]
    bop: BopImage | None = None

    @property
    def file(self) -> str:
        """Its name as a file's stem."""
        stem = self.name.removesuffix(self.color.suffix)
        return "".join(c if c.isalnum() or c in "-_." else "_" for c in stem)


def key_of(path: Path) -> str:
    """What the names of a frame's files have in common: without words such as color and depth.

    Example:
        >>> key_of(Path("a/frame-000001.depth.png")) == key_of(Path("b/frame-000001.color.png"))
        True
        >>> key_of(Path("rgb_12.png")), key_of(Path("depth.tif"))
        ('12', '')
    """
    return re.sub(r"[-_. ]+", "-", WORDS.sub("", path.stem)).strip("-").lower()


def paired_frames(
    color: str, depth: str, camera: CameraFile, masks: str | None, predict: Predict | None
) -> list[Frame]:
    """The frames of two inputs: files, folders or patterns; matched by name, or one with one.

    Args:
        color: pictures; a folder that holds depth images too gives its pictures alone.
        depth: depth images.
        camera: of all of them.
        masks: label images or a dataset, matched by name; None: ``predict``.
        predict: finds the objects in pixels.

    Raises:
        InputError: an input matches nothing, or a picture has no depth or no masks.
    """
    pictures, depths = _split(color, False), _split(depth, True)
    by_key = {key_of(path): path for path in depths}
    for given, files in ((color, pictures), (depth, depths)):
        _different(given, [path.name for path in files])
    alone = len(pictures) == len(depths) == 1
    items = None if masks is None else _items(masks)
    frames: list[Frame] = []
    names: set[str] = set()
    for picture in pictures:
        key = key_of(picture)
        if not alone and key not in by_key:
            raise InputError(
                f"{picture}: expected a depth image of this name in {depth}, got none; name them alike, as "
                "0001.color.png and 0001.depth.png"
            )
        found = _look(items, key, picture, alone, masks) if items is not None else _finder(predict, picture)
        name = picture.name if picture.name not in names else f"{picture.parent.name}/{picture.name}"
        names.add(name)
        frames.append(Frame(name, picture, depths[0] if alone else by_key[key], camera, found))
    return frames


def _split(given: str, depth: bool) -> list[Path]:
    """The files of an input; of a folder that holds pictures, depth images and masks, those of one sort."""
    if given.lower().endswith(".npy") and Path(given).is_file():
        return [Path(given)]
    if depth and Path(given).is_dir():
        arrays = sorted(Path(given).glob("*.npy"))
        if arrays:
            return arrays
    files = find([given])
    if not Path(given).is_dir():
        return files
    marked = [f for f in files if "depth" in f.stem.lower()]
    if depth:
        return marked or files
    rest = [f for f in files if f not in marked]
    named = [f for f in rest if re.search(r"colou?r|rgb", f.stem, re.IGNORECASE)]
    return named or rest


def _different(given: str, names: Sequence[str]) -> None:
    """No two files would go with the same frame."""
    first: dict[str, str] = {}
    for name in names:
        key = key_of(Path(name))
        if key in first:
            raise InputError(
                f"{given}: expected files of different names, got {first[key]} and {name}, which would go "
                "with the same frame; rename them, or give one folder at a time"
            )
        first[key] = name


def _items(masks: str) -> dict[str, Item]:
    found = items_of([masks], Choice(with_images=False, slices=False))
    _different(masks, [item.name for item in found])
    return {key_of(Path(item.name)): item for item in found}


def _look(
    items: dict[str, Item], key: str, picture: Path, alone: bool, masks: str | None
) -> Callable[[NDArray[Any]], Objects]:
    item = items.get(key)
    if item is None and alone and len(items) == 1:
        item = next(iter(items.values()))
    if item is None:
        raise InputError(f"{picture}: expected masks of this name in {masks}, got none; name them alike")
    chosen = item

    def look(_: NDArray[Any]) -> Objects:
        return _numbered(chosen.look(), chosen.name)

    return look


def _numbered(found: Found, name: str) -> Objects:
    if found.objects is None or found.objects.masks is None:
        raise InputError(f"{name}: expected masks of one picture, got a stack or boxes alone; give masks")
    ids = found.ids if found.ids is not None else np.arange(1, len(found.objects) + 1)
    return found.objects, ids


def _finder(predict: Predict | None, picture: Path) -> Callable[[NDArray[Any]], Objects]:
    def look(pixels: NDArray[Any]) -> Objects:
        if predict is None:
            raise InputError(f"{picture}: expected masks or a model, got neither; give --masks or --model")
        found = predict(pixels)
        return found, np.arange(1, len(found) + 1)

    return look


def bop_frames(path: str, predict: Predict | None = None) -> list[Frame]:
    """The frames of BOP's scenes, with their visible masks, or with a model.

    Args:
        path: a scene, a split or a dataset.
        predict: finds the objects in pixels, in place of ``mask_visib``.

    Raises:
        InputError: no scenes, malformed, no depth, or neither masks nor a model.
    """
    truth = None if predict is not None else FORMATS["bop"].read(Path(path))
    index = {} if truth is None else {record.path: k for k, record in enumerate(truth.records)}
    frames = []
    for folder in scene_folders(path):
        for image in read_scene(folder):
            if image.depth is None:
                raise InputError(
                    f"{folder}: expected depth/{image.im_id:06d}.png, got none; grasps need depth"
                )
            camera = CameraFile(image.camera, None, image.depth_scale, 0, "BOP scene")

            def look(pixels: NDArray[Any], color: Path = image.color) -> Objects:
                if truth is None:
                    return _finder(predict, color)(pixels)
                objects = truth.truth(index[color])
                ids = objects.ids if objects.ids is not None else np.arange(1, len(objects) + 1)
                return objects.replace(ids=None), ids

            frames.append(Frame(image.name, image.color, image.depth, camera, look, image))
    if not frames:
        raise InputError(f"{path}: expected images in BOP's scenes, got none; check scene_camera.json")
    return frames


def pixels_of_frame(frame: Frame) -> NDArray[Any]:
    """The picture's pixels.

    Raises:
        InputError: it cannot be read.
    """
    return read(frame.color).pixels


def is_bop(path: Sequence[str] | str) -> bool:
    """Whether this is a folder of BOP's scenes."""
    return isinstance(path, str) and bool(scene_folders(path))


__all__ = ["Frame", "bop_frames", "is_bop", "key_of", "paired_frames", "pixels_of_frame"]
