"""Masks, datasets, results and tracks."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import seeds
import seeds_read_only
from reading import TARGETS, Made, check_message, target, tries

# -- masks --------------------------------------------------------------------------------------------


@target
def run_lengths(_: Path) -> Made:
    """COCO run lengths, and Label Studio's."""
    rows = [
        {"size": [4, 5], "counts": [3, 4, 13]},
        {"size": [4, 5], "counts": "34=0"},
        {"size": [200, 300], "counts": "Zb0m0X5"},
        {"size": [12, 15], "counts": [0, 180]},
    ]

    def read(data: bytes) -> None:
        from delineate.core import rle
        from delineate.core.masks import Masks
        from delineate.data.formats.coco_check import Bad
        from delineate.data.formats.label_studio_rle import decode

        try:
            row = json.loads(data)
        except (ValueError, RecursionError):
            row = {"size": [4, 5], "counts": data}
        small = isinstance(row, dict) and isinstance(row.get("size"), list)
        try:
            height, width = rle.check_size(row["size"]) if small else (9, 9)
        except Exception:
            height, width = 9, 9
        if height * width <= 10_000_000:
            tries(lambda: rle.decode(row))
        tries(
            lambda: rle.validate(row),
            lambda: Masks.from_rle([row, row]),
            lambda: Masks.from_rle([row]).to_polygons(),
        )
        with contextlib.suppress(Bad):
            decode(data, (12, 15), "brush")

    return [json.dumps(row).encode() for row in rows], read


@target
def polygons(_: Path) -> Made:
    """Rings: flat, as points, with holes; and what drawing does to them."""
    rows: list[Any] = [
        [[1, 1, 9, 1, 9, 9, 1, 9]],
        [[1.5, 1, 9, 1.25, 9, 9], [3, 3, 4, 3, 4, 4]],
        [[[0, 0], [8, 0], [8, 8]]],
        [[-5, -5, 300, 2, 50, 400, 7, 3]],
    ]

    def read(data: bytes) -> None:
        from delineate.core.masks import Masks

        try:
            row = json.loads(data)
        except (ValueError, RecursionError):
            return
        tries(
            lambda: Masks.from_polygons([row], (30, 40)),
            lambda: Masks.from_polygons(row, (30, 40)).to_rle() if isinstance(row, list) else None,
            lambda: (
                Masks.from_polygons([[ring] for ring in row], (3000, 9)) if isinstance(row, list) else None
            ),
        )

    return [json.dumps(row).encode() for row in rows], read


# -- datasets: one target for each format ------------------------------------------------------------------


def _folder_target(name: str, dataset: Callable[[Path], Path]) -> Callable[[Path], Made]:
    def made(folder: Path) -> Made:
        out = dataset(folder)
        files = sorted(p for p in out.rglob("*") if p.is_file())
        pictures = (".png", ".jpg")
        notes = [p for p in files if "images" not in p.parts or p.suffix.lower() not in pictures] or files

        def read(data: bytes) -> None:
            from delineate.core.errors import DelineateError
            from delineate.data.known_formats import FORMATS, guess

            if not data:
                return
            path = notes[data[0] % len(notes)]
            before = path.read_bytes()
            path.write_bytes(data[1:])
            try:
                guess(out)
                for skip in (False, True):
                    try:
                        found = FORMATS[name].read(out, skip_invalid=skip)
                        for at in range(min(len(found), 20)):
                            found.drawn(at)
                            found.truth(at)
                            if found.segments is not None:
                                found.whole().truth(at)
                    except DelineateError as error:
                        check_message(str(error))
            finally:
                path.write_bytes(before)

        return [bytes([at]) + p.read_bytes() for at, p in enumerate(notes[:250])][:40], read

    made.__doc__ = f"A dataset of the format {name}, one of its files changed."
    return made


def _add_formats() -> None:
    from delineate.data.known_formats import FORMATS

    for name, row in FORMATS.items():
        made = partial(seeds.dataset, name=name) if row.writes else seeds_read_only.MADE[name]
        TARGETS[f"dataset-{name}"] = _folder_target(name, made)


@target
def doctor(folder: Path) -> Made:
    """A COCO dataset that the doctor examines."""
    out = seeds.dataset(folder, "coco")
    path = next(p for p in out.rglob("*.json"))
    first = path.read_bytes()

    def read(data: bytes) -> None:
        from delineate.data.check import check
        from delineate.engine.doctor import as_json, lines

        path.write_bytes(data)

        def look() -> None:
            found = check(out)
            list(lines(found, None))
            as_json(found, None, 0)

        tries(look)

    return [first], read


@target
def results(folder: Path) -> Made:
    """Results files: a COCO list, a COCO dataset, panoptic; YOLO text; MOTS text."""
    from delineate.core.labels import Labels

    ring = [[2, 2, 9, 2, 9, 8]]
    rows = [{"image_id": 1, "category_id": 1, "score": 0.5, "segmentation": ring, "bbox": [2, 2, 7, 6]}]
    rows.append({**rows[0], "segmentation": {"size": [12, 15], "counts": [20, 30, 130]}})
    dataset = {"images": [{"id": 1, "file_name": "0.png", "width": 15, "height": 12}],
               "categories": [{"id": 1, "name": "a"}],
               "annotations": [{**rows[0], "id": 1, "iscrowd": 0, "area": 21}]}  # fmt: skip
    yolo = folder / "yolo"
    yolo.mkdir()
    places = [folder / "a.json", yolo / "0.txt", folder / "0.txt"]
    texts = [b"\0" + json.dumps(rows).encode(), b"\0" + json.dumps(dataset).encode(),
             b"\1" + b"0 0.1 0.1 0.5 0.1 0.5 0.5 0.9\n0 0.5 0.5 0.2 0.2 0.8\n",
             b"\2" + b"0 2001 2 12 15 PP3PP3\n1 10000 10 12 15 34=0\n"]  # fmt: skip

    def read(data: bytes) -> None:
        from delineate.engine.predictions import ImageEntry, read_predictions

        if not data:
            return
        path = places[data[0] % 3]
        path.write_bytes(data[1:])
        images = [ImageEntry(1, "0.png", (12, 15)), ImageEntry(2, "1.png", (12, 15))]

        def look() -> None:
            found = read_predictions(yolo if path.parent == yolo else path, images, Labels(("a", "b")))
            for image in images:
                found.instances(image)
                found.results(image)

        tries(look)

    return texts, read


@target
def tracks(folder: Path) -> Made:
    """Detections and tracks as text or JSON: MOT, MOTS, KITTI, COCO by frames."""
    row = {"image_id": 1, "category_id": 1, "score": 1, "bbox": [1, 1, 4, 4]}
    texts = [b"\0" + b"1,1,2,2,7,6,1,1,1\n2,1,3,2,7,6,0.9,1,1\n",
             b"\0" + b"0 1 Car 0 0 -1.5 10 10 50 60 -1 -1 -1 -1000 -1000 -1000 -10 0.9\n",
             b"\1" + json.dumps([row]).encode()]  # fmt: skip

    def read(data: bytes) -> None:
        from delineate.data.track_files import open_tracks
        from delineate.engine.track_detections import stored_detections

        if not data:
            return
        path = folder / ("a.txt", "a.json")[data[0] % 2]
        path.write_bytes(data[1:])

        def all_of_it() -> None:
            for sequence in open_tracks(path):
                for frame in sequence.frames[:50]:
                    sequence.get(frame)

        tries(all_of_it, lambda: open_tracks(path, truth=True), lambda: stored_detections(path))

    return texts, read


_add_formats()
