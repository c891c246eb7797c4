"""The rows of a large image's objects, measured part by part and written as they come."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from delineate import __version__
from delineate.core.convert.geojson import geometry
from delineate.core.errors import InputError, MissingDependencyError
from delineate.core.instances import Instances
from delineate.core.polygons import Polygon
from delineate.data.formats.drawing import dumps
from delineate.measurements import measured_table
from delineate.measurements.glossary import annotate
from delineate.measurements.units import add_physical

from .measure_tables import plain_text

BORDER = 2
"""Pixels around objects that are read with them: their sharpness looks one pixel further."""
OF_ALL = ("outlier", "blurred")
"""Marks that compare an object with all others of its image, which are not known while it is written."""
ROWS, COLUMNS = ("bbox-0", "bbox-2", "centroid-0"), ("bbox-1", "bbox-3", "centroid-1")


@dataclass(frozen=True, eq=False)
class Piece:
    """Some finished objects.

    Attributes:
        x: left column of their frame in the whole image.
        y: its top row.
        found: the objects in the frame.
        first: the number of the first; the others follow.
        rows: one for each, in pixels of the whole image; see :func:`measured_rows`.
    """

    x: int
    y: int
    found: Instances
    first: int
    rows: pd.DataFrame


def measured_rows(
    found: Instances, corner: tuple[int, int], first: int, image: Any, whole: Whole
) -> pd.DataFrame:
    """The table of some objects, as ``delineate measure`` has it, in pixels of the whole image.

    Args:
        found: N objects in a frame.
        corner: x, y of the frame in the whole image.
        first: number of the first object.
        image: the frame's pixels, or None.
        whole: the image.
    """
    frame = measured_table(found, image)
    frame = frame.drop(columns=[name for name in OF_ALL if name in frame])
    told, frame.attrs = frame.attrs, {}  # pandas copies them with every column that it hands out
    frame["label"] += first - 1
    for names, offset in ((ROWS, corner[1]), (COLUMNS, corner[0])):
        for name in names:
            frame[name] += offset
    inner = (frame["bbox-0"] > 0) & (frame["bbox-1"] > 0)
    inner &= (frame["bbox-2"] < whole.size[0]) & (frame["bbox-3"] < whole.size[1])
    frame["touches_border"] = ~inner & (frame["area_bbox"] > 0)
    frame.insert(0, "image", pd.Series([whole.name] * len(frame), dtype=object))
    frame.attrs = told
    if whole.pixel_size is not None:
        frame = add_physical(frame, whole.pixel_size, "µm")
    frame = annotate(frame)
    frame.attrs["sources"]["image"] = "the image's name"
    return frame


@dataclass(frozen=True)
class Whole:
    """The image that objects are of.

    Attributes:
        name: as tables call it.
        size: (height, width).
        pixel_size: µm, or None.
    """

    name: str
    size: tuple[int, int]
    pixel_size: float | None


class Sink(ABC):
    """Takes finished objects as they come; the file takes its name when all went well.

    Attributes:
        path: where to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}.part")

    @abstractmethod
    def add(self, piece: Piece) -> None:
        """Some more objects."""

    @abstractmethod
    def _end(self) -> None:
        """Completes the file."""

    def close(self) -> Path:
        """Completes the file and gives it its name."""
        self._end()
        self.part.replace(self.path)
        return self.path

    def abort(self) -> None:
        """Leaves nothing behind."""
        self.part.unlink(missing_ok=True)


