"""VIA 3 (gitlab.com/vgg/via, "Structure of VIA Project JSON File"): a project's JSON, or its CSV, of images.

A view shows a file; an entry of ``metadata`` has the view, the region as ``xy`` (the shape's number, then its
coordinates) and the attributes by number. Regions of video have a time and are refused.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from delineate.core.errors import DatasetError

from ..losses import Losses
from ..place import Place
from ..records import Dataset
from .coco_check import Bad, Findings
from .drawing import count_ids, dumps, own_path, text_file, to_draw
from .drawn import Box, single_file
from .image_search import Images
from .json_file import load_json, show, without_collection
from .via import assemble, files_of
from .via_regions import File, Region, outline, own_attributes, text

_POINT, _RECT, _CIRCLE, _ELLIPSE, _LINE, _POLYLINE, _POLYGON, _EXTREME_RECT, _EXTREME_CIRCLE = range(1, 10)
_SHAPE_IDS = {
    "POINT": 1, "RECTANGLE": 2, "CIRCLE": 3, "ELLIPSE": 4, "LINE": 5, "POLYLINE": 6, "POLYGON": 7,
    "EXTREME_RECTANGLE": 8, "EXTREME_CIRCLE": 9,
}  # fmt: skip
_VIDEO = 4
_TEXT, _SELECT = 1, 4


def recognise(path: Path) -> bool:
    """Whether it is a project or CSV of VIA 3, or a folder with one, maybe in train/, val/ and test/."""
    try:
        return bool(files_of(path, ("3",)))
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads VIA 3.

    Args:
        path: the JSON or CSV file, a folder with it, or one with train/, val/ and test/ of such folders.
        images: the folder of the images where they lie elsewhere; False asks for none.
        skip_invalid: leave malformed regions and images out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: not such a file, video, or something malformed; the message has the entry.
    """
    path = Path(path)
    findings = Findings(path)
    parts = []
    for file, split in files_of(path, ("3",)) or [(single_file(path, "VIA 3's JSON or CSV"), "")]:
        files, options = _csv(file) if file.suffix.lower() == ".csv" else _project(file)
        parts.append((file, split, files, options))
    return assemble(parts, images, "VIA 3", findings, skip_invalid)


def _project(path: Path) -> tuple[list[File], dict[str, dict[str, str]]]:
    with without_collection():
        content = load_json(path)
    tables = {}
    for key in ("attribute", "file", "view", "metadata"):
        table = content.get(key) if isinstance(content, dict) else None
        if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
            raise DatasetError(
                f"{path}: expected a VIA 3 project with {key!r}, got {show(table)}; save it again"
            )
        tables[key] = table
    names = {key: str(row.get("aname", key)) for key, row in tables["attribute"].items()}
    options = {
        names[key]: {str(k): str(v).strip() for k, v in row["options"].items()}
        for key, row in tables["attribute"].items()
        if isinstance(row.get("options"), dict) and "_XY0" not in str(row.get("anchor_id"))
    }
    project = content.get("project")
    order = project.get("vid_list") if isinstance(project, dict) else None
    views = (
        [str(v) for v in order if str(v) in tables["view"]]
        if isinstance(order, list)
        else list(tables["view"])
    )
    files = {view: _view(view, tables, path) for view in dict.fromkeys(views)}
    for key, row in tables["metadata"].items():
        view = str(row.get("vid"))
        if view in files:
            given = row.get("av")
            values = (
                {names.get(str(k), str(k)): v for k, v in given.items()} if isinstance(given, dict) else {}
            )
            _add(files[view], row.get("xy"), row.get("z"), values, f"metadata.{key}")
    return list(files.values()), options


def _view(view: str, tables: dict[str, Any], path: Path) -> File:
    listed = tables["view"][view].get("fid_list")
    row = tables["file"].get(str(listed[0])) if isinstance(listed, list) and len(listed) == 1 else None
    if row is None:
        raise DatasetError(
            f"{path}: view.{view}: expected one file in each view, got {show(listed)}; split it"
        )
    if row.get("type") == _VIDEO:
        raise DatasetError(
            f"{path}: file.{listed[0]}: expected images, got a video ({show(row.get('fname'))}); annotate "
            "its frames as images"
        )
    name = row.get("src") if row.get("loc") == 3 and row.get("src") else row.get("fname")
    return File(name, f"view.{view}")


