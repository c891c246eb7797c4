"""Label Studio's JSON (labelstud.io, "Export annotations"): a list of tasks, one an image.

Coordinates are per cent of the image's width and height. Rectangles turn clockwise about their top left
corner, ellipses about their centre. A brush mask is a bit stream, see
:mod:`delineate.data.formats.label_studio_rle`. JSON-MIN, which keeps values alone, is read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from delineate.core.errors import DatasetError
from delineate.core.polygons import Polygon

from ..records import SPLIT_NAMES, Dataset, Record
from ..sniff import SUFFIXES
from .coco_check import Bad, Findings, finite, image_size
from .drawing import without_split
from .drawn import Drawn, Piece, box, dataset, ellipse, number, polygon, single_file, some_files, turned_box
from .image_search import Images, ImageSearch, relative
from .json_file import load_json, show, without_collection
from .label_studio_rle import stream
from .label_studio_write import write as write
from .png_mask import PngMask, from_base64
from .xml_file import root

_AREAS = ("brush", "polygon", "rectangle", "ellipse", "bitmask")
_CONFIGS = ("label_config.xml", "config.xml", "labeling_config.xml")


def kind_of(path: Path) -> str:
    """``json`` or ``min`` for Label Studio's export, by the first bytes; empty for another file."""
    if path.suffix.lower() != ".json":
        return ""
    with path.open("rb") as file:
        head = file.read(65536).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head.startswith(b"["):
        return ""
    if b'"data"' in head and re.search(rb'"(annotations|completions|predictions)"', head):
        return "json"
    return "min" if b'"original_width"' in head and b'"annotation_id"' in head else ""


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if kind_of(path) else []
    return [p for p in some_files(path, (".json",), 20, depth=0) if kind_of(p)]


def recognise(path: Path) -> bool:
    """Whether it is such an export, or a folder with one."""
    try:
        return bool(_files(path))
    except OSError:
        return False


def read(path: str | Path, images: Images = None, skip_invalid: bool = False) -> Dataset:
    """Reads Label Studio's JSON or JSON-MIN.

    Of several annotations of an image the ground truth is taken, else the first that was not cancelled; where
    there is none, the first prediction, with its scores. Tasks without either are left out. Images are looked
    for under the end of their address; nothing is fetched.

    Args:
        path: the JSON file, or a folder with it; ``label_config.xml`` beside it gives the classes' order.
        images: the folder of the images; False asks for none.
        skip_invalid: leave malformed regions and tasks out, counted in ``notes``, instead of refusing.

    Raises:
        DatasetError: not such an export, or something malformed; the message has the task and the region.
    """
    path = Path(path)
    findings = Findings(path)
    folder = path if path.is_dir() else path.parent
    search = ImageSearch(folder, images, ("images", "media/upload", "upload"))
    records: dict[str, Record] = {}
    for file in _files(path) or [single_file(path, "Label Studio's JSON")]:
        with without_collection():
            tasks = load_json(file)
        if not isinstance(tasks, list):
            raise DatasetError(f"{file}: expected a list of tasks, got {show(tasks)}; export it as JSON")
        for index, task in enumerate(tasks):
            try:
                record = _record(task, f"task {index + 1}", search, findings)
            except Bad as bad:
                findings.problems.append(str(bad))
                continue
            if record is None:
                continue
            key = f"{record.groups.get('split', '')}/{record.name}"
            if key in records:
                findings.problems.append(
                    f"task {index + 1}: expected every image once, got {show(record.name)} again"
                )
                continue
            records[key] = record
    search.settle(findings, skip_invalid)
    found = list(records.values())
    numbers = {record.image_id for record in found}
    if 0 in numbers or len(numbers) < len(found):
        found = [replace(record, image_id=i) for i, record in enumerate(found, 1)]
    return dataset(found, _classes(folder), "Label Studio", findings, skip_invalid)


def _classes(folder: Path) -> list[str]:
    """The labels of ``label_config.xml``, in its order."""
    for name in _CONFIGS:
        if (folder / name).is_file():
            labels = [label.get("value", "").strip() for label in root(folder / name).iter("Label")]
            return [label for label in dict.fromkeys(labels) if label]
    return []