class TextSink(Sink):
    """A sink of text."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file: IO[str] = self.part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n")

    def abort(self) -> None:
        """Leaves nothing behind."""
        self._file.close()
        super().abort()


class CsvSink(TextSink):
    """A row per object, and beside it ``.columns.csv``: unit and source of each column."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._attrs: dict[Any, Any] = {}
        self._columns: list[str] = []

    def add(self, piece: Piece) -> None:
        """Some more rows."""
        rows = piece.rows
        texts = {n: rows[n].map(plain_text) for n in ("image", "class")}
        first, self._attrs, self._columns = not self._columns, rows.attrs, [str(c) for c in rows.columns]
        self._file.write(rows.assign(**texts).to_csv(index=False, header=first, lineterminator="\n"))

    def _end(self) -> None:
        self._file.close()
        units, sources = self._attrs.get("units", {}), self._attrs.get("sources", {})
        told = [(name, units.get(name, ""), sources.get(name, "")) for name in self._columns]
        path = self.path.with_name(f"{self.path.stem}.columns.csv")
        pd.DataFrame(told, columns=["column", "unit", "source"]).to_csv(
            path, index=False, lineterminator="\n"
        )


class ParquetSink(Sink):
    """A row per object; units and sources in the file's metadata.

    Raises:
        MissingDependencyError: pyarrow is not installed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise MissingDependencyError(
                f"{path.name}: expected the package pyarrow, got none; install it with "
                "`pip install delineate[tables]`, or choose csv"
            ) from None
        self._arrow, self._parquet = pyarrow, pyarrow.parquet
        self._writer: Any = None

    def add(self, piece: Piece) -> None:
        """Some more rows."""
        plain = piece.rows.copy(deep=False)
        plain.attrs = {}
        table = self._arrow.Table.from_pandas(plain, preserve_index=False)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self.part, self._schema(table, piece.rows.attrs))
        self._writer.write_table(table.cast(self._writer.schema))

    def _schema(self, table: Any, attrs: Any) -> Any:
        units, sources = attrs["units"], attrs["sources"]
        fields = []
        for one in table.schema:
            told = {"unit": units.get(one.name, ""), "source": sources.get(one.name, "")}
            fields.append(one.with_metadata({k: v for k, v in told.items() if v}))
        record = {"delineate": __version__, "units": units, "sources": sources}
        return self._arrow.schema(fields, metadata={b"delineate": json.dumps(record).encode()})

    def _end(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        """Leaves nothing behind."""
        if self._writer is not None:
            self._writer.close()
        super().abort()


class GeoJsonSink(TextSink):
    """Outlines along pixel edges in pixels of the whole image, a line for each object, as QuPath reads them.

    Args:
        path: where to.
        measures: put the measurements into each object, named as QuPath names its own.
    """

    def __init__(self, path: Path, measures: Callable[[pd.DataFrame], dict[str, Any]] | None = None) -> None:
        super().__init__(path)
        self._measures, self._some = measures, False
        self._file.write('{"type":"FeatureCollection","features":[')

    def add(self, piece: Piece) -> None:
        """Some more outlines."""
        found = piece.found
        if found.masks is None:
            raise InputError("geojson: expected masks, got boxes only; use a model that predicts masks")
        tints = found.classes.colors
        columns = {} if self._measures is None else self._measures(piece.rows)
        offset = np.array([piece.x, piece.y], dtype=np.float64)
        area, names = found.masks.area.tolist(), found.names
        for i, parts in enumerate(found.masks.to_polygons()):
            if not parts:
                continue
            moved = [Polygon(p.exterior + offset, tuple(h + offset for h in p.holes)) for p in parts]
            number, score = piece.first + i, round(float(found.scores[i]), 6)
            properties: dict[str, Any] = {
                "objectType": "detection",
                "name": str(number),
                "classification": {"name": names[i], "color": tints[int(found.labels[i])].tolist()},
                "class": names[i],
                "score": score,
                "area": area[i],
                "label": number,
            }
            if self._measures is not None:
                values = {name: round(float(c[i]), 6) for name, c in columns.items() if np.isfinite(c[i])}
                properties["measurements"] = {"Detection probability": score, **values}
            feature = {"type": "Feature", "geometry": geometry(moved), "properties": properties}
            self._file.write((",\n" if self._some else "\n") + dumps(feature))
            self._some = True

    def _end(self) -> None:
        self._file.write("\n]}\n")
        self._file.close()
