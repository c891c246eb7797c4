"""The data of `families.py`: the same pixels for every method, and YOLO label files for the peer.

`dsb2018`: every image scaled by its own 1 to 99.8 percentile and written as 8-bit RGB, because fluorescence
images use a small part of their range and only ours would scale that by itself. `segmush`: its images as they
are, 640 x 640, one class. The peer trains on files of one size: for it the training images of `dsb2018` are
cut in tiles of 256 that cover every image evenly (each pixel is in some tile, neighbours overlap as little as
the image's size allows).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np

import delineate as dl
from delineate.core.batch import to_rgb_float

TILE = 256
SIDES = {"dsb2018": TILE, "segmush": 320}
SPLITS = {"dsb2018": ("train", "val"), "segmush": ("train", "valid")}


def prepare(folder: Path) -> None:
    """Write both datasets once: ``dsb2018/``, ``segmush/``, and ``NAME-yolo/`` of their training images."""
    source = Path(os.environ["DELINEATE_DATA"])
    for name, write in (("dsb2018", _nuclei), ("segmush", _mushrooms)):
        if not (folder / name).exists():
            partial = folder / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            write(source / name, partial)
            partial.rename(folder / name)
        if not (folder / f"{name}-yolo").exists():
            partial = folder / f"{name}-yolo.partial"
            shutil.rmtree(partial, ignore_errors=True)
            _yolo(
                dl.open_dataset(folder / name, split="train"),
                partial,
                SIDES[name] if name == "dsb2018" else 0,
            )
            partial.rename(folder / f"{name}-yolo")


def _nuclei(source: Path, out: Path) -> None:
    """Percentile-scaled 8-bit RGB images; labels and splits as they are."""
    (out / "images").mkdir(parents=True)
    for sample in dl.open_dataset(source):
        pixels = np.rint(to_rgb_float(sample.image, "percentile") * 255).astype(np.uint8)
        cv2.imwrite(str(out / "images" / sample.path.name), pixels[:, :, ::-1])
    shutil.copytree(source / "labels", out / "labels")
    shutil.copy(source / "split.csv", out)


def _mushrooms(source: Path, out: Path) -> None:
    """The images as they are; the category that has no object left out."""
    shutil.copytree(source, out)
    for path in out.glob("*/_annotations.coco.json"):
        path.chmod(0o644)
        content = json.loads(path.read_text())
        used = {a["category_id"] for a in content["annotations"]}
        content["categories"] = [c for c in content["categories"] if c["id"] in used]
        path.write_text(json.dumps(content))


def starts(length: int, side: int) -> list[int]:
    """Where tiles of ``side`` begin, evenly, so that they cover ``length``."""
    count = max(1, -(-length // side))
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]


def _yolo(data: dl.Dataset, out: Path, side: int) -> None:
    """Images and polygon labels, cut in tiles of ``side`` where it is not 0."""
    for part in ("images", "labels"):
        (out / part / "train").mkdir(parents=True)
    for sample in data:
        height, width = sample.truth.size
        for y in starts(height, side or height):
            for x in starts(width, side or width):
                box = (x, y, min(width, x + (side or width)), min(height, y + (side or height)))
                name = f"{sample.path.stem}_{x}_{y}"
                tile = sample.image[box[1] : box[3], box[0] : box[2]]
                if tile.ndim == 2:
                    tile = np.repeat(tile[:, :, None], 3, axis=2)
                cv2.imwrite(
                    str(out / "images" / "train" / f"{name}.png"), np.ascontiguousarray(tile[:, :, ::-1])
                )
                lines = _lines(sample.truth.masks.window(*box))
                (out / "labels" / "train" / f"{name}.txt").write_text("\n".join(lines))
    # The peer insists on a validation, after the training: one image, whose scores nobody reads.
    (out / "one.txt").write_text(f"./images/train/{name}.png\n")
    text = f"path: {out.with_suffix('')}\ntrain: images/train\nval: one.txt\nnames: {{0: object}}\n"
    (out / "data.yaml").write_text(text)


def _lines(masks: dl.Masks) -> list[str]:
    """``0 x1 y1 x2 y2 ..`` in parts of the image: the exact outline of each object's largest part."""
    height, width = masks.size
    lines = []
    for parts in masks[masks.area >= 4].to_polygons():
        ring = max(parts, key=lambda part: part.area).exterior / (width, height)
        lines.append("0 " + " ".join(f"{v:.6g}" for v in ring.ravel()))
    return lines
