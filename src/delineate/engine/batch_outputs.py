"""What a run over many images leaves: files for each image, and tables and one COCO file for all of them.

Nothing of an image is kept in memory once its files are written: its rows wait in the run's notes
(:mod:`delineate.engine.batch_journal`) and are put together at the end, image by image.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from delineate.core.errors import InputError
from delineate.core.instances import Instances
from delineate.data.images import ImageFile
from delineate.data.rasters.ome_zarr_layout import zarr_package
from delineate.measurements import distributions, measured_table, summary

from .batch_files import ENDINGS, NEED_MASKS, Picture, write_kind
from .batch_journal import BatchJournal
from .batch_tables import (
    Schema,
    packed,
    packed_row,
    with_columns,
    write_coco,
    write_csv,
    write_parquet,
    write_table,
)
from .batch_totals import explain_statistic, explain_total, totals_table, wells_table, write_plate
from .large_outputs import ENDINGS as LARGE_ENDINGS
from .measure_tables import check_ending
from .plate_map import well_of

log = logging.getLogger("delineate")

KINDS = (
    *("overlay", "numbers", "page", "coco", "labels", "zarr", "csv", "parquet"),
    *("geojson", "qupath", "rois", "crops"),
)
LINKS = {"numbers": "overlay", "labels": "label_image", "page": "link"}
"""The column that names an image's file of a kind."""
PIXELS = ("csv", "parquet", "qupath", "page", "numbers")
"""Kinds that show or use the brightness of objects."""
VIDEO_ENDINGS = {"overlay": ".overlay.mp4", "coco": ".frames.json"}
COCO_FILE, TABLE_FILE, PARQUET_FILE = "predictions.json", "measurements.csv", "measurements.parquet"
IMAGES_FILE, TOTALS_FILE, COLUMNS_FILE = "images.csv", "totals.csv", "columns.csv"
WELLS_FILE, PLATE_FILE = "wells.csv", "plate.svg"
JOURNAL_FILE = ".predict.journal"


def parse_kinds(text: str) -> tuple[str, ...]:
    """The kinds that ``--save`` names; ``none`` for nothing.

    Raises:
        InputError: another word.
        MissingDependencyError: a kind whose package is not installed.
    """
    words = [w.strip().lower() for w in text.split(",") if w.strip()]
    if words == ["none"]:
        return ()
    if not words or not set(words) <= set(KINDS):
        raise InputError(
            f"--save: expected some of {','.join(KINDS)}, or none, got {text!r}; choose of these"
        )
    if "parquet" in words:
        check_ending(Path(PARQUET_FILE))
    if "zarr" in words:
        zarr_package(Path("labels.ome.zarr"))
    return tuple(k for k in KINDS if k in words)


