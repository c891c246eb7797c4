"""Files of GeoJSON features: plain or packed by gzip, one collection, a list, or a single feature."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

from delineate.core.errors import DatasetError

from ..find import natural_order
from .drawing import dumps
from .drawn import json_files
from .json_file import load_json, show

LARGEST_FILE = 1 << 31
"""Most bytes that a packed file may unpack to."""
ENDINGS = (".geojson", ".geojson.gz")


def feature_files(folder: Path) -> list[Path]:
    """The files of a folder and its sub-folders, in natural order."""
    return natural_order(file for ending in ENDINGS for file in json_files(folder, f"*{ending}"))


def head(path: Path, size: int = 65536) -> bytes:
    """The first bytes, unpacked; empty where they cannot be had."""
    try:
        with _opened(path) as file:
            return file.read(size)
    except (OSError, EOFError, zlib.error):
        return b""


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def load(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """The members of the collection beside its features, and the features.

    Raises:
        DatasetError: no features, or not JSON.
    """
    content = _packed(path) if path.suffix.lower() == ".gz" else load_json(path)
    if isinstance(content, list):
        return {}, content
    if isinstance(content, dict) and content.get("type") == "Feature":
        return {}, [content]
    if not isinstance(content, dict) or not isinstance(content.get("features"), list):
        raise DatasetError(
            f"{path}: expected a GeoJSON FeatureCollection, a list of features or a feature, got "
            f"{show(content)}; export it again"
        )
    return {key: value for key, value in content.items() if key != "features"}, content["features"]


def _packed(path: Path) -> Any:
    try:
        with gzip.open(path) as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise DatasetError(f"{path}: expected at most 2 GiB unpacked, got more; split the file")
        return msgspec.json.decode(data)
    except (OSError, EOFError, zlib.error, msgspec.MsgspecError) as error:
        raise DatasetError(f"{path}: expected JSON packed by gzip, got {error}; export it again") from None


def save(file: IO[str], members: Mapping[str, Any], features: Iterable[Mapping[str, Any]]) -> None:
    """Writes a FeatureCollection, a line for each feature.

    Args:
        file: open for writing.
        members: more members of the collection, which other tools leave alone.
        features: type and the rest are added here: give ``geometry`` and ``properties``.
    """
    first = {"type": "FeatureCollection", **members}
    file.write(dumps(first)[:-1] + ',"features":[')
    for number, feature in enumerate(features):
        file.write((",\n" if number else "\n") + dumps({"type": "Feature", **feature}))
    file.write("\n]}\n")


def image_member(name: str, image_id: int, size: tuple[int, int]) -> dict[str, Any]:
    """What is said of the image: a member that RFC 7946, section 6.1, leaves to each tool."""
    return {"image": {"name": name, "id": image_id, "width": size[1], "height": size[0]}}
