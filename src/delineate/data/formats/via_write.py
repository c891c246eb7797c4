"""Writing VIA 2: a project, its JSON, or its CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..losses import Losses
from ..place import Place
from ..records import Dataset
from .drawing import ToDraw, count_ids, dumps, own_path, text_file, to_draw
from .drawn import Box
from .via_regions import outline, own_attributes

_CSV = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes a VIA 2 project ``via_project.json`` and ``images/``, or, by the file's ending, JSON or CSV.

    The class is the region attribute ``class``; ``crowd``, ``score`` and ``track`` stand beside it where
    there is something to say. Parts and holes are one polygon, joined by bridges without width. Columns are
    file attributes, and so are the numbers of images where they are not 1, 2, 3, …

    Args:
        out: the folder, which exists, or a file that ends in .json or .csv.
        data: the dataset.
        losses: counts what VIA cannot hold: the numbers of classes.
        place: puts the images there.

    Raises:
        DatasetError: two images of one name, or an annotation that cannot be read.
    """
    count_ids(data, losses, images=False, classes=True)
    single = not out.is_dir() and out.suffix.lower() in (".json", ".csv")
    path = out if single else out / "via_project.json"
    with text_file(path) as file:
        if path.suffix.lower() == ".csv":
            file.write(_CSV + "\n")
            rows = csv.writer(file, lineterminator="\n")
            for name, size, groups, regions in _rows(data, losses):
                cells = [
                    (i, dumps(shape), dumps(attributes)) for i, (shape, attributes) in enumerate(regions)
                ]
                for cell in cells or [(0, "{}", "{}")]:
                    rows.writerow([name, size, dumps(groups), len(regions), *cell])
            return
        file.write('{"_via_settings":' + dumps(_settings(path.stem)) + ',"_via_img_metadata":{')
        keys: list[str] = []
        used: set[str] = set()
        columns: dict[str, None] = {}
        for (name, size, groups, regions), record in zip(_rows(data, losses), data.records, strict=True):
            listed = [{"shape_attributes": s, "region_attributes": a} for s, a in regions]
            used.update(key for _, attributes in regions for key in attributes)
            columns.update(dict.fromkeys(groups))
            row = {"filename": name, "size": size, "regions": listed, "file_attributes": groups}
            file.write(",\n" if keys else "\n")
            keys.append(f"{name}{size}")
            file.write(f"{dumps(keys[-1])}:{dumps(row)}")
            if not single:
                place(record, out / "images" / name)
        attributes = _attributes(data.classes.names, used, list(columns))
        file.write('},"_via_attributes":' + dumps(attributes) + ',"_via_data_format_version":"2.0.10"')
        file.write(',"_via_image_id_list":' + dumps(keys) + "}\n")


Row = tuple[str, int, dict[str, str], list[tuple[dict[str, Any], dict[str, str]]]]


def _rows(data: Dataset, losses: Losses) -> Iterator[Row]:
    """Name, size in bytes, file attributes and regions of each image."""
    numbered = all(record.image_id == place for place, record in enumerate(data.records, 1))
    for index, record in enumerate(data.records):
        truth, drawn = to_draw(data, index, losses)
        groups = {k: v for k, v in record.groups.items() if v}
        if not numbered:
            groups["image_id"] = str(record.image_id)
        tracked = "frame" in record.groups
        regions = [
            (_shape(one, truth.size), {"class": one.name} | own_attributes(one, tracked)) for one in drawn
        ]
        size = record.path.stat().st_size if record.path.is_file() else -1
        yield own_path(record), size, groups, regions


def _shape(one: ToDraw, size: tuple[int, int]) -> dict[str, Any]:
    ring = outline(one, size)
    if isinstance(ring, Box):
        width, height = ring.x2 - ring.x1, ring.y2 - ring.y1
        return {"name": "rect", "x": ring.x1, "y": ring.y1, "width": width, "height": height}
    return {"name": "polygon", "all_points_x": [p[0] for p in ring], "all_points_y": [p[1] for p in ring]}


def _attributes(classes: Sequence[str], used: set[str], columns: Sequence[str]) -> dict[str, Any]:
    plain = {"type": "text", "description": "", "default_value": ""}
    kind = {
        "type": "dropdown",
        "description": "",
        "options": dict.fromkeys(classes, ""),
        "default_options": {},
    }
    return {
        "region": {"class": kind} | {name: plain for name in ("crowd", "score", "track") if name in used},
        "file": dict.fromkeys(columns, plain),
    }


def _settings(name: str) -> dict[str, Any]:
    """The settings that VIA asks for when it loads a project; images are looked for in ``images/``."""
    image = {
        "region_label": "class",
        "region_color": "class",
        "region_label_font": "10px Sans",
        "on_image_annotation_editor_placement": "NEAR_REGION",
    }
    grid = {
        "img_height": 80,
        "rshape_fill": "none",
        "rshape_fill_opacity": 0.3,
        "rshape_stroke": "yellow",
        "rshape_stroke_width": 2,
        "show_region_shape": True,
        "show_image_policy": "all",
    }
    return {
        "ui": {
            "annotation_editor_height": 25,
            "annotation_editor_fontsize": 0.8,
            "leftsidebar_width": 18,
            "image_grid": grid,
            "image": image,
        },
        "core": {"buffer_size": 18, "filepath": {}, "default_filepath": "images/"},
        "project": {"name": name},
    }