@dataclass
class Outputs:
    """The files of one run.

    Attributes:
        folder: where they go; made when the first is written.
        kinds: which of :data:`KINDS`.
        inputs: resolved paths of the images; none of them is ever written over.
        pixel_size: µm, as given by the user; None takes each file's own.
        plate: tell wells from the images' names, and draw the plate.
    """

    folder: Path
    kinds: Sequence[str]
    inputs: frozenset[Path] = frozenset()
    pixel_size: float | None = None
    plate: bool = False
    _stems: set[str] = field(default_factory=set)

    @property
    def tables(self) -> bool:
        """Whether rows of objects are written."""
        return "csv" in self.kinds or "parquet" in self.kinds

    def add(self, image: ImageFile, stem: str, name: str, found: Any) -> dict[str, Any]:
        """Write an image's own files.

        Args:
            image: the pixels, and which page they are.
            stem: what its files are called, without ending.
            name: what the image is called in the run's files.
            found: its objects.

        Returns:
            what the run's notes keep of it, plain values: ``told`` for whoever asked (``count``, ``classes``,
            ``files``: path by kind, ``summary``: numbers of the image), and rows for the run's files.
        """
        if self.kinds:
            self.make_folder()
        kinds = [k for k in self.kinds if k in ENDINGS and (found.masks is not None or k not in NEED_MASKS)]
        if left := [k for k in NEED_MASKS if k in self.kinds and k not in kinds]:
            log.warning("%s: the model finds boxes only; left out: %s", name, ", ".join(left))
        size = self.pixel_size if self.pixel_size is not None else image.pixel_size
        pixels = image.pixels if any(kind in self.kinds for kind in PIXELS) else None
        measured = measured_table(found, pixels, size)
        files = {kind: self.folder / (stem + ENDINGS[kind]) for kind in kinds}
        for kind, path in files.items():
            write_kind(kind, path, Picture(image, found, measured, size))
        for key in ("units", "sources"):  # pandas copies them with every column; they are told at the end
            measured.attrs.pop(key, None)
        line = {str(k): float(v) for k, v in summary(measured).iloc[0].items()}
        told: dict[str, Any] = {"count": len(found), "classes": dict(Counter(found.names).most_common())}
        told |= {"files": {k: str(p) for k, p in files.items()}}
        told["summary"] = {k: _plain(v) for k, v in line.items()}
        return {"told": told, **self._rows(image, (stem, name), found, measured, line)}

    def _rows(
        self,
        image: ImageFile,
        names: tuple[str, str],
        found: Instances,
        measured: pd.DataFrame,
        line: Mapping[str, Any],
    ) -> dict[str, Any]:
        """What the run's files take up of an image."""
        stem, name = names
        height, width = found.size
        page = {"page": image.page} if image.pages > 1 else {}
        rows: dict[str, Any] = {
            "coco_image": {"file_name": name, "width": width, "height": height, **page},
            "well": well_of(name) if self.plate else "",
        }
        pairs = zip(found.classes.ids, found.classes.names, strict=True)
        rows["categories"] = [{"id": i, "name": n, "supercategory": ""} for i, n in pairs]
        if "coco" in self.kinds:
            rows["annotations"] = found.to_coco()
        if self.tables:
            head = {"image": name, "page": image.page} | ({"well": rows["well"]} if self.plate else {})
            head |= {"stem": stem, "status": "done", "reason": ""}
            rows["line"] = packed_row(head | _image_line(image, found, measured, line))
            first: dict[str, Any] = {"image": name, "page": image.page}
            first |= {"well": rows["well"]} if self.plate else {}
            if found.masks is not None:  # where the rows' labels stand
                first |= {LINKS[k]: stem + ENDINGS[k] for k in LINKS if k in self.kinds}
            rows["table"] = with_columns(packed(measured), first, len(measured))
        return rows

    def close(
        self,
        journal: BatchJournal,
        sources: Mapping[str, str],
        failed: Sequence[Mapping[str, Any]] = (),
    ) -> dict[str, str]:
        """Write the run's files.

        Args:
            journal: the run's notes.
            sources: stamp by source, in the run's order.
            failed: ``file``, ``page`` and ``reason`` of each image that could not be done.

        Returns:
            Path by kind.
        """
        written: dict[str, Path] = {}

        def entries() -> Any:
            return (e for _, _, e in journal.entries(sources) if "coco_image" in e)

        if "coco" in self.kinds:
            self.make_folder()
            written["coco"] = self.folder / COCO_FILE
            write_coco(written["coco"], entries)
        wells = wells_table(journal, sources) if self.plate else None
        if self.tables:
            self.make_folder()
            written |= self._write_tables(entries, failed, wells)
        if wells is not None:
            written |= {"wells": self.folder / WELLS_FILE, "plate": self.folder / PLATE_FILE}
            write_table(written["wells"], wells)
            write_plate(written["plate"], wells)
        elif self.plate:
            log.warning("no file name tells a well (A01 to P24); no plate is drawn")
        return {kind: str(path) for kind, path in written.items()}

    def _write_tables(
        self, entries: Any, failed: Sequence[Mapping[str, Any]], wells: pd.DataFrame | None
    ) -> dict[str, Path]:
        schema = Schema((entry["table"] for entry in entries()), explain_row)
        written: dict[str, Path] = {}
        if "csv" in self.kinds:
            written["csv"] = self.folder / TABLE_FILE
            write_csv(written["csv"], (entry["table"] for entry in entries()), schema)
        if "parquet" in self.kinds:
            written["parquet"] = self.folder / PARQUET_FILE
            write_parquet(written["parquet"], (entry["table"] for entry in entries()), schema)
        lines = [packed(_failed_lines(failed))] if failed else []

        def all_lines() -> Any:
            yield from (entry["line"] for entry in entries())
            yield from lines

        written["images"] = self.folder / IMAGES_FILE
        of_images = Schema(all_lines(), explain_row)
        write_csv(written["images"], all_lines(), of_images)
        written["totals"] = self.folder / TOTALS_FILE
        totals = totals_table(entries(), len(failed))
        write_table(written["totals"], totals)
        written["columns"] = self.folder / COLUMNS_FILE
        parts = {"measurements": schema.described(), "images": of_images.described()}
        parts["totals"] = Schema([packed(totals)], explain_total).described()
        if wells is not None:
            parts["wells"] = Schema([packed(wells)], explain_statistic).described()
        described = pd.concat([p.assign(table=name) for name, p in parts.items()], ignore_index=True)
        write_table(written["columns"], described[["table", "column", "unit", "source"]])
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
        if not os.access(self.folder, os.W_OK):
            raise InputError(
                f"--out {self.folder}: expected a folder to write in, got a read-only one; choose another"
            )

    def stem(self, base: str) -> str:
        """A name of its own for an input's files, free of inputs; file systems may not mind case."""
        count, name = 1, base
        while name.casefold() in self._stems or self._hits_input(name):
            count += 1
            name = f"{base}-{count}"
        self._stems.add(name.casefold())
        return name

    def _hits_input(self, stem: str) -> bool:
        endings = {*ENDINGS.values(), *VIDEO_ENDINGS.values(), *LARGE_ENDINGS.values()}
        return any((self.folder / (stem + e)).resolve() in self.inputs for e in endings)


