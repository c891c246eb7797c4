"""Opening a dataset, whatever it is: the format is found out and told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from delineate.core.errors import DatasetError

from .archives import is_archive, unpack
from .formats import coco, coco_panoptic, lvis
from .kept_ids import restore
from .known_formats import FORMATS, guess, named
from .records import SPLIT_NAMES as SPLIT_NAMES
from .records import Dataset as Dataset
from .records import Record as Record
from .records import Sample as Sample
from .records import concatenate
from .sniff import SUFFIXES
from .synthetic.dataset import is_synthetic, open_synthetic

Images = str | Path | Literal[False] | None

_COCO_NAMES = (
    "_annotations.coco.json",
    "annotations.json",
    "instances.json",
    "coco.json",
    "_annotations.json",
)

# What a file of this ending seems to be where no format is recognised.
_OTHER = {
    ".xml": "XML, neither VOC nor CVAT",
    ".yaml": "YAML, but no YOLO with names",
    ".yml": "YAML, but no YOLO with names",
    ".txt": "text",
    ".zarr": "Zarr",
    ".zip": "a ZIP archive",
    ".tar": "a TAR archive",
    ".gz": "a gzip archive",
    ".tgz": "a TAR archive",
    ".mp4": "a video",
    ".avi": "a video",
    ".mov": "a video",
    ".mkv": "a video",
    ".geojson": "GeoJSON",
    ".csv": "CSV",
    ".parquet": "Parquet",
}


def open_dataset(
    path: str | Path,
    split: str | None = None,
    images: Images = None,
    skip_invalid: bool = False,
    channels: int | Sequence[int] | None = None,
    format: str | None = None,
) -> Dataset:
    """Opens a dataset and finds out its format; :meth:`Dataset.describe` tells what was found.

    Args:
        path: a file or folder of any format in :data:`delineate.data.known_formats.FORMATS`; a folder with
            COCO JSON (``annotations.json``, ``_annotations.coco.json``, ``train.json``,
            ``annotations/instances_train2017.json``, …); or a folder with ``train/``, ``val/``, ``test/`` of
            any of those; an archive (.zip, .tar, .tar.gz, …) of any of those. Or the name of a synthetic one,
            such as ``synthetic:crowds?images=500&crowding=0.7&seed=1``
            (see :func:`delineate.data.synthetic.dataset.open_synthetic`).
        split: only this one; ``val``, ``valid`` and ``validation`` mean the same. None takes all, and
            ``groups["split"]`` tells them apart.
        images: the folder of a COCO file's images where they do not lie beside it; False needs no images at
            all: only ``truth`` can then be asked for.
        skip_invalid: leave malformed entries out, counted in ``notes``, instead of refusing.
        channels: which channels of the images to read (see :func:`delineate.data.images.read`).
        format: a name of ``FORMATS``, where the format should not be guessed.

    Raises:
        DatasetError: nothing there, a format without a reader, malformed content, or no such split.
    """
    if is_synthetic(path):
        if channels is not None:
            raise DatasetError(f"{path}: expected no choice of channels, got {channels}; scenes are RGB")
        return open_synthetic(path, split)
    path = Path(path)
    if not path.exists():
        raise DatasetError(f"{path}: expected a dataset, a file or folder, got nothing there; check the path")
    wanted = None if split is None else SPLIT_NAMES.get(split.lower(), split)
    row = named(format) if format is not None else guess(path)
    if is_archive(path) and (row is None or ".zip" not in row.files):
        return _open_archive(path, split, images, skip_invalid, channels, format)
    data = (
        row.read(path, images, skip_invalid)
        if row is not None and not (path.is_dir() and row.module in (coco, coco_panoptic, lvis))
        else _open_folder(path, wanted, images, skip_invalid)
        if path.is_dir()
        else _open_file(path, images, skip_invalid)
    )
    if row is None or "ids" not in row.holds:
        data = restore(data, path if path.is_dir() else path.parent)
    if channels is not None:
        data = replace(data, channels=(channels,) if isinstance(channels, int) else tuple(channels))
    if wanted is None:
        return data
    if "split" not in data.groups:
        own = coco.split_of(path) or SPLIT_NAMES.get(path.name.lower(), "")
        if own == wanted:
            return data
        raise DatasetError(
            f"{path}: expected a dataset with a split {split!r}, got one without splits; leave `split` "
            "out, or make them: `delineate split`"
        )
    return data.select(split=wanted)


def _open_archive(path: Path, *options: Any) -> Dataset:
    """The dataset inside an archive, unpacked into the cache; ``options`` as of :func:`open_dataset`."""
    unpacked = unpack(path)
    try:
        data = open_dataset(unpacked.folder, *options)
    except DatasetError as error:
        raise DatasetError(str(error).replace(str(unpacked.folder), str(path))) from None
    return replace(data, source=path, notes=(*unpacked.notes, *data.notes))


def _open_file(path: Path, images: Images, skip_invalid: bool) -> Dataset:
    if path.suffix.lower() != ".json":
        suffix = path.suffix.lower()
        raise _unsupported(
            path, "one image" if suffix in SUFFIXES else _OTHER.get(suffix, f"a file ending in {suffix!r}")
        )
    content_of = _json_kind(path)
    if content_of:
        raise _unsupported(path, content_of)
    return _read_coco(path, images, skip_invalid)


def _read_coco(path: Path, images: Images, skip_invalid: bool) -> Dataset:
    """Instances, or panoptic or LVIS where the file says so."""
    kind = next((m for m in (coco_panoptic, lvis) if m.recognise(path)), coco)
    return kind.read(path, images, skip_invalid)


def _json_kind(path: Path) -> str:
    """The name of another JSON format by its first keys; empty where it may be COCO."""
    with path.open("rb") as file:
        head = file.read(65536)
    if b'"_via_' in head or (b'"regions"' in head and b'"shape_attributes"' in head):
        return "a VIA project"
    if b'"shapes"' in head and (b'"imagePath"' in head or b'"imageData"' in head):
        return "labelme JSON"
    if b'"FeatureCollection"' in head:
        return "GeoJSON"
    return ""


def _unsupported(path: Path, found: str) -> DatasetError:
    return DatasetError(
        f"{path}: expected a dataset in a format that is read, got {found}; `delineate convert --list` shows "
        "the formats"
    )


def _open_folder(folder: Path, wanted: str | None, images: Images, skip_invalid: bool) -> Dataset:
    if folder.suffix.lower() == ".zarr":
        raise _unsupported(folder, "Zarr")
    parts = {
        SPLIT_NAMES[p.name.lower()]: p
        for p in sorted(folder.iterdir())
        if p.is_dir() and p.name.lower() in SPLIT_NAMES
    }
    opened = {name: _quietly(p, images, skip_invalid) for name, p in parts.items() if wanted in (None, name)}
    found = {name: data for name, data in opened.items() if data is not None}
    if not found:
        files = _coco_files(folder)
        named = {coco.split_of(p): p for p in files}
        if len(files) == 1 and "" in named:
            return _read_coco(files[0], images, skip_invalid)
        found = {
            name: _read_coco(p, images, skip_invalid)
            for name, p in named.items()
            if name and wanted in (None, name)
        }
        parts |= {name: p for name, p in named.items() if name}
        if len(files) > len(named):
            raise DatasetError(
                f"{folder}: expected one COCO JSON per split, got {_names(files)}; name the one you mean"
            )
    if not found and parts and wanted is not None:
        raise DatasetError(f"{folder}: expected a split {wanted!r}, got {sorted(parts)}; choose one of them")
    if not found:
        raise _unsupported(folder, _folder_kind(folder))
    return concatenate([_with_split(data, name) for name, data in found.items()], folder)


def _quietly(folder: Path, images: Images, skip_invalid: bool) -> Dataset | None:
    """The dataset in a split's folder, or None where that folder holds images only."""
    files = _coco_files(folder)
    if len(files) == 1:
        return _read_coco(files[0], images, skip_invalid)
    row = guess(folder)
    if row is None and (folder / "images").is_dir():
        row = FORMATS["label-images"]
    return None if row is None else row.read(folder, images, skip_invalid)


