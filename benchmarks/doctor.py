"""What `delineate doctor` finds, and how long it takes: faults put into real data, copies, many images.

DELINEATE_DATA=FOLDER python benchmarks/doctor.py faults copies speed many
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from delineate.data.check import check
from delineate.data.check.look import Look, agreement, close_pairs, details_of, look_of
from delineate.data.check.rings import crossings
from delineate.data.images import read

DATA = Path(os.environ.get("DELINEATE_DATA", "data"))
Row = dict[str, Any]
Image = np.ndarray


# -- faults of single objects ------------------------------------------------------------------------------


def _ring(row: Row) -> Image:
    return np.array(row["segmentation"][0], np.float64).reshape(-1, 2)


def _put(row: Row, ring: Image) -> None:
    row["segmentation"][0] = ring.ravel().tolist()


def crossing(row: Row, rng: random.Random) -> None:
    """The middle half of the outline is walked backwards, as when points were sorted wrongly."""
    ring = _ring(row)
    a, b = len(ring) // 4, 3 * len(ring) // 4
    ring[a:b] = ring[a:b][::-1].copy()
    _put(row, ring)


def outside(row: Row, rng: random.Random) -> None:
    ring = _ring(row)
    ring[rng.randrange(len(ring))] = (-rng.uniform(5, 60), ring[0, 1])
    _put(row, ring)
    row["bbox"] = None


def as_corners(row: Row, rng: random.Random) -> None:
    x, y, w, h = row["bbox"]
    row["bbox"] = [x, y, x + w, y + h]


def shifted(row: Row, rng: random.Random) -> None:
    x, y, w, h = row["bbox"]
    row["bbox"] = [x + w * rng.uniform(0.3, 0.8), y, w, h]


def no_number(row: Row, rng: random.Random) -> None:
    row["bbox"] = [float("nan"), *row["bbox"][1:]]


def two_points(row: Row, rng: random.Random) -> None:
    row["segmentation"] = [row["segmentation"][0][:4]]


def unknown_class(row: Row, rng: random.Random) -> None:
    row["category_id"] = 12


def image_area(row: Row, rng: random.Random) -> None:
    row["area"] = 640 * 480


def wrong_side(row: Row, rng: random.Random) -> None:
    _put(row, _ring(row) + np.array([4000, 0]))


FAULTS: dict[str, tuple[str, Callable[[Row, random.Random], None]]] = {
    "outline crosses itself": ("crossing", crossing),
    "outline leaves the image": ("outside", outside),
    "box written as corners": ("box", as_corners),
    "box beside its mask": ("box", shifted),
    "NaN in the box": ("invalid", no_number),
    "two points": ("invalid", two_points),
    "unknown class": ("invalid", unknown_class),
    "area of the image": ("area", image_area),
    "wholly outside": ("no-pixels", wrong_side),
    "object twice": ("duplicate", lambda row, rng: None),
}


def faults(each: int = 40) -> None:
    """Puts faults into COCO's annotations, one kind after the other, and counts what is told."""
    source = DATA / "coco_subset" / "annotations" / "instances_val2017.json"
    content = json.loads(source.read_text())
    before = _told(content, source)
    usable = [
        k for k, row in enumerate(content["annotations"])
        if isinstance(row["segmentation"], list) and row["area"] > 400 and len(row["segmentation"]) == 1
        and len(row["segmentation"][0]) >= 16
    ]  # fmt: skip
    told = dict(Counter(kind for kind, _ in before))
    print(f"{len(content['annotations'])} objects; told of them as they are: {told}")
    for name, (kind, change) in FAULTS.items():
        rng = random.Random(0)
        changed = copy.deepcopy(content)
        chosen = rng.sample(usable, each)
        ids = set()
        for k in chosen:
            row = changed["annotations"][k]
            change(row, rng)
            if name == "object twice":
                row = copy.deepcopy(row) | {"id": 10**9 + k}
                changed["annotations"].append(row)
            ids.add(row["id"])
        after = _told(changed, source) - before
        found = {identity for told, identity in after if told == kind and identity in ids}
        others = Counter(told for told, identity in after if identity not in ids)
        print(f"{name:28} {len(found):3} of {each}   told of sound objects: {dict(others) or 'nothing'}")


def _told(content: Row, source: Path) -> set[tuple[str, int]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "annotations.json"
        path.write_text(json.dumps(content))
        found = check(path, images=False)
    return {(one.kind, one.annotation) for one in found.findings if one.annotation is not None}


# -- copies ------------------------------------------------------------------------------------------------


def _jpeg(image: Image, quality: int) -> Image:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 1)


def _noisy(image: Image) -> Image:
    noise = np.random.default_rng(0).normal(0, 12, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def _cut(image: Image, share: float) -> Image:
    height, width = image.shape[:2]
    return image[int(share * height) :, int(share * width) :]


def _rotated(image: Image, degrees: float) -> Image:
    height, width = image.shape[:2]
    return cv2.warpAffine(
        image, cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1), (width, height)
    )