def _image_line(
    image: ImageFile, found: Instances, measured: pd.DataFrame, line: Mapping[str, Any]
) -> dict[str, Any]:
    """What an image's row tells: how many objects of which class, how they are spread."""
    height, width = found.size
    classes: dict[str, int] = {}
    if len(found.classes) > 1:
        counts = Counter(found.names)
        classes = {f"count {c}": counts[c] for c in found.classes.names if counts[c]}
    more = {k: v for k, v in line.items() if k not in ("count", "area_median")}
    size = measured.attrs.get("pixel_size")
    tail = {"pixel_size": np.nan if size is None else float(size), "notes": "; ".join(image.notes)}
    return {"height": height, "width": width} | distributions(measured) | classes | more | tail


def _failed_lines(failed: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    rows = [(one["file"], one["page"] or 0, "failed", one["reason"]) for one in failed]
    return pd.DataFrame(rows, columns=["image", "page", "status", "reason"])


_TOLD = {
    "image": ("", "the image's name"),
    "page": ("", "page of the file, from 0; with a projection the time"),
    "well": ("", "well of the plate that the image's name tells"),
    "stem": ("", "what the image's own files are called, without ending"),
    "status": ("", "done or failed"),
    "reason": ("", "why it failed"),
    "notes": ("", "what was converted, left out or in doubt"),
}


def explain_row(name: str) -> tuple[str, str]:
    """Unit and source of a column of the tables of objects and images."""
    return _TOLD[name] if name in _TOLD else explain_statistic(name)


def _plain(value: Any) -> float | int | None:
    number = float(value)
    if not np.isfinite(number):
        return None
    return int(number) if number == int(number) and abs(number) < 2**53 else round(number, 6)
