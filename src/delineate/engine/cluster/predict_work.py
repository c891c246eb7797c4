"""What a worker does with images: their objects, their files, and partitions of the tables."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from delineate.core.errors import InputError

from ..batch import Source, entry_of
from ..batch_outputs import Outputs, explain_row
from ..batch_sources import Reading, images_of
from ..batch_tables import packed_row
from ..large_places import pixels_in
from .chunks import Row, RowResult
from .commits import FOLDER, content_name
from .parquet import parquet_bytes
from .places import Place
from .sources import local_file


@dataclass
class PredictWork:
    """A worker that finds the objects of images.

    Attributes:
        model: a name of the zoo, or a file of weights that every machine can read.
        finding: settings of :meth:`delineate.engine.load.Model.predict`.
        reading: how files are read.
        place: where results go.
        kinds: of files, as ``delineate predict --save`` names them.
        device: where to compute; empty: a GPU where the worker has one.
        stain: brings stained slides to like colours.
        pixel_size: µm, or None.
        plate: tell wells from names.
        large: images of more pixels are left for :mod:`delineate.engine.cluster.slides`; 0: none; -1: all.
    """

    model: Any
    finding: Mapping[str, Any]
    reading: Reading
    place: Place
    kinds: Sequence[str]
    device: str = ""
    stain: Any = None
    pixel_size: float | None = None
    plate: bool = False
    large: int = 0
    _net: Any = field(default=None, repr=False)

    def begin(self) -> None:
        """Loads the model.

        Raises:
            InputError: the results' folder is not one that this machine sees.
        """
        if not self.place.names(f"{FOLDER}/log"):
            raise InputError(
                f"--out {self.place.where}: expected a folder that every machine of the cluster sees, got "
                "one of the driver alone; give a shared folder or a URI such as s3://bucket/out"
            )
        self._net = loaded(self.model, self.device)

    def read(self, row: Row) -> Iterator[Any]:
        """The images of a file."""
        from delineate.data.video import is_video

        with local_file(row) as path:
            if is_video(path):
                raise InputError(
                    f"{row['name']}: expected an image, got a video; predict it without --cluster"
                )
            if self.large and pixels_in(str(path), self.reading) > max(self.large, 0):
                yield None
                return
            for unit in images_of(str(path), self.reading):
                pixels, note = unit.image.pixels, ""
                if self.stain is not None:
                    pixels, note = self.stain(pixels)
                yield unit, pixels, note

    def look(self, row: Row, thing: Any) -> dict[str, Any]:
        """The objects of an image, and its own files."""
        if thing is None:
            return {"large": True}
        unit, pixels, note = thing
        if note:
            unit = replace(unit, image=replace(unit.image, notes=(*unit.image.notes, note)))
        found = self._net.predict(pixels, **self.finding)
        source = Source(row["file"], row["name"], row["stem"], row["stamp"])
        local = self.place.local
        if local is not None:
            entry = entry_of(source, unit, found, self._outputs(local))
            files = entry["told"]["files"]
            files |= {kind: Path(file).name for kind, file in files.items()}
        else:
            with tempfile.TemporaryDirectory(prefix="delineate-") as folder:
                entry = entry_of(source, unit, found, self._outputs(Path(folder)))
                files = entry["told"]["files"]
                for kind, file in files.items():
                    self.place.put(Path(file), Path(file).name)
                    files[kind] = Path(file).name
        entry["counts"] = [] if found.masks is None else [r["counts"] for r in found.masks.to_rle()]
        return {"unit": unit.number, "units": unit.count, "entry": entry}

    def _outputs(self, folder: Path) -> Outputs:
        return Outputs(folder, self.kinds, frozenset(), self.pixel_size, self.plate)

    def end(self, number: int, results: Sequence[RowResult]) -> dict[str, Any]:
        """Writes the chunk's partitions and notes."""
        parts: dict[str, str] = {}
        kinds: dict[str, dict[str, str]] = {}
        entries = [(r, note) for r in results for note in r.notes if "entry" in note]
        if "parquet" in self.kinds:
            tables = {
                "measurements": [_with_masks(note["entry"]) for _, note in entries],
                "images": [*(note["entry"]["line"] for _, note in entries), *_failed_lines(results)],
            }
            for name, some in tables.items():
                if some:
                    data, kinds[name] = parquet_bytes(some, explain)
                    parts[name] = content_name(f"{name}.parquet", number, data, ".parquet")
                    self.place.write(parts[name], data)
        lines = []
        for result, note in entries:
            entry = dict(note["entry"])
            for key in () if "csv" in self.kinds else ("table", "line"):
                entry.pop(key, None)
            entry.pop("counts")
            line = {"row": result.row["row"], "unit": note["unit"], "units": note["units"], "entry": entry}
            lines.append(json.dumps(line, separators=(",", ":")))
        notes = gzip.compress("".join(f"{line}\n" for line in lines).encode(), 1, mtime=0)
        parts["notes"] = content_name(f"{FOLDER}/notes", number, notes, ".jsonl.gz")
        self.place.write(parts["notes"], notes)
        return {
            "rows": [result.row["row"] for result in results],
            "images": len(entries),
            "objects": sum(note["entry"]["told"]["count"] for _, note in entries),
            "failed": [
                {"file": r.row["file"], "reason": r.error, "lost": r.lost} for r in results if r.error
            ],
            "large": [r.row["row"] for r in results if {"large": True} in r.notes],
            "parts": parts,
            "columns": kinds,
        }


def loaded(model: Any, device: str) -> Any:
    """A model by name or file, with one thread where it computes on a CPU; another thing as it is."""
    if not isinstance(model, str | Path):
        return model
    import torch

    from ..load import load

    torch.set_num_threads(1)
    return load(model, device=device or None)


def explain(name: str) -> tuple[str, str]:
    """Unit and source of a column of the partitions."""
    if name == "counts":
        return "", "the mask, COCO's compressed run lengths over the image's height and width"
    return explain_row(name)


def _with_masks(entry: Mapping[str, Any]) -> dict[str, Any]:
    table, counts = entry["table"], entry["counts"]
    if not counts and len(next(iter(table["columns"].values()), ())):
        return dict(table)  # boxes only
    return {
        "columns": {**table["columns"], "counts": counts},
        "kinds": {**table["kinds"], "counts": "O"},
    }


def _failed_lines(results: Sequence[RowResult]) -> Iterator[dict[str, Any]]:
    for one in results:
        if one.error:
            head = {"image": one.row["name"], "page": len(one.notes), "stem": one.row["stem"]}
            yield packed_row(head | {"status": "failed", "reason": one.error})
