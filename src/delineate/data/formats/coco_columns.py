"""What a COCO file says of an image beside its objects: video, frame and columns; and the objects' tracks.

Videos are as CocoVID and TAO have them: a table ``videos``, ``video_id`` and ``frame_id`` (or
``frame_index``) of an image, ``track_id`` (or ``instance_id``) of an annotation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..records import Record

_FRAME = ("frame_id", "frame_index")
_TRACK = ("track_id", "instance_id")


def with_columns(records: Sequence[Record], content: dict[str, Any]) -> tuple[Record, ...]:
    """The records with their columns, and tracks as the identities of their annotations.

    Args:
        records: of the file, with checked annotations.
        content: the file.
    """
    rows = {row["id"]: row for row in content["images"] if _whole(row, "id")}
    if not any("columns" in row or "video_id" in row for row in rows.values()):
        return tuple(records)
    names = {row["id"]: str(row.get("name", row["id"])) for row in _rows(content, "videos")}
    tracks: dict[int, int] = {}
    for row in _rows(content, "annotations"):
        key = next((key for key in _TRACK if _whole(row, key)), None)
        if key is not None:
            tracks[row["id"]] = row[key]
    return tuple(_with(record, rows.get(record.image_id, {}), names, tracks) for record in records)


def _with(record: Record, row: dict[str, Any], names: dict[int, str], tracks: dict[int, int]) -> Record:
    groups: dict[str, str] = dict(record.groups)
    columns = row.get("columns")
    if isinstance(columns, dict):
        groups |= {str(column): str(value) for column, value in columns.items()}
    if not _whole(row, "video_id"):
        return replace(record, groups=groups)
    groups["sequence"] = names.get(row["video_id"], str(row["video_id"]))
    frame = next((row[key] for key in _FRAME if _whole(row, key)), None)
    if frame is not None:
        groups["frame"] = str(frame)
    if not isinstance(record.annotation, list):  # panoptic, which has no tracks
        return replace(record, groups=groups)
    known = [replace(a, identity=tracks.get(a.identity, a.identity)) for a in record.annotation]
    return replace(record, groups=groups, annotation=known)


def _rows(content: dict[str, Any], table: str) -> list[dict[str, Any]]:
    rows = content.get(table)
    return [row for row in rows if _whole(row, "id")] if isinstance(rows, list) else []


def _whole(row: object, key: str) -> bool:
    return isinstance(row, dict) and type(row.get(key)) is int and abs(row[key]) < 2**63