@dataclass(frozen=True)
class _Task:
    """What a task says, however it was exported."""

    image: str
    upload: str
    groups: dict[str, str]
    number: int
    results: list[Any] | None
    score: float
    sides: dict[str, Any] = field(default_factory=dict)


def _task(task: Any, where: str, findings: Findings) -> _Task:
    if not isinstance(task, dict):
        raise Bad(f"{where}: expected an object, got {show(task)}")
    identity = task.get("id")
    number = identity if type(identity) is int and 0 <= identity < 2**63 else 0
    if "data" not in task:
        results = [
            row for rows in task.values() if isinstance(rows, list) for row in rows if isinstance(row, dict)
        ]
        return _Task(_address(task, where), "", {}, number, [{"value": row} | row for row in results], 1.0)
    data = task["data"]
    address = _address(data, where)
    texts = {k: v.strip() for k, v in data.items() if isinstance(v, str) and v != address and v.strip()}
    chosen, score = _chosen(task, where, findings)
    sides = {f"original_{key}": data[key] for key in ("width", "height") if type(data.get(key)) is int}
    return _Task(address, str(task.get("file_upload") or ""), texts, number, chosen, score, sides)


def _address(data: Any, where: str) -> str:
    """The image's address: the entry ``image``, else the first that ends as an image does."""
    texts = {k: v for k, v in data.items() if isinstance(v, str)} if isinstance(data, dict) else {}
    for key in ("image", "img", "image_url", "ocr", *texts):
        value = texts.get(key, "")
        if value and (key in ("image", "img") or unquote(value).partition("?")[0].lower().endswith(SUFFIXES)):
            return value
    raise Bad(f"{where}.data: expected the address of an image, got {show(data)}")


def _chosen(task: dict[str, Any], where: str, findings: Findings) -> tuple[list[Any] | None, float]:
    """The results to take, None where nobody annotated, and the score that all of them have."""
    listed = task.get("annotations", task.get("completions")) or []
    given = [a for a in listed if isinstance(a, dict)] if isinstance(listed, list) else []
    given = [a for a in given if not a.get("was_cancelled") and isinstance(a.get("result"), list)]
    if len(given) > 1:
        findings.count("image with several annotations: ground truth, else the first, taken", where)
    if given:
        return next((a for a in given if a.get("ground_truth")), given[0])["result"], 1.0
    drafts = task.get("predictions")
    for draft in drafts if isinstance(drafts, list) else ():
        if isinstance(draft, dict) and isinstance(draft.get("result"), list):
            findings.count("image without annotation: its first prediction taken", where)
            return draft["result"], _score(draft.get("score"), 1.0)
    return None, 1.0


def _record(task: Any, where: str, search: ImageSearch, findings: Findings) -> Record | None:
    found = _task(task, where, findings)
    if found.results is None:
        findings.count("task without annotation left out", where)
        return None
    name, others = _names(found, where)
    path = search(name, others)
    results = [row for row in found.results if isinstance(row, dict)]
    if len(results) < len(found.results):
        raise Bad(f"{where}: expected objects as results, got others")
    sides = next((row for row in results if "original_width" in row), found.sides)
    given = {key: sides.get(f"original_{key}") for key in ("width", "height")}
    size = image_size({k: v for k, v in given.items() if v is not None}, where)
    objects = tuple(_objects(results, size, where, found.score, findings))
    if path is None:
        return None
    groups = dict(found.groups)
    if "split" in groups:
        groups["split"] = SPLIT_NAMES.get(groups["split"].lower(), groups["split"])
    name = without_split(name.removeprefix("images/"), groups.get("split", ""))
    return Record(name, path, found.number, size, objects, groups)


def _names(task: _Task, where: str) -> tuple[str, list[str]]:
    """What the image is called, and what else its file may be called."""
    parts = urlsplit(task.image)
    local = parse_qs(parts.query).get("d")
    name = local[0].lstrip("/") if local else unquote(parts.path).lstrip("/")
    if parts.scheme or parts.netloc or "/upload/" in f"/{name}":
        name = PurePosixPath(name).name
    name = relative(name, f"{where}.data")
    upload = PurePosixPath(task.upload.replace("\\", "/")).name
    # an uploaded file gets eight hexadecimal digits before its name
    plain = [re.sub(r"^[0-9a-f]{8}-", "", n) for n in (PurePosixPath(name).name, upload) if n]
    if re.match(r"^[0-9a-f]{8}-", name):
        return plain[0], [name, upload] if upload else [name]
    return name, [n for n in (upload, *plain) if n]