def _add(file: File, xy: Any, z: Any, values: dict[str, Any], where: str) -> None:
    """A region, or, without ``xy``, attributes of the image."""
    if not xy:
        file.groups.update({k: text(v) for k, v in values.items() if text(v)})
    elif z:
        file.regions.append(Region(f"a region at {show(z)} of a video", values, where))
    else:
        file.regions.append(Region(_shape(xy), values, where))


def _shape(xy: Any) -> Any:
    """``xy`` as VIA 2 has it; anything else as it is, for the message."""
    if not isinstance(xy, list) or not all(type(v) in (int, float) and math.isfinite(v) for v in xy):
        return xy
    kind, values = xy[0], xy[1:]
    count = len(values)
    if kind in (_POINT, _LINE, _POLYLINE):
        return {"name": "polyline"}
    if kind in (_RECT, _EXTREME_RECT) and count == 4:
        return {"name": "rect", "x": values[0], "y": values[1], "width": values[2], "height": values[3]}
    if kind == _EXTREME_RECT and count == 8:
        xs, ys = values[::2], values[1::2]
        return {
            "name": "rect",
            "x": min(xs),
            "y": min(ys),
            "width": max(xs) - min(xs),
            "height": max(ys) - min(ys),
        }
    if kind in (_CIRCLE, _EXTREME_CIRCLE) and count == 3:
        return {"name": "circle", "cx": values[0], "cy": values[1], "r": values[2]}
    if kind == _EXTREME_CIRCLE and count == 6:
        return _circle(values) or xy
    if kind == _ELLIPSE and count == 4:
        return {"name": "ellipse", "cx": values[0], "cy": values[1], "rx": values[2], "ry": values[3]}
    if kind == _POLYGON and count % 2 == 0:
        return {"name": "polygon", "all_points_x": values[::2], "all_points_y": values[1::2]}
    return xy


def _circle(values: Sequence[float]) -> dict[str, Any] | None:
    """The circle through three points; None where they lie on a line."""
    ax, ay, bx, by, cx, cy = values
    bx, by, cx, cy = bx - ax, by - ay, cx - ax, cy - ay
    twice = 2 * (bx * cy - by * cx)
    if not twice:
        return None
    x = (cy * (bx * bx + by * by) - by * (cx * cx + cy * cy)) / twice
    y = (bx * (cx * cx + cy * cy) - cx * (bx * bx + by * by)) / twice
    return {"name": "circle", "cx": ax + x, "cy": ay + y, "r": math.hypot(x, y)}


def _csv(path: Path) -> tuple[list[File], dict[str, dict[str, str]]]:
    names: dict[str, str] = {}
    files: dict[str, File] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
        for line in lines:
            if line.startswith("# ATTRIBUTES"):
                names = {str(k): str(v) for k, v in json.loads(line.partition("=")[2]).items()}
        for row in csv.reader(line for line in lines if not line.startswith("#")):
            if len(row) != 6:
                raise Bad(f"expected six columns, got {len(row)}")
            listed, z, xy, values = (json.loads(row[i]) for i in (1, 3, 4, 5))
            if not isinstance(listed, list) or len(listed) != 1 or not isinstance(values, dict):
                raise Bad(f"{row[0]}: expected one file and its attributes, got {show(listed)}")
            file = files.setdefault(str(listed[0]), File(listed[0], str(listed[0])))
            _add(
                file, xy, z, {names.get(str(k), str(k)): v for k, v in values.items()}, f"metadata {row[0]!r}"
            )
    except (OSError, ValueError, AttributeError, Bad, csv.Error, RecursionError) as error:
        raise DatasetError(f"{path}: expected VIA 3's CSV, got {error}; export it again") from None
    return list(files.values()), {}


