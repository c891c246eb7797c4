"""What `delineate predict` writes: files per image, and one COCO file and one table for the run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate import __version__
from delineate.apply.cutouts import cutouts
from delineate.apply.draw import overlay
from delineate.apply.geojson import to_geojson
from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.images import ImageFile, write_label_tiff, write_png
from delineate.engine.atomic import write_atomically
from delineate.measurements import summary, table

from .messages import LOG

KINDS = ("overlay", "coco", "labels", "csv", "geojson", "crops")
ENDINGS = {"overlay": ".overlay.png", "labels": ".labels.tif", "geojson": ".geojson", "crops": ".crops"}
VIDEO_ENDINGS = {"overlay": ".overlay.mp4", "coco": ".frames.json"}
NEED_MASKS = ("labels", "geojson")
COCO_FILE, TABLE_FILE = "predictions.json", "measurements.csv"


def parse_kinds(text: str) -> tuple[str, ...]:
    """The kinds that ``--save`` names; ``none`` for nothing.

    Raises:
        InputError: another word.
    """
    words = [w.strip().lower() for w in text.split(",") if w.strip()]
    if words == ["none"]:
        return ()
    if not words or not set(words) <= set(KINDS):
        raise InputError(
            f"--save: expected some of {','.join(KINDS)}, or none, got {text!r}; choose of these"
        )
    return tuple(k for k in KINDS if k in words)


@dataclass
class Outputs:
    """The files of one run.

    Attributes:
        folder: where they go; made when the first is written.
        kinds: which of :data:`KINDS`.
        inputs: resolved paths of the images; none of them is ever written over.
        pixel_size: µm, as given by the user; None takes each file's own.
    """

    folder: Path
    kinds: Sequence[str]
    inputs: frozenset[Path] = frozenset()
    pixel_size: float | None = None
    _stems: set[str] = field(default_factory=set)
    _images: list[dict[str, Any]] = field(default_factory=list)
    _annotations: list[dict[str, Any]] = field(default_factory=list)
    _categories: list[dict[str, Any]] = field(default_factory=list)
    _tables: list[pd.DataFrame] = field(default_factory=list)

    def add(self, image: ImageFile, name: str, found: Instances) -> dict[str, Any]:
        """Write an image's own files and note its objects.

        Args:
            image: the pixels, and which page they are.
            name: what the image is called in the run's files.
            found: its objects.

        Returns:
            ``files``: path by kind; ``summary``: the line of :func:`delineate.measurements.summary`.
        """
        if self.kinds:
            self.make_folder()
        stem = self.stem(f"{Path(name).stem}.page{image.page}" if image.pages > 1 else Path(name).stem)
        kinds = [k for k in self.kinds if k in ENDINGS and (found.masks is not None or k not in NEED_MASKS)]
        if left := [k for k in NEED_MASKS if k in self.kinds and k not in kinds]:
            LOG.warning("%s: the model finds boxes only; left out: %s", name, ", ".join(left))
        files = {kind: self.folder / (stem + ENDINGS[kind]) for kind in kinds}
        size = self.pixel_size if self.pixel_size is not None else image.pixel_size
        for kind, path in files.items():
            _write(kind, path, found, image, size)
        measured = table(found, image.pixels if "csv" in self.kinds else None, size)
        line = {k: _plain(v) for k, v in summary(measured).iloc[0].items()}
        self._note(image, name, found, measured)
        return {"files": {k: str(p) for k, p in files.items()}, "summary": line}

    def close(self) -> dict[str, str]:
        """Write the run's files. Returns path by kind."""
        written = {}
        if "coco" in self.kinds:
            record = {
                "info": {"description": "predictions", "version": f"delineate {__version__}"},
                "images": self._images,
                "categories": self._categories,
                "annotations": self._annotations,
            }
            self.make_folder()
            write_json(self.folder / COCO_FILE, record)
            written["coco"] = str(self.folder / COCO_FILE)
        if "csv" in self.kinds:
            self.make_folder()
            rows = pd.concat(self._tables, ignore_index=True) if self._tables else pd.DataFrame()
            text = rows.to_csv(index=False, lineterminator="\n").encode("utf-8", "backslashreplace")
            write_atomically(self.folder / TABLE_FILE, lambda file: file.write(text))
            written["csv"] = str(self.folder / TABLE_FILE)
        return written

    def make_folder(self) -> None:
        """Before the first file is written.

        Raises:
            InputError: it cannot be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"--out {self.folder}: expected a folder to write in, got {error.strerror or error}; "
                "choose another"
            ) from None

    def stem(self, base: str) -> str:
        """A name of its own for an input's files, free of inputs; file systems may not mind case."""
        count, name = 1, base
        while name.casefold() in self._stems or self._hits_input(name):
            count += 1
            name = f"{base}-{count}"
        self._stems.add(name.casefold())
        return name

    def _hits_input(self, stem: str) -> bool:
        endings = (*ENDINGS.values(), *VIDEO_ENDINGS.values())
        return any((self.folder / (stem + e)).resolve() in self.inputs for e in endings)

    def _note(self, image: ImageFile, name: str, found: Instances, measured: pd.DataFrame) -> None:
        number = len(self._images) + 1
        height, width = found.size
        record = {"id": number, "file_name": name, "width": width, "height": height}
        self._images.append(record | ({"page": image.page} if image.pages > 1 else {}))
        if not self._categories:
            pairs = zip(found.classes.ids, found.classes.names, strict=True)
            self._categories = [{"id": i, "name": n, "supercategory": ""} for i, n in pairs]
        if "coco" in self.kinds:
            self._annotations += found.to_coco(image_id=number, first_id=len(self._annotations) + 1)
        if "csv" in self.kinds:
            measured.insert(0, "image", pd.Series([_cell(name)] * len(measured), dtype=object))
            measured.insert(1, "page", image.page)
            measured["class"] = [_cell(c) for c in measured["class"]]
            measured.attrs = {}
            self._tables.append(measured)


def _cell(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _plain(value: Any) -> float | int | None:
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(number) if number == int(number) and abs(number) < 2**53 else round(number, 6)


def write_json(path: Path, record: Any) -> None:
    """One JSON document, atomically, in ASCII."""
    text = json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii")
    write_atomically(path, lambda file: file.write(text))


def _write(kind: str, path: Path, found: Instances, image: ImageFile, pixel_size: float | None) -> None:
    if kind == "overlay":
        write_png(path, np.asarray(overlay(found, image.pixels)))
    elif kind == "labels":
        write_label_tiff(path, found.to_label_image(), pixel_size)
    elif kind == "geojson":
        write_json(path, to_geojson(found))
    else:
        _write_crops(path, found, image)


def _write_crops(folder: Path, found: Instances, image: ImageFile) -> None:
    """00001.png and so on, numbered as in table and label image; those of an earlier run go."""
    folder.mkdir(exist_ok=True)
    written = set()
    for i, picture in cutouts(found, image.pixels):
        name = f"{i + 1:05d}.png"
        write_png(folder / name, np.asarray(picture))
        written.add(name)
    for old in _earlier(folder):
        if old.name not in written:
            old.unlink()


def _earlier(folder: Path) -> Iterable[Path]:
    return [p for p in folder.iterdir() if re.fullmatch(r"\d{5,}\.png", p.name)]
