"""Writing Label Studio's JSON: tasks, brush masks, and the labelling interface."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from delineate.core.labels import Labels

from ..losses import Losses
from ..place import Place
from ..records import Dataset
from .drawing import ToDraw, count_ids, count_tracks, dumps, own_path, text_file, to_draw
from .label_studio_rle import encode
from .xml_file import tag


def write(out: Path, data: Dataset, losses: Losses, place: Place) -> None:
    """Writes ``tasks.json``, ``label_config.xml`` and ``images/``, or one JSON file.

    An object of one part without holes is a polygon, any other a brush mask. Images with scores become
    predictions. The images' addresses are those of local storage (``/data/local-files/?d=images/…``), for a
    Label Studio whose document root is ``out``. Columns are entries of ``data``.

    Args:
        out: the folder, which exists, or the JSON file.
        data: the dataset; numbers of images are kept.
        losses: counts what Label Studio cannot hold: crowds, tracks, numbers of classes.
        place: puts the images there.

    Raises:
        DatasetError: two images of one name, or an annotation that cannot be read.
    """
    count_ids(data, losses, images=False, classes=True)
    single = not out.is_dir() and out.suffix.lower() == ".json"
    if not single:
        with text_file(out / "label_config.xml") as file:
            file.write(_config(data.classes))
    with text_file(out if single else out / "tasks.json") as file:
        for index, record in enumerate(data.records):
            truth, drawn = to_draw(data, index, losses)
            losses.tally(truth, record.name, "crowd")
            count_tracks(record, truth, losses)
            name = own_path(record)
            results = [_result(one, truth.size, f"{index + 1}-{i + 1}") for i, one in enumerate(drawn)]
            task: dict[str, Any] = {
                "id": record.image_id,
                "data": {
                    "image": f"/data/local-files/?d=images/{quote(name)}",
                    "width": truth.size[1],
                    "height": truth.size[0],
                }
                | {k: v for k, v in record.groups.items() if v},
                "annotations": [],
                "predictions": [],
            }
            if (truth.scores < 1).any():
                task["predictions"] = [{"model_version": "delineate", "result": results}]
            else:
                task["annotations"] = [{"result": results, "was_cancelled": False, "ground_truth": False}]
            file.write((",\n" if index else "[\n") + dumps(task))
            if not single:
                place(record, out / "images" / name)
        file.write("\n]\n" if len(data) else "[]\n")


def _result(one: ToDraw, size: tuple[int, int], identity: str) -> dict[str, Any]:
    height, width = size
    kind = "brush" if one.crop is not None and not one.simple else "polygon" if one.parts else "rectangle"
    value: dict[str, Any]
    if one.crop is not None and kind == "brush":
        value = {"format": "rle", "rle": encode(*one.crop, size)}
    elif kind == "polygon":
        points = one.parts[0].exterior * (100 / width, 100 / height)
        value = {"points": points.tolist(), "closed": True}
    else:
        x1, y1, x2, y2 = one.box
        value = {"x": x1 / width * 100, "y": y1 / height * 100, "rotation": 0}
        value |= {"width": (x2 - x1) / width * 100, "height": (y2 - y1) / height * 100}
    row = {
        "id": identity,
        "type": f"{kind}labels",
        "from_name": kind,
        "to_name": "image",
        "origin": "manual",
        "image_rotation": 0,
        "original_width": width,
        "original_height": height,
        "value": value | {f"{kind}labels": [one.name]},
    }
    return row | {"score": round(one.score, 6)} if one.score < 1 else row


def _config(classes: Labels) -> str:
    """The labelling interface: the image, and for each way of drawing all classes."""
    colors = ["#{:02x}{:02x}{:02x}".format(*color) for color in classes.colors.tolist()]
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true"/>']
    for control in ("Polygon", "Brush", "Rectangle"):
        lines.append(f'  <{control}Labels name="{control.lower()}" toName="image">')
        lines += [
            f"    <{tag('Label', value=name, background=color)}/>"
            for name, color in zip(classes.names, colors, strict=True)
        ]
        lines.append(f"  </{control}Labels>")
    return "\n".join([*lines, "</View>\n"])