def _objects(
    results: list[dict[str, Any]], size: tuple[int, int] | None, where: str, score: float, findings: Findings
) -> Iterator[Drawn]:
    labelled = {str(row.get("id")) for row in results if _labels(row)}
    for index, row in enumerate(results):
        at = f"{where}, result {index + 1}"
        kind = _kind(row)
        if not kind:
            if row.get("type") not in ("choices", "relation", "textarea", "taxonomy", "rating", "number"):
                findings.count("result without an area (points, lines, text) left out", at)
            continue
        labels = _labels(row)
        if len(labels) > 1:
            findings.count("region with several labels: the first taken", at)
        if not labels and str(row.get("id")) in labelled and row.get("id") is not None:
            continue  # the same region stands there once more, with its label
        try:
            yield _object(row, kind, labels[0] if labels else "", size, at, score)
        except Bad as bad:
            findings.problems.append(str(bad))


def _labels(row: dict[str, Any]) -> list[str]:
    value = row.get("value")
    if not isinstance(value, dict):
        return []
    for key in (*(f"{kind}labels" for kind in _AREAS), "labels"):
        given = value.get(key)
        if isinstance(given, list) and given and all(isinstance(label, str) for label in given):
            return [label.strip() for label in given if label.strip()]
    return []


def _kind(row: dict[str, Any]) -> str:
    """One of the shapes with an area, by the value's own entries; empty for others."""
    value, type_ = row.get("value"), str(row.get("type", ""))
    if not isinstance(value, dict) or type_.startswith(("keypoint", "vector")) or "keypointlabels" in value:
        return ""
    if "rle" in value:
        return "brush"
    if "imageDataURL" in value:
        return "bitmask"
    if "points" in value:
        return "polygon"
    if "radiusX" in value:
        return "ellipse"
    return "rectangle" if {"x", "y", "width", "height"} <= value.keys() else ""


def _object(
    row: dict[str, Any], kind: str, label: str, size: tuple[int, int] | None, where: str, score: float
) -> Drawn:
    if not label:
        raise Bad(f"{where}: expected a label, got none")
    if row.get("image_rotation") not in (None, 0):
        raise Bad(
            f"{where}: expected an image that is not turned, got image_rotation {show(row['image_rotation'])}"
        )
    piece = _piece(row["value"], kind, size, where)
    return Drawn(label, (piece,), where, score=_score(row.get("score"), score))


def _score(value: Any, default: float) -> float:
    return float(value) if finite(value) and 0 <= value <= 1 else default


def _piece(value: dict[str, Any], kind: str, size: tuple[int, int] | None, where: str) -> Piece:
    if kind == "brush":
        return stream(value["rle"], size, f"{where}.rle")
    if kind == "bitmask":
        text = value["imageDataURL"]
        data = text.partition("base64,")[2] if isinstance(text, str) else text
        return PngMask(from_base64(data, f"{where}.imageDataURL"), (0, 0), where)
    if size is None:
        raise Bad(f"{where}: expected original_width and original_height, got none")

    def pixels(key: str, side: int) -> float:
        return number(value.get(key), f"{where}.{key}") * side / 100

    height, width = size
    if kind == "polygon":
        drawn = polygon(value["points"], f"{where}.points")
        return Polygon(drawn.exterior * (width / 100, height / 100))
    x, y = pixels("x", width), pixels("y", height)
    turned = number(value.get("rotation", 0), f"{where}.rotation")
    if kind == "ellipse":
        return ellipse((x, y), (pixels("radiusX", width), pixels("radiusY", height)), turned, where)
    given = box(x, y, x + pixels("width", width), y + pixels("height", height), where)
    return turned_box(given, turned, (x, y)) if turned % 360 else given