def _coco_files(folder: Path) -> list[Path]:
    """COCO files by their usual names, else every JSON file of the folder, else those in ``annotations/``."""
    for name in _COCO_NAMES:
        if (folder / name).is_file():
            return [folder / name]
    inside = sorted(p for p in folder.glob("*.json") if p.is_file() and not _json_kind(p))
    if inside or not (folder / "annotations").is_dir():
        return inside
    found = sorted((folder / "annotations").glob("*.json"))
    return [p for p in found if p.name.startswith("instances")] or found


def _with_split(data: Dataset, name: str) -> Dataset:
    return replace(data, records=tuple(replace(r, groups={**r.groups, "split": name}) for r in data.records))


def _folder_kind(folder: Path) -> str:
    """What a folder without a readable dataset seems to hold."""
    names = [p.name.lower() for p in folder.iterdir()]
    if (
        (folder / "images").is_dir()
        and (folder / "labels").is_dir()
        and any((folder / "labels").rglob("*.txt"))
    ):
        return "YOLO text labels"
    for suffix, kind in _OTHER.items():
        if any(name.endswith(suffix) for name in names):
            return kind
    if any(name.endswith(".json") for name in names):
        return "JSON of another kind (labelme, VIA?)"
    if any(name.endswith(SUFFIXES) for name in names) or "images" in names:
        return "images without annotations"
    return "an empty folder" if not names else f"a folder with {_names([Path(n) for n in names])}"


def _names(paths: Iterable[Path]) -> str:
    listed = [p.name for p in paths]
    return ", ".join(listed[:4]) + (", …" if len(listed) > 4 else "")
