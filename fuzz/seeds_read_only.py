"""Small datasets of the formats that are only read: made by hand, as their publishers have them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import seeds
from PIL import Image

from delineate.core.masks import Masks
from delineate.data.images import write_png

SIZE = seeds.SIZE


def _dense(shift: int = 0) -> np.ndarray:
    dense = np.zeros((2, *SIZE), np.bool_)
    dense[0, 2 + shift : 5 + shift, 2:5], dense[1, 8:10, 8:14] = True, True
    return dense


def sa_v(folder: Path) -> Path:
    """Three annotated frames of one video, and their pictures."""
    content = {
        "video_id": "v1", "video_height": float(SIZE[0]), "video_width": float(SIZE[1]), "masklet_id": [4, 9],
        "masklet": [Masks.from_dense(_dense(frame)).to_rle() for frame in range(3)], "masklet_num": 2,
    }  # fmt: skip
    (folder / "v1").mkdir()
    for number in range(3):
        write_png(folder / "v1" / f"{number:05d}.png", np.zeros(SIZE, np.uint8))
    (folder / "v1_manual.json").write_text(json.dumps(content))
    return folder


def sa_1b(folder: Path) -> Path:
    """Two pictures with their files of masks."""
    for number in (1, 2):
        image = {"image_id": number, "width": SIZE[1], "height": SIZE[0], "file_name": f"sa_{number}.jpg"}
        rows = [
            {"id": k, "segmentation": mask, "bbox": [2, 2, 3, 3], "area": 9, "predicted_iou": 0.9,
             "point_coords": [[3, 3]], "crop_box": [0, 0, 15, 12], "stability_score": 0.97}
            for k, mask in enumerate(Masks.from_dense(_dense()).to_rle())
        ]  # fmt: skip
        (folder / f"sa_{number}.json").write_text(json.dumps({"image": image, "annotations": rows}))
        Image.new("RGB", SIZE[::-1]).save(folder / f"sa_{number}.jpg")
    return folder


def bop(folder: Path) -> Path:
    """A bin of two bodies, as our own writer of scenes has it."""
    from delineate.data.synthetic.bins import BinSettings
    from delineate.data.synthetic.bins_files import write_bins

    return write_bins(folder / "bins", 1, BinSettings(objects=2, size=(24, 32), focal=30), seed=5)


def ade20k(folder: Path) -> Path:
    """A picture annotated as in 2017, and one as in 2020."""
    scene = folder / "training" / "street"
    scene.mkdir(parents=True)
    for name in ("a", "b"):
        colors = np.zeros((*SIZE, 3), np.uint8)
        colors[:6, :, 2], colors[6:, :7, 2] = 40, 90
        colors[:6, :, :2], colors[6:, :7, :2] = (10, 145), (70, 39)  # classes 401 and 1831
        Image.fromarray(colors).save(scene / f"{name}_seg.png")
        Image.new("RGB", SIZE[::-1]).save(scene / f"{name}.jpg")
    lines = (
        '001 # 0 # 0 # sky # sky # ""',
        '002 # 0 # 1 # car, auto # car # "red"',
        "001 # 1 # 0 # ear # ear # ",
    )
    (scene / "a_atr.txt").write_text("\n".join(lines) + "\n")
    rows = [
        {"id": k, "name": name, "name_ndx": number, "raw_name": name, "crop": 0,
         "parts": {"hasparts": [], "ispartof": [], "part_level": 0}}
        for k, (name, number) in enumerate((("car, auto", 401), ("person", 1831)))
    ]  # fmt: skip
    record = {"annotation": {"filename": "b.jpg", "imsize": [*SIZE, 3], "object": rows}}
    (scene / "b.json").write_text(json.dumps(record))
    return folder


MADE: dict[str, Callable[[Path], Path]] = {"sa-v": sa_v, "sa-1b": sa_1b, "bop": bop, "ade20k": ade20k}
"""By the format's name: fills an empty folder, and gives what to open in it."""