# -- writing ---------------------------------------------------------------------------------------------


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes a VIA 3 project ``via_project.json`` and ``images/``, or, by the file's ending, JSON or CSV.

    As :func:`delineate.data.formats.via.write`; columns are attributes of the image's view.

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
    table = path.suffix.lower() == ".csv"
    columns = [*data.groups, "image_id"]
    attributes = _attributes(data.classes.names, columns)
    numbers = {row["aname"]: key for key, row in attributes.items()}
    options = {name: str(i) for i, name in reversed(list(enumerate(data.classes.names)))}
    with text_file(path) as file:
        if table:
            file.writelines(_csv_head({key: row["aname"] for key, row in attributes.items()}))
            rows = csv.writer(file, lineterminator="\n")
        else:
            head = _project_rows(path.stem, data, attributes)
            file.write(dumps(head)[:-1] + ',"metadata":{')
        for index, record in enumerate(data.records):
            view, name = str(index + 1), own_path(record)
            for count, (xy, values) in enumerate(_entries(data, index, losses)):
                key = f"{view}_{count}"
                if table:
                    named = {numbers[k]: v for k, v in values.items()}
                    rows.writerow([key, dumps([name]), 0, "[]", dumps(xy), dumps(named)])
                    continue
                av = {numbers[k]: options[v] if k == "class" else v for k, v in values.items()}
                row = {"vid": view, "flg": 0, "z": [], "xy": xy, "av": av}
                file.write((",\n" if index or count else "\n") + f"{dumps(key)}:{dumps(row)}")
            if not single:
                place(record, out / "images" / name)
        if not table:
            file.write("}}\n")


def _entries(data: Dataset, index: int, losses: Losses) -> Iterable[tuple[list[Any], dict[str, str]]]:
    """The image's own attributes, then its regions: ``xy`` and the values by the attributes' names."""
    record = data.records[index]
    truth, drawn = to_draw(data, index, losses)
    yield [], {k: v for k, v in record.groups.items() if v} | {"image_id": str(record.image_id)}
    for one in drawn:
        ring = outline(one, truth.size)
        values = {"class": one.name} | own_attributes(one, "frame" in record.groups)
        if isinstance(ring, Box):
            yield [_RECT, ring.x1, ring.y1, ring.x2 - ring.x1, ring.y2 - ring.y1], values
        else:
            yield [_POLYGON, *(value for point in ring for value in point)], values


def _attributes(classes: Sequence[str], columns: Sequence[str]) -> dict[str, Any]:
    """The project's attributes by number: the class, what may stand beside it, and the images' columns."""
    region = {"anchor_id": "FILE1_Z0_XY1", "desc": "", "default_option_id": ""}
    image = {"anchor_id": "FILE1_Z0_XY0", "desc": "", "default_option_id": "", "type": _TEXT, "options": {}}
    options = {str(i): name for i, name in enumerate(classes)}
    rows: list[dict[str, Any]] = [{"aname": "class", "type": _SELECT, "options": options, **region}]
    rows += [{"aname": name, "type": _TEXT, "options": {}, **region} for name in ("crowd", "score", "track")]
    rows += [{"aname": name, **image} for name in columns]
    return {str(number): row for number, row in enumerate(rows, 1)}


def _csv_head(names: dict[str, str]) -> list[str]:
    return [
        f"# SHAPE_ID = {dumps(_SHAPE_IDS)}\n",
        f"# FLAG_ID = {dumps({'RESERVED_FOR_FUTURE': 1})}\n",
        f"# ATTRIBUTES = {dumps(names)}\n",
        "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata\n",
    ]


def _project_rows(name: str, data: Dataset, attributes: dict[str, Any]) -> dict[str, Any]:
    """All of a project but its regions."""
    files = {
        str(number): {
            "fid": number,
            "fname": own_path(r),
            "type": 2,
            "loc": 3,
            "src": own_path(r),
        }
        for number, r in enumerate(data.records, 1)
    }
    ui = {
        "file_content_align": "center",
        "file_metadata_editor_visible": True,
        "spatial_metadata_editor_visible": True,
        "spatial_region_label_attribute_id": "1",
    }
    return {
        "project": {
            "pid": "__VIA_PROJECT_ID__",
            "rev": "__VIA_PROJECT_REV_ID__",
            "rev_timestamp": "__VIA_PROJECT_REV_TIMESTAMP__",
            "pname": name,
            "data_format_version": "3.1.1",
            "creator": "delineate",
            "created": 0,
            "vid_list": list(files),
        },
        "config": {"file": {"loc_prefix": {"1": "", "2": "", "3": "images/", "4": ""}}, "ui": ui},
        "attribute": attributes,
        "file": files,
        "view": {view: {"fid_list": [row["fid"]]} for view, row in files.items()},
    }