CHANGES: dict[str, Callable[[Image], Image]] = {
    "the same": lambda image: image,
    "JPEG, quality 25": lambda image: _jpeg(image, 25),
    "half the size": lambda image: cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "mirrored": lambda image: np.ascontiguousarray(image[:, ::-1]),
    "turned by 90°": lambda image: np.ascontiguousarray(np.rot90(image)),
    "lighter": lambda image: np.clip(image * 1.3 + 20, 0, 255).astype(np.uint8),
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
    "16 bit": lambda image: image.astype(np.uint16) * 257,
    "noise": _noisy,
    "moved by 2 %": lambda image: np.roll(image, image.shape[1] // 50, axis=1),
    "2 % cut off": lambda image: _cut(image, 0.02),
    "5 % cut off": lambda image: _cut(image, 0.05),
    "10 % cut off": lambda image: _cut(image, 0.1),
    "rotated by 1°": lambda image: _rotated(image, 1),
    "rotated by 3°": lambda image: _rotated(image, 3),
}


def alike(images: list[Image]) -> list[tuple[int, int]]:
    """Pairs of images that are told to show the same."""
    looks = [look_of(image) for image in images]
    shown = [k for k, look in enumerate(looks) if look is not None]
    found = []
    details = lru_cache(maxsize=None)(lambda k: details_of(images[k]))
    for i, j, turn in close_pairs([look for look in looks if look is not None]):
        a, b = shown[i], shown[j]
        if agreement(details(a), details(b), turn).same:
            found.append((a, b))
    return found


def copies(each: int = 60) -> None:
    """How many changed copies are found, and how many pairs of different images are taken for one."""
    files = {file.name: file for file in sorted((DATA / "coco_subset").rglob("*.jpg"))}
    photos = [_rgb(read(file).pixels) for file in list(files.values())[:each]]
    for name, change in CHANGES.items():
        found = sum(bool(alike([photo, change(photo)])) for photo in photos)
        print(f"{name:20} {found:3} of {len(photos)}")
    for folder in ("coco_subset", "dsb2018/images", "rice_leaf_via", "segmush", "strawberry"):
        found_files = {
            file.name: file
            for file in sorted((DATA / folder).rglob("*"))
            if file.suffix.lower() in (".jpg", ".png")
        }
        images = [read(file).pixels for file in found_files.values()]
        pairs = alike(images)
        names = list(found_files)
        total = len(images) * (len(images) - 1) // 2
        print(f"{folder}: {len(pairs)} of {total} pairs")
        for a, b in pairs:
            print(f"    {names[a]} {names[b]}")


def _rgb(image: Image) -> Image:
    return image if image.ndim == 3 else np.dstack([image] * 3)


# -- speed -------------------------------------------------------------------------------------------------


def speed() -> None:
    """CPU seconds for real datasets, for the comparison of many images, and for many outlines."""
    for name in ("coco_subset", "dsb2018"):
        for pixels in (True, False):
            begin = time.process_time()
            found = check(DATA / name, pixels=pixels)
            took = time.process_time() - begin
            what = "whole" if pixels else "headers"
            print(f"{name}, {what}: {took:.1f} CPU s, {found.images / took:.0f} images/s")
    rng = np.random.default_rng(0)
    for number in (1_000, 5_000, 20_000):
        looks = [_random_look(rng) for _ in range(number)]
        begin = time.process_time()
        found_pairs = sum(1 for _ in close_pairs(looks))
        print(f"{number} looks compared in {time.process_time() - begin:.1f} CPU s, {found_pairs} pairs")
    turn = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    rings = [
        np.stack([np.cos(turn), np.sin(turn)], axis=1) * rng.uniform(5, 90, (40, 1)) + 100
        for _ in range(20_000)
    ]
    begin = time.process_time()
    crossed = sum(len(crossings(rings[k : k + 20])) for k in range(0, len(rings), 20))
    print(
        f"20000 outlines of 40 points in {time.process_time() - begin:.1f} CPU s, {crossed} cross themselves"
    )


def many(number: int = 3000) -> None:
    """CPU seconds and memory for thousands of images: COCO's, linked under new names again and again."""
    files = {file.name: file for file in (DATA / "coco_subset").rglob("*.jpg")}
    truths = [
        json.loads(file.read_text()) for file in sorted((DATA / "coco_subset" / "annotations").glob("*.json"))
    ]
    images = list({row["id"]: row for truth in truths for row in truth["images"]}.values())
    rows: dict[int, list[Row]] = {}
    for row in (row for truth in truths for row in truth["annotations"]):
        rows.setdefault(row["image_id"], []).append(row)
    content: Row = {"images": [], "annotations": [], "categories": truths[0]["categories"]}
    with tempfile.TemporaryDirectory() as folder:
        for k in range(1, number + 1):
            image = images[k % len(images)]
            (Path(folder) / f"{k}.jpg").symlink_to(files[Path(image["file_name"]).name].resolve())
            content["images"].append(image | {"id": k, "file_name": f"{k}.jpg"})
            for row in rows.get(image["id"], ()):
                content["annotations"].append(row | {"id": len(content["annotations"]) + 1, "image_id": k})
        (Path(folder) / "annotations.json").write_text(json.dumps(content))
        begin = time.process_time()
        found = check(folder)
        took = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{found.images} images, {found.objects} objects: {took:.1f} CPU s, peak {peak:.0f} MB")


def _random_look(rng: np.random.Generator) -> Look:
    coarse = rng.integers(0, 256, (8, 8), np.uint8)
    look = look_of(cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC))
    assert look is not None
    return look


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["faults", "copies", "speed", "many"])
    for part in parser.parse_args().parts:
        print(f"== {part}")
        {"faults": faults, "copies": copies, "speed": speed, "many": many}[part]()


if __name__ == "__main__":
    main()
